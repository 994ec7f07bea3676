"""Latency of the Steer dock after a stroke, and the effect of the search on painting.

    xvfb-run -a python benchmarks/strokes.py [--strokes 20] [--off]

Mouse events paint strokes of 15 moves in a window with the shipped model. Medians over strokes: the time from the
release of the button to the first candidates, and the longest gap of the event loop during a stroke. --off switches
the search off, for comparison.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
MOVES = 15


class Gaps:
    """Measures the longest time between two turns of the event loop."""

    def __init__(self) -> None:
        self.longest, self._last = 0.0, time.perf_counter()
        self.timer = QTimer()
        self.timer.timeout.connect(self._tick)
        self.timer.start(2)

    def begin(self) -> None:
        self.longest, self._last = 0.0, time.perf_counter()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest, self._last = max(self.longest, now - self._last), now


def wait(until: Callable[[], bool], seconds: float = 100.0) -> None:
    """Run the event loop until a condition holds."""
    end = time.monotonic() + seconds
    while not until():
        QApplication.processEvents()
        time.sleep(0.002)
        if time.monotonic() > end:
            raise TimeoutError(f"nothing within {seconds:g} s")


def settle(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end, seconds + 100)


def stroke(canvas: Any, x: float, y: float) -> QPoint:
    """Press the mouse and move it in the first image; return its position with the button down."""
    QTest.mousePress(canvas, LEFT, PLAIN, QPoint(int(x), int(y)))
    at = QPoint(int(x), int(y))
    for i in range(MOVES):
        at = QPoint(int(x + 2 * i), int(y + 10 * np.sin(i / 3)))
        QTest.mouseMove(canvas, at)
        QApplication.processEvents()
        settle(0.015)
    return at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--off", action="store_true", help="do not search")
    options = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(1280, 720)
    _, dock = viewer.window.add_plugin_dock_widget("napari-pgan", "Steer")
    wait(lambda: dock._session.model is not None and dock._bank is not None)
    dock.new_drawing()
    wait(lambda: dock._asking.drawing is not None)
    settle(1)
    dock.how.live.setChecked(not options.off)
    layer, canvas = dock._asking.drawing, viewer.window._qt_viewer.canvas.native
    values = dock._session.model.card.channels.values.tolist()
    gaps, random = Gaps(), np.random.default_rng(0)
    during, answered = [], []
    for n in range(options.strokes):
        layer.selected_label = values[n % len(values)]
        before = dock.answer
        x = canvas.width() * (1 / 6 + random.uniform(-0.02, 0.06))
        y = canvas.height() * (0.25 + random.uniform(-0.06, 0.06))
        gaps.begin()
        at = stroke(canvas, x, y)
        during.append(gaps.longest)
        QTest.mouseRelease(canvas, LEFT, PLAIN, at)
        released = time.perf_counter()
        if not options.off:
            wait(lambda before=before: dock.answer is not None and dock.answer is not before, 20)
            answered.append(time.perf_counter() - released)
        settle(0.6)
    if answered:
        print(f"first candidates after {np.median(answered):.2f} s (at most {max(answered):.2f})")
    print(f"longest gap while painting: {np.median(during):.2f} s (at most {max(during):.2f})", flush=True)
    os._exit(0)  # closing the window during a search takes seconds


if __name__ == "__main__":
    main()
