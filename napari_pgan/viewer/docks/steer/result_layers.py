"""Layers of samples and candidates, with outlines of the target over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_pgan.viewer.contours import Contours
from napari_pgan.viewer.display import arrange, display_of
from napari_pgan.viewer.docks.common.stepper import Stepper
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, batch_layers
from napari_pgan.viewer.session import LatentSource, SampleRequest, SampleResult, Settings
from napari_pgan.viewer.steering_search import SearchResult

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask
    from napari_pgan.model import Model


class ResultLayers(QObject):
    """Displays a sample or a candidate.

    Parameters
    ----------
    viewer
        A napari viewer, not its proxy.
    parent
        Qt parent.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._display = display_of(viewer)
        self._contours = Contours()
        self._steps = Stepper(self)
        self.lines = True  # whether to show outlines over every picture
        self.top: list[Any] = []  # drawing layers, kept on top
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    @property
    def pictures(self) -> list[Any]:
        """Layers of the sample."""
        return self._display.layers(self._viewer)

    @property
    def layers(self) -> list[Any]:
        """Layers of the sample and of the outlines."""
        return [*self.pictures, *self._contours.layers(self._viewer)]

    @property
    def is_busy(self) -> bool:
        """Whether layers are being added."""
        return self._steps.is_busy

    def show_sample(self, tuples: list[LayerTuple], done: Callable[[], None]) -> None:
        """Show a sample, then call `done`."""
        self._steps.run(self._pictures(tuples), done)

    def show_candidate(
        self, result: SearchResult, index: int, live: bool, done: Callable[[SampleResult], None]
    ) -> None:
        """Show a candidate, then call `done` with it as a sample.

        Parameters
        ----------
        result
            Result of a search.
        index
            Index of the candidate.
        live
            Whether another result follows soon.
        done
            Called with the displayed sample.
        """
        model, sample = result.request.model, candidate_sample(result, index)
        tuples = batch_layers(sample.batch, model, None)
        tuples[0][1]["metadata"][METADATA_KEY]["samples"][0].update(sample.origin)
        steps = self._pictures(tuples, live)
        if result.request.target_mask is None:
            self.remove_lines()
        elif self.lines:
            steps = chain(steps, self._contours.steps(self._viewer, result.request.target_mask, model.card.grid))
        chosen = set(self._viewer.layers.selection)
        self._steps.run(steps, partial(self._on_displayed, chosen, lambda: done(sample)))

    def show_target(self, target: TargetMask, model: Model, done: Callable[[], None]) -> None:
        """Show the outlines alone, then call `done`."""
        if not self.lines:
            done()
            return
        steps = self._contours.steps(self._viewer, target, model.card.grid)
        self._steps.run(steps, partial(self._on_displayed, set(self._viewer.layers.selection), done))

    def remove_lines(self) -> None:
        """Remove the outlines."""
        self._contours.remove(self._viewer)

    def arrange(self) -> None:
        """Order the layers: each picture with its outlines, then the drawing layers."""
        self._contours.arrange(self._viewer, self.pictures, self.top)

    def stop(self) -> None:
        """Drop the remaining work."""
        self._steps.stop()
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)

    def _pictures(self, tuples: list[LayerTuple], live: bool = False) -> Iterator[None]:
        was_empty = len(self._viewer.layers) == 0
        yield from self._display.steps(self._viewer, tuples, live=live)
        if was_empty:
            yield from arrange(self._viewer, self.pictures)

    def _on_displayed(self, chosen: set[Any], done: Callable[[], None]) -> None:
        self.arrange()
        present = chosen & set(self._viewer.layers)
        if present and set(self._viewer.layers.selection) != present:
            self._viewer.layers.selection = present
        done()

    def _on_grid(self, _: Any = None) -> None:
        if self._contours.layers(self._viewer):
            self.arrange()


def candidate_sample(result: SearchResult, index: int) -> SampleResult:
    """Return a candidate as a sample."""
    batch = result.batch.part(slice(index, index + 1))
    latent, settings = LatentSource(0, batch.latents, batch.offsets), Settings(conditions=dict(batch.conditions))
    return SampleResult(SampleRequest(result.request.model, latent, settings), batch, result.origin(index))


def visible_sample(result: SampleResult, viewer: Any) -> SampleResult:
    """Return the sample in view of several samples along a slider."""
    if len(result.batch) == 1:
        return result
    index = int(np.clip(round(viewer.dims.point[0]), 0, len(result.batch) - 1))
    return replace(result, batch=result.batch.part(slice(index, index + 1)))
