"""Button that saves a result as NIfTI with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.status import notify_error
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.save import files_of, save_sample
from napari_pgan.viewer.session import SampleResult

QUIT_TIMEOUT = 60.0  # seconds that closing napari waits for files


def _sample_name(result: SampleResult) -> str:
    seeds = result.request.seeds
    return f"{result.request.model.card.name}_{f'seed{seeds[0]}' if seeds else 'latent'}.nii.gz"


class SaveButton(QPushButton):
    """Asks for a file name and writes in the background.

    Parameters
    ----------
    result
        Returns the result to save; None if there is none.
    tip
        Tooltip.
    name
        Result → suggested file name.
    files
        Result, path → the files that will be written.
    kinds
        Filter of the file dialog.
    write
        Writes a result to a path and returns the files.
    """

    def __init__(
        self,
        result: Callable[[], Any],
        parent: QWidget | None = None,
        *,
        tip: str = "Write the last result: one NIfTI a modality, the segmentation, and a JSON of its origin",
        name: Callable[[Any], str] = _sample_name,
        files: Callable[[Any, str], list[Path]] = files_of,
        kinds: str = "NIfTI (*.nii.gz);;NRRD, for 3D Slicer (*.nrrd)",
        write: Callable[[Any, str | Path], list[Path]] = save_sample,
    ) -> None:
        super().__init__("Save…", parent)
        self._result, self._tip = result, tip
        self._name, self._files, self._kinds, self._write = name, files, kinds, write
        self._why_not = ""
        self._renderer = Renderer(self, quit_timeout=QUIT_TIMEOUT)
        self._renderer.failed.connect(notify_error)
        self._renderer.busy.connect(lambda _: self.allow(self._why_not))
        self.clicked.connect(self.choose_file)

    def allow(self, why_not: str) -> None:
        """Enable the button, or disable it and show the reason."""
        self._why_not = why_not
        reason = why_not or ("Sample first" if self._result() is None else "")
        if self._renderer.is_busy:
            reason = "The files are being written"
        allow(self, self._tip, reason)

    def choose_file(self) -> None:
        """Ask for a file name, and for permission to overwrite files; then save."""
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
        """Write a result in the background and report its folder."""
        self._renderer.request(lambda _: self._write(result, path), notify_written)


def notify_written(files: Sequence[Path]) -> None:
    """Show how many files were written, and where."""
    show_info(f"Wrote {len(files)} files to {files[0].parent.resolve()}")


def may_write(parent: QWidget, files: Sequence[Path]) -> bool:
    """Return True if no file exists, or if the user agrees to overwrite those that do."""
    existing = [file.name for file in files if file.exists()]
    if not existing:
        return True
    more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
    answer = QMessageBox.question(parent, "Overwrite", f"{existing[0]}{more} exist. Overwrite them?")
    return answer == QMessageBox.StandardButton.Yes
