"""The dock Prepare: from what a scanner wrote to what a model takes, for one exam or for a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.cohort_tab import CohortTab
from napari_pgan.viewer.docks.exam_tab import ExamTab
from napari_pgan.viewer.docks.sections import Tall

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
        self.status = QLabel("")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for tab, name in ((self.exam, "One exam"), (self.cohort, "Cohort")):
            self.tabs.addTab(Tall(tab), name)
            tab.said.connect(self.status.setText)
            tab.failed.connect(self._on_failure)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.status)

    def _on_failure(self, error: Exception) -> None:
        if isinstance(error, InputError):
            said = str(error)[:1].upper() + str(error)[1:]
            self.status.setText(said)
            show_error(said)
        else:
            self.status.setText("Something went wrong; what was there before stays.")
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def changeEvent(self, event: QEvent | None) -> None:
        """napari takes a closed dock's widget out of its parent and keeps it: that is the end of this one."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.exam.end()
            self.cohort.end()
