"""Choice of an atlas: none, the shipped template, a layer, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QWidget

from napari_pgan.viewer.docks.common.sections import narrow

TEMPLATE = "template"
_FILE = object()
_VOLUMES = "Volumes (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd);;All files (*)"


class AtlasChoice(QComboBox):
    """The atlas that images are registered to.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        narrow(self)
        self._files: list[str] = []
        self._layers: list[tuple[str, Any]] = []
        self._values: list[Any] = []
        self._previous: Any = None
        self._fill(None)
        self.activated.connect(self._on_activated)

    @property
    def value(self) -> Any:
        """None, ``"template"``, the path of a file, or a layer."""
        return self._values[self.currentIndex()]

    def set_layers(self, layers: Sequence[tuple[str, Any]]) -> None:
        """Replace the (name, layer) choices; the current choice is preserved if it still exists."""
        if [(name, id(layer)) for name, layer in layers] == [(name, id(layer)) for name, layer in self._layers]:
            return
        self._layers = list(layers)
        chosen = self.value
        self._fill(chosen)
        if self.value is not chosen:
            self.changed.emit()

    def add_file(self, path: str | Path) -> None:
        """Add a file and choose it."""
        if str(path) not in self._files:
            self._files.append(str(path))
        self._fill(str(path))
        self.changed.emit()

    def _fill(self, chosen: Any) -> None:
        entries = [
            ("no atlas", None, "Every image keeps the patient's size and position"),
            ("shipped brain", TEMPLATE, "The ICBM average that comes with the package, on a grid of 1 mm"),
            *((name, layer, "This layer of the viewer") for name, layer in self._layers),
            *((Path(file).name, file, file) for file in self._files),
            ("file…", _FILE, "Any volume of a head, or of a brain for skull-stripped images"),
        ]
        self.clear()
        self._values = [value for _, value, _ in entries]
        for i, (text, _value, tip) in enumerate(entries):
            self.addItem(text)
            self.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)
        same = [v is chosen or (isinstance(v, str) and str(v) == chosen) for v in self._values]
        self.setCurrentIndex(same.index(True) if True in same else 0)
        self._previous = self.value

    def _on_activated(self, _: int) -> None:
        if self.value is not _FILE:
            self._previous = self.value
            self.changed.emit()
        elif file := QFileDialog.getOpenFileName(self, "Atlas volume", "", _VOLUMES)[0]:
            self.add_file(file)
        else:
            self._fill(self._previous)
