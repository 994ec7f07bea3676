"""The part of the dock Prepare for a cohort: list what is there, then prepare a store in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.report import count_subjects
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import heading
from napari_pgan.viewer.docks.common.tables import fit_rows
from napari_pgan.viewer.docks.prepare.grid_box import GridBox
from napari_pgan.viewer.docks.prepare.process import Process
from napari_pgan.viewer.docks.prepare.steps_box import StepsBox
from napari_pgan.viewer.prepare_command import PreparationRequest, SubjectRow, last_sentence, outcome, rows_of, way_said

_STOPPED = 130
_COLUMNS = (80, 60)  # pixels; the last column takes what is left


class CohortTab(QWidget):
    """A cohort.

    Signals: `said(text)`, `failed(InputError)`.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.process = Process(self)
        self.source, self.plan, self.store, self.scheduler = (QLineEdit() for _ in range(4))
        self.grid, self.steps = GridBox(of_model=False), StepsBox(exam=False)
        self.list_button, self.prepare_button = QPushButton("List"), QPushButton("Prepare store")
        self.quality_button = QPushButton("Open the quality page")
        self.bar = QProgressBar()
        self.bar.hide()
        self.subjects = QTableWidget(0, 3)
        self._rows: list[SubjectRow] = []
        self._listed: tuple[str, str] | None = None  # the cohort that the rows are of
        self._asked = self.wish()  # that the command is about, whatever the fields say by now
        self._asked_page: Path | None = None
        self._page: Path | None = None
        self._done: Callable[[str], None] | None = None
        self._stopping = False
        self._build()
        self._connect()
        self._allow()

    def wish(self) -> PreparationRequest:
        """What is chosen now."""
        size, field, axis = self.grid.values
        return PreparationRequest(
            source=self.source.text().strip(),
            store=self.store.text().strip(),
            plan=self.plan.text().strip(),
            size=size,
            field_of_view=field,
            axis=axis,
            scheduler=self.scheduler.text().strip(),
            atlas=self.steps.atlas.value,
            **self.steps.values(),
        )

    def list_subjects(self) -> None:
        """List what is found and what is missing; nothing is written."""
        wish = self.wish()
        self._start(wish, wish.listing, self._on_listed, "Looking at the cohort …")

    def prepare(self) -> None:
        """Prepare the store, or go on with it."""
        wish = self.wish()
        self._page = None
        self._start(wish, wish.preparing, self._on_prepared, "Preparing …")

    def cancel(self) -> None:
        """Stop the command; what is finished stays, and the same again goes on from there."""
        self._stopping = True
        self.process.stop()
        self._allow()

    def end(self) -> None:
        """The dock is closed: the command stops, its store can be gone on with."""
        self.process.blockSignals(True)
        self.process.stop()

    def _build(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for label, line, tip, ask in (
            (
                "Cohort",
                self.source,
                "BraTS, BIDS, DICOM, photographs with masks, or as the plan says",
                self._ask_source,
            ),
            ("Plan", self.plan, "YAML that says which file is which; leave it empty for known layouts", self._ask_plan),
            ("Store", self.store, "The store to make or to go on with, such as cohort.zarr", self._ask_store),
        ):
            button = QPushButton("…")
            button.setMaximumWidth(30)
            button.setToolTip(tip)
            button.clicked.connect(ask)
            line.setToolTip(tip)
            line.setMinimumWidth(60)
            row = QHBoxLayout()
            row.addWidget(line, 1)
            row.addWidget(button)
            form.addRow(label, row)
        self.plan.setPlaceholderText("none")
        self.scheduler.setPlaceholderText("this machine")
        self.scheduler.setToolTip(
            "Address of a dask.distributed scheduler, such as tcp://node7:8786, whose workers do the subjects"
        )
        self.scheduler.setMinimumWidth(60)
        form.addRow("Cluster", self.scheduler)
        self.subjects.setHorizontalHeaderLabels(["Subject", "Found", "Missing"])
        self.subjects.verticalHeader().hide()
        header = self.subjects.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        for column, width in enumerate(_COLUMNS):
            header.resizeSection(column, width)
        self.subjects.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.subjects.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.subjects.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.subjects.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.subjects.setWordWrap(False)
        self.subjects.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(form)
        for widget in (
            self.list_button, heading("Grid"), self.grid, heading("Steps"), self.steps, self.prepare_button, self.bar,
            self.subjects, self.quality_button,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        for line in (self.source, self.plan, self.store):
            line.textChanged.connect(lambda _: self._allow())
        for line in (self.source, self.plan):
            line.textChanged.connect(lambda _: self._forget())
        self.list_button.clicked.connect(self.list_subjects)
        self.prepare_button.clicked.connect(lambda: self.cancel() if self.process.is_running else self.prepare())
        self.quality_button.clicked.connect(self._open_page)
        self.subjects.itemClicked.connect(self._on_click)
        self.process.line.connect(self._on_line)
        self.process.ended.connect(self._on_ended)

    def _ask_source(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "The folder that holds the cohort", self.source.text()):
            self.source.setText(folder)
            if not self.store.text():
                self.store.setText(str(Path(folder).with_name(Path(folder).name + ".zarr")))

    def _ask_plan(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "A plan file", self.source.text(), "Plans (*.yaml *.yml)")
        if file:
            self.plan.setText(file)

    def _ask_store(self) -> None:
        file, _ = QFileDialog.getSaveFileName(
            self,
            "The store",
            self.store.text() or "cohort.zarr",
            "Stores (*.zarr)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if file:
            self.store.setText(file if file.endswith(".zarr") else f"{file}.zarr")

    def _start(
        self, wish: PreparationRequest, command: Callable[[], list[str]], done: Callable[[str], None], saying: str
    ) -> None:
        try:
            words, page = command(), wish.page()
        except InputError as error:
            self.failed.emit(error)
            return
        self._asked, self._asked_page = wish, page
        self._done, self._stopping = done, False
        self.bar.setRange(0, 0)
        self.bar.show()
        self.said.emit(saying)
        self.process.start(words)
        self._allow()

    def _on_line(self, line: str) -> None:
        if (way := way_said(line)) is not None and not self._stopping:
            what, done, every = way
            self.bar.setRange(0, every)
            self.bar.setValue(done)
            self.said.emit(f"{what}, {done} of {every} subjects".replace(", ,", ","))

    def _on_ended(self, code: int, out: str, err: str) -> None:
        self.bar.hide()
        stopped, self._stopping = self._stopping, False
        self._allow()
        if code == 0 and self._done is not None:
            self._done(out)
        elif stopped or code == _STOPPED:
            self.said.emit("Stopped. What was finished is kept; Prepare store goes on from there.")
        else:
            if out.strip().startswith("{"):  # a report of a cohort of which nobody could be taken
                self._on_prepared(out)
            elif out.strip().startswith("["):  # a list of which nobody is complete
                self._on_listed(out)
            self.failed.emit(InputError(last_sentence(err)))

    def _on_listed(self, out: str) -> None:
        self._rows, self._listed = rows_of(out), self._asked.cohort
        self._show_rows()
        complete = sum(not row.said for row in self._rows)
        self.said.emit(f"{count_subjects(len(self._rows))} found, {complete} of them complete; nothing was written.")

    def _on_prepared(self, out: str) -> None:
        same = self._listed == self._asked.cohort
        text, self._rows = outcome(out, self._rows if same else [])
        self._listed = self._asked.cohort
        page = self._asked_page
        self._page = page if page is not None and page.is_file() else None
        self._show_rows("Became")
        self.said.emit(text)
        self._allow()

    def _show_rows(self, last: str = "Missing") -> None:
        self.subjects.setHorizontalHeaderLabels(["Subject", "Found", last])
        self.subjects.setRowCount(len(self._rows))
        for i, row in enumerate(sorted(self._rows, key=lambda row: (row.said in ("", "taken"), row.name))):
            for column, text in enumerate((row.name, row.found, row.said)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.subjects.setItem(i, column, item)
        self.subjects.show()
        fit_rows(self.subjects, 9)

    def _forget(self) -> None:
        """Show no subjects of another cohort than the fields name."""
        self._rows, self._listed = [], None
        self.subjects.setRowCount(0)
        self.subjects.hide()

    def _on_click(self, item: QTableWidgetItem) -> None:
        """Say the whole of a row, which may be longer than the table is wide."""
        cells = [self.subjects.item(item.row(), column) for column in range(3)]
        self.said.emit("; ".join(cell.text() for cell in cells if cell is not None and cell.text()))

    def _open_page(self) -> None:
        if self._page is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._page)))

    def _allow(self) -> None:
        running = self.process.is_running
        why_not = "" if self.source.text().strip() else "Choose the folder that holds the cohort"
        busy = "The command is running" if running else ""
        allow(self.list_button, "Say what is found, subject by subject, and what is missing", busy or why_not)
        self.prepare_button.setText("Cancelling…" if self._stopping else "Cancel" if running else "Prepare store")
        reason = "" if running else why_not or ("" if self.store.text().strip() else "Name the store that it goes to")
        if self._stopping:
            reason = "It puts down what it has begun"
        allow(self.prepare_button, "Prepare every subject in the background, or go on where it was stopped", reason)
        no_page = (
            "" if self._page is not None else "There is one after preparing with Register, an atlas or the brain alone"
        )
        allow(
            self.quality_button,
            "How each subject was registered and stripped, the worst first, in the web browser",
            no_page,
        )
