"""One subject's volumes brought onto the grid of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.io.parts import MASKS, SEGMENTATION
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.atlas import SHIPPED, Atlas
from napari_pgan.imaging.registration.mirror import Mirror
from napari_pgan.imaging.registration.pictures import Box, WindowedVolume, overlay, write_picture
from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, Limits, Quality, judge
from napari_pgan.imaging.registration.register import (
    Pyramid,
    Registered,
    distance,
    refine_header_pose,
    register,
    similarity,
)
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels, write_transform

ALIGNED = 0.75  # mm; volumes whose best pose is nearer than this to their headers' stay as they are
MIN_INSIDE = 0.9  # share of the marked voxels that must lie in the head when a segmentation has a grid of its own


@dataclass(frozen=True)
class Alignment:
    """A subject on one grid.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` and ``"brain"`` where there were such; all on one grid.
    foregrounds
        Modality → its head, there.
    reference
        The modality that the others were registered to; the grid is its own, or that of the atlas.
    matrices
        Part → 4×4, from points in the space of that grid to the part's own, millimetres in RAS.
    quality
        Modality → figures of its registration to the reference, which has none.
    grids
        Part → shape and affine before.
    atlas
        The atlas's identity and the figures of its registration to the reference.
    problems
        What failed by its figures and was let pass, one sentence each.
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
        """For JSON: what is needed to judge it, and to go back."""
        return describe(self.reference, self.matrices, self.quality, self.grids, self.atlas)


def describe(
    reference: str,
    matrices: Mapping[str, np.ndarray],
    quality: Mapping[str, Quality],
    grids: Mapping[str, tuple[tuple[int, ...], np.ndarray]],
    atlas: tuple[str, Quality] | None = None,
) -> dict[str, Any]:
    """An alignment for JSON."""
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
    limits: Limits | None = None,
    folder: Path | None = None,
    threads: int = 1,
    *,
    aligned: bool = False,
    atlas: Atlas | None = None,
    drawn_on: Mapping[str, str] | None = None,
    smooth_labels: bool = False,
    lenient: bool = False,
    tell: Callable[[str], None] = lambda what: None,
) -> Alignment:
    """Register every modality to one, and that one to an atlas where there is one; resample each once.

    Without an atlas the grid is the reference's, and volumes on it that are aligned already keep their voxels. A
    segmentation or brain mask goes with the modality whose grid it has; with a grid of its own it is taken to lie
    where its header says, if that is in the head.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` and ``"brain"`` where there are such.
    foregrounds
        Modality → its head.
    reference
        The modality that stays.
    limits
        What counts as a failure.
    folder
        For pictures and transforms; None: none are written.
    threads
        That ITK may take.
    aligned
        Take the modalities to lie right as their headers say.
    atlas
        What the reference is brought onto, affinely, and the others with it.
    drawn_on
        ``"seg"`` or ``"brain"`` → the modality that it was drawn on, where that is known.
    smooth_labels
        Labels by smoothed votes in place of the nearest neighbour (see `resample_labels`).
    lenient
        Let pass what failed by its figures, for somebody who looks at it; then `problems` says what.
    tell
        Called before each registration; it may raise to end the work.

    Raises
    ------
    SubjectRejected
        A registration failed by its figures, or a segmentation or mask lies outside the head.
    """
    limits = limits or Limits()
    fixed = volumes[reference]
    images = {part: volume for part, volume in volumes.items() if part not in MASKS}
    wanted = (reference,) if aligned else tuple(images)
    pyramids = {part: _pyramid(part, images[part], foregrounds[part]) for part in wanted}
    grids = {part: (tuple(volume.array.shape), volume.affine) for part, volume in volumes.items()}
    matrices, kept = dict.fromkeys(images, np.eye(4)), {reference} | (set(images) if aligned else set())
    quality: dict[str, Quality] = {}
    mirror = None if aligned or len(images) == 1 else Mirror(pyramids[reference], threads)
    problems: list[str] = []

    def failed(problem: str, fitted: tuple[str, Quality] | None = None) -> None:
        if not lenient:
            raise SubjectRejected(problem, describe(reference, matrices, quality, grids, fitted))
        problems.append(problem)

    for part in images:
        if part in kept:
            continue
        tell(f"Registering {part} to {reference}")
        found, stays = _found(pyramids[reference], pyramids[part], images[part].same_grid(fixed), threads, part)
        kept |= {part} if stays else set()
        matrices[part], quality[part] = found.matrix, judge(pyramids[reference], pyramids[part], found, mirror)
        if folder is not None:
            own, other = (WindowedVolume.of(images[name], foregrounds[name]) for name in (reference, part))
            box = Box.around(pyramids[reference].points)
            write_picture(folder / f"{part}.png", overlay(own, other, box, found.matrix))
            write_transform(folder / f"{reference}_to_{part}.tfm", found.matrix)
    inside = {}
    for mark in MASKS.keys() & volumes.keys():
        home, inside[mark] = (drawn_on or {}).get(mark), 1.0
        if home is None:
            home, inside[mark] = _home(mark, volumes, matrices, reference, pyramids[reference])
        matrices[mark] = matrices[home]
        kept |= {mark} if home in kept else set()
    for part, known in quality.items():
        if problem := known.problem(limits):
            failed(f"{part} {problem}")
    for mark, share in inside.items():
        if share < MIN_INSIDE:
            failed(f"its {MASKS[mark]} has a grid of its own, and only {share:.0%} of what it marks lies in the head")
    target, fitted = Volume(fixed.array, fixed.affine), None
    if atlas is not None:
        tell(f"Fitting {reference} to the atlas")
        head = foregrounds[reference]
        way, figures = _to_atlas(atlas, pyramids[reference], head.stripped, folder, reference, threads)
        if folder is not None:
            box = Box.around(atlas.pyramid(head.stripped).points)
            write_picture(
                folder / "atlas.png", overlay(atlas.shown(head.stripped), WindowedVolume.of(fixed, head), box, way)
            )
        matrices = {part: matrix @ way for part, matrix in matrices.items()}
        fitted = (atlas.identity, figures)
        if problem := figures.problem(ATLAS_LIMITS):
            failed(f"{reference}, fitted to the atlas, {problem}", fitted)
        target, kept = atlas.grid, set()
    shape, affine = target.array.shape, target.affine
    there: dict[str, Volume] = {}
    heads: dict[str, Foreground] = {}
    for part, volume in volumes.items():
        matrix, stays = matrices[part], part in kept and volume.same_grid(target)
        if part in MASKS:
            smooth = smooth_labels and part == SEGMENTATION
            there[part] = volume if stays else resample_labels(volume, matrix, shape, affine, threads, smooth=smooth)
        elif stays:
            there[part], heads[part] = volume, foregrounds[part]
        else:
            head = foregrounds[part]
            there[part] = resample_image(volume, matrix, shape, affine, head.background, threads)
            mask = resample_labels(Volume(head.mask, volume.affine), matrix, shape, affine, threads)
            heads[part] = Foreground(mask.array, head.background, head.stripped)
    return Alignment(there, heads, reference, matrices, quality, grids, fitted, tuple(problems))


def _to_atlas(
    atlas: Atlas, reference: Pyramid, stripped: bool, folder: Path | None, part: str, threads: int
) -> tuple[np.ndarray, Quality]:
    """From the atlas's points to the reference's, and how well that went."""
    fixed = atlas.pyramid(stripped)
    mirror = None if atlas.identity == SHIPPED else Mirror(fixed, threads)  # the shipped one has two like sides
    try:
        found = register(fixed, reference, affine=True, threads=threads)
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error
    if folder is not None:
        write_transform(folder / f"atlas_to_{part}.tfm", found.matrix)
    return found.matrix, judge(fixed, reference, found, mirror, affine=True)


def back_to(
    volume: Volume,
    alignment: Mapping[str, Any],
    part: str,
    *,
    original: Volume | None = None,
    labels: bool = False,
    fill: float = 0.0,
) -> Volume:
    """Bring an image or label map in the space of a prepared subject back onto the grid that a part was scanned on.

    Parameters
    ----------
    volume
        With the affine that the store has for the subject.
    alignment
        The store's attribute ``"registration"`` of the subject.
    part
        A modality, or ``"seg"``.
    original
        The part as `read_volume` gave it: the result gets its very grid. None: the same voxels in the order of axes
        that the store has.
    labels
        Keep values whole.
    fill
        For what lies outside `volume`, when it is an image.
    """
    about = alignment["parts"][part]
    matrix = np.linalg.inv(np.array(about["matrix"]))
    shape, affine = tuple(about["shape"]), np.array(about["affine"])
    if original is not None:
        shape, affine = original.array.shape, original.affine
    if labels:
        return resample_labels(volume, matrix, shape, affine)
    return resample_image(volume, matrix, shape, affine, fill)


def _pyramid(part: str, volume: Volume, head: Foreground) -> Pyramid:
    try:
        return Pyramid(volume, head)
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error


def _found(reference: Pyramid, moving: Pyramid, same_grid: bool, threads: int, part: str) -> tuple[Registered, bool]:
    """The registration of a part, and whether its voxels stay; a header that is as good as what is found is kept."""
    if same_grid:
        away = distance(refine_header_pose(reference, moving, threads=threads), np.eye(4), reference.points)
        if away < ALIGNED:
            alike = similarity(reference, moving, np.eye(4))
            return Registered(np.eye(4), alike, alike, away), True
    try:
        found = register(reference, moving, threads=threads)
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error
    if found.after <= found.before and distance(found.matrix, np.eye(4), reference.points) < ALIGNED:
        return Registered(np.eye(4), found.before, found.before, found.disagreement), False
    return found, False


def _home(
    mark: str, volumes: Mapping[str, Volume], matrices: Mapping[str, np.ndarray], reference: str, head: Pyramid
) -> tuple[str, float]:
    """The modality that a segmentation or mask was drawn on, and how much of what it marks lies in the head."""
    marked = volumes[mark]
    for part in (reference, *(part for part in matrices if part not in MASKS)):
        if marked.same_grid(volumes[part]):
            return part, 1.0
    index = np.argwhere(marked.array)[:, ::-1]
    index = index[:: max(1, len(index) // 5000)]
    points = index @ marked.affine[:3, :3].T + marked.affine[:3, 3]
    return reference, head.fraction_inside(points)
