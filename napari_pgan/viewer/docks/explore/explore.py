"""The Explore dock: choose a model, browse its seeds, show the samples as layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_pgan.viewer.display import arrange, display_of
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.dock import Dock
from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.docks.common.model_loader import ModelLoader
from napari_pgan.viewer.docks.common.save_button import SaveButton
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.docks.common.stepper import Stepper
from napari_pgan.viewer.docks.explore.file_drop import FileDrop
from napari_pgan.viewer.docks.explore.latent_box import LatentBox
from napari_pgan.viewer.docks.explore.settings_box import SettingsBox
from napari_pgan.viewer.docks.explore.shortcuts import Shortcuts, button_text
from napari_pgan.viewer.layers import LayerTuple, batch_layers
from napari_pgan.viewer.renderer import Progress, Renderer
from napari_pgan.viewer.session import MAX_SAMPLES, LatentSource, SampleResult, Settings, session_of

if TYPE_CHECKING:
    import napari

    from napari_pgan.model import Model
    from napari_pgan.samples import Latents

_SINGLE_STEP_COUNT = 8  # up to this number, samples are made in one step that cannot be interrupted
SAMPLE_KEY, RANDOM_KEY, UNDO_KEY = "Shift-S", "Shift-R", "Shift-U"


class Explore(Dock):
    """The dock.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = session_of(napari_viewer)
        self._display = display_of(napari_viewer)
        self._renderer = Renderer(self)
        self._steps = Stepper(self)
        self._shortcuts = Shortcuts(napari_viewer)

        self.models, self.latent, self.settings, self.status = ModelBox(), LatentBox(), SettingsBox(), Status()
        self.loader = ModelLoader(self.models, self.status, self._session, self)
        self.sample_button = QPushButton()
        self.side_by_side = QCheckBox("Side by side")
        self.save_button = SaveButton(lambda: self._session.result)
        self._build()
        self._connect()
        self._on_latent(self._session.latent)
        self._on_settings(self._session.settings)
        self.loader.start(self._allow)
        if self._session.model is not None:
            self._on_model(self._session.model)
        self._allow()

    def open_model(self, source: str, then_sample: bool = False) -> None:
        """Load a model in the background; after an error the present one stays.

        Parameters
        ----------
        source
            A file, or the name of a shipped model.
        then_sample
            Whether to sample it after loading.
        """

        def done() -> None:
            self._allow()
            if then_sample:
                self._render()

        self._renderer.cancel()
        self.loader.open(source, done)
        self._allow()

    def open_latents(self, file: str) -> None:
        """Sample the latents of an archive with the present model; after an error the last result stays.

        Parameters
        ----------
        file
            An ``.npz`` archive written by `steer`, `encode` or `sample`.
        """
        model = self._session.model
        if model is None or self.loader.is_busy:
            self.status.say(self._why_not())
            return

        def work(_: Progress) -> Latents:
            from napari_pgan.samples import read_latents

            return read_latents(file, model)

        self.status.say("Reading the latents …")
        self._renderer.request(work, self._on_latents)

    def sample(self) -> None:
        """Sample with the present seed."""
        if self.sample_button.isEnabled():
            self.latent.seed.interpretText()
            self._render()

    def _build(self) -> None:
        for button, text, key, function in (
            (self.sample_button, "Sample", SAMPLE_KEY, self.sample),
            (self.latent.random_button, "Random seed", RANDOM_KEY, self.latent.draw),
            (self.latent.undo_button, "Undo", UNDO_KEY, self._undo),
        ):
            button.setText(button_text(text, key, self._shortcuts.bind(key, function)))
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        last = QHBoxLayout()
        last.addWidget(self.side_by_side)
        last.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        for widget in (self.models, line, self.latent, self.settings, self.sample_button):
            layout.addWidget(widget)
        layout.addLayout(last)
        layout.addWidget(self.status)
        FileDrop(self, {".safetensors": partial(self.open_model, then_sample=True), ".npz": self.open_latents})

    def _connect(self) -> None:
        self.models.chosen.connect(self.open_model)
        self.loader.failed.connect(self._on_failure)
        self.latent.seed_changed.connect(lambda seed: self._session.set_latent(LatentSource(seed)))
        self.latent.random_wanted.connect(self._on_random_seed)
        self.latent.undo_wanted.connect(self._undo)
        self.latent.file_chosen.connect(self.open_latents)
        self.settings.settings_changed.connect(lambda changed: self._session.change(**changed))
        self.sample_button.clicked.connect(self.sample)
        self.side_by_side.toggled.connect(self._set_grid)
        self._renderer.failed.connect(self._on_failure)
        self._renderer.progressed.connect(self._on_progress)
        self.listen(self._session.model_changed, self._on_model)
        self.listen(self._session.latent_changed, self._on_latent)
        self.listen(self._session.settings_changed, self._on_settings)
        self.listen(self._session.result_changed, self._on_result)
        self.listen(self._viewer.canvas.grid.events.enabled, self._on_grid)
        self.at_close(self.loader.stop, self._renderer.stop, self._steps.stop, self._shortcuts.unbind)
        allow(self.side_by_side, "Show the layers side by side, in napari's grid")
        self._on_grid()

    def _on_latents(self, latents: Latents) -> None:
        first = latents.first(MAX_SAMPLES)
        if len(first) < len(latents):
            show_info(f"The first {len(first)} of {len(latents):,} latents are shown.")
        truncations = [1.0] if first.truncation is None else sorted(set(first.truncation.tolist()))
        if len(truncations) > 1:
            show_info(
                f"The latents have truncations from {truncations[0]:g} to {truncations[-1]:g}; "
                "all are shown with the largest one."
            )
        self._session.set_latents(first.latents, first.offsets, first.conditions, truncations[-1])
        self._render()

    def _render(self) -> None:
        request = self._session.request()
        if request is None or self.loader.is_busy:
            return

        def work(progress: Progress) -> tuple[SampleResult, list[LayerTuple], float]:
            start = time.perf_counter()
            batch = request.run(progress)
            tuples = batch_layers(batch, request.model, request.seeds, request.settings.stage)
            return SampleResult(request, batch), tuples, time.perf_counter() - start

        # While a slider is dragged, a running request may still show its images, unless it takes long.
        self._renderer.request(work, self._on_rendered, keep_running=request.count <= _SINGLE_STEP_COUNT)

    def _has_result(self) -> bool:
        """Whether the last result is of the present model."""
        result = self._session.result
        return result is not None and result.request.model is self._session.model

    def _on_rendered(self, rendered: tuple[SampleResult, list[LayerTuple], float]) -> None:
        result, tuples, seconds = rendered
        steps = self._display.steps(self._viewer, tuples, live=self._renderer.is_busy)
        if len(self._viewer.layers) == 0:
            steps = chain(steps, self._arranged())
        self._steps.run(steps, partial(self._on_displayed, result, seconds))

    def _arranged(self) -> Iterator[None]:
        yield from arrange(self._viewer, self._display.layers(self._viewer))

    def _on_displayed(self, result: SampleResult, seconds: float) -> None:
        self._session.set_result(result)
        self.status.say(f"{_describe(result)} in {1000 * seconds:.0f} ms")

    def _on_random_seed(self, seed: int) -> None:
        self._session.set_latent(LatentSource(seed))
        if not self._has_result():
            self._render()

    def _undo(self) -> None:
        if self.latent.undo_button.isEnabled():
            self._session.undo()

    def _on_model(self, model: Model) -> None:
        self.models.show_model(model, self._session.source)
        self.settings.show_model(model)
        self.settings.show_settings(self._session.settings)
        self._allow()

    def _on_latent(self, latent: LatentSource) -> None:
        self.latent.show_latent(latent)
        self._allow()
        if self._has_result():
            self._render()

    def _on_settings(self, settings: Settings) -> None:
        self.settings.show_settings(settings)
        if self._has_result():
            self._render()

    def _on_result(self, _: SampleResult) -> None:
        self._allow()

    def _on_failure(self, error: Exception) -> None:
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
        if self.loader.is_busy:
            return "The model is being opened"
        return "" if self._session.model is not None else "Open a model first"

    def _allow(self) -> None:
        """Enable the controls that can be used now; the tooltips of the others show the reason."""
        why_not = self._why_not()
        fixed = self._session.latent.latents is not None
        self.latent.allow(why_not, self._session.can_undo)
        self.settings.allow(why_not, count="The file defines how many latents there are; draw a seed" if fixed else "")
        allow(self.sample_button, "Sample with this seed", why_not)
        self.save_button.allow(why_not)


def _describe(result: SampleResult) -> str:
    seeds, count = result.request.seeds, len(result.batch)
    if seeds is None:
        return f"Sampled {count} latents" if count > 1 else "Sampled the latent"
    return f"Sampled seeds {seeds[0]} to {seeds[-1]}" if count > 1 else f"Sampled seed {seeds[0]}"
