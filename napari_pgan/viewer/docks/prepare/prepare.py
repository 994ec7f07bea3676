"""The Prepare dock: from scanned files to a model's input, for one exam or a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout

from napari_pgan.viewer.docks.common.dock import Dock
from napari_pgan.viewer.docks.common.sections import VerticalScrollArea
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.prepare.cohort_tab import CohortTab
from napari_pgan.viewer.docks.prepare.exam_tab import ExamTab

if TYPE_CHECKING:
    import napari


class Prepare(Dock):
    """The dock widget.

    Parameters
    ----------
    napari_viewer
        The dock's viewer.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.exam, self.cohort = ExamTab(napari_viewer), CohortTab()
        self.tabs = QTabWidget()
        self.status = Status()
        for tab, name in ((self.exam, "One exam"), (self.cohort, "Cohort")):
            self.tabs.addTab(VerticalScrollArea(tab), name)
            tab.message.connect(self.status.say)
            tab.failed.connect(self.status.fail)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.status)
        self.at_close(self.exam.shut_down, self.cohort.shut_down)
