"""Names and explanations of the metrics of likeness, for readers who are new to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_pgan.evaluation.likeness.prdc import NEAREST


@dataclass(frozen=True)
class Description:
    """Name, direction of improvement, and explanation of a metric."""

    name: str
    better: Literal["lower", "higher", "floor"]
    says: str


_OTHERS = {
    "frechet": Description(
        "Fréchet distance",
        "lower",
        "Distance between generated and real images in the encoder's feature space, by mean and covariance.",
    ),
    "kernel": Description(
        "kernel distance × 10³",
        "lower",
        "Like the Fréchet distance, but without assuming normal distributions. It does not depend on the number of "
        "images and can be slightly negative for equal distributions.",
    ),
    "precision": Description(
        "precision",
        "higher",
        f"Share of generated images within the {NEAREST}-nearest-neighbour radius of a real image: are generated "
        "images realistic?",
    ),
    "recall": Description(
        "recall",
        "higher",
        f"Share of real images within the {NEAREST}-nearest-neighbour radius of a generated image: does the model "
        "cover the variety of real images?",
    ),
    "density": Description(
        "density",
        "higher",
        "How densely real images surround generated ones, 1 for equal distributions: like precision, but robust to "
        "outliers among the real images.",
    ),
    "coverage": Description(
        "coverage",
        "higher",
        "Share of real images with a generated image nearby: like recall, but robust to outliers among the generated "
        "images.",
    ),
    "intensity": Description(
        "intensities within labels × 10³",
        "lower",
        "Wasserstein distance between the intensity distributions within each label, per modality. Far above the "
        "baseline, labels are not where the images show the structures.",
    ),
    "ms-ssim": Description(
        "MS-SSIM of pairs",
        "floor",
        "Average similarity of two generated images, compared with two real images of different subjects. Well above "
        "the baseline, the model repeats itself.",
    ),
}

_CHANNELS = {
    "joint": "modalities and labels together. Hardly sensitive to labels that are on the wrong image",
    "labels": "labels only: size, shape and position of the segmentation",
}


def describe_metric(measure: str, channels: str, level: str) -> Description:
    """Describe a metric, identified as in `Figure`."""
    if measure != "swd":
        return _OTHERS[measure]
    shown = level.replace("x", "×")
    size = "averaged over all sizes of structure" if level == "mean" else f"structures visible at {shown}"
    what = _CHANNELS.get(channels, f"{channels} only")
    says = f"Distance between patches of generated and real images, {size}; {what}."
    return Description(f"SWD × 10³, {channels}, {shown}", "lower", says)
