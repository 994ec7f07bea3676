"""One subject's volumes brought onto the grid of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.aside import SetAside
from napari_pgan.imaging.intensity import Foreground
from napari_pgan.imaging.names import SEGMENTATION
from napari_pgan.imaging.overlay import write_overlay
from napari_pgan.imaging.quality import Limits, Quality, judge
from napari_pgan.imaging.registration import Pyramid, Registered, distance, register, settle, similarity
from napari_pgan.imaging.resampling import resample_image, resample_labels, write_transform
from napari_pgan.imaging.volume import Volume

ALIGNED = 0.75  # mm; volumes of one grid whose nearest best pose is nearer than this stay as they are
MARKED_INSIDE = 0.9  # share of the marked voxels that must lie in the head when a segmentation has a grid of its own


@dataclass(frozen=True)
class Alignment:
    """A subject on one grid.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` where there was one; all on the reference's grid.
    foregrounds
        Modality → its head, there.
    reference
        The modality whose grid it is.
    matrices
        Modality → 4×4, from the reference's points to its own, millimetres in RAS.
    quality
        Modality → figures of its registration; the reference has none.
    grids
        Part → shape and affine before.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    reference: str
    matrices: dict[str, np.ndarray] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    grids: dict[str, tuple[tuple[int, ...], np.ndarray]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what is needed to judge it, and to go back."""
        return describe(self.reference, self.matrices, self.quality, self.grids)


def describe(
    reference: str,
    matrices: Mapping[str, np.ndarray],
    quality: Mapping[str, Quality],
    grids: Mapping[str, tuple[tuple[int, ...], np.ndarray]],
) -> dict[str, Any]:
    """An alignment for JSON."""
    return {
        "reference": reference,
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
) -> Alignment:
    """Register every modality to one, and resample each once.

    Volumes on the reference's grid that are aligned already keep their voxels. A segmentation goes with the modality
    whose grid it has; with a grid of its own it is taken to lie where its header says, if that is in the head.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` where there is a segmentation.
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

    Raises
    ------
    SetAside
        A registration failed by its figures, or the segmentation lies outside the head.
    """
    limits = limits or Limits()
    fixed = volumes[reference]
    shape, affine = fixed.array.shape, fixed.affine
    images = {part: volume for part, volume in volumes.items() if part != SEGMENTATION}
    pyramids = {part: _pyramid(part, volume, foregrounds[part]) for part, volume in images.items()}
    grids = {part: (tuple(volume.array.shape), volume.affine) for part, volume in volumes.items()}
    matrices, quality, kept = {reference: np.eye(4)}, {}, {reference}
    for part in images:
        if part == reference:
            continue
        found, stays = _found(pyramids[reference], pyramids[part], images[part].same_grid(fixed), threads, part)
        kept |= {part} if stays else set()
        matrices[part], quality[part] = found.matrix, judge(pyramids[reference], pyramids[part], found)
        if folder is not None:
            write_overlay(folder / f"{part}.png", pyramids[reference], pyramids[part], found.matrix)
            write_transform(folder / f"{reference}_to_{part}.tfm", found.matrix)
    home, marked = reference, 1.0
    if SEGMENTATION in volumes:
        home, marked = _segmentation(volumes, matrices, reference, pyramids[reference])
        matrices[SEGMENTATION] = matrices[home]
    figures = describe(reference, matrices, quality, grids)
    for part, known in quality.items():
        if problem := known.problem(limits):
            raise SetAside(f"{part} {problem}", figures)
    if marked < MARKED_INSIDE:
        raise SetAside(
            f"its segmentation has a grid of its own, and only {marked:.0%} of what it marks lies in the head", figures
        )
    there: dict[str, Volume] = {}
    heads: dict[str, Foreground] = {}
    for part, volume in volumes.items():
        matrix = matrices[part]
        if part == SEGMENTATION:
            stays = volume.same_grid(fixed) and home in kept
            there[part] = volume if stays else resample_labels(volume, matrix, shape, affine, threads)
        elif part in kept:
            there[part], heads[part] = volume, foregrounds[part]
        else:
            head = foregrounds[part]
            there[part] = resample_image(volume, matrix, shape, affine, head.background, threads)
            mask = resample_labels(Volume(head.mask, volume.affine), matrix, shape, affine, threads)
            heads[part] = Foreground(mask.array, head.background, head.stripped)
    return Alignment(there, heads, reference, matrices, quality, grids)


def back_to(
    volume: Volume, alignment: Mapping[str, Any], part: str, *, labels: bool = False, fill: float = 0.0
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
    labels
        Keep values whole.
    fill
        For what lies outside `volume`, when it is an image.
    """
    about = alignment["parts"][part]
    matrix = np.linalg.inv(np.array(about["matrix"]))
    shape, affine = tuple(about["shape"]), np.array(about["affine"])
    if labels:
        return resample_labels(volume, matrix, shape, affine)
    return resample_image(volume, matrix, shape, affine, fill)


def _pyramid(part: str, volume: Volume, head: Foreground) -> Pyramid:
    try:
        return Pyramid(volume, head)
    except InputError as error:
        raise SetAside(f"{part} {error}") from error


def _found(reference: Pyramid, moving: Pyramid, same_grid: bool, threads: int, part: str) -> tuple[Registered, bool]:
    """The registration of a part, and whether it stays as it is."""
    if same_grid:
        away = distance(settle(reference, moving, threads=threads), np.eye(4), reference.points)
        if away < ALIGNED:
            alike = similarity(reference, moving, np.eye(4))
            return Registered(np.eye(4), alike, alike, away), True
    try:
        return register(reference, moving, threads=threads), False
    except InputError as error:
        raise SetAside(f"{part} {error}") from error


def _segmentation(
    volumes: Mapping[str, Volume], matrices: Mapping[str, np.ndarray], reference: str, head: Pyramid
) -> tuple[str, float]:
    """The modality that the segmentation was drawn on, and how much of what it marks lies in the head."""
    marked = volumes[SEGMENTATION]
    for part in (reference, *matrices):
        if marked.same_grid(volumes[part]):
            return part, 1.0
    index = np.argwhere(marked.array)[:, ::-1]
    index = index[:: max(1, len(index) // 5000)]
    points = index @ marked.affine[:3, :3].T + marked.affine[:3, 3]
    return reference, head.share_inside(points)
