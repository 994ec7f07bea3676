"""TensorBoard: a copy of a run's metrics and previews, written with `SummaryWriter`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_pgan.errors import InputError
from napari_pgan.progress import Update, say
from napari_pgan.training.growth_animation import read_previews
from napari_pgan.training.run_folder import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Board:
    """The folder ``tensorboard`` of a run folder, with images seen as steps.

    It is rewritten from the run folder if that no longer continues what was written before: after a return to an
    earlier checkpoint, or a session without TensorBoard. Raises InputError if tensorboard is not installed.
    """

    def __init__(self, run: Path) -> None:
        check_installed()
        self._run, self._folder = Run(run), run / "tensorboard"
        self._writer: SummaryWriter | None = None
        self._rows: list[dict[str, Any]] = []  # that were written
        self._previews: set[str] = set()

    def update(self) -> None:
        """Write what is new in the run folder, and flush it, so that a kill loses nothing."""
        rows, writer = self._run.read_metrics(), self._writer
        if writer is None or rows[: len(self._rows)] != self._rows:
            writer = self._restart()
        for row in rows[len(self._rows) :]:
            for tag, value in _scalars(row):
                writer.add_scalar(tag, value, row["images"])
        self._rows = rows
        for preview in read_previews(self._run.previews):
            if preview.path.name not in self._previews:
                self._previews.add(preview.path.name)
                with Image.open(preview.path) as page:
                    writer.add_image("preview", np.asarray(page), preview.images, dataformats="HWC")
        writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _restart(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        # A running TensorBoard reads the newest file and goes on to the next, which purges all steps. It would wait
        # forever if the newest file were deleted.
        for old in sorted(self._folder.glob("events.out.tfevents.*"))[:-1]:
            old.unlink()
        self._writer = SummaryWriter(str(self._folder), purge_step=0)
        self._rows, self._previews = [], set()
        return self._writer


@contextlib.contextmanager
def with_tensorboard(run: Path, progress: AbstractContextManager[Update]) -> Iterator[Update]:
    """Context manager of a progress bar that also updates the run's `Board`; an error of the disk ends only that."""
    with progress as update, contextlib.closing(Board(run)) as board:
        writable = True

        def update_board() -> None:
            nonlocal writable
            try:
                if writable:
                    board.update()
            except OSError as error:
                writable = False
                say(f"{run / 'tensorboard'}: cannot be written ({error.strerror}); training on without TensorBoard")

        def update_both(done: int, note: str = "", seconds_left: float | None = None) -> None:
            update(done, note, seconds_left)
            update_board()

        update_board()
        try:
            yield update_both
        finally:
            update_board()


def check_installed() -> None:
    """Raise InputError if TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise InputError(
            "--tensorboard needs the package tensorboard: pip install tensorboard, or leave the option out"
        ) from None


def _scalars(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """(tag, value) of each number in a row of the metrics."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{key}/{level}", number) for level, number in value.items())
        elif key != "images" and isinstance(value, int | float):
            yield f"{'loss' if key.startswith(('critic', 'generator')) else 'training'}/{key}", value
