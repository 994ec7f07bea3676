"""The choice of an atlas: none, the shipped brain, a layer, or a file."""

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
    """What every image is fitted to.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        narrow(self)
        self._files: list[str] = []
        self._layers: list[tuple[str, Any]] = []
        self._values: list[Any] = []
        self._before: Any = None
        self._fill(None)
        self.activated.connect(self._on_activated)

    @property
    def value(self) -> Any:
        """None, ``"template"``, the path of a file, or a layer."""
        return self._values[self.currentIndex()]

    def offer(self, layers: Sequence[tuple[str, Any]]) -> None:
        """Offer layers, by their names; what is chosen stays while it is there."""
        if [(name, id(layer)) for name, layer in layers] == [(name, id(layer)) for name, layer in self._layers]:
            return
        self._layers = list(layers)
        chosen = self.value
        self._fill(chosen)
        if self.value is not chosen:
            self.changed.emit()

    def take_file(self, path: str | Path) -> None:
        """Offer a file, and choose it."""
        if str(path) not in self._files:
            self._files.append(str(path))
        self._fill(str(path))
        self.changed.emit()

    def _fill(self, chosen: Any) -> None:
        entries = [
            ("no atlas", None, "Every image keeps the patient's own size and place"),
            ("the shipped brain", TEMPLATE, "The ICBM average that comes with the package, on a grid of 1 mm"),
            *((name, layer, "This layer of the viewer") for name, layer in self._layers),
            *((Path(file).name, file, file) for file in self._files),
            ("a file…", _FILE, "Any volume of a head, or of a brain for images without skull"),
        ]
        self.clear()
        self._values = [value for _, value, _ in entries]
        for i, (text, _value, tip) in enumerate(entries):
            self.addItem(text)
            self.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)
        places = [i for i, value in enumerate(self._values) if value is chosen or _same_text(value, chosen)]
        self.setCurrentIndex(places[0] if places else 0)
        self._before = self.value

    def _on_activated(self, _: int) -> None:
        if self.value is not _FILE:
            self._before = self.value
            self.changed.emit()
            return
        file, _kind = QFileDialog.getOpenFileName(self, "A volume to fit every image to", "", _VOLUMES)
        if file:
            self.take_file(file)
        else:
            self._fill(self._before)


def _same_text(a: Any, b: Any) -> bool:
    return isinstance(a, str) and isinstance(b, str) and a == b
