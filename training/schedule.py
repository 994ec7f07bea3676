"""What is trained when, as a pure function of the number of real images seen."""

from __future__ import annotations

from dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.schema import base_of
from napari_pgan.training.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """A part of the training with constant settings.

    Parameters
    ----------
    stage
        Of the networks, from 0.
    size
        Pixels along the longer side.
    fading
        Whether the stage fades in.
    start, end
        Images seen at the start and the end; the difference is a multiple of the batch.
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
    """A position in the training: the phase, alpha (0 to 1) of its fade-in, and the step within the phase."""

    phase: Phase
    alpha: float
    step: int


class Schedule:
    """The phases of a recipe, up to a size.

    Parameters
    ----------
    recipe
        Its ``sizes`` give batches, lengths and learning rates.
    size
        The last size, in pixels along the longer side. Its base (4 to 7) takes the recipe's entry for 4, and so on.
    images
        The total length; all phases are stretched alike. None: the recipe's length.
    grown
        The last stage of the model that the training starts from. Smaller sizes are left out, this one is stable from
        the start, and larger ones fade in as usual. None for new networks.

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
            raise InputError(f"--images {images}: give at least 1")
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
                    fading = False  # there is no size to fade from
                if steps:
                    end = seen + steps * plan.batch
                    pixels = self.base * 2**stage
                    phases.append(Phase(stage, pixels, fading, seen, end, plan.batch, plan.learning_rate))
                    seen = end
        if not phases:
            raise InputError(f"--images {images}: too few for a step at size {size}; give at least {plans[-1].batch}")
        self.phases = tuple(phases)
        self.images = seen

    def at(self, images: int) -> Moment:
        """Return the moment of the next step after `images` images; at the end, the end of the last phase."""
        for phase in self.phases:
            if images < phase.end:
                break
        return _within(phase, images)

    def reached(self, images: int) -> Moment:
        """Return the moment after the last step: at the end of a fade-in, alpha is 1, and no phase follows yet."""
        return _within(self.at(images - 1).phase, images)


def _within(phase: Phase, images: int) -> Moment:
    done = min(images, phase.end) - phase.start
    alpha = done / (phase.end - phase.start) if phase.fading else 1.0
    return Moment(phase, alpha, done // phase.batch)


def _from_grown(lengths: list[tuple[int, int]], grown: int) -> list[tuple[int, int]]:
    """Return the lengths (fade, stable) of all stages for networks that have grown to stage `grown`."""
    fade, stable = lengths[grown]
    if grown == len(lengths) - 1:
        stable = stable or fade  # a recipe may end with a fade-in
    return [(0, 0)] * grown + [(0, stable)] + lengths[grown + 1 :]
