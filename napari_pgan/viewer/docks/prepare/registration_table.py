"""Table of an exam's registration metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_pgan.viewer.docks.common.tables import ReadOnlyTable

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam

_MAX_ROWS = 5


class RegistrationTable(ReadOnlyTable):
    """One row for each registration: similarity before and after, and the motion.

    A warning marks a registration that `prepare` would reject in a cohort.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(("", "Similarity", "Motion"), parent)
        self.header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.header.setStretchLastSection(True)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.hide()

    def show_metrics(self, together: PreprocessedExam) -> None:
        """Show an exam's metrics; hide the table if nothing was registered."""
        from napari_pgan.imaging.io.modality_names import ATLAS
        from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, Limits

        self.setRowCount(len(together.quality))
        for i, (part, quality) in enumerate(together.quality.items()):
            is_atlas = part == ATLAS
            problem = quality.problem(ATLAS_LIMITS if is_atlas else Limits())
            name = f"{together.reference}, fitted to the atlas" if is_atlas else part
            metrics = f"two searches end {quality.disagreement:.1f} mm apart, heads overlap by {quality.overlap:.2f}"
            texts = (
                part + (" ⚠" if problem else ""),
                f"{quality.before:.2f} → {quality.after:.2f}",
                f"{quality.moved:.1f} mm, {quality.turned:.1f}°",
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{name}: {problem or metrics}")
                self.setItem(i, column, item)
        self.setVisible(bool(together.quality))
        self.fit_rows(_MAX_ROWS)
