"""The button that saves the last result as NIfTI with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.whynot import allow
from napari_pgan.viewer.saving import files_of, save_shown
from napari_pgan.viewer.session import Shown


class SaveButton(QPushButton):
    """Asks for a name and writes in the background.

    Parameters
    ----------
    shown
        Gives the last result, or None.
    """

    def __init__(self, shown: Callable[[], Shown | None], parent: QWidget | None = None) -> None:
        super().__init__("Save…", parent)
        self._shown = shown
        self._saving = False
        self._why_not = ""
        self.clicked.connect(self.ask)

    def allow(self, why_not: str) -> None:
        """Enable the button, or say why it cannot be used."""
        self._why_not = why_not
        reason = why_not or ("Sample first" if self._shown() is None else "")
        if self._saving:
            reason = "The files are being written"
        allow(self, "Write the last result: one NIfTI a modality, the segmentation, and a JSON of its origin", reason)

    def ask(self) -> None:
        """Ask for a name, and before anything is written over; then save."""
        shown = self._shown()
        if shown is None:
            return
        seeds = shown.request.seeds
        name = f"{shown.request.model.card.name}_{f'seed{seeds[0]}' if seeds else 'latent'}.nii.gz"
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save the result",
            name,
            "NIfTI (*.nii.gz);;NRRD, for 3D Slicer (*.nrrd)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if not path:
            return
        if may_write(self, files_of(shown, path)):
            self.save(shown, path)

    def save(self, shown: Shown, path: str | Path) -> None:
        """Write a result in the background and say where it lies."""
        self._saving = True
        self.allow(self._why_not)
        create_worker(_write, shown, path, _connect={"returned": self._on_written, "finished": self._on_finished})

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


def _write(shown: Shown, path: str | Path) -> list[Path] | InputError:
    try:
        return save_shown(shown, path)
    except InputError as error:  # returned, since napari shows what is raised with a traceback
        return error
