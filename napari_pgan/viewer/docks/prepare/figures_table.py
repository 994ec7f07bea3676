"""The table of how an exam's modalities were registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_pgan.viewer.docks.common.tables import fit_rows

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam


class FiguresTable(QTableWidget):
    """One row a registration: how alike before and after, and how far moved; a warning where a cohort would refuse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setHorizontalHeaderLabels(["", "Similarity", "Moved"])
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.hide()

    def show_figures(self, together: PreprocessedExam) -> None:
        """Show those of an exam; where nothing was registered, the table hides."""
        from napari_pgan.imaging.io.parts import ATLAS
        from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, Limits

        self.setRowCount(len(together.quality))
        for i, (part, quality) in enumerate(together.quality.items()):
            problem = quality.problem(ATLAS_LIMITS if part == ATLAS else Limits())
            what = f"{together.reference}, fitted to the atlas," if part == ATLAS else part
            about = f"two searches end {quality.disagreement:.1f} mm apart, heads overlap by {quality.overlap:.2f}"
            texts = (
                part + (" ⚠" if problem else ""),
                f"{quality.before:.2f} → {quality.after:.2f}",
                f"{quality.moved:.1f} mm, {quality.turned:.1f}°",
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{what} {problem}" if problem else f"{what.rstrip(',')}: {about}")
                self.setItem(i, column, item)
        self.setVisible(bool(together.quality))
        fit_rows(self, 5)
