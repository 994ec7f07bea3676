"""The sample under a drawing: the displayed one, or a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pgan.viewer.docks.steer.result_layers import ResultLayers, visible_sample
from napari_pgan.viewer.layers import batch_layers
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.session import SampleResult, Session

if TYPE_CHECKING:
    from napari_pgan.model import Model


class Sampler(QObject):
    """Samples the model in the background if no sample is displayed.

    Signals: `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer, not its proxy.
    session
        Session of the viewer.
    layers
        Displays the sample.
    parent
        Qt parent.
    """

    failed = Signal(object)

    def __init__(self, viewer: Any, session: Session, layers: ResultLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._layers = viewer, session, layers
        self.renderer = Renderer(self)
        self.renderer.failed.connect(self.failed)
        self.stop = self.renderer.stop

    def with_sample(self, function: Callable[[Model, SampleResult], None]) -> None:
        """Call a function with the model and its displayed sample; do nothing without a model."""
        model, result, request = self._session.model, self._session.result, self._session.request()
        if model is None or request is None:
            return
        if result is not None and result.request.model is model and self._layers.pictures:
            function(model, visible_sample(result, self._viewer))
            return

        def on_sampled(sampled: SampleResult) -> None:
            def displayed() -> None:
                self._session.set_result(sampled)
                function(model, visible_sample(sampled, self._viewer))

            tuples = batch_layers(sampled.batch, model, request.seeds, request.settings.stage)
            self._layers.show_sample(tuples, displayed)

        self.renderer.request(lambda progress: SampleResult(request, request.run(progress)), on_sampled)
