"""The box that saves layers on the grid that the patient was scanned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.qt.threading import create_worker
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QPushButton, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.save_button import may_write
from napari_pgan.viewer.docks.common.sections import narrow
from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.patient_space import patient_files, save_for_patient, way_of

_OWN = "each its own"


class PatientBox(QWidget):
    """Writes the selected layers in the background.

    Signals: `said(text)`, `failed(InputError)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    way
        Gives the way back of the exam that was sent on last, or None.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any, way: Callable[[], Mapping[str, Any] | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._way, self._saving = viewer, way, False
        self.onto = narrow(QComboBox())
        self.onto.addItem(_OWN, None)
        self.button = QPushButton("Save for the patient…")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Onto the grid", self.onto)
        form.addRow(self.button)
        self.button.clicked.connect(self.ask)
        self.allow()

    def allow(self) -> None:
        """Enable what can be used now, and offer the grids of the exam."""
        way = self._way()
        parts = list(way["parts"]) if way else []
        if [self.onto.itemData(i) for i in range(1, self.onto.count())] != parts:
            self.onto.clear()
            self.onto.addItem(_OWN, None)
            for part in parts:
                self.onto.addItem(f"of {'the segmentation' if part == 'seg' else part}", part)
        why_not = "" if way else "Send an exam on first"
        allow(self.onto, "Segmentations go there by nearest neighbour, images linearly", why_not)
        reason = why_not or ("The files are being written" if self._saving else "")
        allow(self.button, "Write the selected layers as NIfTI or NRRD on the grid that was scanned", reason)

    def ask(self) -> None:
        """Ask for a name, and before anything is written over; then save."""
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save the selected layers for the patient",
            "patient.nii.gz",
            "NIfTI (*.nii.gz);;NRRD, for 3D Slicer (*.nrrd)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if not path:
            return
        try:
            if may_write(self, patient_files(path, self._selected())):
                self.save(path)
        except InputError as error:
            self.failed.emit(error)

    def save(self, path: str | Path) -> None:
        """Write the selected layers in the background."""
        layers = self._selected()
        if not layers:
            self.failed.emit(InputError("select the layers to be saved in napari's list of layers"))
            return
        point = self._viewer.dims.point
        at = float(point[-3]) if len(point) > 2 else None
        way = way_of(layers) or self._way()
        self._saving = True
        self.allow()
        connect = {"returned": self._on_written, "finished": self._on_finished}
        create_worker(_write, path, layers, self.onto.currentData(), way, at, _connect=connect)

    def _selected(self) -> list[LayerTuple]:
        """The selected images and segmentations, as they are now."""
        chosen = [x for x in self._viewer.layers if x in self._viewer.layers.selection]
        tuples = [layer.as_layer_data_tuple() for layer in chosen if type(layer).__name__ in ("Image", "Labels")]
        return [(np.array(data), options, kind) for data, options, kind in tuples]

    def _on_written(self, answer: list[Path] | InputError) -> None:
        if isinstance(answer, InputError):
            self.failed.emit(answer)
        else:
            self.said.emit(f"Wrote {len(answer)} files to {answer[0].parent.resolve()}")

    def _on_finished(self) -> None:
        self._saving = False
        self.allow()


def _write(
    path: str | Path, layers: list[LayerTuple], onto: str | None, way: Mapping[str, Any] | None, at: float | None
) -> list[Path] | InputError:
    try:
        return save_for_patient(path, layers, onto=onto, way=way, slice_at=at)
    except InputError as error:  # returned, since napari shows what is raised with a traceback
        return error
