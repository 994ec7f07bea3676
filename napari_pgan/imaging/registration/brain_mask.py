"""Brain extraction by registration of a template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, to_array, to_itk
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.deformation import fit_deformation, warp
from napari_pgan.imaging.registration.head_template import shipped_template
from napari_pgan.imaging.registration.register import Pyramid, Registered, fill_holes, largest_filled_part, register

DISAGREEMENT = 6.0  # mm; loose because the template is another person's head
SIZES = (600.0, 2400.0)  # ml of a brain with ventricles and sulci, from small children to the largest adults


@dataclass(frozen=True)
class Brain:
    """A brain mask found by registration."""

    mask: np.ndarray  # bool, on the grid of the volume
    registered: Registered  # the affine part, from the template's to the volume's points
    millilitres: float

    def problem(self) -> str | None:
        """Return why the mask is not reliable, or None."""
        if (apart := self.registered.disagreement) > DISAGREEMENT:
            return f"no brain was found reliably (forward and backward registrations differ by {apart:.1f} mm)"
        if not SIZES[0] <= self.millilitres <= SIZES[1]:
            return f"no brain was found (the region covered by the template has {self.millilitres:.0f} ml)"
        return None


def stripped_brain(volume: Volume, head: Foreground) -> np.ndarray | None:
    """Return the filled foreground (bool) of a volume that is already skull-stripped, otherwise None.

    A constant background is not sufficient, because some scanners and defacing tools produce one around a head. So the
    foreground must also be no larger than the largest brain; an adult head has about 2800 ml.
    """
    if not head.stripped:
        return None
    mask = fill_holes(head.mask)
    return mask if volume_ml(mask, volume) <= SIZES[1] else None


def volume_ml(mask: np.ndarray, volume: Volume) -> float:
    """Return the volume of a mask in ml."""
    return float(mask.sum() * np.prod(volume.spacing) / 1000)


def find_brain(volume: Volume, head: Foreground | None = None) -> Brain:
    """Find the brain by fitting a template to a head: an affine registration, then a coarse deformation.

    The volume shows a head with skull in any contrast. Raises InputError if it contains no head, or does not overlap
    with the template.
    """
    template = shipped_template()
    pyramid = Pyramid(volume, head)
    affine = register(template.pyramid, pyramid, affine=True)
    with limit_threads():
        transform = fit_deformation(template.pyramid, pyramid, affine.matrix)
        fraction = warp(Volume(template.brain.astype(np.float32), template.image.affine), transform, volume)
        mask = to_array(largest_filled_part(to_itk(fraction > 0.5, volume.affine))) > 0
    return Brain(mask, affine, volume_ml(mask, volume))


def most_certain_brain(
    volumes: dict[str, Volume],
    heads: dict[str, Foreground],
    first: str,
    notify: Callable[[str], None] = lambda part: None,
) -> tuple[str, Brain]:
    """Return modality and brain: of the first modality if reliable there, otherwise of the most reliable one.

    `notify` is called with each modality before its registration, which takes seconds; it may raise to cancel. Raises
    InputError, with the reason of the best modality, if none gives a reliable brain.
    """
    brains: dict[str, Brain] = {}
    reasons: list[str] = []
    for part in (first, *(name for name in volumes if name != first)):
        notify(part)
        try:
            brains[part] = find_brain(volumes[part], heads[part])
        except InputError as error:
            reasons.append(f"{part} {error}")
            continue
        if part == first and brains[part].problem() is None:
            return part, brains[part]
    if not brains:
        raise InputError(reasons[0])
    part = min(brains, key=lambda name: (brains[name].problem() is not None, brains[name].registered.disagreement))
    if problem := brains[part].problem():
        raise InputError(f"no brain was found reliably in any modality; the best was {part}: {problem}")
    return part, brains[part]
