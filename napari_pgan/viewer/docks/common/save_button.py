"""The button that saves a result as NIfTI with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.save import files_of, save_shown
from napari_pgan.viewer.session import Shown


def _name_of_shown(shown: Shown) -> str:
    seeds = shown.request.seeds
    return f"{shown.request.model.card.name}_{f'seed{seeds[0]}' if seeds else 'latent'}.nii.gz"


class SaveButton(QPushButton):
    """Asks for a name and writes in the background.

    Parameters
    ----------
    result
        Gives what would be saved, or None where there is nothing yet.
    tip
        What is written.
    name
        Of a result: the name that is offered.
    files
        Of a result and a path: what would be written over.
    kinds
        What may be written, as Qt's file dialogs have it.
    write
        Writes a result to a path; InputError where it cannot.
    """

    def __init__(
        self,
        result: Callable[[], Any],
        parent: QWidget | None = None,
        *,
        tip: str = "Write the last result: one NIfTI a modality, the segmentation, and a JSON of its origin",
        name: Callable[[Any], str] = _name_of_shown,
        files: Callable[[Any, str], list[Path]] = files_of,
        kinds: str = "NIfTI (*.nii.gz);;NRRD, for 3D Slicer (*.nrrd)",
        write: Callable[[Any, str | Path], list[Path]] = save_shown,
    ) -> None:
        super().__init__("Save…", parent)
        self._result, self._tip = result, tip
        self._name, self._files, self._kinds, self._write = name, files, kinds, write
        self._saving = False
        self._why_not = ""
        self.clicked.connect(self.ask)

    def allow(self, why_not: str) -> None:
        """Enable the button, or say why it cannot be used."""
        self._why_not = why_not
        reason = why_not or ("Sample first" if self._result() is None else "")
        if self._saving:
            reason = "The files are being written"
        allow(self, self._tip, reason)

    def ask(self) -> None:
        """Ask for a name, and before anything is written over; then save."""
        result = self._result()
        if result is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save the result",
            self._name(result),
            self._kinds,
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if not path:
            return
        if may_write(self, self._files(result, path)):
            self.save(result, path)

    def save(self, result: Any, path: str | Path) -> None:
        """Write a result in the background and say where it lies."""
        self._saving = True
        self.allow(self._why_not)
        connect = {"returned": self._on_written, "finished": self._on_finished}
        create_worker(_write, self._write, result, path, _connect=connect)

    def _on_written(self, answer: list[Path] | InputError) -> None:
        if isinstance(answer, InputError):
            show_error(str(answer))
        else:
            show_info(f"Wrote {len(answer)} files to {answer[0].parent.resolve()}")

    def _on_finished(self) -> None:
        self._saving = False
        self.allow(self._why_not)


def may_write(parent: QWidget, files: Sequence[Path]) -> bool:
    """Whether files may be written: none of them exists, or the person says that they may be written over."""
    there = [file.name for file in files if file.exists()]
    if not there:
        return True
    more = f" and {len(there) - 1} more" if len(there) > 1 else ""
    answer = QMessageBox.question(parent, "Write over", f"{there[0]}{more} exist. Write over them?")
    return answer == QMessageBox.StandardButton.Yes


def _write(write: Callable[[Any, str | Path], list[Path]], result: Any, path: str | Path) -> list[Path] | InputError:
    try:
        return write(result, path)
    except InputError as error:  # returned, since napari shows what is raised with a traceback
        return error
