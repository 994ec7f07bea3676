"""Labels of a cohort's segmentations; their values in BraTS changed over the years."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from napari_pgan.imaging.cohorts.cohort import CohortContent
from napari_pgan.imaging.io.modality_names import MODALITIES
from napari_pgan.schema import Channels, Label

PALETTE = ("#e41a1c", "#4daf4a", "#ffd92f", "#377eb8", "#984ea3", "#ff7f00", "#a65628", "#f781bf", "#66c2a5", "#999999")
_CORE = Label(1, "necrotic core", "#4daf4a")
_OEDEMA = Label(2, "oedema", "#ffd92f")
_SOLID = Label(3, "non-enhancing tumour", "#377eb8")
_ENHANCING = "enhancing tumour", "#e41a1c"


def brats_channels(values: Mapping[str, Collection[int]], styles: Collection[str]) -> Channels:
    """Choose the channels of a BraTS cohort from the label values of its subjects.

    Enhancing tumour is 4 until 2021 and 3 from 2023 on. Until 2021, 3 is unused (2017 to 2021) or non-enhancing tumour
    (2013 to 2015, together with 4). If some subjects have 3 and others 4 but none has both, the more frequent value is
    declared. Menze et al. 2015 (doi:10.1109/TMI.2014.2377694), Bakas et al. 2018 (arXiv:1811.02629), Baid et al. 2021
    (arXiv:2107.02314), LaBella et al. and Kazerooni et al. 2023 (arXiv:2305.17033).

    `values` maps subjects to the label values of their segmentations; `styles` are those of the cohort's file names.
    """
    three = sum(3 in present for present in values.values())
    four = sum(4 in present for present in values.values())
    both = sum(3 in present and 4 in present for present in values.values())
    newest = set(styles) == {"hyphen"}
    labels: tuple[Label, ...]
    if newest and (three or not four):
        labels = (_CORE, _OEDEMA, Label(3, *_ENHANCING))
    elif 2 * both > four:  # not a stray voxel in one subject
        labels = (_CORE, _OEDEMA, _SOLID, Label(4, *_ENHANCING))
    else:
        labels = (_CORE, _OEDEMA, Label(3 if three > four else 4, *_ENHANCING))
    return Channels(MODALITIES, labels)


def infer_channels(content: CohortContent, values: Mapping[str, Collection[int]]) -> Channels:
    """Choose the channels of any other cohort: labels of its plan, else one label per value in its segmentations."""
    labels = content.labels
    if labels is None:
        present = sorted(set().union(*values.values()) - set(content.ignored))
        single = "foreground" if len(present) == 1 else None
        labels = tuple(Label(v, single or f"label {v}", PALETTE[i % len(PALETTE)]) for i, v in enumerate(present))
    return Channels(content.modalities, labels, content.groups)
