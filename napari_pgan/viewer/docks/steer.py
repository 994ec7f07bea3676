"""The dock Steer: draw a segmentation, look at images that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QScrollArea
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pgan.errors import InputError
from napari_pgan.viewer.candidates import follow, pictures, table
from napari_pgan.viewer.contours import Contours
from napari_pgan.viewer.display import arrange, display_of, real
from napari_pgan.viewer.docks.ask_box import AskBox
from napari_pgan.viewer.docks.candidates_box import CandidatesBox, FoundTable
from napari_pgan.viewer.docks.model_box import ModelBox
from napari_pgan.viewer.docks.save_button import SaveButton
from napari_pgan.viewer.docks.steps import Steps
from napari_pgan.viewer.docks.strokes import Strokes
from napari_pgan.viewer.docks.whynot import allow
from napari_pgan.viewer.drawing import about_the_head, drawing_layer, drawn_on, require_slices
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, batch_layers
from napari_pgan.viewer.models import Opened, Recent, open_model, shipped, torch_is_loaded
from napari_pgan.viewer.renderer import Progress, Renderer
from napari_pgan.viewer.saving_candidates import candidate_files, origin, save_candidates
from napari_pgan.viewer.search import Answer, Ask, Hand, Prepared, answers, prepare
from napari_pgan.viewer.session import Place, Request, Settings, Shown, session_of

if TYPE_CHECKING:
    import napari

    from napari_pgan.latent.steering import Wish
    from napari_pgan.model import Model

_BRUSH = 6  # pixels of the model, at 64 a side


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
        self._display = display_of(napari_viewer)
        self._contours = Contours()
        self._opener, self._preparer, self._searcher = Renderer(self), Renderer(self), Renderer(self)
        self._steps = Steps(self)
        self._hand = Hand()
        self._strokes = Strokes(self._hand, self)
        self._prepared: Prepared | None = None
        self._drawing: Any = None
        self._touched = False  # whether anything was ever drawn on it
        self._ask: Ask | None = None
        self._waiting: Ask | None = None
        self._answer: Answer | None = None
        self._latent: np.ndarray | None = None  # of the candidate that a person chose
        self._on_screen: np.ndarray | None = None

        self.models = ModelBox()
        self.models.card.hide()
        self.ask = AskBox()
        self.bank = QProgressBar()
        self.bank.setFormat("Learning what the model draws: %p %")
        self.bank.hide()
        self.status, self.told = QLabel(""), QLabel("")
        self.candidates, self.table = CandidatesBox(), FoundTable()
        self.contour_check = QCheckBox("Lines of the drawing on every picture")
        self.contour_check.setChecked(True)
        self.explore_button = QPushButton("To Explore")
        self.save_button = SaveButton(
            lambda: self._answer,
            tip="Write what was asked for and every candidate, each with a JSON of its origin",
            name=lambda answer: f"{answer.ask.model.card.name}_steered",
            files=candidate_files,
            write=save_candidates,
        )
        self._build()
        self._connect()
        self._start()

    @property
    def answer(self) -> Answer | None:
        """The best so far."""
        return self._answer

    @property
    def is_searching(self) -> bool:
        return self._searcher.is_busy or self._waiting is not None

    def open_model(self, source: str | None) -> None:
        """Load a model in the background; if it cannot be loaded, that is said and the present one stays."""
        self._say("Opening the model …" if torch_is_loaded() else "Loading torch …")
        self.status.repaint()  # importing torch stops the event loop for a moment
        self._opener.request(lambda _: open_model(source), self._on_opened)

    def new_drawing(self) -> None:
        """Add an empty Labels layer to draw on, over a sample of the model."""
        model = self._session.model
        if model is None:
            return
        try:
            data, options, _ = drawing_layer(model)
        except InputError as error:
            self._refuse(error)
            return
        request = self._session.request()
        assert request is not None
        if self._display.layers(self._viewer):
            self._add_drawing(data, options)
            return

        def work(progress: Progress) -> tuple[Shown, list[LayerTuple]]:
            batch = request.make(progress)
            return Shown(request, batch), batch_layers(batch, model, request.seeds, request.settings.stage)

        self._opener.request(work, partial(self._on_sampled, data, options))

    def use_layer(self, layer: Any) -> None:
        """Take a Labels layer as the drawing; None ends the use of one."""
        self._drawing = layer
        self._touched = layer is not None and bool(np.any(layer.data))
        self._strokes.follow(layer)
        self._offer_layers()
        self._allow()
        if layer is not None:
            self._match()

    def search(self) -> None:
        """Search for what is drawn, from the beginning."""
        self._ask = None
        self._touched = True
        self._match(by_hand=True)

    def stop(self) -> None:
        """End the search; the best so far stays."""
        self._waiting = None
        self._searcher.forget()
        self._say_found("Stopped after")
        self._allow()

    def choose(self, index: int) -> None:
        """Show a candidate."""
        if self._answer is not None and index < len(self._answer.found):
            self._latent = self._answer.found.latents[index]
            self._show_candidates(self._answer)

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        last = QHBoxLayout()
        last.addWidget(self.explore_button)
        last.addWidget(self.save_button)
        for label in (self.status, self.told):
            label.setWordWrap(True)
        for widget in (
            self.models, _line(), self.ask, self.bank, self.status, self.told, self.candidates, self.table,
            self.contour_check,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addLayout(last)
        layout.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setMinimumWidth(330)

    def _connect(self) -> None:
        self.models.chosen.connect(self.open_model)
        self.ask.new_wanted.connect(self.new_drawing)
        self.ask.layer_chosen.connect(self.use_layer)
        self.ask.search_wanted.connect(self.search)
        self.ask.stop_wanted.connect(self.stop)
        self.ask.changed.connect(self._strokes.soon)
        self._strokes.drawn.connect(self._on_drawn)
        self.candidates.chosen.connect(self.choose)
        self.contour_check.toggled.connect(self._on_contours)
        self.explore_button.clicked.connect(self._to_explore)
        for renderer in (self._opener, self._preparer, self._searcher):
            renderer.failed.connect(self._on_failure)
        self._preparer.progressed.connect(self._on_prepared_some)
        self._searcher.busy.connect(self._on_busy)
        self._session.model_changed.connect(self._on_model)
        layers = self._viewer.layers
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        self._viewer.dims.events.point.connect(self._on_moved)
        self._viewer.canvas.grid.events.enabled.connect(self._on_grid)
        allow(self.contour_check, "Outlines of what was asked for, over every modality and the segmentation")

    def _start(self) -> None:
        self._offer_layers()
        if self._session.model is None:
            self.open_model(None)
        else:
            self.models.offer(shipped(), Recent().files())
            self._on_model(self._session.model)

    def _on_opened(self, opened: Opened) -> None:
        recent = Recent()
        if Path(opened.source).is_file():
            recent.add(opened.source)
        self.models.offer(opened.shipped, recent.files())
        self._say("" if opened.model is not None else "Open a model file to begin.")
        if opened.model is not None and opened.model is not self._session.model:
            self._session.use(opened.model, opened.source)
        self._allow()

    def _on_model(self, model: Model) -> None:
        self.models.show_model(model, self._session.source)
        self._searcher.forget()
        self._prepared = self._waiting = self._ask = self._answer = self._latent = self._on_screen = None
        self.candidates.show_pictures([], [], [], 0)
        self.table.show_rows([])
        self.told.setText("")
        self._contours.remove(self._viewer)
        why_not = self._why_not()
        self._say(why_not or "Draw what the segmentation shall be.")
        if not why_not:
            self.bank.setValue(0)
            conditions = self._session.settings.conditions
            self._preparer.request(
                lambda progress: prepare(model, conditions, progress, self._hand), self._on_prepared
            )
        self._allow()

    def _on_prepared_some(self, done: int, total: int) -> None:
        self.bank.setVisible(done < total)
        self.bank.setMaximum(total)
        self.bank.setValue(done)

    def _on_prepared(self, prepared: Prepared) -> None:
        self.bank.hide()
        self._prepared = prepared
        if self._waiting is not None:
            ask, self._waiting = self._waiting, None
            self._request(ask)

    def _on_sampled(
        self, data: np.ndarray, options: dict[str, Any], sampled: tuple[Shown, list[LayerTuple]]
    ) -> None:
        shown, tuples = sampled
        steps = self._display.steps(self._viewer, tuples)
        if len(self._viewer.layers) == 0:
            steps = chain(steps, self._arranged())
        self._steps.take(steps, partial(self._on_placed, shown, data, options))

    def _arranged(self) -> Iterator[None]:
        yield from arrange(self._viewer, self._display.layers(self._viewer))

    def _on_placed(self, shown: Shown, data: np.ndarray, options: dict[str, Any]) -> None:
        self._session.show(shown)
        self._add_drawing(data, options)

    def _add_drawing(self, data: np.ndarray, options: dict[str, Any]) -> None:
        layer = self._viewer.add_labels(data.copy(), **options)
        layer.name_overlay.visible = self._viewer.canvas.grid.enabled
        layer.selected_label = options["features"]["index"][1]
        layer.brush_size = max(1, round(_BRUSH * min(data.shape) / 64))
        layer.mode = "paint"
        self._viewer.layers.selection = {layer}
        self.use_layer(layer)
        self._arrange()
        self._say("Draw on the layer; choose labels in its controls.")

    def _on_drawn(self) -> None:
        if self.ask.live.isChecked():
            self._match()

    def _match(self, by_hand: bool = False) -> None:
        """Search for what is drawn, if that is something new."""
        model, layer = self._session.model, self._drawing
        if model is None or layer is None:
            return
        try:
            ask = self._asked(model, layer)
        except InputError as error:
            self._refuse(error)
            return
        if not self._touched:
            if not (ask.wish.present.any() or ask.wish.open.any()):
                return
            self._touched = True
        if self._ask is not None and _same(ask, self._ask):
            return
        self._ask = ask
        self._request(ask)

    def _asked(self, model: Model, layer: Any) -> Ask:
        from napari_pgan.latent.steering import Wish

        require_slices(model)
        dims, card = self._viewer.dims, model.card
        drawn = drawn_on(layer, card.grid, dims.point, dims.displayed)
        wish = Wish.of(drawn.labels, card.channels, card.grid, drawn.affine)
        told = [*drawn.told, *wish.told]
        if not wish.present.any():
            told.append("No label is drawn: this asks for images without a lesion.")
        return Ask(model, wish, self.ask.count.value(), self._session.settings.conditions, tuple(told))

    def _request(self, ask: Ask) -> None:
        prepared = self._prepared
        if prepared is None or prepared.model is not ask.model:
            self._waiting = ask
            self._say("The search begins when the model is known.")
            self._allow()
            return
        sentence = about_the_head(ask.wish.labels > 0, prepared.head)
        ask = replace(ask, told=(*ask.told, sentence)) if sentence else ask
        self._latent = None
        self.told.setText(" ".join(ask.told))
        self._searcher.request(lambda progress: answers(ask, prepared, progress, self._hand), self._on_answer)
        self._allow()

    def _on_answer(self, answer: Answer) -> None:
        self._answer = answer
        self._show_candidates(answer)
        best = float(answer.found.scores.max())
        self._say(f"Searching … the best has {100 * best:.0f} % of what was asked.")
        self._allow()

    def _on_busy(self, busy: bool) -> None:
        if not busy and self._answer is not None and self._waiting is None:
            self._say_found("Searched for")
        self._allow()

    def _show_candidates(self, answer: Answer) -> None:
        card, wish, found = answer.ask.model.card, answer.ask.wish, answer.found
        chosen = 0 if self._latent is None else follow(self._latent, found.latents)
        rows = [table(wish, labels, card.channels, card.grid) for labels in found.labels]
        self.candidates.show_pictures(pictures(answer), rows, [float(s) for s in found.scores], chosen)
        self.table.show_rows(rows[chosen])
        if self._latent is not None:
            self._latent = found.latents[chosen]
        self._show_layers(answer, chosen)

    def _show_layers(self, answer: Answer, index: int) -> None:
        model, latent = answer.ask.model, answer.found.latents[index]
        part = slice(index, index + 1)
        b = answer.batch
        batch = replace(
            b, images=b.images[part], labels=b.labels[part], probabilities=b.probabilities[part], latents=b.latents[part]
        )
        tuples = batch_layers(batch, model, None)
        tuples[0][1]["metadata"][METADATA_KEY]["samples"][0].update(origin(answer, index))
        was_empty = len(self._viewer.layers) == 0
        selection = set(self._viewer.layers.selection)
        self._on_screen = latent
        steps: Iterator[None] = self._display.steps(self._viewer, tuples, live=self._searcher.is_busy)
        if was_empty:
            steps = chain(steps, self._arranged())
        if self.contour_check.isChecked():
            steps = chain(steps, self._contours.steps(self._viewer, answer.ask.wish, model.card.grid))
        request = Request(model, Place(self._session.place.seed, batch.latents), Settings(conditions=b.conditions))
        self._steps.take(steps, partial(self._on_layers_placed, Shown(request, batch), selection))

    def _on_layers_placed(self, shown: Shown, selection: set[Any]) -> None:
        self._arrange()
        present = selection & set(self._viewer.layers)
        if present and set(self._viewer.layers.selection) != present:
            self._viewer.layers.selection = present
        self._session.show(shown)

    def _arrange(self) -> None:
        pictures_ = self._display.layers(self._viewer)
        self._contours.arrange(self._viewer, pictures_, [self._drawing] if self._drawing is not None else [])

    def _on_grid(self, _: Any = None) -> None:
        if self._contours.layers(self._viewer):
            self._arrange()

    def _on_contours(self, on: bool) -> None:
        if not on:
            self._contours.remove(self._viewer)
        elif self._answer is not None:
            self._show_candidates(self._answer)

    def _to_explore(self) -> None:
        if self._on_screen is None or self._answer is None:
            return
        self._session.change(truncation=1.0, stage=None)
        self._session.go(Place(self._session.place.seed, self._on_screen[None]))
        self._viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")

    def _on_layers(self, _: Any = None) -> None:
        if self._drawing is not None and self._drawing not in self._viewer.layers:
            self._strokes.follow(None)
            self._drawing = None
            self._allow()
        self._offer_layers()

    def _offer_layers(self) -> None:
        from napari.layers import Labels

        ours = [*self._display.layers(self._viewer), *self._contours.layers(self._viewer)]
        layers = [x for x in self._viewer.layers if isinstance(x, Labels) and not any(x is y for y in ours)]
        self.ask.offer(layers, self._drawing)

    def _on_moved(self, _: Any = None) -> None:
        if self._drawing is not None and self._drawing.ndim > 2:
            self._strokes.soon()

    def _on_failure(self, error: Exception) -> None:
        self.bank.hide()
        self.models.revert()
        self._waiting = None
        if isinstance(error, InputError):
            self._refuse(error)
        else:
            self._say("Something went wrong; the last result stays.")
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._allow()

    def _refuse(self, error: InputError) -> None:
        """Say what is wrong, once; the last result stays."""
        text = str(error)
        text = text[:1].upper() + text[1:] + "."
        if self.status.text() != text:
            show_error(text)
        self._say(text)

    def _why_not(self) -> str:
        model = self._session.model
        if model is None:
            return "Open a model first" if not self._opener.is_busy else "The model is being opened"
        try:
            require_slices(model)
        except InputError as error:
            return str(error)
        return ""

    def _allow(self) -> None:
        why_not = self._why_not()
        self.ask.allow(why_not, self._drawing is not None, self.is_searching)
        nothing = "" if self._answer is not None else "Search first"
        self.save_button.allow(why_not or nothing)
        allow(self.explore_button, "Go on from this candidate in the dock Explore", why_not or nothing)

    def _say(self, text: str) -> None:
        self.status.setText(text)

    def _say_found(self, what: str) -> None:
        if self._answer is not None:
            found = self._answer.found
            self._say(f"{what} {found.seconds:.1f} s: the best has {100 * found.scores.max():.0f} % of what was asked.")

    def changeEvent(self, event: QEvent | None) -> None:
        """napari takes a closed dock's widget out of its parent and keeps it: that is the end of this one."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def _end(self) -> None:
        for renderer in (self._opener, self._preparer, self._searcher):
            renderer.stop()
        self._strokes.stop()
        self._steps.stop()
        self._session.model_changed.disconnect(self._on_model, missing_ok=True)
        layers = self._viewer.layers
        layers.events.inserted.disconnect(self._on_layers)
        layers.events.removed.disconnect(self._on_layers)
        self._viewer.dims.events.point.disconnect(self._on_moved)
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)


def _same(one: Ask, other: Ask) -> bool:
    return (
        one.model is other.model
        and one.candidates == other.candidates
        and one.conditions == other.conditions
        and _same_wish(one.wish, other.wish)
    )


def _same_wish(one: Wish, other: Wish) -> bool:
    return np.array_equal(one.labels, other.labels) and np.array_equal(one.open, other.open)


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
