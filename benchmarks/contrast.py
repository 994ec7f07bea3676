"""Do lesions look on each modality as lesions of their label do?

The two facts that a radiologist would check first on a glioma: oedema is bright on FLAIR, and on T1 with contrast the
enhancing part is brighter than the core that it surrounds (Bakas et al. 2017, doi:10.1038/sdata.2017.117).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_pgan.schema import Channels

_BACKGROUND = -0.9  # brain is where any modality is above


@dataclass(frozen=True)
class Share:
    """How many images show a fact, of those on which it can be seen."""

    shown: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; not a number where it can be seen on no image."""
        return self.shown / self.of if self.of else float("nan")

    def __str__(self) -> str:
        return f"{self.shown} of {self.of} ({100 * self.value:.1f} %)" if self.of else "on no image"


@dataclass(frozen=True)
class LesionContrast:
    """Counts over images with a lesion.

    Parameters
    ----------
    lesions
        Images whose lesion is large enough.
    oedema
        FLAIR is brighter in the oedema than in the rest of the brain.
    rim
        T1ce is brighter in the enhancing part than in the core.
    both
        Every one of the two that can be seen on an image holds there.
    """

    lesions: int
    oedema: Share
    rim: Share
    both: Share


def lesion_contrast(
    images: np.ndarray, labels: np.ndarray, channels: Channels, least_lesion: int = 20, least_part: int = 3
) -> LesionContrast:
    """Count on how many images the lesion has the contrast of a glioma.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1].
    labels
        (N, Y, X) in the original values.
    channels
        Must name the modalities ``flair`` and ``t1ce`` and the labels ``oedema``, ``enhancing tumour`` and
        ``necrotic core``.
    least_lesion
        Pixels that a lesion must have for its image to count.
    least_part
        Pixels that a part must have for its mean to be looked at.

    Raises
    ------
    InputError
        A label is not there.
    """
    flair, t1ce = (images[:, channels.modalities.index(name)] for name in ("flair", "t1ce"))
    oedema, rim, core = (
        labels == channels.label(name).value for name in ("oedema", "enhancing tumour", "necrotic core")
    )
    counts = {"oedema": [0, 0], "rim": [0, 0], "both": [0, 0]}
    lesions = 0
    for i in range(len(images)):
        if (labels[i] > 0).sum() < least_lesion:
            continue
        lesions += 1
        rest = (images[i].max(axis=0) > _BACKGROUND) & (labels[i] == 0)
        seen = []
        for name, picture, bright, dark in (("oedema", flair, oedema[i], rest), ("rim", t1ce, rim[i], core[i])):
            if min(bright.sum(), dark.sum()) < least_part:
                continue
            holds = bool(picture[i][bright].mean() > picture[i][dark].mean())
            counts[name][0] += holds
            counts[name][1] += 1
            seen.append(holds)
        if seen:
            counts["both"][0] += all(seen)
            counts["both"][1] += 1
    return LesionContrast(lesions, *(Share(*counts[name]) for name in ("oedema", "rim", "both")))
