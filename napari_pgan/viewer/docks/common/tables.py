"""Tables in a narrow dock."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QHeaderView, QTableWidget, QWidget


class ReadOnlyTable(QTableWidget):
    """A table whose cells cannot be edited, without row numbers.

    Parameters
    ----------
    columns
        Headers of the columns.
    """

    def __init__(self, columns: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(0, len(columns), parent)
        self.setHorizontalHeaderLabels(list(columns))
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.row_header.hide()

    @property
    def header(self) -> QHeaderView:
        """The header of the columns."""
        header = self.horizontalHeader()
        assert header is not None
        return header

    @property
    def row_header(self) -> QHeaderView:
        """The hidden header of the rows."""
        header = self.verticalHeader()
        assert header is not None
        return header

    def fit_rows(self, max_rows: int) -> None:
        """Set the height to the rows, at most `max_rows`; further rows scroll."""
        rows = min(max(self.rowCount(), 1), max_rows)
        self.resizeRowsToContents()
        heights = (self.rowHeight(i) for i in range(self.rowCount()))
        one = max(heights, default=self.row_header.defaultSectionSize())
        self.setFixedHeight(self.header.sizeHint().height() + rows * one + 2 * self.frameWidth() + 2)
