"""Tab of the Prepare dock for one exam: choose volumes, preview, add to the viewer, save in patient space."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.card_text import describe_grid
from napari_pgan.viewer.display import Display
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import heading
from napari_pgan.viewer.docks.common.stepper import Stepper
from napari_pgan.viewer.docks.prepare.comparison_panel import ComparisonPanel, centre_view
from napari_pgan.viewer.docks.prepare.exam_source import ExamSource
from napari_pgan.viewer.docks.prepare.grid_form import ExamGridForm
from napari_pgan.viewer.docks.prepare.patient_box import PatientBox
from napari_pgan.viewer.docks.prepare.registration_table import RegistrationTable
from napari_pgan.viewer.docks.prepare.steps_form import ExamSteps, StepsForm
from napari_pgan.viewer.exam_comparison import ExamComparison
from napari_pgan.viewer.exam_layers import LayerSnapshot, describe_exam_grid
from napari_pgan.viewer.prepare_exam import PreparedExam, PreviewRequest, list_volumes, put_on_grid
from napari_pgan.viewer.renderer import Progress, Renderer
from napari_pgan.viewer.session import session_of

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam

_STALE = "Volumes or steps have changed: preview again"
_MIN_REPORTED_CUT = 0.001  # share of the head outside the field of view


class ExamTab(QWidget):
    """Preparation of one exam.

    Signals: `message(text)`, `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    message = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._session = session_of(viewer)
        self._renderer, self._stepper, self._display = Renderer(self), Stepper(self), Display()
        self._preview: PreprocessedExam | None = None
        self._preview_request: PreviewRequest | None = None
        self._transforms: dict[str, Any] | None = None
        self._task, self._cancelling = "", False

        self.source = ExamSource(viewer)
        self.grid, self.steps = ExamGridForm(), StepsForm(ExamSteps)
        self.preview_button, self.bar = QPushButton("Preview"), QProgressBar()
        self.bar.hide()
        self.registration = RegistrationTable()
        self.comparison = ComparisonPanel(viewer)
        self.add_button = QPushButton("Add to viewer")
        self.patient = PatientBox(viewer, lambda: self._transforms)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for widget in (
            self.source, heading("Grid"), self.grid, heading("Steps"), self.steps, self.preview_button, self.bar,
            self.registration, heading("Before and after"), self.comparison, self.add_button,
            heading("Patient space"), self.patient,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)
        self._connect()
        self._on_model()

    def open_paths(self, paths: list[str]) -> None:
        """Find the volumes in folders and files in the background, and list them."""
        self._run(lambda _: list_volumes(paths), self.source.show_files, "Searching for volumes")

    def preview(self) -> None:
        """Read the exam and run the steps in the background; then show before and after."""
        try:
            request = self._request()
        except InputError as error:
            self.failed.emit(error)
            return

        def work(progress: Progress) -> ExamComparison:
            def report(task: str, done: int, total: int) -> None:
                self._task = f"{task} …"
                progress(done, max(total, 1))

            return request.run(report)

        self._run(work, partial(self._on_preview, request), "Reading")

    def add_to_viewer(self) -> None:
        """Put the exam on the chosen grid in the background, and add it as layers."""
        preview, model = self._preview, self._session.model
        if preview is None:
            return
        if self._is_stale():  # napari emits no event when a stroke is undone
            self._update()
            self.message.emit(f"{_STALE}.")
            return
        own = self.grid.read()
        grid = (own.size, own.field_of_view or None, own.axis)
        args = (
            model.card.grid if model is not None and self.grid.uses_model else grid,
            self.steps.read().normalise,
            model.card.channels.labels if model is not None else (),
        )
        self._run(lambda _: put_on_grid(preview, *args), self._on_prepared, "Resampling to the grid")

    def cancel(self) -> None:
        """Stop the work at its next step; earlier results stay."""
        self._cancelling = True
        self._update()
        self._renderer.request(lambda _: None, self._on_cancelled)

    def shut_down(self) -> None:
        """Stop all work and show the hidden layers again."""
        self.comparison.shut_down()
        self._renderer.stop()
        self._stepper.stop()
        self._session.model_changed.disconnect(self._on_model, missing_ok=True)
        self.source.shut_down()

    def _connect(self) -> None:
        self.source.paths_chosen.connect(self.open_paths)
        self.source.changed.connect(self._on_source)
        self.source.edited.connect(self._update)
        self.steps.changed.connect(lambda *_: self._update())
        self.preview_button.clicked.connect(lambda: self.cancel() if self._renderer.is_busy else self.preview())
        self.comparison.failed.connect(self.failed)
        self.add_button.clicked.connect(self.add_to_viewer)
        self.patient.message.connect(self.message)
        self.patient.failed.connect(self.failed)
        self._renderer.failed.connect(self._on_failure)
        self._renderer.progressed.connect(self._on_progress)
        self._renderer.busy.connect(lambda _: self._update())
        self._session.model_changed.connect(self._on_model)

    def _run(self, work: Callable[[Progress], Any], done: Callable[[Any], None], task: str) -> None:
        """Call `work` in the background, then `done` with its result."""
        self._task = f"{task} …"
        self._cancelling = False
        self.message.emit(self._task)
        self.bar.setRange(0, 0)
        self.bar.show()
        self._renderer.request(work, partial(self._on_done, done))

    def _on_done(self, done: Callable[[Any], None], result: Any) -> None:
        self._end_task()
        self.message.emit("")
        done(result)
        self._update()

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if not self._cancelling:
            self.message.emit(self._task)

    def _on_failure(self, error: Exception) -> None:
        self._end_task()
        self.failed.emit(error)

    def _on_cancelled(self, _: None) -> None:
        self._end_task()
        self.message.emit("Cancelled; earlier results stay.")

    def _end_task(self) -> None:
        self.bar.hide()
        self._cancelling = False
        self._update()

    def _on_source(self) -> None:
        self.steps.atlas.set_layers(self.source.image_layers())
        self.steps.set_modalities(self.source.table.images(), self.source.table.has_brain_mask())
        self._update()

    def _on_model(self, _: Any = None) -> None:
        model = self._session.model
        self.grid.set_model_grid(describe_grid(model.card.grid) if model is not None else "")
        self.source.set_modalities(model.card.channels.modalities if model is not None else ())

    def _request(self) -> PreviewRequest:
        """The present choices.

        Raises
        ------
        InputError
            No image is chosen, a modality is chosen twice, or a layer is not a scalar volume.
        """
        from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps

        chosen, atlas = self.steps.read(), self.steps.atlas.value
        options = {name: getattr(chosen, name) for name in ("reference", "register", "bias", "strip")}
        if chosen.labels is not None:
            options["labels"] = chosen.labels
        return PreviewRequest(
            self.source.volumes(),
            PreprocessingSteps(**options),
            atlas if atlas is None or isinstance(atlas, str) else LayerSnapshot.of(atlas),
        )

    def _is_stale(self) -> bool:
        """Whether the preview was made from other inputs than the present ones."""
        try:
            return self._request() != self._preview_request
        except InputError:
            return True

    def _on_preview(self, request: PreviewRequest, comparison: ExamComparison) -> None:
        together = comparison.together
        self._preview, self._preview_request = together, request
        self.registration.show_metrics(together)
        self.comparison.show_exam(comparison)
        problems = [f"{problem[:1].upper()}{problem[1:]}." for problem in together.problems]
        self.message.emit(" ".join(problems) or "Ready: compare, then add to viewer.")

    def _on_prepared(self, exam: PreparedExam) -> None:
        self.comparison.hide_picture()
        self._stepper.run(self._display.steps(self._viewer, exam.layers), partial(self._on_added, exam))

    def _on_added(self, exam: PreparedExam) -> None:
        self._transforms = exam.transforms
        centre_view(self._viewer)
        if layers := self._display.layers(self._viewer):
            self._viewer.layers.selection.active = layers[-1]
        text = f"Added: {describe_exam_grid(exam.made.grid)}."
        if exam.made.cut > _MIN_REPORTED_CUT:
            text += f" The field of view cuts off {exam.made.cut:.1%} of the head."
        model = self._session.model
        missing = [m for m in model.card.channels.modalities if m not in exam.made.images] if model is not None else []
        if missing and self.grid.uses_model:
            text += f" The model also has {', '.join(missing)}."
        self.message.emit(text)
        self._update()

    def _update(self) -> None:
        """Enable what can be used now."""
        busy = self._renderer.is_busy
        self.preview_button.setText("Cancelling…" if self._cancelling else "Cancel" if busy else "Preview")
        why_not = "The work stops at its next step" if self._cancelling else ""
        if not busy and not self.source.table.rowCount():
            why_not = "Open images in the viewer, or choose a folder"
        allow(self.preview_button, "Register and show before and after; your layers are not changed", why_not)
        if busy:
            why_not = "Wait for the preview, or cancel it"
        elif self._preview is None:
            why_not = "Preview the exam first"
        else:
            why_not = _STALE if self._is_stale() else ""
        allow(self.add_button, "Add the exam as layers on the grid chosen above, ready for a model", why_not)
        for button in self.source.buttons:
            button.setEnabled(not busy)
        self.patient.update_state()
