"""Rigid and affine registration of two volumes of one head, whatever their contrasts and grids.

The similarity is the mutual information of Mattes et al. 2003 (doi:10.1109/TMI.2003.809072), climbed from coarse to
fine by regular steps (SimpleITK; Lowekamp et al. 2013, doi:10.3389/fninf.2013.00045). At the coarsest level many poses
are looked at, and the best few are climbed from.

A transform is a 4×4 matrix that takes points of the reference to points of the moving volume, both in millimetres in
RAS: the direction in which images are resampled. So `b @ a` does `a` first, and data need resampling only once.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, to_array, to_itk, to_matrix, to_transform
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import HIGH_PERCENTILE, Foreground, find_foreground, otsu

if TYPE_CHECKING:
    import SimpleITK as sitk

LEVELS = (8.0, 4.0, 2.0)  # mm a voxel
RADIUS = 80.0  # mm; about that of a head: what a turn of one radian moves its points by
BINS = 32
TURN = np.deg2rad(20.0)
CLIMBED = 5  # of the poses looked at
SAMPLES = 30_000  # points of the reference at the finest level
SEED = 1  # of the places of the samples
THIN = 8  # voxels along the shortest axis of a slab that averaging leaves
DARK = 0.25  # of the way from the air to the middle of what Otsu's threshold takes for the head


@dataclass(frozen=True)
class Registered:
    """How one volume lies against another.

    Parameters
    ----------
    matrix
        4×4, from the reference's to the moving volume's points, millimetres in RAS.
    before, after
        Mutual information (nats) of the two at the middle level, with the headers as they are and with `matrix`.
    disagreement
        Millimetres, mean over the head, between `matrix` and what the same search finds with the two volumes exchanged.
    """

    matrix: np.ndarray
    before: float
    after: float
    disagreement: float


class Pyramid:
    """A volume made ready for registration: outliers clipped, averaged to several sizes of voxel.

    Parameters
    ----------
    volume
        Any head.
    head
        Its foreground; found here when None.
    region
        bool like the volume: where the similarity is measured when this is the reference; by default the head and
        10 mm round it.

    Attributes
    ----------
    images
        Millimetres a voxel → image.
    head, region
        The head without holes, and where the similarity is measured, at the middle level.
    points
        (n, 3) of the head, millimetres in RAS.
    centre
        Of the head.
    fill
        The value outside.

    Raises
    ------
    InputError
        The volume is constant, or has fewer than four voxels along an axis.
    """

    def __init__(self, volume: Volume, head: Foreground | None = None, region: np.ndarray | None = None) -> None:
        import SimpleITK as sitk

        if min(volume.array.shape) < 4:
            raise InputError("has fewer than four slices; registration needs a volume")
        found = head or find_foreground(volume.array)
        values = volume.array[found.mask]
        high = float(np.percentile(values[:: max(1, values.size // 200_000)], HIGH_PERCENTILE))
        array = np.minimum(volume.array, high, dtype=np.float32, casting="unsafe")
        if found.stripped:
            array[~found.mask] = np.float32(min(found.background, high))
        self.fill = min(found.background, high)
        finest = _shrunk(to_itk(array, volume.affine), LEVELS[-1])
        self.images = {mm: _shrunk(finest, mm) for mm in LEVELS}
        away = sitk.Abs(self.images[LEVELS[1]] - self.fill)
        shown = to_array(away)
        # fat outshines all in some contrasts, so the head begins well below the middle of what is bright
        self.head = largest_filled_part(away > DARK * float(np.median(shown[shown > otsu(shown)])))
        self.region = _wider(self.head, 10.0)
        if region is not None:
            self.region = _shrunk(sitk.Cast(to_itk(region, volume.affine), sitk.sitkFloat32), LEVELS[1]) > 0.1
        self.points = _points(self.head)[::7]  # (n, 3), RAS millimetres of the head
        self.centre = self.points.mean(axis=0)

    def like(self, other: Pyramid, matrix: np.ndarray) -> Pyramid:
        """The same volume, compared where another one is when `matrix` brings that one's points here.

        What only one of two people's scans holds, such as a neck, then plays no part.
        """
        import SimpleITK as sitk

        way = to_transform(np.linalg.inv(matrix))
        region = sitk.Resample(other.region, self.region, way, sitk.sitkNearestNeighbor)
        points = _points(sitk.And(region, self.head))[::7]
        if not len(points):
            return self
        seen = copy.copy(self)
        seen.region, seen.points, seen.centre = region, points, points.mean(axis=0)
        return seen

    def fraction_inside(self, points: np.ndarray) -> float:
        """Share of points (n, 3), millimetres in RAS, that lie in the head or close to it."""
        direction = np.array(self.region.GetDirection()).reshape(3, 3) * np.array(self.region.GetSpacing())
        index = (points * (-1, -1, 1) - self.region.GetOrigin()) @ np.linalg.inv(direction).T
        index = np.rint(index).astype(int)[:, ::-1]
        region = to_array(self.region) > 0
        inside = ((index >= 0) & (index < region.shape)).all(axis=1)
        return float(region[tuple(index[inside].T)].sum() / len(points)) if len(points) else 0.0


def register(reference: Pyramid, moving: Pyramid, *, affine: bool = False, threads: int = 1) -> Registered:
    """Find where the points of the reference lie in the moving volume.

    Parameters
    ----------
    reference, moving
        Two volumes of one head (or, with `affine`, of two).
    affine
        Scale and shear as well, in the two finer levels.
    threads
        That ITK may take. The result depends on the number in its last digits.

    Raises
    ------
    InputError
        No pose gave the two an overlap.
    """
    with limit_threads(threads):
        before = similarity(reference, moving, np.eye(4))
        rough = _search(reference, moving)
        middle = [optimise(reference, moving, LEVELS[1], pose, 2.0, 0.1) for pose in rough[:2]]
        pose = min(middle, key=lambda found: found[1])[0]
        if affine:
            pose = optimise(reference, moving, LEVELS[1], pose, 1.0, 0.05, affine=True)[0]
        matrix = optimise(reference, moving, LEVELS[2], pose, 0.5, 0.02, affine=affine)[0]
        seen = moving.like(reference, matrix) if affine else moving
        back = optimise(seen, reference, LEVELS[1], _search(seen, reference)[0], 2.0, 0.1)[0]
        if affine:
            back = optimise(seen, reference, LEVELS[1], back, 1.0, 0.05, affine=True)[0]
        inverse = np.linalg.inv(back)
        return Registered(
            matrix, before, similarity(reference, moving, matrix), distance(matrix, inverse, reference.points)
        )


def refine_header_pose(reference: Pyramid, moving: Pyramid, *, threads: int = 1) -> np.ndarray:
    """The nearest best pose to that of the headers, at the middle level: what shows whether two are aligned already."""
    with limit_threads(threads):
        return optimise(reference, moving, LEVELS[1], np.eye(4), 0.5, 0.05)[0]


def similarity(reference: Pyramid, moving: Pyramid, matrix: np.ndarray, mm: float = LEVELS[1]) -> float:
    """Mutual information (nats) at one of the levels; 0 where the two do not overlap."""
    method = _method(reference, moving, mm, 1.0)
    method.SetInitialTransform(to_transform(matrix))
    return max(0.0, -_value(method, reference.images[mm], moving.images[mm]))


def distance(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> float:
    """Mean distance (mm) between where two transforms bring points (n, 3)."""
    difference = points @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(difference, axis=1).mean())


def optimise(
    reference: Pyramid, moving: Pyramid, mm: float, pose: np.ndarray, step: float, least: float, affine: bool = False
) -> tuple[np.ndarray, float]:
    """Follow the gradient from a pose: where it ends, and the negated mutual information there (inf: no overlap).

    `step` and `least` are millimetres at the head's surface; steps are halved where they overshoot.
    """
    import SimpleITK as sitk

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
    method.SetOptimizerAsRegularStepGradientDescent(step, least, 60, 0.5, 1e-8)
    try:
        method.Execute(image, moving.images[mm])
    except RuntimeError:  # too few samples lie in the moving image
        return pose, np.inf
    return to_matrix(transform), float(method.GetMetricValue())


def _search(reference: Pyramid, moving: Pyramid) -> list[np.ndarray]:
    """Poses at the coarsest level, climbed, the best first."""
    mm = LEVELS[0]
    centred = np.eye(4)
    centred[:3, 3] = moving.centre - reference.centre
    turns = [np.zeros(3), *(np.array(t) * TURN for t in itertools.product((-1, 0, 1), repeat=3) if any(t))]
    poses = [_turned(start, turn, reference.centre) for start in (np.eye(4), centred) for turn in turns]
    method = _method(reference, moving, mm, 1.0)
    looked = []
    for pose in poses:
        method.SetInitialTransform(to_transform(pose))
        looked.append(_value(method, reference.images[mm], moving.images[mm]))
    first = np.argsort(looked, kind="stable")[:CLIMBED]
    found = [optimise(reference, moving, mm, poses[i], 4.0, 0.2) for i in first]
    found.sort(key=lambda f: f[1])
    apart = [found[0]]
    for pose, value in found[1:]:  # the same summit twice is no second chance
        if all(distance(pose, other, reference.points) > 4.0 for other, _ in apart):
            apart.append((pose, value))
    if not np.isfinite(apart[0][1]):
        raise InputError("does not overlap with its reference in any pose")
    return [pose for pose, value in apart if np.isfinite(value)]


def _method(reference: Pyramid, moving: Pyramid, mm: float, share: float) -> sitk.ImageRegistrationMethod:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(reference.region)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(mm != LEVELS[-1])
    if mm == LEVELS[0]:
        method.SetMetricSamplingStrategy(method.NONE)
    else:  # random places between the voxels: regular ones make the similarity jump where two grids coincide
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, SEED)
    return method


def _value(method: sitk.ImageRegistrationMethod, reference: sitk.Image, moving: sitk.Image) -> float:
    try:
        return float(method.MetricEvaluate(reference, moving))
    except RuntimeError:  # too few samples lie in the moving image
        return np.inf


def _turned(start: np.ndarray, turn: np.ndarray, centre: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk

    rotation = to_matrix(sitk.Euler3DTransform((0.0, 0.0, 0.0), *turn.tolist()))
    about = np.eye(4)
    about[:3, 3] = centre
    turned: np.ndarray = start @ about @ rotation @ np.linalg.inv(about)
    return turned


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The 3×3 rotation nearest to the linear part of a 3×3 or 4×4 matrix."""
    u, _, v = np.linalg.svd(matrix[:3, :3])
    rotation: np.ndarray = u @ v
    return rotation


