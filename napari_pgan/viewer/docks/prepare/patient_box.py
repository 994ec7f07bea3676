"""Box that saves layers on the grids that the patient was scanned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.forms import Form
from napari_pgan.viewer.docks.common.save_button import QUIT_TIMEOUT, may_write
from napari_pgan.viewer.docks.prepare.form_rows import choice, replace_choices
from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.patient_space import patient_space_files, patient_transforms_of, save_in_patient_space
from napari_pgan.viewer.renderer import Renderer

_OWN_GRIDS = ("own grids", None)


@dataclass(frozen=True)
class PatientSpaceOptions:
    """The part of the exam whose grid all layers get; None: each its own."""

    onto: Annotated[
        str | None, choice("Save on", "Segmentations are resampled by nearest neighbour, images linearly", _OWN_GRIDS)
    ] = None


class PatientBox(Form[PatientSpaceOptions]):
    """Saves the selected layers in the background.

    Signals: `message(text)`, `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    transforms
        Returns the patient space of the current exam, or None.
    """

    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self, viewer: Any, transforms: Callable[[], Mapping[str, Any] | None], parent: QWidget | None = None
    ) -> None:
        super().__init__(PatientSpaceOptions, parent)
        self._viewer, self._transforms = viewer, transforms
        self._renderer = Renderer(self, quit_timeout=QUIT_TIMEOUT)
        self._renderer.failed.connect(self.failed)
        self._renderer.busy.connect(self.update_state)
        self.button = QPushButton("Save in patient space…")
        self.rows.addRow(self.button)
        self.button.clicked.connect(self.ask)
        self.update_state()

    def update_state(self) -> None:
        """Offer the grids of the current exam, and enable what can be used now."""
        transforms = self._transforms()
        parts = list(transforms["parts"]) if transforms else []
        texts = [f"grid of {'the segmentation' if part == 'seg' else part}" for part in parts]
        if self.fields["onto"].choices != (None, *parts):
            replace_choices(self.fields["onto"], [_OWN_GRIDS, *zip(texts, parts, strict=True)])
        why_not = "" if transforms else "Add an exam to the viewer first"
        self.allow(why_not)
        reason = why_not or ("The files are being written" if self._renderer.is_busy else "")
        allow(self.button, "Write the selected layers as NIfTI or NRRD on the scanned grid", reason)

    def ask(self) -> None:
        """Ask for a file name, confirm overwriting, and save."""
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Save the selected layers in patient space",
            "patient.nii.gz",
            "NIfTI (*.nii.gz);;NRRD, for 3D Slicer (*.nrrd)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if not path:
            return
        try:
            if may_write(self, patient_space_files(path, self._selected())):
                self.save(path)
        except InputError as error:
            self.failed.emit(error)

    def save(self, path: str | Path) -> None:
        """Write the selected layers in the background."""
        layers = self._selected()
        if not layers:
            self.failed.emit(InputError("select the layers to save in napari's layer list"))
            return
        point = self._viewer.dims.point
        options: dict[str, Any] = {
            "onto": self.read().onto,
            "transforms": patient_transforms_of(layers) or self._transforms(),
            "slice_at": float(point[-3]) if len(point) > 2 else None,
        }
        self._renderer.request(lambda _: save_in_patient_space(path, layers, **options), self._on_written)

    def _selected(self) -> list[LayerTuple]:
        """The selected Image and Labels layers, with copies of their data."""
        chosen = [x for x in self._viewer.layers if x in self._viewer.layers.selection]
        tuples = [layer.as_layer_data_tuple() for layer in chosen if type(layer).__name__ in ("Image", "Labels")]
        return [(np.array(data), options, kind) for data, options, kind in tuples]

    def _on_written(self, files: list[Path]) -> None:
        self.message.emit(f"Wrote {len(files)} files to {files[0].parent.resolve()}")
