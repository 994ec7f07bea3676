"""The table that says which layer or file of an exam is which modality."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION
from napari_pgan.viewer.docks.common.tables import fit_rows

if TYPE_CHECKING:
    from napari_pgan.imaging.cohorts.exam_files import ExamVolume

_MARKS = {SEGMENTATION: "segmentation", BRAIN: "brain mask"}  # what is drawn on a modality, and how that is called
_PARTS = {said: part for part, said in _MARKS.items()}
_NOTHING = "—"
_WIDEST = 160  # pixels of the column with the modality, however long a model's names are
_SUFFIX = re.compile(r"\.(nii(\.gz)?|mh[ad]|n(rrd|hdr))$", re.IGNORECASE)
_USUAL = ("t1", "t1ce", "t2", "flair", "pd")


class PartsTable(QTableWidget):
    """One row a volume, with the modality that it is taken for; a modality can be typed, too.

    Signals: `changed()` when another modality was chosen or other volumes are shown.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self.setHorizontalHeaderLabels(["Volume", "is"])
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._sources: list[Any] = []
        self._offered: tuple[str, ...] = ()

    def show_volumes(self, volumes: Sequence[tuple[str, Any, str | None]], modalities: Sequence[str] = ()) -> None:
        """Show other volumes.

        Parameters
        ----------
        volumes
            Name, what it is read from, and what it seems to be.
        modalities
            That are offered beside the usual ones.
        """
        chosen = {id(source): self._choice(i).currentText() for i, source in enumerate(self._sources)}
        self._sources = [source for _, source, _ in volumes]
        self.setRowCount(len(volumes))
        self._offered = tuple(dict.fromkeys([*modalities, *_USUAL]))
        for i, (name, source, part) in enumerate(volumes):
            item = QTableWidgetItem(_SUFFIX.sub("", name))  # what tells modalities apart stands at the end
            item.setToolTip(name)
            self.setItem(i, 0, item)
            choice = QComboBox()
            choice.setEditable(True)
            choice.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            choice.addItems([_NOTHING, *self._offered, *_MARKS.values()])
            suggested = _NOTHING if part is None else _MARKS.get(part, part)
            choice.setCurrentText(chosen.get(id(source), suggested))  # what a person chose stays
            line = choice.lineEdit()
            assert line is not None
            line.setCursorPosition(0)  # where it is too narrow all the same, words begin at their beginning
            choice.setToolTip("The modality that this is; — leaves it out")
            choice.currentTextChanged.connect(lambda _: self.changed.emit())
            self.setCellWidget(i, 1, choice)
        fit_rows(self, 7)
        self._fit_choices()
        self.changed.emit()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit the choices to their words in the window's own letters."""
        super().showEvent(event)
        self._fit_choices()

    def images(self) -> list[str]:
        """The modalities that are chosen, in their order, without what is drawn on them."""
        return [part for part in self._chosen() if part and part not in _MARKS]

    def has_brain_mask(self) -> bool:
        """Whether a volume is called a mask of the brain."""
        return BRAIN in self._chosen()

    def parts(self) -> dict[str, Any | ExamVolume]:
        """Modality, ``"seg"`` or ``"brain"`` → what it is read from.

        Raises
        ------
        InputError
            No image is chosen, or a modality twice.
        """
        found: dict[str, Any] = {}
        for i, source in enumerate(self._sources):
            part = self._part(i)
            if part in found:
                raise InputError(f"two volumes are taken for {_MARKS.get(part, part)}; set one of them to {_NOTHING}")
            if part:
                found[part] = source
        if not found.keys() - _MARKS:
            raise InputError("say of one volume at least which modality it is")
        order = {part: i for i, part in enumerate([*self._offered, *_MARKS])}
        return dict(sorted(found.items(), key=lambda x: order.get(x[0], len(self._offered) - 0.5)))

    def _fit_choices(self) -> None:
        widths = [self._choice(row).sizeHint().width() for row in range(self.rowCount())]
        if widths:
            self.setColumnWidth(1, min(max(widths), _WIDEST))

    def _choice(self, row: int) -> QComboBox:
        widget = self.cellWidget(row, 1)
        assert isinstance(widget, QComboBox)
        return widget

    def _chosen(self) -> list[str]:
        return [self._part(row) for row in range(self.rowCount())]

    def _part(self, row: int) -> str:
        text = self._choice(row).currentText().strip()
        return "" if text == _NOTHING else _PARTS.get(text, text)
