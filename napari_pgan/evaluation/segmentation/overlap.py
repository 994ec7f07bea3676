"""Agreement of label maps per subject: Dice and the 95th percentile of the Hausdorff distance.

Both are computed by MONAI on each subject's slices stacked to a volume, as in segmentation challenges (Menze et al.
2015, doi:10.1109/TMI.2014.2377694).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch

from napari_pgan.evaluation.optional_packages import check_installed


def masks_of(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Split label maps (…) into bool (R, …): one region per label, and the union last if there are several."""
    parts = [labels == value for value in values]
    return np.stack([*parts, labels > 0] if len(parts) > 1 else parts)


def region_names(names: Sequence[str]) -> list[str]:
    """Return the names of the regions of `masks_of`."""
    return [*names, "all labels"] if len(names) > 1 else list(names)


def dice(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return 2 |A ∩ B| / (|A| + |B|) of masks (R, …): (R,), NaN if the truth is empty."""
    check_installed(("monai",))
    from monai.metrics import compute_dice

    a, b = (torch.from_numpy(x.reshape(1, len(x), -1)).float() for x in (predicted, truth))
    return compute_dice(a, b, ignore_empty=True)[0].numpy().astype(np.float64)


def hausdorff95(predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the 95 % Hausdorff distance of masks (R, Y, X) or (R, Z, Y, X), in units of `spacing`.

    NaN if the truth is empty, infinite if only the prediction is.
    """
    check_installed(("monai",))
    from monai.metrics import compute_hausdorff_distance

    found = np.full(len(truth), np.nan)
    for region, (a, b) in enumerate(zip(predicted, truth, strict=True)):
        if not b.any():
            continue
        if not a.any():
            found[region] = np.inf
            continue
        pair = [torch.from_numpy(x[None, None]) for x in _cropped(a, b)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from a call inside MONAI
            distance = compute_hausdorff_distance(
                pair[0], pair[1], include_background=True, percentile=95, spacing=list(spacing)
            )
        found[region] = float(distance)
    return found


def _cropped(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop both masks to their common bounding box with a margin of one pixel."""
    where = np.argwhere(a | b)
    box = tuple(slice(max(low - 1, 0), high + 2) for low, high in zip(where.min(0), where.max(0), strict=True))
    return a[box], b[box]


def by_subject(
    predicted: np.ndarray,
    truth: np.ndarray,
    subject: np.ndarray,
    values: Sequence[int],
    spacing: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return Dice and 95 % Hausdorff distance of each subject and region: (S, R) each.

    Parameters
    ----------
    predicted, truth
        Label maps (N, Y, X), label values.
    subject
        (N,), the subject of each slice; slices of a subject are consecutive.
    values
        Label values.
    spacing
        Spacing of slices, rows and columns.
    """
    dices, distances = [], []
    for one in np.unique(subject):
        a, b = (masks_of(x[subject == one], values) for x in (predicted, truth))
        dices.append(dice(a, b))
        if a.shape[1] == 1:  # a single slice has no third axis
            distances.append(hausdorff95(a[:, 0], b[:, 0], spacing[1:]))
        else:
            distances.append(hausdorff95(a, b, spacing))
    return np.array(dices), np.array(distances)
