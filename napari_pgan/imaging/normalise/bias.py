"""Bias field correction."""

from __future__ import annotations

import numpy as np

from napari_pgan.imaging.io.itk import limit_threads, sitk, to_array, to_itk
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground

VOXEL = 4.0  # mm; the field is smooth, so few voxels suffice
ITERATIONS = (30, 30, 30)


def correct_bias(volume: Volume, head: Foreground) -> Volume:
    """Divide a volume by its bias field, estimated with N4 (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908).

    The field is fitted at about 4 mm; its geometric mean over the head is 1, so that values keep their scale. Air does
    not change. The head must be brighter than the background. Returns float32.
    """
    array = volume.array.astype(np.float32) - np.float32(head.background)
    inside = head.mask & (array > 0)  # N4 takes logarithms
    if inside.sum() < 1000:
        return Volume(volume.array.astype(np.float32), volume.affine)
    with limit_threads():
        full = to_itk(np.maximum(array, 0), volume.affine)
        factors = [
            max(1, min(n // 8, round(VOXEL / s))) for n, s in zip(full.GetSize(), full.GetSpacing(), strict=True)
        ]
        small = sitk.BinShrink(full, factors)
        mask = sitk.BinShrink(sitk.Cast(to_itk(inside, volume.affine), sitk.sitkFloat32), factors) > 0.5
        method = sitk.N4BiasFieldCorrectionImageFilter()
        method.SetMaximumNumberOfIterations(ITERATIONS)
        method.Execute(small + 1e-3, sitk.Cast(mask, sitk.sitkUInt8))
        field = to_array(method.GetLogBiasFieldAsImage(full))
    field = field - field[inside].mean()
    corrected = np.where(head.mask, array / np.exp(np.clip(field, -2, 2)), array) + np.float32(head.background)
    return Volume(corrected.astype(np.float32), volume.affine)
