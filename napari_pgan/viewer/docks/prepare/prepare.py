"""The dock Prepare: from what a scanner wrote to what a model takes, for one exam or for a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_pgan.viewer.docks.common.sections import Tall
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.prepare.cohort_tab import CohortTab
from napari_pgan.viewer.docks.prepare.exam_tab import ExamTab

if TYPE_CHECKING:
    import napari


class Prepare(QWidget):
    """The dock.

    Parameters
    ----------
    napari_viewer
        The viewer that it belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.exam, self.cohort = ExamTab(napari_viewer), CohortTab()
        self.tabs = QTabWidget()
        self.status = Status()
        for tab, name in ((self.exam, "One exam"), (self.cohort, "Cohort")):
            self.tabs.addTab(Tall(tab), name)
            tab.said.connect(self.status.say)
            tab.failed.connect(self.status.fail)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.status)

    def changeEvent(self, event: QEvent | None) -> None:
        """napari takes a closed dock's widget out of its parent and keeps it: that is the end of this one."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.exam.end()
            self.cohort.end()
