"""The box of what was found: small pictures with their Dice, one of them chosen, and a table of what that has."""

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
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.viewer.candidates import CandidateRow, follow, pictures, table
from napari_pgan.viewer.search import Answer

_SIDE = 82  # screen pixels of a picture
_COLUMNS = 3


class FoundBox(QWidget):
    """The candidates of a search, the best first, and the table of the one that is chosen.

    Signals: `chosen(index)`, when a person chose another one.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.index = 0  # of the candidate that is chosen
        self.candidates, self.table = CandidatesBox(), FoundTable()
        self._latent: np.ndarray | None = None  # of the one that a person chose
        self.candidates.chosen.connect(self.chosen.emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.candidates)
        layout.addWidget(self.table)

    def show_answer(self, answer: Answer | None) -> None:
        """Show what was found; a candidate that a person chose stays chosen, wherever it now ranks."""
        if answer is None:
            self.forget_choice()
            self.candidates.show_pictures([], [], [], 0)
            self.table.show_rows([])
            return
        found = answer.found
        self.index = 0 if self._latent is None else follow(self._latent, found.latents)
        if self._latent is not None:
            self._latent = found.latents[self.index]
        rows = [table(answer, i) for i in range(len(found))]
        self.candidates.show_pictures(pictures(answer), rows, [float(s) for s in found.scores], self.index)
        self.table.show_rows(rows[self.index])

    def choose(self, answer: Answer, index: int) -> None:
        """Let a candidate be the chosen one."""
        self._latent = answer.found.latents[index]

    def forget_choice(self) -> None:
        """Let the best be the chosen one."""
        self._latent = None


class CandidatesBox(QWidget):
    """Pictures to choose from.

    Signals: `chosen(index)`, when a person chose another one.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: list[QToolButton] = []
        self._scores: list[QLabel] = []
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen.emit)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)

    def show_pictures(
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
            (Y, X, 3) uint8 each.
        rows
            Of each, its table.
        scores
            Of each.
        chosen
            Which of them is chosen.
        """
        self._make_room(len(pictures))
        for i, (picture, its_rows, score) in enumerate(zip(pictures, rows, scores, strict=True)):
            self.buttons[i].setIcon(QIcon(_pixmap(picture)))
            self.buttons[i].setToolTip(f"Candidate {i + 1}: {100 * score:.0f} % of what was asked")
            self._scores[i].setText(_dice_text(its_rows, score))
        if self.buttons:
            self.buttons[chosen].setChecked(True)

    def _make_room(self, count: int) -> None:
        while len(self.buttons) > count:
            button = self.buttons.pop()
            self._group.removeButton(button)
            button.parentWidget().deleteLater()
            self._scores.pop()
        while len(self.buttons) < count:
            place, button, score = QWidget(self), QToolButton(), QLabel()
            button.setCheckable(True)
            button.setIconSize(QSize(_SIDE, _SIDE))
            button.setStyleSheet(
                "QToolButton {border: 2px solid transparent; padding: 0} QToolButton:checked {border-color: #38b6ff}"
            )
            score.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column = QVBoxLayout(place)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(1)
            column.addWidget(button, alignment=Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(score)
            number = len(self.buttons)
            self._grid.addWidget(place, number // _COLUMNS, number % _COLUMNS)
            self._group.addButton(button, number)
            self.buttons.append(button)
            self._scores.append(score)


class FoundTable(QTableWidget):
    """What was asked and what the chosen candidate has, a row a label."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 4, parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(20)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.show_rows([])

    def show_rows(self, rows: Sequence[CandidateRow]) -> None:
        """Show a table; without rows it is hidden."""
        self.setVisible(bool(rows))
        self.setHorizontalHeaderLabels(["", "asked", "found", "Dice"])
        self.setColumnHidden(3, all(row.dice is None for row in rows))
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            dice = "" if row.dice is None else f"{row.dice:.2f}"
            for column, text in enumerate((row.name, row.asked, row.found, dice)):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                elif row.color:
                    swatch = QPixmap(10, 10)
                    swatch.fill(QColor(row.color))
                    item.setIcon(QIcon(swatch))
                self.setItem(at, column, item)
        shown = [column for column in range(4) if not self.isColumnHidden(column)]
        headers = self.horizontalHeader()
        widths = (max(self.sizeHintForColumn(column), headers.sectionSizeHint(column)) for column in shown)
        self.setMinimumWidth(sum(widths) + 8)
        height = self.horizontalHeader().sizeHint().height() + 20 * len(rows) + 4
        self.setFixedHeight(height)


def _pixmap(picture: np.ndarray) -> QPixmap:
    height, width = picture.shape[:2]
    data = np.ascontiguousarray(picture)
    image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    smooth = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image).scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, smooth)


def _dice_text(rows: Sequence[CandidateRow], score: float) -> str:
    dice = [
        f'<span style="color:{escape(row.color)}">■</span>{f"{row.dice:.2f}".removeprefix("0")}'
        for row in rows
        if row.color and row.dice is not None
    ]
    return "<small>" + (" ".join(dice) or f"{100 * score:.1f} %") + "</small>"
