"""The Steer dock: draw a segmentation and find images that have it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QTabWidget, QVBoxLayout, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.candidates import describe
from napari_pgan.viewer.display import unwrapped
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.dock import Dock
from napari_pgan.viewer.docks.common.dock_windows import show_dock
from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.docks.common.model_loader import ModelLoader
from napari_pgan.viewer.docks.common.save_button import SaveButton
from napari_pgan.viewer.docks.common.sections import VerticalScrollArea
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.steer.candidates_box import CandidatesBox
from napari_pgan.viewer.docks.steer.drawing_box import DrawingBox, Edit
from napari_pgan.viewer.docks.steer.drawing_layers import DrawingLayers
from napari_pgan.viewer.docks.steer.result_layers import ResultLayers, candidate_sample
from napari_pgan.viewer.docks.steer.sampling import Sampler
from napari_pgan.viewer.docks.steer.search_box import SearchBox
from napari_pgan.viewer.docks.steer.target_box import TargetBox
from napari_pgan.viewer.drawing import require_slices
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.save import save_candidates
from napari_pgan.viewer.session import SampleResult, Settings, session_of
from napari_pgan.viewer.steering_search import Mouse, SearchRequest, SearchResult, load_bank, run_search

if TYPE_CHECKING:
    import napari

    from napari_pgan.latent.steering import Bank
    from napari_pgan.model import Model


class Steer(Dock):
    """The dock.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrapped(napari_viewer)
        self._session = session_of(napari_viewer)
        self._bank_loader, self._searcher = Renderer(self), Renderer(self)
        self._mouse = Mouse()
        self._drawing_layers = DrawingLayers(self._viewer, self._mouse, self)
        self._result_layers = ResultLayers(self._viewer, self)
        self._sampler = Sampler(self._viewer, self._session, self._result_layers, self)
        self._bank: Bank | None = None  # of the present model
        self._request: SearchRequest | None = None  # the last one
        self._pending: SearchRequest | None = None  # waits for the bank
        self.result: SearchResult | None = None  # the best so far

        self.models, self.drawing, self.areas, self.search_box = ModelBox(), DrawingBox(), TargetBox(), SearchBox()
        self.tabs, self.progress = QTabWidget(), QProgressBar()
        self.status, self.messages = Status(), QLabel("")
        self._loader = ModelLoader(self.models, self.status, self._session, self)
        self.candidates = CandidatesBox()
        self.lines = QCheckBox("Lines of the drawing on every picture")
        self.explore_button = QPushButton("To Explore")
        self.save_button = SaveButton(
            lambda: self.result,
            tip="Write the drawing, every candidate and the search settings into a folder",
            name=lambda result: f"{result.request.model.card.name}_steered",
            files=lambda _result, _path: [],  # an existing folder is refused, not overwritten
            kinds="A new folder (*)",
            write=save_candidates,
        )
        self._build()
        self._connect()
        self._on_layers()
        self._loader.start()
        if self._session.model is not None:
            self._on_model(self._session.model)

    @property
    def is_searching(self) -> bool:
        """Whether a better result may still come."""
        return self._searcher.is_busy or self._pending is not None

    def open_model(self, source: str | None) -> None:
        """Load a model in the background; after an error the present one stays."""
        self._loader.open(source)
        self._allow()

    def new_drawing(self) -> None:
        """Add an empty Labels layer to draw on, over a sample of the model."""
        self._sampler.with_sample(lambda model, _: self._begin(model))

    def draw_sample(self) -> None:
        """Add a Labels layer with the segmentation of the displayed sample."""
        self._sampler.with_sample(lambda model, sample: self._begin(model, sample.batch.labels[0]))

    def use_layer(self, layer: Any) -> None:
        """Use a Labels layer as the drawing; None for no drawing."""
        self._drawing_layers.use(layer)
        self._on_layers()
        self._search(notify=True)

    def lock(self) -> None:
        """Add a Labels layer that locks the displayed sample except for its lesion."""

        def begin(model: Model, sample: SampleResult) -> None:
            if self.status.attempt(lambda: self._drawing_layers.new_lock(model, sample)):
                self._on_layers()
                self._result_layers.arrange()
                self.status.say("What the lock marks stays as it is now; paint or erase on it.")
                self._search()

        self._sampler.with_sample(begin)

    def search(self) -> None:
        """Start a new search."""
        self._request = None
        self._drawing_layers.accept_empty()
        self._search(notify=True)

    def refine(self, strength: float) -> None:
        """Continue from the candidates with feature offsets."""
        if self.result is not None and self._bank is not None:
            self._request = replace(self.result.request, strength=strength)
            self._start(self._request, self._bank, self.result)

    def stop(self) -> None:
        """End the search; the best candidates stay."""
        self._pending = None
        self._searcher.cancel()
        self._show_state("Stopped after")

    def choose(self, index: int) -> None:
        """Show a candidate, and follow it while it improves."""
        if self.result is not None and index < len(self.result.candidates):
            self.candidates.choose(self.result, index)
            self._show(self.result)

    def _build(self) -> None:
        self.models.card.hide()
        self.progress.setFormat("Getting to know the model: %p %")
        self.progress.hide()
        self.messages.hide()
        self.lines.setChecked(True)
        self.tabs.addTab(self.drawing, "Draw")
        self.tabs.addTab(self.areas, "Numbers")
        self.messages.setWordWrap(True)
        last = QHBoxLayout()
        last.addWidget(self.explore_button)
        last.addWidget(self.save_button)
        content = QWidget()
        layout = QVBoxLayout(content)
        for widget in (
            self.models, self.tabs, self.search_box, self.progress, self.status, self.messages, self.candidates,
            self.lines,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addLayout(last)
        layout.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(VerticalScrollArea(content))

    def _connect(self) -> None:
        self.models.chosen.connect(self.open_model)
        self.drawing.new_wanted.connect(self.new_drawing)
        self.drawing.sample_wanted.connect(self.draw_sample)
        self.drawing.layer_chosen.connect(self.use_layer)
        self.drawing.edit_wanted.connect(self._edit)
        self.areas.changed.connect(self._drawing_layers.schedule)
        self.tabs.currentChanged.connect(lambda _: self._allow())
        self.search_box.search_wanted.connect(self.search)
        self.search_box.stop_wanted.connect(self.stop)
        self.search_box.refine_wanted.connect(self.refine)
        self.search_box.lock_wanted.connect(self.lock)
        self.search_box.lock_chosen.connect(self._use_lock)
        self.search_box.changed.connect(self._drawing_layers.schedule)
        self._drawing_layers.changed.connect(lambda: self._search() if self.search_box.options.live else None)
        self.candidates.chosen.connect(self.choose)
        self.lines.toggled.connect(self._on_lines)
        self.explore_button.clicked.connect(self._to_explore)
        for part in (self._loader, self._sampler, self._bank_loader, self._searcher):
            part.failed.connect(self._on_failure)
        self._bank_loader.progressed.connect(self._on_bank_progress)
        self._searcher.busy.connect(lambda busy: None if busy else self._show_state("Done after"))
        self.listen(self._session.model_changed, self._on_model)
        self.listen(self._session.settings_changed, self._on_settings)
        self.listen(self._viewer.layers.events.inserted, self._on_layers)
        self.listen(self._viewer.layers.events.removed, self._on_layers)
        self.at_close(self._drawing_layers.stop, self._result_layers.stop)
        self.at_close(self._loader.stop, self._sampler.stop, self._bank_loader.stop, self._searcher.stop)
        allow(self.lines, "Outlines of the target over every modality and the segmentation")

    def _on_model(self, model: Model) -> None:
        self._searcher.cancel()
        self._bank = self._pending = self._request = self.result = None
        self.models.show_model(model, self._session.source)
        self.search_box.show_modalities(model.card.channels.modalities)
        self.areas.show_model(model)
        self.candidates.show_result(None)
        self.messages.hide()
        self._drawing_layers.use(None)
        self._drawing_layers.use_lock(None, None)
        self._result_layers.remove_lines()
        self._on_layers()
        why_not = self._why_not()
        self.status.say(why_not or "Draw the segmentation that the images should have.")
        if not why_not:
            self._bank_loader.request(lambda progress: load_bank(model, progress, self._mouse), self._on_bank)

    def _on_settings(self, _: Settings) -> None:
        self._drawing_layers.schedule()  # the conditions may have changed

    def _on_bank_progress(self, done: int, total: int) -> None:
        self.progress.setVisible(done < total)
        self.progress.setMaximum(total)
        self.progress.setValue(done)

    def _on_bank(self, bank: Bank) -> None:
        self.progress.hide()
        self._bank = bank
        if self._pending is not None:
            request, self._pending = self._pending, None
            self._start(request, bank)

    def _begin(self, model: Model, labels: np.ndarray | None = None) -> None:
        from napari_pgan.latent.steering import TargetMask

        channels, grid = model.card.channels, model.card.grid
        target = TargetMask.of(np.zeros(grid.shape, np.uint8) if labels is None else labels, channels, grid)

        def ready() -> None:
            self._drawing_layers.new_drawing(model, target.labels)
            self._on_layers()
            self._result_layers.arrange()
            self.status.say("Draw on the layer; its controls have the labels.")
            self._search()

        self._searcher.cancel()  # otherwise its results come in between
        self._result_layers.show_target(target, model, ready)

    def _edit(self, edit: Edit) -> None:
        model = self._session.model
        if model is not None and self.status.attempt(lambda: self._drawing_layers.edit(model, edit)):
            self._on_layers()
            self._drawing_layers.schedule()

    def _use_lock(self, layer: Any) -> None:
        def begin(_: Model, sample: SampleResult) -> None:
            self.status.attempt(lambda: self._drawing_layers.use_lock(layer, sample))
            self._on_layers()
            self._search()

        self._sampler.with_sample(begin)

    def _search(self, notify: bool = False) -> None:
        """Search if the request has changed; `notify` reports invalid input as a notification, too."""
        model, options = self._session.model, self.search_box.options
        if model is None or self._why_not():
            return
        try:
            in_numbers = self.tabs.currentWidget() is self.areas
            target = self.areas.read() if in_numbers else self._drawing_layers.target(model)
            lock = self._drawing_layers.locked(model, options.modality)
        except InputError as error:
            self.status.refuse(error, notify)
            return
        if target is None:
            return
        request = SearchRequest(model, target, options.count, dict(self._session.settings.conditions), lock)
        if self._request is not None and request.same(replace(self._request, strength=None)):
            return  # also after a refinement
        self._request, self._pending = request, None
        if self._bank is not None:
            self._start(request, self._bank)
            return
        self._pending = request
        self.status.say("The search starts as soon as the model is known.")
        self._allow()

    def _start(self, request: SearchRequest, bank: Bank, start: SearchResult | None = None) -> None:
        target = request.target_mask
        messages = [] if target is None else [*target.messages, *bank.warnings(target)]
        self.messages.setText(" ".join(messages))
        self.messages.setVisible(bool(messages))
        if start is None:
            self.candidates.forget_choice()
        initial = None if start is None else start.candidates
        self._searcher.request(
            lambda progress: run_search(request, bank, progress, self._mouse, initial), self._on_search_result
        )
        self._allow()

    def _on_search_result(self, result: SearchResult) -> None:
        self.result = result
        self._show(result)
        self._show_state("Searching,")

    def _show(self, result: SearchResult) -> None:
        self.candidates.show_result(result)
        index, live = self.candidates.index, self._searcher.is_busy
        self._result_layers.show_candidate(result, index, live, self._session.set_result)

    def _on_lines(self, on: bool) -> None:
        self._result_layers.lines = on
        if not on:
            self._result_layers.remove_lines()
        elif self.result is not None:
            self._show(self.result)

    def _to_explore(self) -> None:
        if self.result is None:
            return
        self.stop()  # otherwise the next result replaces what Explore shows
        batch = candidate_sample(self.result, self.candidates.index).batch
        self._session.set_latents(batch.latents, batch.offsets, batch.conditions)
        show_dock(self._viewer, "Explore")

    def _on_layers(self, _: Any = None) -> None:
        from napari.layers import Labels

        self._drawing_layers.forget_removed()
        self._result_layers.top = self._drawing_layers.layers
        own = {id(layer) for layer in self._result_layers.layers}
        layers = [x for x in self._viewer.layers if isinstance(x, Labels) and id(x) not in own]
        drawing, lock = self._drawing_layers.drawing, self._drawing_layers.lock
        self.drawing.layer.offer([x for x in layers if x is not lock], drawing)
        self.search_box.lock.offer([x for x in layers if x is not drawing], lock)
        self._allow()

    def _on_failure(self, error: Exception) -> None:
        self.progress.hide()
        self._pending = None
        self.status.fail(error)
        self._allow()

    def _why_not(self) -> str:
        model = self._session.model
        if model is None:
            return "The model is being opened" if self._loader.is_busy else "Open a model first"
        try:
            require_slices(model)
        except InputError as error:
            return str(error)
        return ""

    def _allow(self) -> None:
        """Enable the controls that can be used now; the tooltips of the others show the reason."""
        why_not = self._why_not()
        has_target = self.tabs.currentWidget() is self.areas or self._drawing_layers.drawing is not None
        no_candidates = "" if self.result is not None else "Search first"
        self.drawing.allow(why_not)
        no_target = "" if has_target else "Draw first, or choose a layer"
        self.search_box.allow(why_not, no_target, no_candidates, self.is_searching)
        self.save_button.allow(why_not or no_candidates)
        allow(self.explore_button, "Continue from this candidate in the Explore dock", why_not or no_candidates)

    def _show_state(self, prefix: str) -> None:
        result = self.result
        if result is not None and self._request is not None and not result.request.same(self._request):
            self.status.say("Stopped; the candidates are those of the previous search.")
        elif result is not None:
            self.status.say(f"{prefix} {describe(result)}.")
        self._allow()