def _shrunk(image: sitk.Image, mm: float) -> sitk.Image:
    """Averaged over whole voxels to about that spacing; axes that are coarser stay."""
    import SimpleITK as sitk

    factors = [
        max(1, min(n // THIN, round(mm / spacing)))
        for n, spacing in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    return image if max(factors) == 1 else sitk.BinShrink(image, factors)


def largest_filled_part(mask: sitk.Image) -> sitk.Image:
    """The largest part of a mask, without holes in any plane (ventricles open downwards in a head that is cut).

    Holes are filled before the largest part is chosen: in large voxels the dark skull parts scalp and brain.
    """
    import SimpleITK as sitk

    array = fill_holes(to_array(mask) > 0)
    parts, count = ndimage.label(array)
    if count > 1:
        array = fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.CopyInformation(mask)
    return image


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """A mask, bool (z, y, x), with the holes filled that it has in planes across any axis."""
    mask = mask.copy()
    for axis in range(3):
        for plane in np.moveaxis(mask, axis, 0):
            plane |= ndimage.binary_fill_holes(plane)
    return mask


def _wider(mask: sitk.Image, mm: float) -> sitk.Image:
    import SimpleITK as sitk

    return sitk.BinaryDilate(mask, [max(1, round(mm / spacing)) for spacing in mask.GetSpacing()], sitk.sitkBox)


def _points(mask: sitk.Image) -> np.ndarray:
    """Millimetres in RAS of the voxels of a mask, (n, 3)."""
    index = np.argwhere(to_array(mask))[:, ::-1]
    direction = np.array(mask.GetDirection()).reshape(3, 3) * np.array(mask.GetSpacing())
    points: np.ndarray = (index @ direction.T + np.array(mask.GetOrigin())) * (-1, -1, 1)
    return points
