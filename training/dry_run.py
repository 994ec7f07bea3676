"""What a training would be, before it is begun: its stages, their size, memory and time."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.progress import duration
from napari_pgan.training.calibrate import Cost
from napari_pgan.training.counts import parameters
from napari_pgan.training.memory import free_bytes, micro_batches, step_bytes, weight_bytes
from napari_pgan.training.planning import Planning, TrainingRequest, schedule_of
from napari_pgan.training.run_folder import Run
from napari_pgan.training.schedule import Phase, Schedule
from napari_pgan.training.trainer import Trainer

_WIDTH = 80  # characters of a line for people


@dataclass(frozen=True)
class DryRunRow:
    """One phase of a planned training.

    Parameters
    ----------
    size, phase
        Pixels along the longer side; ``fade`` or ``stable``.
    width
        Feature maps at that size.
    generator, critic
        Parameters in use.
    images, batch, learning_rate
        As the recipe has them, in this length.
    parts
        Into how many a batch is split to fit into the memory; None where not even one image fits.
    bytes
        That a step is estimated to take, weights and optimisers included.
    seconds, measured
        Of the whole phase on this machine, and whether whole steps of it were timed, or it is an estimate.
    """

    size: int
    phase: str
    width: int
    generator: int
    critic: int
    images: int
    batch: int
    learning_rate: float
    parts: int | None
    bytes: int
    seconds: float
    measured: bool


@dataclass(frozen=True)
class DryRun:
    """A planned training; `lines` is for people, `to_dict` for machines."""

    recipe: str
    description: str
    store: str
    subjects: int
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    channels: int
    shape: tuple[int, ...]
    start: str | None
    device: str
    precision: str
    free_bytes: int
    rows: tuple[DryRunRow, ...]
    look_seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "images": sum(row.images for row in self.rows),
            "seconds": sum(row.seconds for row in self.rows),
        }

    def lines(self) -> list[str]:
        named = ", ".join([*self.modalities, *(f"label {name}" for name in self.labels)])
        table = [
            ("size", "phase", "maps", "gen.", "critic", "images", "batch", "rate", "memory", "time"),
            *(self._cells(row) for row in self.rows),
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        total = sum(row.seconds for row in self.rows)
        about = [
            f"recipe {self.recipe}: {self.description}",
            f"cohort {self.store}: {self.subjects} subject{'s'[: self.subjects != 1]} to train on; "
            f"{self.channels} channels: {named}",
            f"images of {' x '.join(map(str, self.shape))}; {self.device}, {self.precision}, "
            f"{_bytes(self.free_bytes)} free",
            *([] if self.start is None else [self.start]),
        ]
        lines = [
            *(line for text in about for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")),
            "",
            *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table),
            "",
            f"in all {sum(row.images for row in self.rows):,} images, about {duration(total)} of steps and "
            f"{duration(self.look_seconds)} of looks here",
        ]
        if not all(row.measured for row in self.rows):
            lines.append("~: on a part of a batch, or from another size by operations counted")
        if any((row.parts or 1) > 1 for row in self.rows):
            lines.append("batches like 4x4 are taken in parts to fit into the memory, with the same gradients added up")
        if any(row.parts is None for row in self.rows):
            lines.append("!: does not fit into the memory; give a smaller --size or smaller widths")
        return lines

    @staticmethod
    def _cells(row: DryRunRow) -> tuple[str, ...]:
        batch = str(row.batch) if row.parts in (1, None) else f"{row.parts}x{row.batch // (row.parts or 1)}"
        return (
            str(row.size), row.phase, str(row.width), _short(row.generator), _short(row.critic), f"{row.images:,}",
            batch, f"{row.learning_rate:g}", ("!" if row.parts is None else "") + _bytes(row.bytes),
            ("" if row.measured else "~") + duration(row.seconds),
        )  # fmt: skip


def outline(wish: TrainingRequest) -> DryRun:
    """Plan a wish without training: networks are made and timed for about half a minute, and nothing is written.

    Raises
    ------
    InputError
        The store, recipe or device do not allow it.
    """
    planning = Planning(wish)
    recipe, store, device, architecture = planning.recipe, planning.store, planning.device, planning.architecture
    plan = Run(wish.out).read_plan() if wish.resume else planning.plan()
    start, trainer, schedule = planning.start, planning.new_trainer(), schedule_of(plan)
    free = free_bytes(device)
    needs = _needs(trainer, schedule, free)
    precision = "bf16" if trainer.features.bf16 else "float32"
    if recipe.precision == "bf16" and not trainer.features.bf16:
        precision += " (no bf16 here)"
    costs = planning.costs(plan)
    looks = planning.looks(plan, costs, trainer)
    if wish.minutes is not None:
        schedule = schedule_of(planning.timed(plan, costs, looks))
    rows = (_row(phase, trainer, needs[phase.stage], costs[phase.stage, phase.fading]) for phase in schedule.phases)
    return DryRun(
        recipe.name, recipe.description, store.name, store.counts()["train"], store.channels.modalities,
        tuple(label.name for label in trainer.encoding.channels.labels), architecture.channels,
        architecture.shape(architecture.stages - 1), None if start is None else start.line, str(device), precision,
        free, tuple(rows), round(looks, 1),
    )  # fmt: skip


def _needs(trainer: Trainer, schedule: Schedule, free: int) -> dict[int, tuple[int | None, int]]:
    """For each stage, by its first phase, which needs most: the parts of a batch, and the bytes of a step."""
    needs: dict[int, tuple[int | None, int]] = {}
    for phase in schedule.phases:
        if phase.stage not in needs:
            parts: int | None
            try:
                parts = micro_batches(trainer, phase, free)
            except InputError:
                parts = None
            needs[phase.stage] = parts, weight_bytes(trainer) + step_bytes(trainer, phase, parts or phase.batch)
    return needs


def _row(phase: Phase, trainer: Trainer, need: tuple[int | None, int], cost: Cost) -> DryRunRow:
    images, architecture = phase.end - phase.start, trainer.architecture
    kind, width = "fade" if phase.fading else "stable", architecture.widths[phase.stage]
    numbers, seconds = parameters(architecture, phase.stage), round(images * cost.seconds, 1)
    return DryRunRow(
        phase.size, kind, width, *numbers, images, phase.batch, phase.learning_rate, *need, seconds, cost.measured
    )


def _short(count: int) -> str:
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.{max(0, 3 - len(str(count // unit)))}f} {name}"
    return str(count)


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
