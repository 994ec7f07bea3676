"""The sample that something is drawn over: the one that is shown, or a new one where there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pgan.viewer.docks.steer.result_layers import ResultLayers, in_view
from napari_pgan.viewer.layers import batch_layers
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.session import Session, Shown

if TYPE_CHECKING:
    from napari_pgan.model import Model


class Sampling(QObject):
    """Makes a sample in the background, where one is needed.

    Signals: `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer itself.
    session
        Of the viewer.
    showing
        What shows the sample.
    parent
        As Qt has it.
    """

    failed = Signal(object)

    def __init__(self, viewer: Any, session: Session, showing: ResultLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._showing = viewer, session, showing
        self.renderer = Renderer(self)
        self.renderer.failed.connect(self.failed.emit)

    def then(self, do: Callable[[Model, Shown], None]) -> None:
        """Call with the model and a sample of it that is shown; nothing without a model."""
        model, shown, request = self._session.model, self._session.shown, self._session.request()
        if model is None or request is None:
            return
        if shown is not None and shown.request.model is model and self._showing.pictures:
            do(model, in_view(shown, self._viewer))
            return

        def placed(sampled: Shown) -> None:
            self._session.show(sampled)
            do(model, in_view(sampled, self._viewer))

        def on_sampled(sampled: Shown) -> None:
            r = sampled.request
            tuples = batch_layers(sampled.batch, model, r.seeds, r.settings.stage)
            self._showing.sample(tuples, partial(placed, sampled))

        self.renderer.request(lambda progress: Shown(request, request.make(progress)), on_sampled)

    def stop(self) -> None:
        """Make nothing any more."""
        self.renderer.stop()
