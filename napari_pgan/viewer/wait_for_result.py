"""Synchronous results without a frozen window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(work: Callable[[], T], message: str) -> T:
    """Call `work` in the background and return its result or raise its exception.

    napari expects sample data and layers of a reader as return values. In the meantime the window is drawn and timers
    run, but clicks and keys wait. Without an open viewer `work` is called directly.

    Parameters
    ----------
    work
        Must not touch layers or widgets.
    message
        Shown in the status bar and the activity dock.
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
    viewer.status = message
    try:
        with progress(desc=message, total=0):
            renderer.request(lambda _: work(), results.append)
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    finally:
        renderer.stop()
    if errors:
        raise errors[0]
    return results[0]
