"""The part of the dock Prepare for one exam: choose, preview, send on, save for the patient."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION
from napari_pgan.viewer.card_text import describe_grid
from napari_pgan.viewer.compare import PREVIEW, Compared
from napari_pgan.viewer.display import Display
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import heading
from napari_pgan.viewer.docks.common.stepper import Stepper
from napari_pgan.viewer.docks.prepare.comparison import Comparison, look_at_middle
from napari_pgan.viewer.docks.prepare.figures_table import FiguresTable
from napari_pgan.viewer.docks.prepare.grid_box import GridBox
from napari_pgan.viewer.docks.prepare.parts_table import PartsTable
from napari_pgan.viewer.docks.prepare.patient_box import PatientBox
from napari_pgan.viewer.docks.prepare.steps_box import StepsBox
from napari_pgan.viewer.exam_layers import WAY, LayerPart, changes_of, exam_layers, grid_said
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple
from napari_pgan.viewer.renderer import Progress, Renderer
from napari_pgan.viewer.session import session_of

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
    from napari_pgan.imaging.preprocessing.exam_grid import ExamOnGrid
    from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
    from napari_pgan.schema import Grid

_DRAWN = (SEGMENTATION, BRAIN)  # not images, but drawn on one
_STALE = "Volumes or steps have changed: preview again"
_READABLE = "Volumes (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm);;All files (*)"


class ExamTab(QWidget):
    """One exam.

    Signals: `said(text)`, `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._session = session_of(viewer)
        self._renderer, self._steps, self._sent = Renderer(self), Stepper(self), Display()
        self._files: list[tuple[str, Any, str | None]] | None = None  # None: the viewer's layers
        self._preview: PreprocessedExam | None = None
        self._previewed: object = None  # what was asked for it
        self._way: dict[str, Any] | None = None
        self._doing, self._cancelling = "", False
        self._watched: list[Any] = []  # layers whose changes make a preview stale
        self._soon = QTimer(self, singleShot=True, interval=0)  # napari tells of a stroke before it is in the data

        self.parts = PartsTable()
        self.layers_button, self.folder_button, self.files_button = map(QPushButton, ("Layers", "Folder…", "Files…"))
        self.grid, self.steps = GridBox(of_model=True), StepsBox(exam=True)
        self.preview_button = QPushButton("Preview")
        self.bar = QProgressBar()
        self.bar.hide()
        self.figures = FiguresTable()
        self.comparison = Comparison(viewer)
        self.send_button = QPushButton("Send on")
        self.patient = PatientBox(viewer, lambda: self._way)
        self._build()
        self._connect()
        self._on_layers()
        self._on_model()

    def take_folder(self, path: str | Path) -> None:
        """Find the volumes of a folder or a file in the background and list them."""
        self.take_files([str(path)])

    def take_files(self, paths: list[str]) -> None:
        """The same for several files."""

        def work(progress: Progress) -> list[tuple[str, Any, str | None]]:
            from napari_pgan.imaging.cohorts.exam_files import find_exam, unique_parts

            found = [one for path in paths for one in find_exam(path)]
            return [(x.name, x, part) for x, part in zip(found, unique_parts(x.part for x in found), strict=True)]

        self._begin(work, self._on_files, "Looking for volumes")

    def preview(self) -> None:
        """Read, correct, register in the background; then show before and after."""
        try:
            asked = self._asked()
        except InputError as error:
            self.failed.emit(error)
            return
        taken, wanted, onto = asked

        def work(progress: Progress) -> Compared:
            from napari_pgan.imaging.preprocessing.exam import preprocess_exam, read_exam

            def tell(what: str, done: int, tasks: int) -> None:
                self._doing = f"{what} …"
                progress(done, max(tasks, 1))

            tell("Reading the layers", 0, 1)
            volumes = {part: x.volume() if isinstance(x, LayerPart) else x for part, x in taken.items()}
            atlas = onto.volume() if isinstance(onto, LayerPart) else onto
            return Compared(preprocess_exam(read_exam(volumes, tell, atlas), wanted, tell))

        self._begin(work, partial(self._on_preview, asked), "Reading")

    def send(self) -> None:
        """Put the exam on the grid that is chosen, in the background, and add it as layers."""
        preview, model = self._preview, self._session.model
        if preview is None:
            return
        if self._is_stale():  # napari tells nobody that a stroke was undone
            self._allow()
            self.said.emit(f"{_STALE}.")
            return
        own = self.grid.values
        takes, normalise = self.grid.takes_model, self.steps.normalise.isChecked()
        wanted: Grid | None = model.card.grid if takes and model is not None else None
        labels = model.card.channels.labels if model is not None else ()

        def work(progress: Progress) -> tuple[ExamOnGrid, dict[str, Any], list[LayerTuple]]:
            from napari_pgan.imaging.preprocessing.exam_grid import choose_grid, patient_transforms, resample_to_grid

            grid = wanted if wanted is not None else choose_grid(preview, *own)  # type: ignore[arg-type]
            made = resample_to_grid(preview, grid, normalise)
            way = patient_transforms(preview, made)
            return made, way, exam_layers(preview, made, way, labels)

        self._begin(work, self._on_sent, "Bringing it to the grid")

    def cancel(self) -> None:
        """End what is being done at its next step; what was there before stays."""
        self._cancelling = True
        self._allow()
        self._renderer.request(lambda _: None, self._on_cancelled)

    def end(self) -> None:
        """No answer comes after this; layers that were hidden are shown again."""
        self.comparison.end()
        self._renderer.stop()
        self._steps.stop()
        self._session.model_changed.disconnect(self._on_model, missing_ok=True)
        for event in self._events():
            event.disconnect(self._on_layers)
        self._watch([])

    def _build(self) -> None:
        sources = QHBoxLayout()
        for button, tip in (
            (self.layers_button, "List the viewer's layers that are volumes"),
            (self.folder_button, "Find the volumes of an exam in a folder: NIfTI, NRRD, MetaImage or DICOM"),
            (self.files_button, "Choose single files"),
        ):
            sources.addWidget(button)
            button.setToolTip(tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for widget in (
            sources, self.parts, heading("Grid"), self.grid, heading("Steps"), self.steps, self.preview_button,
            self.bar, self.figures, heading("Before and after"), self.comparison, self.send_button,
            heading("Back to the patient"), self.patient,
        ):  # fmt: skip
            layout.addLayout(widget) if isinstance(widget, QHBoxLayout) else layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.layers_button.clicked.connect(self._take_layers)
        self.folder_button.clicked.connect(self._ask_folder)
        self.files_button.clicked.connect(self._ask_files)
        self.parts.changed.connect(self._on_parts)
        self.steps.changed.connect(self._allow)
        self.preview_button.clicked.connect(lambda: self.cancel() if self._renderer.is_busy else self.preview())
        self._soon.timeout.connect(self._allow)
        self.comparison.failed.connect(self.failed)
        self.send_button.clicked.connect(self.send)
        self.patient.said.connect(self.said)
        self.patient.failed.connect(self.failed)
        self._renderer.failed.connect(self._on_failure)
        self._renderer.progressed.connect(self._on_progress)
        self._renderer.busy.connect(lambda _: self._allow())
        self._session.model_changed.connect(self._on_model)
        for event in self._events():
            event.connect(self._on_layers)

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def _begin(self, work: Any, done: Any, saying: str) -> None:
        self._doing = f"{saying} …"
        self._cancelling = False
        self.said.emit(self._doing)
        self.bar.setRange(0, 0)
        self.bar.show()
        self._renderer.request(work, partial(self._on_done, done))

    def _on_done(self, done: Any, result: Any) -> None:
        self.bar.hide()
        self.said.emit("")
        done(result)
        self._allow()

    def _on_progress(self, done: int, tasks: int) -> None:
        self.bar.setRange(0, tasks)
        self.bar.setValue(done)
        if not self._cancelling:
            self.said.emit(self._doing)

    def _on_failure(self, error: Exception) -> None:
        self.bar.hide()
        self._cancelling = False
        self._allow()
        self.failed.emit(error)

    def _on_cancelled(self, _: None) -> None:
        self.bar.hide()
        self._cancelling = False
        self.said.emit("Cancelled; what was there before stays.")
        self._allow()

    def _ask_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "The folder of an exam"):
            self.take_folder(folder)

    def _ask_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "The volumes of an exam", "", _READABLE)
        if files:
            self.take_files(files)

    def _on_parts(self) -> None:
        self.steps.offer(self.parts.images(), self.parts.has_brain_mask())
        self._allow()

    def _take_layers(self) -> None:
        self._files = None
        self._fill()

    def _on_files(self, files: list[tuple[str, Any, str | None]]) -> None:
        self._files = files
        self._fill()

    def _on_layers(self, _: Any = None) -> None:
        layers = self._layers()
        self._watch([layer for _, layer, _ in layers])
        self.steps.atlas.offer([(name, layer) for name, layer, part in layers if part not in _DRAWN])
        if self._files is None:
            self._fill()

    def _fill(self) -> None:
        model = self._session.model
        modalities = model.card.channels.modalities if model is not None else ()
        self.parts.show_volumes(self._files if self._files is not None else self._layers(), modalities)
        self._allow()

    def _layers(self) -> list[tuple[str, Any, str | None]]:
        """The viewer's volumes, without what this dock made."""
        from napari_pgan.imaging.cohorts.exam_files import guess_part, unique_parts

        found = [
            layer
            for layer in self._viewer.layers
            if type(layer).__name__ in ("Image", "Labels")
            and layer.ndim == 3
            and not getattr(layer, "rgb", False)
            and not {WAY, PREVIEW} & set(layer.metadata.get(METADATA_KEY) or ())
        ]
        parts = [guess_part(x.name) for x in found]
        drawn = [part if part in _DRAWN else SEGMENTATION for part in parts]
        parts = [d if type(x).__name__ == "Labels" else p for x, p, d in zip(found, parts, drawn, strict=True)]
        return [(x.name, x, part) for x, part in zip(found, unique_parts(parts), strict=True)]

    def _on_model(self, _: Any = None) -> None:
        model = self._session.model
        why_not = "" if model is not None else "Open a model in the dock Explore to take its grid"
        self.grid.allow(why_not, describe_grid(model.card.grid) if model is not None else "")
        self._fill()

    def _wanted(self) -> PreprocessingSteps:
        from napari_pgan.imaging.preprocessing.steps import LABEL_INTERPOLATIONS, PreprocessingSteps

        chosen = self.steps.values()
        return PreprocessingSteps(**chosen | {"labels": chosen["labels"] or LABEL_INTERPOLATIONS[0]})

    def _watch(self, layers: list[Any]) -> None:
        """Hear of changes in these layers, and in no others."""
        for layer in self._watched:
            for event in changes_of(layer):
                event.disconnect(self._on_changed)
        self._watched = layers
        for layer in layers:
            for event in changes_of(layer):
                event.connect(self._on_changed)

    def _on_changed(self, _: Any = None) -> None:
        if self._preview is not None:
            self._soon.start()

    def _asked(self) -> tuple[dict[str, Any], PreprocessingSteps, Any]:
        """What a preview would be of: parts, steps, atlas; when they differ from the last one's, that is out of date.

        Raises
        ------
        InputError
            No image is chosen, a modality twice, or a layer that is no grey volume.
        """
        parts = self.parts.parts()
        taken = {part: x if self._files is not None else LayerPart.of(x) for part, x in parts.items()}
        atlas = self.steps.atlas.value
        return taken, self._wanted(), atlas if atlas is None or isinstance(atlas, str) else LayerPart.of(atlas)

    def _is_stale(self) -> bool:
        """Whether the preview is not of what is chosen now, as that is now."""
        try:
            return self._asked() != self._previewed
        except InputError:
            return True

    def _on_preview(self, asked: object, preview: Compared) -> None:
        self._preview, self._previewed = preview.together, asked
        together = preview.together
        self.figures.show_figures(together)
        self.comparison.show_exam(preview)
        said = [f"{problem[:1].upper()}{problem[1:]}." for problem in together.problems]
        self.said.emit(" ".join(said) or "Ready: compare, then send it on.")

    def _on_sent(self, answer: tuple[ExamOnGrid, dict[str, Any], list[LayerTuple]]) -> None:
        made, way, tuples = answer
        self.comparison.put_away()
        steps = self._sent.steps(self._viewer, tuples)
        self._steps.take(steps, partial(self._on_placed, made, way))

    def _on_placed(self, made: ExamOnGrid, way: dict[str, Any]) -> None:
        self._way = way
        look_at_middle(self._viewer)
        if made_layers := self._sent.layers(self._viewer):
            self._viewer.layers.selection.active = made_layers[-1]
        model = self._session.model
        lacks = [m for m in model.card.channels.modalities if m not in made.images] if model is not None else []
        text = f"Sent on: {grid_said(made.grid)}."
        if made.cut > 0.001:
            text += f" The field of view cuts off {made.cut:.1%} of the head."
        if lacks and self.grid.takes_model:
            text += f" The model also knows {', '.join(lacks)}."
        self.said.emit(text)
        self._allow()

    def _allow(self) -> None:
        busy = self._renderer.is_busy
        self.preview_button.setText("Cancelling…" if self._cancelling else "Cancel" if busy else "Preview")
        why_not = "It ends at its next step" if self._cancelling else ""
        if not busy and not self.parts.rowCount():
            why_not = "Open images in the viewer, or choose a folder"
        allow(self.preview_button, "Register and show before and after; nothing of yours is changed", why_not)
        reason = "Preview the exam first"
        if self._preview is not None:
            reason = _STALE if self._is_stale() else ""
        reason = "Wait for the preview, or cancel it" if busy else reason
        allow(self.send_button, "Add the exam as layers on the grid chosen above, where a model can take it", reason)
        for button in (self.layers_button, self.folder_button, self.files_button):
            button.setEnabled(not busy)
        self.patient.allow()
