"""Tab of the Prepare dock for a cohort: list its subjects, then prepare a store in a child process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.report import count_subjects
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.forms import Form
from napari_pgan.viewer.docks.common.sections import heading
from napari_pgan.viewer.docks.prepare.cohort_paths import CohortPathsForm
from napari_pgan.viewer.docks.prepare.grid_form import CohortGrid
from napari_pgan.viewer.docks.prepare.process import Process
from napari_pgan.viewer.docks.prepare.steps_form import CohortSteps, StepsForm
from napari_pgan.viewer.docks.prepare.subjects_table import SubjectsTable
from napari_pgan.viewer.prepare_command import (
    PreparationRequest,
    SubjectRow,
    last_message,
    parse_listing,
    parse_progress,
    parse_report,
)

_INTERRUPTED = 130  # exit code


class CohortTab(QWidget):
    """Preparation of a cohort.

    Signals: `message(text)`, `failed(InputError)`.
    """

    message = Signal(str)
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.process = Process(self)
        self.paths, self.grid, self.steps = CohortPathsForm(), Form(CohortGrid), StepsForm(CohortSteps)
        self.list_button, self.prepare_button = QPushButton("List"), QPushButton("Prepare store")
        self.quality_button, self.bar = QPushButton("Open the quality page"), QProgressBar()
        self.bar.hide()
        self.subjects = SubjectsTable()
        self._rows: list[SubjectRow] = []
        self._rows_cohort: tuple[str, str] | None = None
        self._request = self.request()  # of the running command; the fields may have changed since
        self._expected_page: Path | None = None
        self._page: Path | None = None
        self._on_success: Callable[[str], None] | None = None
        self._stopping = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for widget in (
            self.paths, self.list_button, heading("Grid"), self.grid, heading("Steps"), self.steps,
            self.prepare_button, self.bar, self.subjects, self.quality_button,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)
        self.paths.changed.connect(lambda name, _: self._on_path(name))
        self.list_button.clicked.connect(self.list_subjects)
        self.prepare_button.clicked.connect(lambda: self.cancel() if self.process.is_running else self.prepare())
        self.quality_button.clicked.connect(self._open_page)
        self.subjects.clicked_row.connect(self.message)
        self.process.line.connect(self._on_line)
        self.process.ended.connect(self._on_ended)
        self._update()

    def request(self) -> PreparationRequest:
        """The present choices."""
        chosen = vars(self.paths.read()) | vars(self.grid.read()) | vars(self.steps.read())
        chosen["field_of_view"] = chosen["field_of_view"] or None
        return PreparationRequest(**chosen, atlas=self.steps.atlas.value)

    def list_subjects(self) -> None:
        """List the subjects with their files and problems, without writing anything."""
        request = self.request()
        self._start(request, request.list_command, self._on_listed, "Searching for subjects …")

    def prepare(self) -> None:
        """Prepare the store, or complete it."""
        request = self.request()
        self._page = None
        self._start(request, request.prepare_command, self._on_prepared, "Preparing …")

    def cancel(self) -> None:
        """Stop the command; the store keeps the finished subjects, and the same command resumes."""
        self._stopping = True
        self.process.stop()
        self._update()

    def shut_down(self) -> None:
        """Stop the command without further signals."""
        self.process.blockSignals(True)
        self.process.stop()

    def _start(
        self,
        request: PreparationRequest,
        command: Callable[[], list[str]],
        on_success: Callable[[str], None],
        message: str,
    ) -> None:
        try:
            words, page = command(), request.quality_page()
        except InputError as error:
            self.failed.emit(error)
            return
        self._request, self._expected_page = request, page
        self._on_success, self._stopping = on_success, False
        self.bar.setRange(0, 0)
        self.bar.show()
        self.message.emit(message)
        self.process.start(words)
        self._update()

    def _on_path(self, name: str) -> None:
        if name in ("source", "plan"):  # the rows belong to another cohort
            self._rows, self._rows_cohort = [], None
            self.subjects.clear_rows()
        self._update()

    def _on_line(self, line: str) -> None:
        if (progress := parse_progress(line)) is not None and not self._stopping:
            task, done, total = progress
            self.bar.setRange(0, total)
            self.bar.setValue(done)
            self.message.emit(f"{task}, {done} of {total} subjects".replace(", ,", ","))

    def _on_ended(self, code: int, out: str, err: str) -> None:
        self.bar.hide()
        stopped, self._stopping = self._stopping, False
        self._update()
        if code == 0 and self._on_success is not None:
            self._on_success(out)
        elif stopped or code == _INTERRUPTED:
            self.message.emit("Stopped. Finished subjects are kept; Prepare store resumes.")
        else:
            if out.strip().startswith("{"):  # a report without any usable subject
                self._on_prepared(out)
            elif out.strip().startswith("["):  # a list without any complete subject
                self._on_listed(out)
            self.failed.emit(InputError(last_message(err)))

    def _on_listed(self, out: str) -> None:
        self._rows, self._rows_cohort = parse_listing(out), self._request.cohort
        self.subjects.show_rows(self._rows, "Missing")
        complete = sum(not row.result for row in self._rows)
        self.message.emit(f"{count_subjects(len(self._rows))} found, {complete} complete; nothing was written.")

    def _on_prepared(self, out: str) -> None:
        listed = self._rows if self._rows_cohort == self._request.cohort else []
        summary, self._rows = parse_report(out, listed)
        self._rows_cohort = self._request.cohort
        page = self._expected_page
        self._page = page if page is not None and page.is_file() else None
        self.subjects.show_rows(self._rows, "Result")
        self.message.emit(summary)
        self._update()

    def _open_page(self) -> None:
        if self._page is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._page)))

    def _update(self) -> None:
        """Enable what can be used now."""
        running, paths = self.process.is_running, self.paths.read()
        no_cohort = "" if paths.source else "Choose the folder that contains the cohort"
        allow(
            self.list_button,
            "List each subject's files and what is missing",
            "The command is running" if running else no_cohort,
        )
        self.prepare_button.setText("Cancelling…" if self._stopping else "Cancel" if running else "Prepare store")
        why_not = "" if running else no_cohort or ("" if paths.store else "Name the store to create")
        if self._stopping:
            why_not = "The command finishes what it has begun"
        allow(self.prepare_button, "Prepare every subject in the background, or resume a stopped preparation", why_not)
        allow(
            self.quality_button,
            "How each subject was registered and skull-stripped, the worst first, in the web browser",
            "" if self._page is not None else "Made by Register, Strip skull or an atlas",
        )
