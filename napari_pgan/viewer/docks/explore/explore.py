"""The dock Explore: choose a model, walk through its seeds, look at the samples as layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_pgan.viewer.display import arrange, display_of
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.docks.common.save_button import SaveButton
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.common.stepper import Stepper
from napari_pgan.viewer.docks.explore.file_drop import FileDrop
from napari_pgan.viewer.docks.explore.latent_box import LatentBox
from napari_pgan.viewer.docks.explore.settings_box import MOST_SAMPLES, SettingsBox
from napari_pgan.viewer.docks.explore.shortcuts import Shortcuts, printed
from napari_pgan.viewer.layers import LayerTuple, batch_layers
from napari_pgan.viewer.models import Opened, Recent, open_model, shipped, torch_is_loaded
from napari_pgan.viewer.renderer import Progress, Renderer
from napari_pgan.viewer.session import Place, Settings, Shown, session_of

if TYPE_CHECKING:
    import napari

    from napari_pgan.model import Model
    from napari_pgan.samples import Latents

_FEW = 8  # samples that are made at once, which nothing can stop half-way
SAMPLE_KEY, RANDOM_KEY, UNDO_KEY = "Shift-S", "Shift-R", "Shift-U"


class Explore(QWidget):
    """The dock.

    Parameters
    ----------
    napari_viewer
        The viewer that it belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = session_of(napari_viewer)
        self._display = display_of(napari_viewer)
        self._recent = Recent()
        self._renderer = Renderer(self)
        self._steps = Stepper(self)
        self._shortcuts = Shortcuts(napari_viewer)
        self._loading = False

        self.models = ModelBox()
        self.place = LatentBox()
        self.settings = SettingsBox()
        self.sample_button = QPushButton()
        self.side_by_side = QCheckBox("Side by side")
        self.save_button = SaveButton(lambda: self._session.shown)
        self.status = Status()
        self._build()
        self._connect()
        self._start()

    def open_model(self, source: str, then_sample: bool = False) -> None:
        """Load a model in the background; if it cannot be loaded, that is said and the present one stays.

        Parameters
        ----------
        source
            A file, or the name of a shipped model.
        then_sample
            Sample it once when it is there.
        """
        self._load(source, then_sample)

    def open_latents(self, file: str) -> None:
        """Show the latents of an archive; if they cannot be shown, that is said and the last result stays.

        Parameters
        ----------
        file
            As `steer`, `encode` or `sample` wrote it, with the model that is open.
        """
        model = self._session.model
        if model is None or self._loading:
            self.status.say(self._why_not())
            return

        def work(_: Progress) -> Latents:
            from napari_pgan.samples import read_latents

            return read_latents(file, model)

        self.status.say("Reading the latents …")
        self._renderer.request(work, self._on_latents)

    def sample(self) -> None:
        """Make the images of the present seed anew."""
        if self.sample_button.isEnabled():
            self.place.seed.interpretText()
            self._render()

    def _build(self) -> None:
        keys = {
            self.sample_button: ("Sample", SAMPLE_KEY, self.sample),
            self.place.random_button: ("Random seed", RANDOM_KEY, self.place.draw),
            self.place.undo_button: ("Undo", UNDO_KEY, self._undo),
        }
        for button, (text, key, function) in keys.items():
            button.setText(printed(text, key, self._shortcuts.bind(key, function)))
        last = QHBoxLayout()
        last.addWidget(self.side_by_side)
        last.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.models)
        layout.addWidget(_line())
        layout.addWidget(self.place)
        layout.addWidget(self.settings)
        layout.addWidget(self.sample_button)
        layout.addLayout(last)
        layout.addWidget(self.status)
        FileDrop(self, {".safetensors": partial(self.open_model, then_sample=True), ".npz": self.open_latents})

    def _connect(self) -> None:
        self.models.chosen.connect(self.open_model)
        self.place.moved.connect(lambda seed: self._session.go(Place(seed)))
        self.place.random_wanted.connect(self._go_random)
        self.place.undo_wanted.connect(self._undo)
        self.place.file_chosen.connect(self.open_latents)
        self.settings.changed.connect(lambda changed: self._session.change(**changed))
        self.sample_button.clicked.connect(self.sample)
        self.side_by_side.toggled.connect(self._set_grid)
        self._renderer.failed.connect(self._on_failure)
        self._renderer.progressed.connect(self._on_progress)
        self._session.model_changed.connect(self._on_model)
        self._session.place_changed.connect(self._on_place)
        self._session.settings_changed.connect(self._on_settings)
        self._session.shown_changed.connect(self._on_shown)
        self._viewer.canvas.grid.events.enabled.connect(self._on_grid)
        allow(self.side_by_side, "One picture a layer, beside each other (napari's grid)")
        self._on_grid()

    def _start(self) -> None:
        session = self._session
        self._on_place(session.place)
        self._on_settings(session.settings)
        if session.model is None:
            self._load(None, then_sample=False)
        else:  # a dock that was open before in this viewer
            self._on_model(session.model)
            self._on_opened(False, Opened(session.model, session.source, shipped()))

    def _load(self, source: str | None, then_sample: bool) -> None:
        self._loading = True
        self.status.say("Opening the model …" if torch_is_loaded() else "Loading torch …")
        self.status.repaint()  # importing torch stops the event loop for a moment
        self._renderer.request(lambda _: open_model(source), partial(self._on_opened, then_sample))
        self._allow()

    def _on_opened(self, then_sample: bool, opened: Opened) -> None:
        self._loading = False
        if Path(opened.source).is_file():
            self._recent.add(opened.source)
        self.models.offer(opened.shipped, self._recent.files())
        self.status.say("" if opened.model is not None else "Open a model file to begin.")
        if opened.model is not None and opened.model is not self._session.model:
            self._session.use(opened.model, opened.source)
        self._allow()
        if then_sample:
            self._render()

    def _on_latents(self, found: Latents) -> None:
        few = found.first(MOST_SAMPLES)
        if len(few) < len(found):
            show_info(f"The first {len(few)} of {len(found):,} latents are shown.")
        cut = [1.0] if few.truncation is None else sorted(set(few.truncation.tolist()))
        if len(cut) > 1:
            show_info(
                f"They were made with truncations from {cut[0]:g} to {cut[-1]:g}, and all are shown with the last."
            )
        self._session.go_found(few.latents, few.offsets, few.conditions, cut[-1])
        self._render()

    def _render(self) -> None:
        request = self._session.request()
        if request is None or self._loading:
            return

        def work(progress: Progress) -> tuple[Shown, list[LayerTuple], float]:
            began = time.perf_counter()
            batch = request.make(progress)
            tuples = batch_layers(batch, request.model, request.seeds, request.settings.stage)
            return Shown(request, batch), tuples, time.perf_counter() - began

        # While a slider is dragged, the picture that is being made is still worth showing; many take too long for that.
        self._renderer.request(work, self._on_rendered, keep_running=request.count <= _FEW)

    def _render_again(self) -> None:
        """Follow a change, once there is something on the screen of this model."""
        shown = self._session.shown
        if shown is not None and shown.request.model is self._session.model:
            self._render()

    def _on_rendered(self, answer: tuple[Shown, list[LayerTuple], float]) -> None:
        shown, tuples, seconds = answer
        steps = self._display.steps(self._viewer, tuples, live=self._renderer.is_busy)
        if len(self._viewer.layers) == 0:
            steps = chain(steps, self._arranged())
        self._steps.take(steps, partial(self._on_placed, shown, seconds))

    def _arranged(self) -> Iterator[None]:
        yield from arrange(self._viewer, self._display.layers(self._viewer))

    def _on_placed(self, shown: Shown, seconds: float) -> None:
        self._session.show(shown)
        self.status.say(f"{_what(shown)} in {1000 * seconds:.0f} ms")

    def _go_random(self, seed: int) -> None:
        self._session.go(Place(seed))
        if self._session.shown is None or self._session.shown.request.model is not self._session.model:
            self._render()

    def _undo(self) -> None:
        if self.place.undo_button.isEnabled():
            self._session.undo()

    def _on_model(self, model: Model) -> None:
        self.models.show_model(model, self._session.source)
        self.settings.show_model(model)
        self.settings.show_settings(self._session.settings)
        self._allow()

    def _on_place(self, place: Place) -> None:
        self.place.show_place(place)
        self._allow()
        self._render_again()

    def _on_settings(self, settings: Settings) -> None:
        self.settings.show_settings(settings)
        self._render_again()

    def _on_shown(self, _: Shown) -> None:
        self._allow()

    def _on_failure(self, error: Exception) -> None:
        self._loading = False
        self.models.revert()
        self._allow()
        self.status.fail(error)

    def _on_progress(self, done: int, total: int) -> None:
        if total > done:
            self.status.say(f"Sampled {done} of {total} …")

    def _on_grid(self, _: Any = None) -> None:
        self.side_by_side.setChecked(self._viewer.canvas.grid.enabled)

    def _set_grid(self, on: bool) -> None:
        self._viewer.canvas.grid.enabled = on

    def _why_not(self) -> str:
        if self._loading:
            return "The model is being opened"
        return "" if self._session.model is not None else "Open a model first"

    def _allow(self) -> None:
        """Enable what can be used now; the rest says why not."""
        why_not = self._why_not()
        found = self._session.place.latents is not None
        self.place.allow(why_not, self._session.can_undo)
        self.settings.allow(why_not, "These latents are as many as they are; draw a seed to choose" if found else "")
        allow(self.sample_button, "Make the images of this seed", why_not)
        self.save_button.allow(why_not)

    def changeEvent(self, event: QEvent | None) -> None:
        """napari takes a closed dock's widget out of its parent and keeps it: that is the end of this one."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def _end(self) -> None:
        self._renderer.stop()
        self._steps.stop()
        self._shortcuts.unbind()
        session = self._session
        session.model_changed.disconnect(self._on_model, missing_ok=True)
        session.place_changed.disconnect(self._on_place, missing_ok=True)
        session.settings_changed.disconnect(self._on_settings, missing_ok=True)
        session.shown_changed.disconnect(self._on_shown, missing_ok=True)
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)


def _what(shown: Shown) -> str:
    seeds, count = shown.request.seeds, len(shown.batch)
    if seeds is None:
        return f"Sampled {count} latents" if count > 1 else "Sampled the latent"
    return f"Sampled seeds {seeds[0]} to {seeds[-1]}" if count > 1 else f"Sampled seed {seeds[0]}"


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
