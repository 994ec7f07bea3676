"""Table of a cohort's subjects."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidgetItem, QWidget

from napari_pgan.viewer.docks.common.tables import ReadOnlyTable
from napari_pgan.viewer.prepare_command import INCLUDED, SubjectRow

_WIDTHS = (80, 60)  # pixels; the last column is stretched
_MAX_ROWS = 9


class SubjectsTable(ReadOnlyTable):
    """One row for each subject: name, files, and problem or result; subjects with a problem come first.

    Signals: `clicked_row(text)` with the whole text of a row, which may be wider than the table.
    """

    clicked_row = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(("Subject", "Files", ""), parent)
        self.header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.header.setStretchLastSection(True)
        for column, width in enumerate(_WIDTHS):
            self.header.resizeSection(column, width)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.itemClicked.connect(self._on_click)
        self.hide()

    def show_rows(self, rows: Sequence[SubjectRow], last_column: str) -> None:
        """Replace the rows; `last_column` is the header of the problems or results."""
        self.setHorizontalHeaderLabels(["Subject", "Files", last_column])
        self.setRowCount(len(rows))
        for i, row in enumerate(sorted(rows, key=lambda row: (row.result in ("", INCLUDED), row.name))):
            for column, text in enumerate((row.name, row.files, row.result)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.setItem(i, column, item)
        self.show()
        self.fit_rows(_MAX_ROWS)

    def clear_rows(self) -> None:
        """Remove the rows and hide the table."""
        self.setRowCount(0)
        self.hide()

    def _on_click(self, item: QTableWidgetItem) -> None:
        cells = [self.item(item.row(), column) for column in range(self.columnCount())]
        self.clicked_row.emit("; ".join(cell.text() for cell in cells if cell is not None and cell.text()))
