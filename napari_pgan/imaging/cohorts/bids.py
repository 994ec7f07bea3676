"""Cohorts in the Brain Imaging Data Structure (Gorgolewski et al. 2016, doi:10.1038/sdata.2016.44)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.cohort import Cohort, flag_missing, group_by_subject, infer_content
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION

_FILE = re.compile(r"(?P<entities>sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9+]+)*)_(?P<suffix>[A-Za-z0-9]+)\.nii(?:\.gz)?")
_MODALITIES = {"T1w": "t1", "T2w": "t2", "FLAIR": "flair", "PDw": "pd", "T2starw": "t2star", "inplaneT1": "inplanet1"}
_MASKS = ("dseg", "mask", "seg", "roi", "lesion")
_OTHER_MASKS = re.compile(r"brain|head|gm|wm|csf|skull|face|defac", re.IGNORECASE)


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """The cohort of the files (relative to `folder`), or None where there is no ``sub-…/anat``.

    Modalities come from ``anat`` of the raw data, where a T1w with ``ce-`` is the one after contrast agent; label maps
    and lesion masks (``_dseg``, ``_mask``, ``_roi``) from there or from ``derivatives``, but no masks of tissue. A
    ``desc-brain_mask`` in the scanner's own space is the brain's. Sessions are subjects of one person.
    """
    subjects = group_by_subject(
        (name, person, part, folder / str(path)) for name, person, part, path in _files(sorted(paths, key=str))
    )
    subjects = [subject for subject in subjects if set(subject.files) - {SEGMENTATION, BRAIN}]
    if not subjects:
        return None
    content = infer_content(subjects)
    return Cohort("BIDS", flag_missing(subjects, content.parts), content)


def _files(paths: Iterable[PurePath]) -> Iterator[tuple[str, str, str, PurePath]]:
    for path in paths:
        parsed = _FILE.fullmatch(path.name)
        folders = path.parent.parts
        if parsed is None or "anat" not in folders[-1:] or not any(f.startswith("sub-") for f in folders):
            continue
        entities = dict(entity.split("-", 1) for entity in parsed["entities"].split("_"))
        part = _part(entities, parsed["suffix"], "derivatives" in folders)
        if part is None:
            continue
        person = f"sub-{entities['sub']}"
        yield (f"{person} ses-{entities['ses']}" if "ses" in entities else person), person, part, path


def _part(entities: dict[str, str], suffix: str, derived: bool) -> str | None:
    if suffix == "mask" and entities.get("desc") == "brain" and entities.keys() <= {"sub", "ses", "desc"}:
        return BRAIN
    if suffix in _MASKS:
        what = " ".join(entities.get(key, "") for key in ("label", "desc", "space"))
        return None if _OTHER_MASKS.search(what) else SEGMENTATION
    if derived or suffix not in _MODALITIES:
        return None
    modality = _MODALITIES[suffix]
    return f"{modality}ce" if "ce" in entities else modality
