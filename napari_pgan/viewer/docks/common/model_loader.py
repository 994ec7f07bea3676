"""Opens models for a dock, in the background."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.models import Opened, Recent, open_model, shipped, torch_is_loaded
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.session import Session


class ModelLoader(QObject):
    """Opens what is chosen in a box, and gives it to the session.

    Signals: `said(text)`, `failed(exception)`; the present model stays where one cannot be opened.

    Parameters
    ----------
    models
        The box.
    session
        Of the viewer.
    parent
        As Qt has it.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, models: ModelBox, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._models, self._session = models, session
        self._renderer = Renderer(self)
        self._renderer.failed.connect(self._on_failure)
        models.chosen.connect(self.open)

    @property
    def is_busy(self) -> bool:
        return self._renderer.is_busy

    def begin(self) -> None:
        """Open the default model, unless another dock has opened one."""
        if self._session.model is None:
            self.open(None)
        else:
            self._models.offer(shipped(), Recent().files())
            self._models.show_model(self._session.model, self._session.source)

    def open(self, source: str | None) -> None:
        """Open a file, or a shipped model by its name; None for the default one."""
        self.said.emit("Opening the model …" if torch_is_loaded() else "Loading torch …")
        self._models.repaint()  # importing torch stops the event loop for a moment
        self._renderer.request(lambda _: open_model(source), self._on_opened)

    def stop(self) -> None:
        """Open nothing any more."""
        self._renderer.stop()

    def _on_opened(self, opened: Opened) -> None:
        recent = Recent()
        if Path(opened.source).is_file():
            recent.add(opened.source)
        self._models.offer(opened.shipped, recent.files())
        if opened.model is None:
            self.said.emit("Open a model file to begin.")
        elif opened.model is not self._session.model:
            self._session.use(opened.model, opened.source)

    def _on_failure(self, error: Exception) -> None:
        self._models.revert()
        self.failed.emit(error)
