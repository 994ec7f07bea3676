"""Do borders of labels show in the modalities as rims?

Images and crisp masks come from one network, and a mask's border tends to leak into the modalities as a bright or dark
line that no anatomy has. Real images are sharper along lesions, too, where the lesion differs from what surrounds it;
so the figure means something only beside theirs.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, uniform_filter

_BACKGROUND = -0.9  # the head is where any modality is above
_LEAST = 1 / 200  # of an image's pixels, that labels must fill for it to count


def rims(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much finest detail there is on borders of labels, for each modality, over that elsewhere in the head.

    Detail is the mean difference between a pixel and the mean of its 3×3 neighbourhood, without sign.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1].
    labels
        (N, Y, X), 0 for background.

    Returns
    -------
    np.ndarray
        (M,); 1 where borders of labels are as any other place, not a number where no image has enough of a label.
    """
    on, off = np.zeros((2, images.shape[1])), np.zeros((2, images.shape[1]))
    for image, mask in zip(images, labels, strict=True):
        if (mask > 0).sum() < _LEAST * mask.size:
            continue
        image = image.astype(np.float32, copy=False)
        detail = np.abs(image - uniform_filter(image, (0, 3, 3)))
        inner = binary_erosion((image > _BACKGROUND).any(axis=0), iterations=2)  # the head's own border is sharp
        border = _borders(mask) & inner
        away = inner & ~binary_dilation(border, iterations=2)
        for total, where in ((on, border), (off, away)):
            total[0] += detail[:, where].sum(axis=1)
            total[1] += where.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return (on[0] / on[1]) / (off[0] / off[1])


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels beside one with another label."""
    found = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= rows
    found[:-1] |= rows
    found[:, 1:] |= columns
    found[:, :-1] |= columns
    return found
