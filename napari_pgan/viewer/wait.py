"""Waiting for a result where napari wants it at once, while the window goes on being drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(work: Callable[[], T], saying: str) -> T:
    """Call `work` in the background and return its result; what it raises is raised here.

    napari takes sample data and read layers as the return value of a function. Meanwhile the window is drawn and timers
    run, but clicks and keys wait. Without an open viewer `work` is simply called.

    Parameters
    ----------
    work
        Touches no layer and no widget.
    saying
        What the status bar and the activity dock say meanwhile.
    """
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return work()

    from napari.utils import progress
    from qtpy.QtCore import QEventLoop

    from napari_pgan.viewer.renderer import Renderer

    results: list[T] = []
    errors: list[BaseException] = []
    loop, renderer = QEventLoop(), Renderer()
    renderer.failed.connect(errors.append)
    renderer.busy.connect(lambda busy: None if busy else loop.quit())
    viewer.status = saying
    try:
        with progress(desc=saying, total=0):
            renderer.request(lambda _: work(), results.append)
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    finally:
        renderer.stop()
    if errors:
        raise errors[0]
    return results[0]
