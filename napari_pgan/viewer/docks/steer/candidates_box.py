"""Candidates of a search: thumbnails with their Dice, and a table of the chosen candidate."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QGridLayout,
    QHeaderView,
    QLabel,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.viewer.candidates import CandidateRow, nearest, table, thumbnails
from napari_pgan.viewer.docks.common.tables import ReadOnlyTable
from napari_pgan.viewer.steering_search import SearchResult

_SIDE = 82  # side of a thumbnail in screen pixels
_COLUMNS = 3


class CandidatesBox(QWidget):
    """Thumbnails of the candidates, the best first, and a table of the chosen one.

    Signals: `chosen(index)`, when the user chooses another one.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.index = 0  # of the chosen candidate
        self.thumbnails, self.table = ThumbnailGrid(), CandidateTable()
        self._latent: np.ndarray | None = None  # of the candidate that the user chose
        self.thumbnails.chosen.connect(self.chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.thumbnails)
        layout.addWidget(self.table)

    def show_result(self, result: SearchResult | None) -> None:
        """Show the candidates; the user's choice is followed to its new rank."""
        if result is None:
            self.forget_choice()
            self.thumbnails.show_thumbnails([], [], [], 0)
            self.table.show_rows([])
            return
        candidates = result.candidates
        self.index = 0 if self._latent is None else nearest(self._latent, candidates.latents)
        if self._latent is not None:
            self._latent = candidates.latents[self.index]
        rows = [table(result, i) for i in range(len(candidates))]
        self.thumbnails.show_thumbnails(thumbnails(result), rows, [float(s) for s in candidates.scores], self.index)
        self.table.show_rows(rows[self.index])

    def choose(self, result: SearchResult, index: int) -> None:
        """Choose a candidate."""
        self._latent = result.candidates.latents[index]

    def forget_choice(self) -> None:
        """Choose the best candidate, whichever it is."""
        self._latent = None


class ThumbnailGrid(QWidget):
    """Buttons with thumbnails.

    Signals: `chosen(index)`, when the user chooses another one.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: list[QToolButton] = []
        self._scores: list[QLabel] = []
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)

    def show_thumbnails(
        self,
        pictures: Sequence[np.ndarray],
        rows: Sequence[Sequence[CandidateRow]],
        scores: Sequence[float],
        chosen: int,
    ) -> None:
        """Show candidates.

        Parameters
        ----------
        pictures
            Thumbnails, (Y, X, 3) uint8 each.
        rows, scores
            Table and score of each candidate.
        chosen
            Index of the chosen candidate.
        """
        self._set_count(len(pictures))
        for i, (picture, its_rows, score) in enumerate(zip(pictures, rows, scores, strict=True)):
            self.buttons[i].setIcon(QIcon(_pixmap(picture)))
            self.buttons[i].setToolTip(f"Candidate {i + 1}: {100 * score:.0f} % of what was asked")
            self._scores[i].setText(_dice_text(its_rows, score))
        if self.buttons:
            self.buttons[chosen].setChecked(True)

    def _set_count(self, count: int) -> None:
        while len(self.buttons) > count:
            button = self.buttons.pop()
            self._group.removeButton(button)
            cell = button.parentWidget()
            assert cell is not None
            cell.deleteLater()
            self._scores.pop()
        while len(self.buttons) < count:
            cell, button, score = QWidget(self), QToolButton(), QLabel()
            button.setCheckable(True)
            button.setIconSize(QSize(_SIDE, _SIDE))
            button.setStyleSheet(
                "QToolButton {border: 2px solid transparent; padding: 0} QToolButton:checked {border-color: #38b6ff}"
            )
            score.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column = QVBoxLayout(cell)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(1)
            column.addWidget(button, alignment=Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(score)
            number = len(self.buttons)
            self._grid.addWidget(cell, number // _COLUMNS, number % _COLUMNS)
            self._group.addButton(button, number)
            self.buttons.append(button)
            self._scores.append(score)


class CandidateTable(ReadOnlyTable):
    """Target and chosen candidate, one row per label."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(("", "asked", "found", "Dice"), parent)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.row_header.setDefaultSectionSize(20)
        self.header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.show_rows([])

    def show_rows(self, rows: Sequence[CandidateRow]) -> None:
        """Show rows; hide the table if there are none."""
        self.setVisible(bool(rows))
        self.setColumnHidden(3, all(row.dice is None for row in rows))
        self.setRowCount(len(rows))
        for i, row in enumerate(rows):
            dice = "" if row.dice is None else f"{row.dice:.2f}"
            for column, text in enumerate((row.name, row.asked, row.found, dice)):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                elif row.color:
                    swatch = QPixmap(10, 10)
                    swatch.fill(QColor(row.color))
                    item.setIcon(QIcon(swatch))
                self.setItem(i, column, item)
        shown = [column for column in range(4) if not self.isColumnHidden(column)]
        widths = [max(self.sizeHintForColumn(c), self.header.sectionSizeHint(c)) for c in shown]
        self.setMinimumWidth(sum(widths) + 8)
        self.setFixedHeight(self.header.sizeHint().height() + 20 * len(rows) + 4)


def _pixmap(picture: np.ndarray) -> QPixmap:
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    smooth = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image).scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, smooth)


def _dice_text(rows: Sequence[CandidateRow], score: float) -> str:
    dice = [
        f'<span style="color:{escape(row.color)}">■</span>{f"{row.dice:.2f}".removeprefix("0")}'
        for row in rows
        if row.color and row.dice is not None
    ]
    return "<small>" + (" ".join(dice) or f"{100 * score:.1f} %") + "</small>"
