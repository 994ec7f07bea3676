"""What each figure of likeness is called and what it says, for a reader who meets it for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_pgan.evaluation.likeness.prdc import NEAREST


@dataclass(frozen=True)
class Words:
    """A name, which way is better, and a sentence."""

    name: str
    better: Literal["lower", "higher", "floor"]
    says: str


_OTHERS = {
    "frechet": Words(
        "Fréchet distance",
        "lower",
        "How far the generated images lie from the real ones in the encoder's features, in mean and in spread.",
    ),
    "kernel": Words(
        "kernel distance × 10³",
        "lower",
        "The same question without the assumption of normal distributions; it does not depend on the number of images "
        "and may fall a little below 0 where sets are alike.",
    ),
    "precision": Words(
        "precision",
        "higher",
        f"The share of generated images that lie among real ones, within reach of one's {NEAREST}th neighbour: are "
        "they credible?",
    ),
    "recall": Words(
        "recall",
        "higher",
        "The share of real images that lie among generated ones: can the model make what there is?",
    ),
    "density": Words(
        "density",
        "higher",
        "How thickly the real images lie around generated ones, 1 where both are alike: precision that a few odd real "
        "images cannot lift.",
    ),
    "coverage": Words(
        "coverage",
        "higher",
        "The share of real images that have a generated one close by: recall that a few odd generated images cannot "
        "lift.",
    ),
    "intensity": Words(
        "intensities within labels × 10³",
        "lower",
        "How different the intensities of the modalities are within each label, by the Wasserstein distance of their "
        "distributions: far above the floor, labels do not lie where the images show them.",
    ),
    "ms-ssim": Words(
        "MS-SSIM of pairs",
        "floor",
        "How alike two images are on average, beside two real ones of different subjects: well above the floor, the "
        "model repeats itself.",
    ),
}

_CHANNELS = {
    "joint": "modalities and labels together. It hardly notices labels that lie on the wrong image",
    "labels": "the labels alone: size, shape and place of the segmentation",
}


def words(measure: str, channels: str, level: str) -> Words:
    """Of a figure, by what `likeness.Figure` calls it."""
    if measure != "swd":
        return _OTHERS[measure]
    of = _CHANNELS.get(channels, f"{channels} alone")
    size = "averaged over all sizes of structure" if level == "mean" else f"structure seen at {level.replace('x', '×')}"
    shown = "mean" if level == "mean" else level.replace("x", "×")
    return Words(
        f"SWD × 10³, {channels}, {shown}",
        "lower",
        f"How different patches of generated and real images are, {size}: {of}.",
    )
