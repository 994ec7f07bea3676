"""Plan a training without starting it: its phases, with parameters, memory and time (``fit --dry-run``)."""

from __future__ import annotations

import contextlib
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.progress import duration
from napari_pgan.training.calibrate import Cost
from napari_pgan.training.device import free_bytes
from napari_pgan.training.memory import micro_batches, step_bytes, weight_bytes
from napari_pgan.training.operation_counts import parameters
from napari_pgan.training.planning import Planning, TrainingRequest
from napari_pgan.training.run_folder import Run
from napari_pgan.training.schedule import Phase, Schedule
from napari_pgan.training.trainer import Trainer

_WIDTH = 80  # characters per line


@dataclass(frozen=True)
class DryRunRow:
    """One phase of a planned training."""

    size: int
    phase: str  # "fade" or "stable"
    width: int  # feature maps
    generator: int  # parameters in use
    critic: int
    images: int
    batch: int
    learning_rate: float
    parts: int | None  # into which a batch is split to fit into memory; None if not even one image fits
    bytes: int  # of a step, with weights and optimisers
    seconds: float  # of the whole phase on this machine
    measured: bool  # whether steps of the whole batch were timed, not extrapolated


@dataclass(frozen=True)
class DryRun:
    """A planned training."""

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
        """Return the plan for ``--json``."""
        return {**asdict(self), "images": self._images, "seconds": self._seconds}

    @property
    def _images(self) -> int:
        return sum(row.images for row in self.rows)

    @property
    def _seconds(self) -> float:
        return sum(row.seconds for row in self.rows)

    def lines(self) -> list[str]:
        """Return the plan as lines of text."""
        channels = ", ".join([*self.modalities, *(f"label {name}" for name in self.labels)])
        header = [
            f"recipe {self.recipe}: {self.description}",
            f"cohort {self.store}: {self.subjects} subject{'s'[: self.subjects != 1]} to train on; "
            f"{self.channels} channels: {channels}",
            f"images of {' x '.join(map(str, self.shape))}; {self.device}, {self.precision}, "
            f"{_bytes(self.free_bytes)} free",
            *([] if self.start is None else [self.start]),
        ]
        table = [
            ("size", "phase", "maps", "gen.", "critic", "images", "batch", "rate", "memory", "time"),
            *(self._cells(row) for row in self.rows),
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            *(line for text in header for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")),
            "",
            *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table),
            "",
            f"in all {self._images:,} images, about {duration(self._seconds)} of steps and "
            f"{duration(self.look_seconds)} of snapshots here",
        ]
        if not all(row.measured for row in self.rows):
            lines.append("~: estimated from a part of a batch, or from another size")
        if any((row.parts or 1) > 1 for row in self.rows):
            lines.append("batches like 4x4 are split to fit into memory; their gradients are added up")
        if any(row.parts is None for row in self.rows):
            lines.append("!: does not fit into memory; give a smaller --size or smaller widths")
        return lines

    @staticmethod
    def _cells(row: DryRunRow) -> tuple[str, ...]:
        batch = str(row.batch) if row.parts in (1, None) else f"{row.parts}x{row.batch // (row.parts or 1)}"
        return (
            str(row.size), row.phase, str(row.width), _short(row.generator), _short(row.critic), f"{row.images:,}",
            batch, f"{row.learning_rate:g}", ("!" if row.parts is None else "") + _bytes(row.bytes),
            ("" if row.measured else "~") + duration(row.seconds),
        )  # fmt: skip


def plan_training(request: TrainingRequest) -> DryRun:
    """Plan a training; steps are timed for about half a minute, and nothing is written.

    Raises
    ------
    InputError
        The store, recipe or device do not fit the request.
    """
    planning = Planning(request)
    recipe, store, device, architecture = planning.recipe, planning.store, planning.device, planning.architecture
    trainer = planning.new_trainer()
    plan = Run(request.out).read_plan() if request.resume else planning.new_plan()
    plan, costs, snapshot_seconds = planning.timed_plan(plan, trainer)
    schedule, free = plan.schedule(), free_bytes(device)
    needs = _needs(trainer, schedule, free)
    precision = "bf16" if trainer.features.bf16 else "float32"
    if recipe.precision == "bf16" and not trainer.features.bf16:
        precision += " (no bf16 here)"
    rows = (_row(phase, trainer, needs[phase.stage], costs[phase.stage, phase.fading]) for phase in schedule.phases)
    return DryRun(
        recipe.name, recipe.description, store.name, store.counts()["train"], store.channels.modalities,
        tuple(label.name for label in trainer.encoding.channels.labels), architecture.channels,
        architecture.shape(architecture.stages - 1), None if planning.init is None else planning.init.summary,
        str(device), precision, free, tuple(rows), round(snapshot_seconds, 1),
    )  # fmt: skip


def _needs(trainer: Trainer, schedule: Schedule, free: int) -> dict[int, tuple[int | None, int]]:
    """For each stage, the parts of a batch and the memory of a step in its first phase, which needs most."""
    needs: dict[int, tuple[int | None, int]] = {}
    for phase in schedule.phases:
        if phase.stage not in needs:
            parts: int | None = None
            with contextlib.suppress(InputError):
                parts = micro_batches(trainer, phase, free)
            needs[phase.stage] = parts, weight_bytes(trainer) + step_bytes(trainer, phase, parts or phase.batch)
    return needs


def _row(phase: Phase, trainer: Trainer, need: tuple[int | None, int], cost: Cost) -> DryRunRow:
    images, architecture = phase.end - phase.start, trainer.architecture
    kind, width = "fade" if phase.fading else "stable", architecture.widths[phase.stage]
    counts, seconds = parameters(architecture, phase.stage), round(images * cost.seconds, 1)
    return DryRunRow(
        phase.size, kind, width, *counts, images, phase.batch, phase.learning_rate, *need, seconds, cost.measured
    )


def _short(count: int) -> str:
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.{max(0, 3 - len(str(count // unit)))}f} {name}"
    return str(count)


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
