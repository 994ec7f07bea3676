"""TensorBoard, for those who like to watch there: a mirror of the run folder's rows and previews."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_pgan.errors import InputError
from napari_pgan.progress import Update, say
from napari_pgan.training.growth_animation import read_previews

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class Board:
    """Keeps ``tensorboard`` in a run folder like its ``metrics.jsonl`` and its previews, by images seen.

    The folder is the truth: whatever happened to the run (a kill, a checkpoint that was gone back to, a sitting without
    TensorBoard), the mirror is made anew from it, and a TensorBoard that is looking on drops what is no longer so.

    Parameters
    ----------
    run
        The run folder.

    Raises
    ------
    InputError
        The package tensorboard is not installed.
    """

    def __init__(self, run: Path) -> None:
        check_installed()
        self._metrics, self._previews, self._board = run / "metrics.jsonl", run / "preview", run / FOLDER
        self._writer: SummaryWriter | None = None
        self._read, self._last = 0, b""  # bytes mirrored, and the last line of them
        self._shown: set[str] = set()

    def update(self) -> None:
        """Add what is new in the run folder."""
        rows = self._new_rows()
        if rows is None or self._writer is None:
            self._begin()
            rows = self._new_rows()
        assert self._writer is not None
        for row in rows or []:
            for tag, value in scalars(row):
                self._writer.add_scalar(tag, value, row["images"])
        for preview in read_previews(self._previews):
            if preview.path.name not in self._shown:
                self._shown.add(preview.path.name)
                with Image.open(preview.path) as page:
                    self._writer.add_image("preview", np.asarray(page), preview.images, dataformats="HWC")
        self._writer.flush()  # a kill loses nothing

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _begin(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        # a TensorBoard that looks on stands in the newest file, finds the next by its name, and there reads that all
        # from step 0 is void; were the file that it stands in gone, it would wait for ever
        for old in sorted(self._board.glob("events.out.tfevents.*"))[:-1]:
            old.unlink()
        self._writer = SummaryWriter(str(self._board), purge_step=0)
        self._read, self._last, self._shown = 0, b"", set()

    def _new_rows(self) -> list[dict[str, Any]] | None:
        """The rows that were added; None where those read before are no longer there."""
        if not self._metrics.is_file():
            return None if self._read else []
        with open(self._metrics, "rb") as file:
            file.seek(self._read - len(self._last))
            if file.read(len(self._last)) != self._last:
                return None
            lines = [line for line in file if line.endswith(b"\n")]
        if lines:
            self._read, self._last = self._read + sum(map(len, lines)), lines[-1]
        rows = []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line cut off by a crash
                rows.append(json.loads(line))
        return rows


@contextlib.contextmanager
def mirrored(run: Path, progress: AbstractContextManager[Update]) -> Iterator[Update]:
    """A progress whose every report brings the run's `Board` up to date, too."""
    with progress as update, contextlib.closing(Board(run)) as board:
        going = True

        def mirror() -> None:
            nonlocal going
            try:
                if going:
                    board.update()
            except OSError as error:  # what matters is written elsewhere, and says so where it cannot be
                going = False
                say(f"{run / FOLDER}: cannot be written ({error.strerror}); the training goes on without TensorBoard")

        def both(done: int, note: str = "", seconds_left: float | None = None) -> None:
            update(done, note, seconds_left)
            mirror()

        mirror()
        try:
            yield both
        finally:
            mirror()


def check_installed() -> None:
    """Raise InputError with what to do where TensorBoard is missing."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise InputError(
            "--tensorboard needs the package tensorboard: pip install tensorboard, or leave the option out"
        ) from None


def scalars(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """(tag, value) of a line of ``metrics.jsonl``: losses together, distances by level, and the rest."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{key}/{level}", number) for level, number in value.items() if _is_number(number))
        elif key != "images" and _is_number(value):
            yield f"{'loss' if key.startswith(('critic', 'generator')) else 'training'}/{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
