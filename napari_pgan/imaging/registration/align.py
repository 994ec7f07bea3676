"""Align all volumes of a subject to one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.imaging.io.errors import SubjectRejected, naming
from napari_pgan.imaging.io.modality_names import MASKS, SEGMENTATION
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.atlas import SHIPPED, Atlas
from napari_pgan.imaging.registration.mirror import Mirror
from napari_pgan.imaging.registration.pictures import Box, WindowedVolume, overlay, write_picture
from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, LIMITS, Quality, judge
from napari_pgan.imaging.registration.register import (
    Pyramid,
    Registered,
    distance,
    refine_header_pose,
    register,
    similarity,
)
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels, write_transform

ALIGNED = 0.75  # mm; volumes whose best pose is closer than this to the header pose are not resampled
MIN_INSIDE = 0.9  # fraction of a mask on its own grid that must lie inside the head


@dataclass(frozen=True)
class Alignment:
    """All volumes of a subject on one grid.

    Parameters
    ----------
    volumes
        Part (modality, ``"seg"`` or ``"brain"``) → volume on the common grid.
    foregrounds
        Modality → its head on the common grid.
    reference
        Modality to which the others were registered. The common grid is its grid, or that of the atlas.
    matrices
        Part → 4×4, from points of the common grid to points of the part, RAS mm.
    quality
        Modality → quality of its registration to the reference, which has no entry.
    grids
        Part → original shape and affine.
    atlas
        Identity of the atlas and quality of the registration to it.
    problems
        One sentence for each failed quality check that was tolerated.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    reference: str
    matrices: dict[str, np.ndarray] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    grids: dict[str, tuple[tuple[int, ...], np.ndarray]] = field(default_factory=dict)
    atlas: tuple[str, Quality] | None = None
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Convert to a JSON-serialisable dict with the quality and everything that `back_to` needs."""
        return describe(self.reference, self.matrices, self.quality, self.grids, self.atlas)


def describe(
    reference: str,
    matrices: Mapping[str, np.ndarray],
    quality: Mapping[str, Quality],
    grids: Mapping[str, tuple[tuple[int, ...], np.ndarray]],
    atlas: tuple[str, Quality] | None = None,
) -> dict[str, Any]:
    """Convert an alignment, complete or not, to a JSON-serialisable dict."""
    return {
        "reference": reference,
        **({"atlas": {"identity": atlas[0], "quality": atlas[1].to_dict()}} if atlas is not None else {}),
        "parts": {
            part: {
                "matrix": matrices.get(part, np.eye(4)).tolist(),
                "shape": list(shape),
                "affine": affine.tolist(),
                **({"quality": quality[part].to_dict()} if part in quality else {}),
            }
            for part, (shape, affine) in grids.items()
        },
    }


def align(
    volumes: Mapping[str, Volume],
    foregrounds: Mapping[str, Foreground],
    reference: str,
    folder: Path | None = None,
    *,
    aligned: bool = False,
    atlas: Atlas | None = None,
    drawn_on: Mapping[str, str] | None = None,
    smooth_labels: bool = False,
    lenient: bool = False,
    notify: Callable[[str], None] = lambda message: None,
) -> Alignment:
    """Register all modalities to a reference, and the reference to an atlas if given; resample each volume once.

    Without an atlas the common grid is the reference's, and volumes already aligned on it keep their voxels. A mask
    moves with the modality whose grid it shares. A mask on its own grid is placed by its header and must lie inside
    the head.

    Parameters
    ----------
    volumes
        Part (modality, ``"seg"`` or ``"brain"``) → volume.
    foregrounds
        Modality → its head.
    reference
        Modality that stays in place.
    folder
        Folder for pictures and transforms; None writes none.
    aligned
        Trust the headers and register nothing but the atlas.
    atlas
        Target of an affine registration of the reference.
    drawn_on
        ``"seg"`` or ``"brain"`` → modality on which it was drawn, if known.
    smooth_labels
        Resample the segmentation with smoothed votes (see `resample_labels`).
    lenient
        Record failed quality checks in `Alignment.problems` instead of raising, for visual inspection.
    notify
        Called with a description before each registration; may raise to cancel.

    Raises
    ------
    SubjectRejected
        A registration failed its quality checks, or a mask lies outside the head.
    """
    fixed = volumes[reference]
    images = {part: volume for part, volume in volumes.items() if part not in MASKS}
    pyramids: dict[str, Pyramid] = {}
    for part in [reference] if aligned else images:
        with naming(part):
            pyramids[part] = Pyramid(images[part], foregrounds[part])
    grids = {part: (tuple(volume.array.shape), volume.affine) for part, volume in volumes.items()}
    matrices, unmoved = dict.fromkeys(images, np.eye(4)), {reference} | (set(images) if aligned else set())
    quality: dict[str, Quality] = {}
    mirror = None if aligned or len(images) == 1 else Mirror(pyramids[reference])
    problems: list[str] = []

    def fail(problem: str, atlas_quality: tuple[str, Quality] | None = None) -> None:
        if not lenient:
            raise SubjectRejected(problem, describe(reference, matrices, quality, grids, atlas_quality))
        problems.append(problem)

    for part in images:
        if part in unmoved:
            continue
        notify(f"Registering {part} to {reference}")
        result, keep = _register_part(pyramids[reference], pyramids[part], images[part].same_grid(fixed), part)
        if keep:
            unmoved.add(part)
        matrices[part], quality[part] = result.matrix, judge(pyramids[reference], pyramids[part], result, mirror)
        if folder is not None:
            own, other = (WindowedVolume.of(images[name], foregrounds[name]) for name in (reference, part))
            box = Box.around(pyramids[reference].points)
            write_picture(folder / f"{part}.png", overlay(own, other, box, result.matrix))
            write_transform(folder / f"{reference}_to_{part}.tfm", result.matrix)
    inside = {}
    for mask in MASKS.keys() & volumes.keys():
        source, inside[mask] = (drawn_on or {}).get(mask), 1.0
        if source is None:
            source, inside[mask] = _source_of(mask, volumes, matrices, reference, pyramids[reference])
        matrices[mask] = matrices[source]
        if source in unmoved:
            unmoved.add(mask)
    for part, figures in quality.items():
        if problem := figures.problem(LIMITS):
            fail(f"{part} {problem}")
    for mask, fraction in inside.items():
        if fraction < MIN_INSIDE:
            fail(f"its {MASKS[mask]} has a grid of its own, and only {fraction:.0%} of it lies in the head")
    target, fitted = fixed, None
    if atlas is not None:
        notify(f"Fitting {reference} to the atlas")
        head = foregrounds[reference]
        pyramid = atlas.pyramid(head.stripped)
        mirror = None if atlas.identity == SHIPPED else Mirror(pyramid)  # the shipped template is symmetric
        with naming(reference):
            result = register(pyramid, pyramids[reference], affine=True)
        figures = judge(pyramid, pyramids[reference], result, mirror, affine=True)
        if folder is not None:
            own, other = atlas.windowed(head.stripped), WindowedVolume.of(fixed, head)
            write_transform(folder / f"atlas_to_{reference}.tfm", result.matrix)
            write_picture(folder / "atlas.png", overlay(own, other, Box.around(pyramid.points), result.matrix))
        matrices = {part: from_reference @ result.matrix for part, from_reference in matrices.items()}
        fitted = (atlas.identity, figures)
        if problem := figures.problem(ATLAS_LIMITS):
            fail(f"{reference}, fitted to the atlas, {problem}", fitted)
        target, unmoved = atlas.grid, set()
    shape, affine = target.array.shape, target.affine
    aligned_volumes: dict[str, Volume] = {}
    heads: dict[str, Foreground] = {}
    for part, volume in volumes.items():
        matrix, keep = matrices[part], part in unmoved and volume.same_grid(target)
        if keep:
            aligned_volumes[part] = volume
        elif part in MASKS:
            smooth = smooth_labels and part == SEGMENTATION
            aligned_volumes[part] = resample_labels(volume, matrix, shape, affine, smooth=smooth)
        else:
            background = foregrounds[part].background
            aligned_volumes[part] = resample_image(volume, matrix, shape, affine, background)
        if part not in MASKS:
            heads[part] = head = foregrounds[part]
            if not keep:
                resampled = resample_labels(Volume(head.mask, volume.affine), matrix, shape, affine)
                heads[part] = replace(head, mask=resampled.array)
    return Alignment(aligned_volumes, heads, reference, matrices, quality, grids, fitted, tuple(problems))


def back_to(
    volume: Volume,
    alignment: Mapping[str, Any],
    part: str,
    *,
    original: Volume | None = None,
    labels: bool = False,
    fill: float = 0.0,
) -> Volume:
    """Resample a volume from the space of a prepared subject to the original grid of one of its parts.

    Parameters
    ----------
    volume
        Image or label map with the affine of the prepared subject.
    alignment
        Attribute ``"registration"`` of the subject in the store.
    part
        Modality, or ``"seg"``.
    original
        Result of `read_volume` for the part, whose exact grid the result gets. None: the original voxels in the axis
        order of the store.
    labels
        Treat `volume` as a label map.
    fill
        Value outside `volume` for images.
    """
    about = alignment["parts"][part]
    matrix = np.linalg.inv(np.array(about["matrix"]))
    shape, affine = tuple(about["shape"]), np.array(about["affine"])
    if original is not None:
        shape, affine = original.array.shape, original.affine
    if labels:
        return resample_labels(volume, matrix, shape, affine)
    return resample_image(volume, matrix, shape, affine, fill)


def _register_part(reference: Pyramid, moving: Pyramid, same_grid: bool, part: str) -> tuple[Registered, bool]:
    """Registration of a part, and whether its voxels are kept; a header pose that is as good as the result wins."""
    if same_grid:
        moved = distance(refine_header_pose(reference, moving), np.eye(4), reference.points)
        if moved < ALIGNED:
            value = similarity(reference, moving, np.eye(4))
            return Registered(np.eye(4), value, value, moved), True
    with naming(part):
        result = register(reference, moving)
    if result.after <= result.before and distance(result.matrix, np.eye(4), reference.points) < ALIGNED:
        return Registered(np.eye(4), result.before, result.before, result.disagreement), False
    return result, False


def _source_of(
    mask: str, volumes: Mapping[str, Volume], matrices: Mapping[str, np.ndarray], reference: str, head: Pyramid
) -> tuple[str, float]:
    """Modality on which a mask was drawn, and the fraction of the mask inside the head."""
    volume = volumes[mask]
    for part in (reference, *(part for part in matrices if part not in MASKS)):
        if volume.same_grid(volumes[part]):
            return part, 1.0
    index = np.argwhere(volume.array)[:, ::-1]
    index = index[:: max(1, len(index) // 5000)]
    return reference, head.fraction_inside(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])
