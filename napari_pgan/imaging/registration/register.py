"""Rigid and affine registration of two volumes of a head with any contrasts and grids.

The similarity is the mutual information of Mattes et al. 2003 (doi:10.1109/TMI.2003.809072), optimised from coarse to
fine by gradient descent (SimpleITK; Lowekamp et al. 2013, doi:10.3389/fninf.2013.00045). At the coarsest level many
poses are evaluated, and the best ones are optimised.

A transform is a 4×4 matrix from points of the reference to points of the moving volume, both in RAS mm, the direction
in which images are resampled. So `b @ a` applies `a` first, and data are resampled only once.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, sitk, to_array, to_itk, to_matrix, to_transform
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import HIGH_PERCENTILE, Foreground, find_foreground, otsu

LEVELS = (8.0, 4.0, 2.0)  # mm per voxel
RADIUS = 80.0  # mm, about that of a head: displacement caused by a rotation of one radian
BINS = 32
ROTATION = np.deg2rad(20.0)  # step between the evaluated poses
OPTIMISED = 5  # number of evaluated poses that are optimised
SAMPLES = 30_000  # points of the reference at the finest level
SEED = 1  # of the sampling positions
MIN_VOXELS = 8  # along each axis after averaging
HEAD_THRESHOLD = 0.25  # fraction of the median intensity above Otsu's threshold


@dataclass(frozen=True)
class Registered:
    """Result of a registration.

    Parameters
    ----------
    matrix
        4×4, from the reference's to the moving volume's points, RAS mm.
    before, after
        Mutual information (nats) at the middle level with the header pose and with `matrix`.
    disagreement
        Mean distance over the head between `matrix` and the result with exchanged volumes, mm.
    """

    matrix: np.ndarray
    before: float
    after: float
    disagreement: float


class Pyramid:
    """Multi-resolution images of a volume with clipped outliers, prepared for registration.

    Parameters
    ----------
    volume
        Any head.
    head
        Its foreground, computed if None.
    region
        Mask in which the similarity is measured if this is the reference; by default the head and 10 mm around it.

    Attributes
    ----------
    images
        mm per voxel → image.
    head, region
        Filled head mask and similarity region at the middle level.
    points
        Points of the head, (n, 3) RAS mm.
    centre
        Centre of the head.
    fill
        Value outside.

    Raises
    ------
    InputError
        The volume is constant, or has fewer than four voxels along an axis.
    """

    def __init__(self, volume: Volume, head: Foreground | None = None, region: np.ndarray | None = None) -> None:
        if min(volume.array.shape) < 4:
            raise InputError("has fewer than four slices; registration needs a volume")
        head = head or find_foreground(volume.array)
        values = volume.array[head.mask]
        high = float(np.percentile(values[:: max(1, values.size // 200_000)], HIGH_PERCENTILE))
        array = np.minimum(volume.array, high, dtype=np.float32, casting="unsafe")
        self.fill = min(head.background, high)
        if head.stripped:
            array[~head.mask] = np.float32(self.fill)
        finest = _downsample(to_itk(array, volume.affine), LEVELS[-1])
        self.images = {mm: _downsample(finest, mm) for mm in LEVELS}
        contrast = sitk.Abs(self.images[LEVELS[1]] - self.fill)
        values = to_array(contrast)
        # Fat dominates in some contrasts, so the head starts well below the median bright intensity.
        self.head = largest_filled_part(contrast > HEAD_THRESHOLD * float(np.median(values[values > otsu(values)])))
        self.region = _dilate(self.head, 10.0)
        if region is not None:
            self.region = _downsample(sitk.Cast(to_itk(region, volume.affine), sitk.sitkFloat32), LEVELS[1]) > 0.1
        self.points = _points(self.head)[::7]
        self.centre = self.points.mean(axis=0)

    def restrict_to(self, other: Pyramid, matrix: np.ndarray) -> Pyramid:
        """Return a copy restricted to the region of another volume, whose points `matrix` maps to this one.

        This excludes anatomy that only one of two scans shows, such as a neck.
        """
        transform = to_transform(np.linalg.inv(matrix))
        region = sitk.Resample(other.region, self.region, transform, sitk.sitkNearestNeighbor)
        points = _points(sitk.And(region, self.head))[::7]
        if not len(points):
            return self
        view = copy.copy(self)
        view.region, view.points, view.centre = region, points, points.mean(axis=0)
        return view

    def fraction_inside(self, points: np.ndarray) -> float:
        """Return the fraction of points (n, 3), RAS mm, inside the similarity region."""
        direction = np.array(self.region.GetDirection()).reshape(3, 3) * np.array(self.region.GetSpacing())
        index = (points * (-1, -1, 1) - self.region.GetOrigin()) @ np.linalg.inv(direction).T
        index = np.rint(index).astype(int)[:, ::-1]
        region = to_array(self.region) > 0
        inside = ((index >= 0) & (index < region.shape)).all(axis=1)
        return float(region[tuple(index[inside].T)].sum() / len(points)) if len(points) else 0.0


def register(reference: Pyramid, moving: Pyramid, *, affine: bool = False) -> Registered:
    """Register a moving volume to a reference.

    Parameters
    ----------
    reference, moving
        Volumes of one head, or of two heads with `affine`.
    affine
        Also optimise scale and shear at the two finer levels.

    Raises
    ------
    InputError
        The volumes do not overlap in any pose.
    """
    with limit_threads():
        before = similarity(reference, moving, np.eye(4))
        coarse = _search(reference, moving)
        middle = [optimise(reference, moving, LEVELS[1], pose, 2.0, 0.1) for pose in coarse[:2]]
        pose = min(middle, key=lambda result: result[1])[0]
        if affine:
            pose = optimise(reference, moving, LEVELS[1], pose, 1.0, 0.05, affine=True)[0]
        matrix = optimise(reference, moving, LEVELS[2], pose, 0.5, 0.02, affine=affine)[0]
        view = moving.restrict_to(reference, matrix) if affine else moving
        back = optimise(view, reference, LEVELS[1], _search(view, reference)[0], 2.0, 0.1)[0]
        if affine:
            back = optimise(view, reference, LEVELS[1], back, 1.0, 0.05, affine=True)[0]
        inverse = np.linalg.inv(back)
        return Registered(
            matrix, before, similarity(reference, moving, matrix), distance(matrix, inverse, reference.points)
        )


def refine_header_pose(reference: Pyramid, moving: Pyramid) -> np.ndarray:
    """Optimise from the header pose at the middle level; shows whether the volumes are already aligned."""
    with limit_threads():
        return optimise(reference, moving, LEVELS[1], np.eye(4), 0.5, 0.05)[0]


def similarity(reference: Pyramid, moving: Pyramid, matrix: np.ndarray, mm: float = LEVELS[1]) -> float:
    """Return the mutual information (nats) at one level; 0 without overlap."""
    method = _method(reference, moving, mm, 1.0)
    method.SetInitialTransform(to_transform(matrix))
    return max(0.0, -_value(method, reference.images[mm], moving.images[mm]))


def distance(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> float:
    """Return the mean distance (mm) between points (n, 3) transformed by two matrices."""
    difference = points @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(difference, axis=1).mean())


def optimise(
    reference: Pyramid, moving: Pyramid, mm: float, pose: np.ndarray, step: float, min_step: float, affine: bool = False
) -> tuple[np.ndarray, float]:
    """Optimise a pose by gradient descent; return it with the negated mutual information (inf: no overlap).

    `step` and `min_step` are the first and smallest step in mm at the head's surface; overshooting halves the step.
    """
    image = reference.images[mm]
    inside = (
        int(to_array(reference.region).sum()) * np.prod(reference.region.GetSpacing()) / np.prod(image.GetSpacing())
    )
    method = _method(reference, moving, mm, min(1.0, SAMPLES / max(inside, 1.0)))
    transform: sitk.Transform
    lps = to_transform(pose)
    centre = (reference.centre * (-1, -1, 1)).tolist()
    if affine:
        transform = sitk.AffineTransform(3)
        transform.SetMatrix(lps.GetMatrix())
        scales = [RADIUS**2] * 9 + [1.0] * 3
    else:
        transform = sitk.Euler3DTransform()
        transform.SetMatrix(nearest_rotation(np.array(lps.GetMatrix()).reshape(3, 3)).ravel().tolist())
        scales = [RADIUS**2] * 3 + [1.0] * 3
    transform.SetCenter(centre)
    transform.SetTranslation((np.array(lps.TransformPoint(centre)) - centre).tolist())
    method.SetInitialTransform(transform, inPlace=True)
    method.SetOptimizerScales(scales)
    method.SetOptimizerAsRegularStepGradientDescent(step, min_step, 60, 0.5, 1e-8)
    try:
        method.Execute(image, moving.images[mm])
    except RuntimeError:  # too few samples overlap
        return pose, np.inf
    return to_matrix(transform), float(method.GetMetricValue())


def _search(reference: Pyramid, moving: Pyramid) -> list[np.ndarray]:
    """Evaluate and optimise poses at the coarsest level; return the distinct best ones, best first."""
    mm = LEVELS[0]
    centred = np.eye(4)
    centred[:3, 3] = moving.centre - reference.centre
    rotations = [np.zeros(3), *(np.array(t) * ROTATION for t in itertools.product((-1, 0, 1), repeat=3) if any(t))]
    poses = [_rotate(start, rotation, reference.centre) for start in (np.eye(4), centred) for rotation in rotations]
    method = _method(reference, moving, mm, 1.0)
    values = []
    for pose in poses:
        method.SetInitialTransform(to_transform(pose))
        values.append(_value(method, reference.images[mm], moving.images[mm]))
    best = np.argsort(values, kind="stable")[:OPTIMISED]
    results = sorted((optimise(reference, moving, mm, poses[i], 4.0, 0.2) for i in best), key=lambda result: result[1])
    distinct: list[np.ndarray] = []
    for pose, value in results:
        if np.isfinite(value) and all(distance(pose, other, reference.points) > 4.0 for other in distinct):
            distinct.append(pose)
    if not distinct:
        raise InputError("does not overlap with its reference in any pose")
    return distinct


def _method(reference: Pyramid, moving: Pyramid, mm: float, sampled: float) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(reference.region)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(mm != LEVELS[-1])
    if mm == LEVELS[0]:
        method.SetMetricSamplingStrategy(method.NONE)
    else:  # random subvoxel positions; regular ones cause jumps where the grids coincide
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(sampled, SEED)
    return method


def _value(method: sitk.ImageRegistrationMethod, reference: sitk.Image, moving: sitk.Image) -> float:
    try:
        return float(method.MetricEvaluate(reference, moving))
    except RuntimeError:  # too few samples overlap
        return np.inf


def _rotate(start: np.ndarray, angles: np.ndarray, centre: np.ndarray) -> np.ndarray:
    rotation = to_matrix(sitk.Euler3DTransform((0.0, 0.0, 0.0), *angles.tolist()))
    shift = np.eye(4)
    shift[:3, 3] = centre
    rotated: np.ndarray = start @ shift @ rotation @ np.linalg.inv(shift)
    return rotated


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the 3×3 rotation closest to the linear part of a 3×3 or 4×4 matrix."""
    u, _, v = np.linalg.svd(matrix[:3, :3])
    rotation: np.ndarray = u @ v
    return rotation


