"""What is trained when: a pure function of the number of real images seen."""

from __future__ import annotations

from dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.schema import base_of
from napari_pgan.training.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """A stretch of the training with one size.

    Parameters
    ----------
    stage
        Of the networks, counted from 0.
    size
        Pixels along the longer side.
    fading
        Whether the stage fades in, or is stable.
    start, end
        Images seen at its start and its end, both multiples of the batch from its start.
    batch, learning_rate
        As in the recipe.
    """

    stage: int
    size: int
    fading: bool
    start: int
    end: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Moment:
    """Where the training stands: its phase, how far that has faded in (0 to 1), and the step within the phase."""

    phase: Phase
    alpha: float
    step: int


class Schedule:
    """The phases of a recipe, up to a size.

    Parameters
    ----------
    recipe
        Whose ``sizes`` give batches, lengths and learning rates.
    size
        The last size, in pixels along the longer side; the recipe's entries stand for 4·2ˢ ≤ size · 4 / base.
    images
        The length of all in images; None takes the recipe's own. All phases are stretched alike.
    grown
        The stage that the networks have grown to elsewhere. Sizes below it are left out, it is stable from the start,
        and what lies above fades in as always. None for fresh networks.

    Raises
    ------
    InputError
        The recipe does not reach the size, or no phase has any images.
    """

    def __init__(self, recipe: Recipe, size: int, images: int | None = None, grown: int | None = None) -> None:
        self.base, self.last_stage = base_of(size)
        plans = list(recipe.sizes.values())
        if self.last_stage >= len(plans):
            largest = self.base * 2 ** (len(plans) - 1)
            raise InputError(
                f"the recipe {recipe.name!r} goes up to size {largest}, not to {size}; "
                "give a smaller --size, or add sizes to the recipe"
            )
        plans = plans[: self.last_stage + 1]
        if not plans[-1].stable + plans[-1].fade:
            raise InputError(f"the recipe {recipe.name!r} has no images at size {size}; give another --size")
        if images is not None and images < 1:
            raise InputError(f"--images {images}: a training sees one image at least")
        lengths = [(plan.fade, plan.stable) for plan in plans]
        if grown is not None:
            lengths = _from_grown(lengths, min(grown, self.last_stage))
        stretch = 1.0 if images is None else images / sum(fade + stable for fade, stable in lengths)
        phases: list[Phase] = []
        seen = 0
        for stage, plan in enumerate(plans):
            for fading, length in zip((True, False), lengths[stage], strict=True):
                steps = round(length * stretch / plan.batch)
                if length and stage == self.last_stage and not fading:
                    steps = max(steps, 1)
                if steps and fading and not phases and (grown is None or stage > grown + 1):
                    fading = False  # nothing to fade from
                if steps:
                    end = seen + steps * plan.batch
                    pixels = self.base * 2**stage
                    phases.append(Phase(stage, pixels, fading, seen, end, plan.batch, plan.learning_rate))
                    seen = end
        if not phases:
            raise InputError(f"--images {images}: too few for a step at size {size}; give {plans[-1].batch} at least")
        self.phases = tuple(phases)
        self.images = seen

    def at(self, images: int) -> Moment:
        """The moment after `images` real images; at the end, the last phase's last step."""
        for phase in self.phases:
            if images < phase.end:
                break
        return _within(phase, images)

    def reached(self, images: int) -> Moment:
        """The moment that the step before it came to: at the end of a fade-in it has faded in, and none follows yet."""
        return _within(self.at(images - 1).phase, images)


def _within(phase: Phase, images: int) -> Moment:
    done = min(images, phase.end) - phase.start
    alpha = done / (phase.end - phase.start) if phase.fading else 1.0
    return Moment(phase, alpha, done // phase.batch)


def _from_grown(lengths: list[tuple[int, int]], grown: int) -> list[tuple[int, int]]:
    """The lengths (fade, stable) of all stages for networks that have grown to one of them."""
    fade, stable = lengths[grown]
    if grown == len(lengths) - 1:
        stable = stable or fade  # a recipe that ends with a fade-in has no other images at this size
    return [(0, 0)] * grown + [(0, stable)] + lengths[grown + 1 :]
