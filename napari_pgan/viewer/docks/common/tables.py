"""Tables in a narrow dock."""

from __future__ import annotations

from qtpy.QtWidgets import QTableWidget


def fit_rows(table: QTableWidget, max_rows: int) -> None:
    """Set the height of a table to its rows, at most `max_rows`; further rows scroll."""
    rows = min(max(table.rowCount(), 1), max_rows)
    table.resizeRowsToContents()
    one = max(
        (table.rowHeight(i) for i in range(table.rowCount())), default=table.verticalHeader().defaultSectionSize()
    )
    table.setFixedHeight(table.horizontalHeader().sizeHint().height() + rows * one + 2 * table.frameWidth() + 2)