def _downsample(image: sitk.Image, mm: float) -> sitk.Image:
    """Average whole voxels to about `mm` spacing; coarser axes are unchanged."""
    factors = [
        max(1, min(n // MIN_VOXELS, round(mm / spacing)))
        for n, spacing in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    return image if max(factors) == 1 else sitk.BinShrink(image, factors)


def largest_filled_part(mask: sitk.Image) -> sitk.Image:
    """Return the largest connected part of a mask with its holes filled in each plane.

    Filling by plane closes ventricles that a truncated scan leaves open below. Holes are filled before the largest
    part is chosen, because the dark skull separates scalp and brain in large voxels.
    """
    array = fill_holes(to_array(mask) > 0)
    parts, count = ndimage.label(array)
    if count > 1:
        array = fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.CopyInformation(mask)
    return image


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of a mask, bool (z, y, x), in the planes across each axis."""
    mask = mask.copy()
    for axis in range(3):
        for plane in np.moveaxis(mask, axis, 0):
            plane |= ndimage.binary_fill_holes(plane)
    return mask


def _dilate(mask: sitk.Image, mm: float) -> sitk.Image:
    return sitk.BinaryDilate(mask, [max(1, round(mm / spacing)) for spacing in mask.GetSpacing()], sitk.sitkBox)


def _points(mask: sitk.Image) -> np.ndarray:
    """RAS mm of the voxels of a mask, (n, 3)."""
    index = np.argwhere(to_array(mask))[:, ::-1]
    direction = np.array(mask.GetDirection()).reshape(3, 3) * np.array(mask.GetSpacing())
    points: np.ndarray = (index @ direction.T + np.array(mask.GetOrigin())) * (-1, -1, 1)
    return points
