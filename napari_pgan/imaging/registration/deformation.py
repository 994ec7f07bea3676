"""Coarse non-linear registration of a template after the affine fit."""

from __future__ import annotations

import numpy as np

from napari_pgan.imaging.io.itk import sitk, to_array, to_itk, to_transform
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.registration.register import BINS, LEVELS, SEED, Pyramid

MESH = 55.0  # mm between knots: follows the proportions of a brain, not its folds
MAX_SHIFT = 8.0  # mm per knot
STEPS = 12
SAMPLES = 10_000


def fit_deformation(template: Pyramid, head: Pyramid, matrix: np.ndarray) -> sitk.CompositeTransform:
    """Fit a template to a head by a coarse cubic B-spline (Rueckert et al. 1999, doi:10.1109/42.796284).

    `matrix` is the affine fit, from the template's points to the head's in RAS mm. The result maps the head's points to
    the template's, in ITK's LPS mm.
    """
    image = head.images[LEVELS[1]]
    affine = to_transform(np.linalg.inv(matrix))
    region = sitk.Resample(template.region, image, affine, sitk.sitkNearestNeighbor)
    inside = int((to_array(region) > 0).sum())
    knots = [max(2, round(n * s / MESH)) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    spline = sitk.BSplineTransformInitializer(image, knots, 3)
    transform = sitk.CompositeTransform(3)
    transform.AddTransform(affine)
    if inside == 0:
        return transform
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(region)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / inside), SEED)
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(spline, inPlace=True)
    method.SetOptimizerAsLBFGSB(1e-5, STEPS, 5, 500, 1e7, lowerBound=-MAX_SHIFT, upperBound=MAX_SHIFT)
    try:
        method.Execute(image, template.images[LEVELS[1]])
    except RuntimeError:  # too few samples overlap: the affine fit failed, and its quality shows it
        return transform
    transform.AddTransform(spline)
    return transform


def warp(volume: Volume, transform: sitk.Transform, onto: Volume) -> np.ndarray:
    """Resample a float32 volume on the template's grid to the grid of `onto`, linearly; 0 outside.

    `transform` comes from `fit_deformation`.
    """
    grid = to_itk(np.zeros(onto.array.shape, np.uint8), onto.affine)
    return to_array(sitk.Resample(to_itk(volume.array, volume.affine), grid, transform, sitk.sitkLinear, 0.0))
