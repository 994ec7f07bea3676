"""Tables in a narrow dock."""

from __future__ import annotations

from qtpy.QtWidgets import QTableWidget


def fit_rows(table: QTableWidget, most: int) -> None:
    """Make a table as high as its rows, or as `most` of them; what is more scrolls."""
    rows = min(max(table.rowCount(), 1), most)
    table.resizeRowsToContents()
    one = max(
        (table.rowHeight(i) for i in range(table.rowCount())), default=table.verticalHeader().defaultSectionSize()
    )
    table.setFixedHeight(table.horizontalHeader().sizeHint().height() + rows * one + 2 * table.frameWidth() + 2)
