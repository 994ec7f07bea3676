"""Puts samples and candidates into the viewer, with what was asked for as lines over them."""

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
from napari_pgan.viewer.search import Answer
from napari_pgan.viewer.session import Place, Request, Settings, Shown

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask
    from napari_pgan.model import Model


class ResultLayers(QObject):
    """The layers of what is shown.

    Parameters
    ----------
    viewer
        A napari viewer itself.
    parent
        As Qt has it.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._display = display_of(viewer)
        self._contours = Contours()
        self._steps = Stepper(self)
        self.lines = True  # whether what was asked for is shown over every picture
        self.top: list[Any] = []  # the layers that are drawn on
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    @property
    def pictures(self) -> list[Any]:
        """The layers of a sample that are there."""
        return self._display.layers(self._viewer)

    @property
    def layers(self) -> list[Any]:
        """All layers that are filled from here."""
        return [*self.pictures, *self._contours.layers(self._viewer)]

    def sample(self, tuples: list[LayerTuple], done: Callable[[], None]) -> None:
        """Show a sample, then call `done`."""
        self._steps.take(self._pictures(tuples), done)

    def candidate(self, answer: Answer, index: int, live: bool, done: Callable[[Shown], None]) -> None:
        """Show a candidate, then call `done` with it.

        Parameters
        ----------
        answer
            Of a search.
        index
            Of the candidate.
        live
            More is on its way.
        done
            Called with the sample that is shown.
        """
        model, shown = answer.ask.model, shown_of(answer, index)
        tuples = batch_layers(shown.batch, model, None)
        tuples[0][1]["metadata"][METADATA_KEY]["samples"][0].update(shown.origin)
        steps = self._pictures(tuples, live)
        if answer.ask.wish is None:
            self.remove_lines()
        elif self.lines:
            steps = chain(steps, self._contours.steps(self._viewer, answer.ask.wish, model.card.grid))
        chosen = set(self._viewer.layers.selection)
        self._steps.take(steps, partial(self._on_placed, chosen, lambda: done(shown)))

    def asked(self, wish: TargetMask, model: Model, done: Callable[[], None]) -> None:
        """Show the lines alone."""
        if not self.lines:
            done()
            return
        steps = self._contours.steps(self._viewer, wish, model.card.grid)
        self._steps.take(steps, partial(self._on_placed, set(self._viewer.layers.selection), done))

    def remove_lines(self) -> None:
        """Take the lines away."""
        self._contours.remove(self._viewer)

    def arrange(self) -> None:
        """Each picture with its lines, and on top what is drawn on."""
        self._contours.arrange(self._viewer, self.pictures, self.top)

    def stop(self) -> None:
        """Leave what is begun as it is."""
        self._steps.stop()
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)

    def _pictures(self, tuples: list[LayerTuple], live: bool = False) -> Iterator[None]:
        was_empty = len(self._viewer.layers) == 0
        yield from self._display.steps(self._viewer, tuples, live=live)
        if was_empty:
            yield from arrange(self._viewer, self.pictures)

    def _on_placed(self, chosen: set[Any], done: Callable[[], None]) -> None:
        self.arrange()
        present = chosen & set(self._viewer.layers)
        if present and set(self._viewer.layers.selection) != present:
            self._viewer.layers.selection = present
        done()

    def _on_grid(self, _: Any = None) -> None:
        if self._contours.layers(self._viewer):
            self.arrange()


def shown_of(answer: Answer, index: int) -> Shown:
    """One candidate as a sample."""
    batch = answer.batch.part(slice(index, index + 1))
    place = Place(0, batch.latents, batch.offsets)
    return Shown(
        Request(answer.ask.model, place, Settings(conditions=dict(batch.conditions))), batch, answer.origin(index)
    )


def in_view(shown: Shown, viewer: Any) -> Shown:
    """Of several samples along a slider the one in view."""
    if len(shown.batch) == 1:
        return shown
    index = int(np.clip(round(viewer.dims.point[0]), 0, len(shown.batch) - 1))
    return replace(shown, batch=shown.batch.part(slice(index, index + 1)))
