"""Table that assigns a modality to each layer or file of an exam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidgetItem, QWidget

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.modality_names import BRAIN, SEGMENTATION
from napari_pgan.viewer.docks.common.tables import ReadOnlyTable
from napari_pgan.viewer.prepare_exam import ListedVolume

_MASKS = {SEGMENTATION: "segmentation", BRAIN: "brain mask"}  # part → text
_PARTS = {text: part for part, text in _MASKS.items()}
_NONE = "—"
_MAX_CHOICE_WIDTH = 160  # pixels
_MAX_ROWS = 7
_SUFFIX = re.compile(r"\.(nii(\.gz)?|mh[ad]|n(rrd|hdr))$", re.IGNORECASE)
_COMMON_MODALITIES = ("t1", "t1ce", "t2", "flair", "pd")


class PartsTable(ReadOnlyTable):
    """One row for each volume, with an editable choice of its modality.

    Signals: `changed()` when a modality or the list of volumes changes.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(("Volume", "Modality"), parent)
        self.header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._sources: list[Any] = []
        self._modalities: tuple[str, ...] = ()

    def show_volumes(self, volumes: Sequence[ListedVolume], modalities: Sequence[str] = ()) -> None:
        """Replace the rows; a modality that the user chose for a volume is preserved.

        Parameters
        ----------
        volumes
            The volumes to list.
        modalities
            Choices in addition to the common modalities.
        """
        chosen = {id(source): self._choice(i).currentText() for i, source in enumerate(self._sources)}
        self._sources = [volume.source for volume in volumes]
        self.setRowCount(len(volumes))
        self._modalities = tuple(dict.fromkeys([*modalities, *_COMMON_MODALITIES]))
        for i, (name, source, part) in enumerate(volumes):
            item = QTableWidgetItem(_SUFFIX.sub("", name))  # modality names are usually at the end
            item.setToolTip(name)
            self.setItem(i, 0, item)
            choice = QComboBox()
            choice.setEditable(True)
            choice.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            choice.addItems([_NONE, *self._modalities, *_MASKS.values()])
            suggested = _NONE if part is None else _MASKS.get(part, part)
            choice.setCurrentText(chosen.get(id(source), suggested))
            line = choice.lineEdit()
            assert line is not None
            line.setCursorPosition(0)  # show the beginning of a text that is too long
            choice.setToolTip(f"The modality of this volume; {_NONE} leaves it out")
            choice.currentTextChanged.connect(lambda _: self.changed.emit())
            self.setCellWidget(i, 1, choice)
        self.fit_rows(_MAX_ROWS)
        self._fit_choices()
        self.changed.emit()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit the choices to their texts, whose font is known only now."""
        super().showEvent(event)
        self._fit_choices()

    def images(self) -> list[str]:
        """The chosen modalities in row order, without masks."""
        return [part for part in self._parts() if part and part not in _MASKS]

    def has_brain_mask(self) -> bool:
        """Whether a volume is a brain mask."""
        return BRAIN in self._parts()

    def parts(self) -> dict[str, Any]:
        """Modality, ``"seg"`` or ``"brain"`` → layer or file.

        Raises
        ------
        InputError
            No volume has a modality, or two have the same.
        """
        found: dict[str, Any] = {}
        for part, source in zip(self._parts(), self._sources, strict=True):
            if part in found:
                raise InputError(f"two volumes are marked as {_MASKS.get(part, part)}; set one of them to {_NONE}")
            if part:
                found[part] = source
        if not found.keys() - _MASKS:
            raise InputError("choose the modality of at least one volume")
        order = {part: i for i, part in enumerate([*self._modalities, *_MASKS])}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(self._modalities) - 0.5)))

    def _fit_choices(self) -> None:
        widths = [self._choice(row).sizeHint().width() for row in range(self.rowCount())]
        if widths:
            self.setColumnWidth(1, min(max(widths), _MAX_CHOICE_WIDTH))

    def _choice(self, row: int) -> QComboBox:
        widget = self.cellWidget(row, 1)
        assert isinstance(widget, QComboBox)
        return widget

    def _parts(self) -> list[str]:
        """The part in each row; empty for a volume that is left out."""
        texts = (self._choice(row).currentText().strip() for row in range(self.rowCount()))
        return ["" if text == _NONE else _PARTS.get(text, text) for text in texts]
