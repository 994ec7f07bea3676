"""A template that fits a head but for its shape, bent until it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.imaging.io.itk import to_array, to_itk, to_transform
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.registration.register import BINS, LEVELS, SEED, Pyramid

if TYPE_CHECKING:
    import SimpleITK as sitk

MESH = 55.0  # mm between the knots: a brain's proportions, none of its folds
FARTHEST = 8.0  # mm that a knot may go
STEPS = 12
SAMPLES = 10_000


def fit_deformation(template: Pyramid, head: Pyramid, matrix: np.ndarray) -> sitk.CompositeTransform:
    """Bend a template by a coarse cubic B-spline (Rueckert et al. 1999, doi:10.1109/42.796284).

    Parameters
    ----------
    template
        Bent within its region.
    head
        What it is bent onto.
    matrix
        The affine fit, 4×4 from the template's points to the head's, millimetres in RAS.

    Returns
    -------
    transform
        From the head's points to the template's, in ITK's millimetres (LPS).
    """
    import SimpleITK as sitk

    image = head.images[LEVELS[1]]
    straight = to_transform(np.linalg.inv(matrix))
    region = sitk.Resample(template.region, image, straight, sitk.sitkNearestNeighbor)
    inside = int((to_array(region) > 0).sum())
    knots = [max(2, round(n * s / MESH)) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    spline = sitk.BSplineTransformInitializer(image, knots, 3)
    whole = sitk.CompositeTransform(3)
    whole.AddTransform(straight)
    if inside == 0:
        return whole
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(region)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / inside), SEED)
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMovingInitialTransform(straight)
    method.SetInitialTransform(spline, inPlace=True)
    method.SetOptimizerAsLBFGSB(1e-5, STEPS, 5, 500, 1e7, lowerBound=-FARTHEST, upperBound=FARTHEST)
    try:
        method.Execute(image, template.images[LEVELS[1]])
    except RuntimeError:  # too few samples lie in the template: the affine fit is no fit, and its figures say so
        return whole
    whole.AddTransform(spline)
    return whole


def warp(volume: Volume, way: sitk.Transform, onto: Volume) -> np.ndarray:
    """The values of a template's volume, linearly interpolated, at the voxels of `onto`; 0 outside.

    Parameters
    ----------
    volume
        On the template's grid, float32.
    way
        From `bend`.
    onto
        The head, on its own grid.
    """
    import SimpleITK as sitk

    grid = to_itk(np.zeros(onto.array.shape, np.uint8), onto.affine)
    return to_array(sitk.Resample(to_itk(volume.array, volume.affine), grid, way, sitk.sitkLinear, 0.0))
