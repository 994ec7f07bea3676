"""Cohorts in the Brain Imaging Data Structure (Gorgolewski et al. 2016, doi:10.1038/sdata.2016.44)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.cohort import Cohort, flag_missing, group_by_subject, infer_content
from napari_pgan.imaging.io.modality_names import BRAIN, MASKS, SEGMENTATION

_FILE = re.compile(r"(?P<entities>sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9+]+)*)_(?P<suffix>[A-Za-z0-9]+)\.nii(?:\.gz)?")
_MODALITIES = {"T1w": "t1", "T2w": "t2", "FLAIR": "flair", "PDw": "pd", "T2starw": "t2star", "inplaneT1": "inplanet1"}
_LESION_MASKS = ("dseg", "mask", "seg", "roi", "lesion")
_OTHER_MASKS = re.compile(r"brain|head|gm|wm|csf|skull|face|defac", re.IGNORECASE)


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """Find the cohort among files (relative to `folder`); None if there is no ``sub-…/anat``.

    Modalities come from ``anat`` of the raw data; a T1w with ``ce-`` is the contrast-enhanced one. Label maps and
    lesion masks (``_dseg``, ``_mask``, ``_roi``) come from there or from ``derivatives``; tissue masks are ignored. A
    ``desc-brain_mask`` in scanner space is the brain mask. Sessions are subjects of one person.
    """
    files = ((name, person, part, folder / str(path)) for name, person, part, path in _parse(sorted(paths, key=str)))
    subjects = [subject for subject in group_by_subject(files) if set(subject.files) - MASKS.keys()]
    if not subjects:
        return None
    content = infer_content(subjects)
    return Cohort("BIDS", flag_missing(subjects, content.parts), content)


def _parse(paths: Iterable[PurePath]) -> Iterator[tuple[str, str, str, PurePath]]:
    for path in paths:
        match = _FILE.fullmatch(path.name)
        folders = path.parent.parts
        if match is None or "anat" not in folders[-1:] or not any(f.startswith("sub-") for f in folders):
            continue
        entities = dict(entity.split("-", 1) for entity in match["entities"].split("_"))
        part = _part(entities, match["suffix"], "derivatives" in folders)
        if part is not None:
            person = f"sub-{entities['sub']}"
            yield (f"{person} ses-{entities['ses']}" if "ses" in entities else person), person, part, path


def _part(entities: dict[str, str], suffix: str, derived: bool) -> str | None:
    if suffix == "mask" and entities.get("desc") == "brain" and entities.keys() <= {"sub", "ses", "desc"}:
        return BRAIN
    if suffix in _LESION_MASKS:
        description = " ".join(entities.get(key, "") for key in ("label", "desc", "space"))
        return None if _OTHER_MASKS.search(description) else SEGMENTATION
    if derived or suffix not in _MODALITIES:
        return None
    return f"{_MODALITIES[suffix]}ce" if "ce" in entities else _MODALITIES[suffix]
