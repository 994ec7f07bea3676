"""Choice of an exam's volumes: the viewer's layers, a folder, or files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_pgan.viewer.docks.prepare.parts_table import PartsTable
from napari_pgan.viewer.exam_layers import LayerSnapshot, change_events
from napari_pgan.viewer.prepare_exam import MASKS, ListedVolume, list_layers

_READABLE = "Volumes (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm);;All files (*)"


class ExamSource(QWidget):
    """Lists volumes with their modalities, and watches the viewer's layers.

    Signals: `changed()` when the list or a modality changes; `edited()` when a layer's voxels or position change;
    `paths_chosen(list of str)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    changed = Signal()
    edited = Signal()
    paths_chosen = Signal(list)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._files: list[ListedVolume] | None = None  # None: list the viewer's layers
        self._modalities: tuple[str, ...] = ()
        self._watched: list[Any] = []
        # napari reports a stroke before it is in the data
        self._edit_timer = QTimer(self)
        self._edit_timer.setSingleShot(True)
        self._edit_timer.timeout.connect(self.edited)
        self.table = PartsTable()
        self.table.changed.connect(self.changed)
        self.buttons, buttons = [], QHBoxLayout()
        for text, tip, action in (
            ("Layers", "List the viewer's layers that are volumes", self._list_layers),
            ("Folder…", "Find the volumes in a folder: NIfTI, NRRD, MetaImage or DICOM", self._ask_folder),
            ("Files…", "Choose single files", self._ask_files),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(action)
            buttons.addWidget(button)
            self.buttons.append(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.table)
        for event in self._layer_events():
            event.connect(self._on_layers)
        self._on_layers()

    def set_modalities(self, modalities: Sequence[str]) -> None:
        """Set the loaded model's modalities, which are offered first."""
        self._modalities = tuple(modalities)
        self._refill()

    def show_files(self, files: list[ListedVolume]) -> None:
        """List files instead of layers."""
        self._files = files
        self._refill()

    def image_layers(self) -> list[tuple[str, Any]]:
        """(name, layer) of the viewer's volumes, without masks."""
        return [(name, layer) for name, layer, part in list_layers(self._viewer.layers) if part not in MASKS]

    def volumes(self) -> dict[str, Any]:
        """Modality, ``"seg"`` or ``"brain"`` → file, or the layer's present state.

        Raises
        ------
        InputError
            No volume has a modality, two have the same, or a layer is not a scalar volume.
        """
        parts = self.table.parts()
        return parts if self._files is not None else {part: LayerSnapshot.of(layer) for part, layer in parts.items()}

    def shut_down(self) -> None:
        """Disconnect from the viewer."""
        for event in self._layer_events():
            event.disconnect(self._on_layers)
        self._watch([])

    def _layer_events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def _list_layers(self) -> None:
        self._files = None
        self._refill()

    def _ask_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of an exam"):
            self.paths_chosen.emit([folder])

    def _ask_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Volumes of an exam", "", _READABLE)
        if files:
            self.paths_chosen.emit(files)

    def _on_layers(self, _: Any = None) -> None:
        self._watch([volume.source for volume in list_layers(self._viewer.layers)])
        if self._files is None:
            self._refill()
        else:
            self.changed.emit()

    def _refill(self) -> None:
        volumes = list_layers(self._viewer.layers) if self._files is None else self._files
        self.table.show_volumes(volumes, self._modalities)

    def _watch(self, layers: list[Any]) -> None:
        """Watch these layers for changes, and no others."""
        for layer in self._watched:
            for event in change_events(layer):
                event.disconnect(self._on_edit)
        self._watched = layers
        for layer in layers:
            for event in change_events(layer):
                event.connect(self._on_edit)

    def _on_edit(self, _: Any = None) -> None:
        self._edit_timer.start()
