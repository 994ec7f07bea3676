"""The brain in a head with skull, from a template that has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, to_array, to_itk
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.deformation import fit_deformation, warp
from napari_pgan.imaging.registration.head_template import Template, shipped_template
from napari_pgan.imaging.registration.register import Pyramid, Registered, fill_holes, largest_filled_part, register

DISAGREEMENT = 6.0  # mm; a template fits another head loosely, a failure lies further off
SIZES = (600.0, 2400.0)  # ml, of the brain with its ventricles and sulci, from a small child's to the largest


@dataclass(frozen=True)
class Brain:
    """A brain that was found.

    Parameters
    ----------
    mask
        bool, like the volume.
    registered
        The affine part, from the template's to the volume's points.
    millilitres
        Of the mask.
    """

    mask: np.ndarray
    registered: Registered
    millilitres: float

    def problem(self) -> str | None:
        """Why it is not to be believed, or None."""
        if self.registered.disagreement > DISAGREEMENT:
            apart = self.registered.disagreement
            return f"no brain was found surely (searches with the template end {apart:.1f} mm apart)"
        if not SIZES[0] <= self.millilitres <= SIZES[1]:
            return f"no brain was found (what the template covers has {self.millilitres:.0f} ml)"
        return None


def stripped_brain(volume: Volume, head: Foreground) -> np.ndarray | None:
    """The brain of a volume that came without its skull, or None.

    A constant background alone does not tell: some scanners and every defacing leave one round a head. So what it
    surrounds must be no larger than the largest brain. A head of adults has more, about 2800 ml.

    Returns
    -------
    mask
        bool, like the volume: its foreground without holes.
    """
    if not head.stripped:
        return None
    mask = fill_holes(head.mask)
    return mask if volume_ml(mask, volume) <= SIZES[1] else None


def volume_ml(mask: np.ndarray, volume: Volume) -> float:
    """How much a mask of a volume's voxels covers."""
    return float(mask.sum() * np.prod(volume.spacing) / 1000)


def find_brain(
    volume: Volume, head: Foreground | None = None, template: Template | None = None, threads: int = 1
) -> Brain:
    """Find the brain by bringing a template onto a head: by an affine registration, then a coarse bend.

    Parameters
    ----------
    volume
        A head with skull, of any contrast.
    head
        Its foreground; found when None.
    template
        What to bring onto it; the shipped one when None.
    threads
        That ITK may take.

    Raises
    ------
    InputError
        The volume holds no head, or nothing like the template.
    """
    template = template or shipped_template()
    pyramid = Pyramid(volume, head)
    found = register(template.pyramid, pyramid, affine=True, threads=threads)
    with limit_threads(threads):
        way = fit_deformation(template.pyramid, pyramid, found.matrix)
        share = warp(Volume(template.brain.astype(np.float32), template.image.affine), way, volume)
        mask = to_array(largest_filled_part(to_itk(share > 0.5, volume.affine))) > 0
    return Brain(mask, found, volume_ml(mask, volume))


def most_certain_brain(
    volumes: dict[str, Volume],
    heads: dict[str, Foreground],
    first: str,
    tell: Callable[[str], None] = lambda part: None,
) -> tuple[str, Brain]:
    """The brain in one of several modalities of a head: in the first if it is found surely there, else in the surest.

    Parameters
    ----------
    volumes, heads
        Modality → volume, and its foreground.
    first
        The modality that is looked at first.
    tell
        Called with each modality before it is looked at, which takes seconds; it may raise to end the work.

    Raises
    ------
    InputError
        It is found in none; with the reason of the one that came nearest.
    """
    found: dict[str, Brain] = {}
    reasons: list[str] = []
    for part in (first, *(name for name in volumes if name != first)):
        tell(part)
        try:
            found[part] = find_brain(volumes[part], heads[part])
        except InputError as error:
            reasons.append(f"{part} {error}")
            continue
        if part == first and found[part].problem() is None:
            return part, found[part]
    sure = {part: brain for part, brain in found.items() if brain.problem() is None}
    among = sure or found
    if not among:
        raise InputError(reasons[0])
    part = min(among, key=lambda name: among[name].registered.disagreement)
    if not sure:
        raise InputError(f"{among[part].problem()} in {part}, nor in any other modality")
    return part, among[part]
