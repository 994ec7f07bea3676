"""Loads models for a dock in the background."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_pgan.viewer.docks.common.model_box import ModelBox
from napari_pgan.viewer.docks.common.status import Status
from napari_pgan.viewer.model_files import OpenedModel, RecentModels, open_model, shipped_names, torch_is_loaded
from napari_pgan.viewer.renderer import Renderer
from napari_pgan.viewer.session import Session


class ModelLoader(QObject):
    """Loads a model and sets it in the session; the present model stays if that fails.

    Signals: `failed(exception)`.

    Parameters
    ----------
    models
        Shows the model.
    status
        Shows the progress.
    session
        Receives the model.
    parent
        Qt parent.
    """

    failed = Signal(object)

    def __init__(self, models: ModelBox, status: Status, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._models, self._status, self._session = models, status, session
        self._renderer = Renderer(self)
        self._renderer.failed.connect(self._on_failure)
        self.stop = self._renderer.stop

    @property
    def is_busy(self) -> bool:
        """Whether a model is being loaded."""
        return self._renderer.is_busy

    def start(self, done: Callable[[], None] = lambda: None) -> None:
        """List the models if the session has a model; otherwise load the default one, then call `done`."""
        if self._session.model is None:
            self.open(None, done)
        else:
            self._models.offer(shipped_names(), RecentModels().files())
            self._models.show_model(self._session.model, self._session.source)

    def open(self, source: str | None, done: Callable[[], None] = lambda: None) -> None:
        """Load a model, then call `done`.

        Parameters
        ----------
        source
            A file, or the name of a shipped model; None for the default model.
        done
            Called after success.
        """
        self._status.say("Opening the model …" if torch_is_loaded() else "Loading torch …")
        self._status.repaint()  # importing torch blocks the event loop for a moment
        self._renderer.request(lambda _: open_model(source), partial(self._on_opened, done))

    def _on_opened(self, done: Callable[[], None], opened: OpenedModel) -> None:
        recent = RecentModels()
        if Path(opened.source).is_file():
            recent.add(opened.source)
        self._models.offer(opened.shipped, recent.files())
        self._status.say("" if opened.model is not None else "Open a model file to begin.")
        if opened.model is not None:
            self._session.use(opened.model, opened.source)
        done()

    def _on_failure(self, error: Exception) -> None:
        self._models.revert()
        self.failed.emit(error)
