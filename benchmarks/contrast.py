"""Contrast of lesions: does each part of a glioma have its typical appearance?

Oedema is bright on FLAIR, and on T1 with contrast agent the enhancing part is brighter than the core that it surrounds
(Bakas et al. 2017, doi:10.1038/sdata.2017.117).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_pgan.schema import Channels

_BACKGROUND = -0.9  # any modality is brighter in the brain


@dataclass(frozen=True)
class Share:
    """The number of images with a property, of those on which it can be measured."""

    shown: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; NaN if it can be measured on no image."""
        return self.shown / self.of if self.of else float("nan")

    def __str__(self) -> str:
        return f"{self.shown} of {self.of} ({100 * self.value:.1f} %)" if self.of else "on no image"


@dataclass(frozen=True)
class LesionContrast:
    """Counts over images with a lesion.

    Parameters
    ----------
    lesions
        Images with a lesion that is large enough.
    oedema
        FLAIR is brighter in the oedema than in the rest of the brain.
    rim
        T1ce is brighter in the enhancing part than in the core.
    both
        Each of the two holds, if it can be measured.
    """

    lesions: int
    oedema: Share
    rim: Share
    both: Share


def lesion_contrast(
    images: np.ndarray, labels: np.ndarray, channels: Channels, min_lesion: int = 20, min_part: int = 3
) -> LesionContrast:
    """Count the images whose lesion has a glioma's contrast.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1].
    labels
        (N, Y, X) in the original values.
    channels
        Must name the modalities ``flair`` and ``t1ce`` and the labels ``oedema``, ``enhancing tumour`` and
        ``necrotic core``.
    min_lesion
        Minimum number of pixels of a lesion.
    min_part
        Minimum number of pixels of a part.

    Raises
    ------
    InputError
        A label is missing.
    """
    flair, t1ce = (images[:, channels.modalities.index(name)] for name in ("flair", "t1ce"))
    oedema, rim, core = (
        labels == channels.label(name).value for name in ("oedema", "enhancing tumour", "necrotic core")
    )
    counts = {"oedema": [0, 0], "rim": [0, 0], "both": [0, 0]}
    lesions = 0
    for i in range(len(images)):
        if (labels[i] > 0).sum() < min_lesion:
            continue
        lesions += 1
        rest = (images[i].max(axis=0) > _BACKGROUND) & (labels[i] == 0)
        seen = []
        for name, picture, bright, dark in (("oedema", flair, oedema[i], rest), ("rim", t1ce, rim[i], core[i])):
            if min(bright.sum(), dark.sum()) < min_part:
                continue
            holds = bool(picture[i][bright].mean() > picture[i][dark].mean())
            counts[name][0] += holds
            counts[name][1] += 1
            seen.append(holds)
        if seen:
            counts["both"][0] += all(seen)
            counts["both"][1] += 1
    return LesionContrast(lesions, *(Share(*counts[name]) for name in ("oedema", "rim", "both")))
