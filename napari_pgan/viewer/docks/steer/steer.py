"""The dock Steer: draw a segmentation, look at images that have it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.errors import InputError
from napari_pgan.viewer.candidates import described
from napari_pgan.viewer.display import real
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.dock_windows import show_dock
from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.docks.common.model_loader import ModelLoader
from napari_pgan.viewer.docks.common.save_button import SaveButton
from napari_pgan.viewer.docks.common.sections import Tall
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.steer.candidates_box import FoundBox
from napari_pgan.viewer.docks.steer.drawing_box import Change, DrawingBox
from napari_pgan.viewer.docks.steer.drawing_layers import DrawingLayers
from napari_pgan.viewer.docks.steer.result_layers import ResultLayers, shown_of
from napari_pgan.viewer.docks.steer.sampling import Sampling
from napari_pgan.viewer.docks.steer.search_box import SearchBox
from napari_pgan.viewer.docks.steer.target_box import TargetBox
from napari_pgan.viewer.drawing import require_slices
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.save import save_answer
from napari_pgan.viewer.search import Answer, Ask, Hand, answers, bank_of
from napari_pgan.viewer.session import Settings, Shown, session_of

if TYPE_CHECKING:
    import napari

    from napari_pgan.latent.steering import Bank
    from napari_pgan.model import Model


class Steer(QWidget):
    """The dock.

    Parameters
    ----------
    napari_viewer
        The viewer that it belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = real(napari_viewer)
        self._session = session_of(napari_viewer)
        self._preparer, self._searcher = Renderer(self), Renderer(self)
        self._hand = Hand()
        self._asking = DrawingLayers(self._viewer, self._hand, self)
        self._showing = ResultLayers(self._viewer, self)
        self._sampling = Sampling(self._viewer, self._session, self._showing, self)
        self._bank: Bank | None = None  # of the present model
        self._asked: Ask | None = None  # the last that was asked
        self._waiting: Ask | None = None  # until the bank is there
        self.answer: Answer | None = None  # the best so far

        self.models, self.drawing, self.numbers, self.how = ModelBox(), DrawingBox(), TargetBox(), SearchBox()
        self._opening = ModelLoader(self.models, self._session, self)
        self.tabs = QTabWidget()
        self.progress = QProgressBar()
        self.status, self.told = Status(), QLabel("")
        self.found = FoundBox()
        self.lines = QCheckBox("Lines of the drawing on every picture")
        self.explore_button = QPushButton("To Explore")
        self.save_button = SaveButton(
            lambda: self.answer,
            tip="Write the drawing and every candidate into a folder, with how they were found",
            name=lambda answer: f"{answer.ask.model.card.name}_steered",
            files=lambda _answer, _path: [],  # a folder that is there is refused, not written over
            kinds="A new folder (*)",
            write=save_answer,
        )
        self._build()
        self._connect()
        self._start()

    @property
    def is_searching(self) -> bool:
        """Whether something better may still come."""
        return self._searcher.is_busy or self._waiting is not None

    def open_model(self, source: str | None) -> None:
        """Load a model in the background; if it cannot be loaded, that is said and the present one stays."""
        self._opening.open(source)
        self._allow()

    def new_drawing(self) -> None:
        """Add an empty Labels layer to draw on, over a sample of the model."""
        self._sampling.then(lambda model, _: self._begin(model))

    def draw_sample(self) -> None:
        """Add a Labels layer with the segmentation of the sample that is shown."""
        self._sampling.then(lambda model, shown: self._begin(model, shown.batch.labels[0]))

    def use_layer(self, layer: Any) -> None:
        """Take a Labels layer as the drawing; None ends the use of one."""
        self._asking.use(layer)
        self._on_layers()
        self._match(by_hand=True)

    def lock(self) -> None:
        """Add a Labels layer that keeps the sample shown but for its lesion."""

        def begin(model: Model, shown: Shown) -> None:
            if self.status.attempt(lambda: self._asking.new_lock(model, shown)):
                self._on_layers()
                self._showing.arrange()
                self.status.say("What the lock marks stays as it is now; paint or erase on it.")
                self._match()

        self._sampling.then(begin)

    def search(self) -> None:
        """Search for what is asked, from the beginning."""
        self._asked = None
        self._asking.touch()
        self._match(by_hand=True)

    def refine(self, strength: float) -> None:
        """Go on from the candidates with offsets of features."""
        answer, bank = self.answer, self._bank
        if answer is not None and bank is not None:
            self._asked = replace(answer.ask, strength=strength)
            self._request(self._asked, bank, answer)

    def stop(self) -> None:
        """End the search; the best so far stays."""
        self._waiting = None
        self._searcher.forget()
        self._say_found("Stopped after")

    def choose(self, index: int) -> None:
        """Show a candidate, and go on showing it while it gets better."""
        if self.answer is not None and index < len(self.answer.found):
            self.found.choose(self.answer, index)
            self._show(self.answer)

    def _build(self) -> None:
        self.models.card.hide()
        self.progress.setFormat("Getting to know the model: %p %")
        self.progress.hide()
        self.told.hide()
        self.lines.setChecked(True)
        self.tabs.addTab(self.drawing, "Draw")
        self.tabs.addTab(self.numbers, "Numbers")
        self.told.setWordWrap(True)
        last = QHBoxLayout()
        last.addWidget(self.explore_button)
        last.addWidget(self.save_button)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        for widget in (
            self.models, self.tabs, self.how, self.progress, self.status, self.told, self.found, self.lines,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addLayout(last)
        layout.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Tall(inside))

    def _connect(self) -> None:
        self._opening.said.connect(self.status.say)
        self._opening.failed.connect(self._on_failure)
        self.drawing.new_wanted.connect(self.new_drawing)
        self.drawing.sample_wanted.connect(self.draw_sample)
        self.drawing.layer_chosen.connect(self.use_layer)
        self.drawing.change_wanted.connect(self._change)
        self.numbers.changed.connect(self._asking.soon)
        self.tabs.currentChanged.connect(lambda _: self._allow())
        self.how.search_wanted.connect(self.search)
        self.how.stop_wanted.connect(self.stop)
        self.how.refine_wanted.connect(self.refine)
        self.how.lock_wanted.connect(self.lock)
        self.how.lock_chosen.connect(self._use_lock)
        self.how.changed.connect(self._asking.soon)
        self._asking.changed.connect(lambda: self._match() if self.how.live.isChecked() else None)
        self.found.chosen.connect(self.choose)
        self.lines.toggled.connect(self._on_lines)
        self.explore_button.clicked.connect(self._to_explore)
        for part in (self._sampling, self._preparer, self._searcher):
            part.failed.connect(self._on_failure)
        self._preparer.progressed.connect(self._on_prepared_some)
        self._searcher.busy.connect(lambda busy: None if busy else self._say_found("Done after"))
        self._session.model_changed.connect(self._on_model)
        self._session.settings_changed.connect(self._on_settings)
        self._viewer.layers.events.inserted.connect(self._on_layers)
        self._viewer.layers.events.removed.connect(self._on_layers)
        allow(self.lines, "Outlines of what was asked for, over every modality and the segmentation")

    def _start(self) -> None:
        self._on_layers()
        self._opening.begin()
        if self._session.model is not None:
            self._on_model(self._session.model)

    def _on_model(self, model: Model) -> None:
        self._searcher.forget()
        self._bank = self._waiting = self._asked = self.answer = None
        self.models.show_model(model, self._session.source)
        self.how.show_modalities(model.card.channels.modalities)
        self.numbers.show_model(model)
        self.found.show_answer(None)
        self.told.hide()
        self._asking.use(None)
        self._asking.keep(None, None)
        self._showing.remove_lines()
        self._on_layers()
        why_not = self._why_not()
        self.status.say(why_not or "Draw what the segmentation shall be.")
        if not why_not:
            self._preparer.request(lambda step: bank_of(model, step, self._hand), self._on_prepared)

    def _on_settings(self, _: Settings) -> None:
        self._asking.soon()  # the model may be told something else

    def _on_prepared_some(self, done: int, total: int) -> None:
        self.progress.setVisible(done < total)
        self.progress.setMaximum(total)
        self.progress.setValue(done)

    def _on_prepared(self, bank: Bank) -> None:
        self.progress.hide()
        self._bank = bank
        if self._waiting is not None:
            ask, self._waiting = self._waiting, None
            self._request(ask, bank)

    def _begin(self, model: Model, labels: np.ndarray | None = None) -> None:
        from napari_pgan.latent.steering import TargetMask

        channels, grid = model.card.channels, model.card.grid
        wish = TargetMask.of(np.zeros(grid.shape, np.uint8) if labels is None else labels, channels, grid)

        def ready() -> None:
            self._asking.new_drawing(model, wish.labels)
            self._on_layers()
            self._showing.arrange()
            self.status.say("Draw on the layer; its controls have the labels.")
            self._match()

        self._searcher.forget()  # its answers would come between
        self._showing.asked(wish, model, ready)

    def _change(self, change: Change) -> None:
        model = self._session.model
        if model is not None and self.status.attempt(lambda: self._asking.change(model, change)):
            self._on_layers()
            self._asking.soon()

    def _use_lock(self, layer: Any) -> None:
        def begin(model: Model, shown: Shown) -> None:
            self.status.attempt(lambda: self._asking.keep(layer, shown))
            self._on_layers()
            self._match()

        self._sampling.then(begin)

    def _match(self, by_hand: bool = False) -> None:
        """Search for what is asked, if that is something new."""
        model = self._session.model
        if model is None or self._why_not():
            return
        try:
            goal = self.numbers.asked() if self.tabs.currentWidget() is self.numbers else self._asking.wish(model)
            lock = self._asking.locked(model, self.how.locked_modality)
        except InputError as error:
            self.status.refuse(error, aloud=by_hand)
            return
        if goal is None:
            return
        ask = Ask(model, goal, self.how.count.value(), dict(self._session.settings.conditions), lock)
        if self._asked is not None and ask.same(replace(self._asked, strength=None)):
            return  # what was refined stays, too
        self._asked, self._waiting = ask, None
        if self._bank is not None:
            self._request(ask, self._bank)
            return
        self._waiting = ask
        self.status.say("The search begins as soon as the model is known.")
        self._allow()

    def _request(self, ask: Ask, bank: Bank, start: Answer | None = None) -> None:
        told = list(ask.told)
        if ask.wish is not None:
            told += bank.warnings(ask.wish)
        self.told.setText(" ".join(told))
        self.told.setVisible(bool(told))
        if start is None:
            self.found.forget_choice()
        found = None if start is None else start.found
        self._searcher.request(lambda step: answers(ask, bank, step, self._hand, found), self._on_answer)
        self._allow()

    def _on_answer(self, answer: Answer) -> None:
        self.answer = answer
        self._show(answer)
        self._say_found("Searching,")

    def _show(self, answer: Answer) -> None:
        self.found.show_answer(answer)
        self._showing.candidate(answer, self.found.index, self._searcher.is_busy, self._session.show)

    def _on_lines(self, on: bool) -> None:
        self._showing.lines = on
        if not on:
            self._showing.remove_lines()
        elif self.answer is not None:
            self._show(self.answer)

    def _to_explore(self) -> None:
        if self.answer is None:
            return
        self.stop()  # else what is found next would take the place of what Explore shows
        batch = shown_of(self.answer, self.found.index).batch
        self._session.go_found(batch.latents, batch.offsets, batch.conditions)
        show_dock(self._viewer, "Explore")

    def _on_layers(self, _: Any = None) -> None:
        from napari.layers import Labels

        self._asking.forget_gone()
        self._showing.top = self._asking.layers
        ours = {id(layer) for layer in self._showing.layers}
        layers = [x for x in self._viewer.layers if isinstance(x, Labels) and id(x) not in ours]
        drawing, lock = self._asking.drawing, self._asking.lock
        self.drawing.layer.offer([x for x in layers if x is not lock], drawing)
        self.how.lock.offer([x for x in layers if x is not drawing], lock)
        self._allow()

    def _on_failure(self, error: Exception) -> None:
        self.progress.hide()
        self._waiting = None
        self.status.fail(error)
        self._allow()

    def _why_not(self) -> str:
        model = self._session.model
        if model is None:
            return "The model is being opened" if self._opening.is_busy else "Open a model first"
        try:
            require_slices(model)
        except InputError as error:
            return str(error)
        return ""

    def _allow(self) -> None:
        why_not = self._why_not()
        in_numbers = self.tabs.currentWidget() is self.numbers
        nothing_asked = "" if in_numbers or self._asking.drawing is not None else "Draw first, or choose a layer"
        nothing_found = "" if self.answer is not None else "Search first"
        self.drawing.allow(why_not)
        self.how.allow(why_not, nothing_asked, nothing_found, self.is_searching)
        self.save_button.allow(why_not or nothing_found)
        allow(self.explore_button, "Go on from this candidate in the dock Explore", why_not or nothing_found)

    def _say_found(self, what: str) -> None:
        if self.answer is not None and self._asked is not None and not self.answer.ask.same(self._asked):
            self.status.say("Stopped; what is shown was found for what was asked before.")
        elif self.answer is not None:
            self.status.say(f"{what} {described(self.answer)}.")
        self._allow()

    def changeEvent(self, event: QEvent | None) -> None:
        """napari takes a closed dock's widget out of its parent and keeps it: that is the end of this one."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def _end(self) -> None:
        for part in (self._opening, self._sampling, self._preparer, self._searcher, self._asking, self._showing):
            part.stop()
        self._session.model_changed.disconnect(self._on_model, missing_ok=True)
        self._session.settings_changed.disconnect(self._on_settings, missing_ok=True)
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
