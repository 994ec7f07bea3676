"""A renderer returns the result of the newest request only."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from napari_pgan.viewer.renderer import Progress, Renderer

pytestmark = pytest.mark.viewer


def slow(answer: Any, gate: threading.Event) -> Any:
    def work(progress: Progress) -> Any:
        gate.wait(5)
        progress(1, 1)
        return answer

    return work


def test_answers_come_in_the_thread_of_the_event_loop(qtbot: Any) -> None:
    renderer, seen = Renderer(), []
    renderer.request(lambda _: threading.current_thread(), lambda t: seen.append((t, threading.current_thread())))
    qtbot.waitUntil(lambda: len(seen) == 1)
    assert seen[0][0] is not threading.main_thread()
    assert seen[0][1] is threading.main_thread()
    renderer.stop()


def test_only_the_newest_is_answered(qtbot: Any) -> None:
    renderer, seen, gate = Renderer(), [], threading.Event()
    for i in range(50):
        renderer.request(slow(i, gate), seen.append)
    gate.set()
    qtbot.waitUntil(lambda: not renderer.is_busy)
    assert seen == [49]
    renderer.stop()


def test_while_dragging_pictures_keep_coming_in_order(qtbot: Any) -> None:
    renderer, seen, gate = Renderer(), [], threading.Event()
    started = threading.Event()

    def first(progress: Progress) -> int:
        started.set()
        gate.wait(5)
        progress(1, 1)
        return 0

    renderer.request(first, seen.append)
    assert started.wait(5)
    for i in range(1, 50):
        renderer.request(slow(i, gate), seen.append, keep_running=True)
    gate.set()
    qtbot.waitUntil(lambda: not renderer.is_busy)
    assert seen == [0, 49]
    renderer.stop()


def test_superseded_work_ends_at_its_next_step(qtbot: Any) -> None:
    renderer, seen, steps = Renderer(), [], []

    def endless(progress: Progress) -> None:
        while True:
            steps.append(1)
            progress(len(steps), 10**9)
            time.sleep(0.001)

    renderer.request(endless, seen.append)
    qtbot.waitUntil(lambda: len(steps) > 3)
    renderer.request(lambda _: "next", seen.append)
    qtbot.waitUntil(lambda: seen == ["next"])
    renderer.stop()


def test_an_error_is_reported_and_the_next_request_is_served(qtbot: Any) -> None:
    renderer, seen, errors = Renderer(), [], []
    renderer.failed.connect(errors.append)

    def broken(_: Progress) -> None:
        raise ValueError("no")

    renderer.request(broken, seen.append)
    qtbot.waitUntil(lambda: len(errors) == 1)
    assert isinstance(errors[0], ValueError)
    assert not renderer.is_busy
    renderer.request(lambda _: 1, seen.append)
    qtbot.waitUntil(lambda: seen == [1])
    renderer.stop()


def test_nothing_comes_after_the_stop(qtbot: Any) -> None:
    renderer, seen, gate = Renderer(), [], threading.Event()
    renderer.request(slow(1, gate), seen.append)
    thread = renderer._thread._thread
    renderer.stop()
    gate.set()
    renderer.request(lambda _: 2, seen.append)
    qtbot.wait(50)
    assert seen == []
    qtbot.waitUntil(lambda: not thread.is_alive())


def test_an_idle_thread_ends_and_the_next_request_starts_another(qtbot: Any) -> None:
    renderer, seen = Renderer(idle=0.05), []
    for number in range(3):
        renderer.request(lambda _, n=number: n, seen.append)
        thread = renderer._thread._thread
        qtbot.waitUntil(lambda n=number: seen == list(range(n + 1)))
        qtbot.waitUntil(lambda t=thread: not t.is_alive())
    renderer.stop()


def test_the_event_loop_runs_on_while_work_is_done(qtbot: Any) -> None:
    from qtpy.QtCore import QTimer

    renderer, seen, ticks = Renderer(), [], []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(5)
    renderer.request(lambda _: time.sleep(0.3), seen.append)
    qtbot.waitUntil(lambda: len(seen) == 1)
    timer.stop()
    assert len(ticks) > 10
    renderer.stop()


def test_a_generator_tells_what_it_has_and_is_forgotten(qtbot: Any) -> None:
    renderer, seen, busy, ended = Renderer(), [], [], threading.Event()
    renderer.busy.connect(busy.append)
    renderer.request(lambda _: iter(range(3)), seen.append)
    qtbot.waitUntil(lambda: busy == [True, False])
    assert seen == [0, 1, 2]

    def endless(progress: Progress) -> Any:
        try:
            while True:
                progress(0, 0)
                time.sleep(0.001)
                yield "more"
        finally:
            ended.set()

    renderer.request(endless, seen.append)
    qtbot.waitUntil(lambda: "more" in seen)
    renderer.cancel()
    assert not renderer.is_busy
    assert ended.wait(5)
    results_before = len(seen)
    renderer.request(lambda _: "next", seen.append)
    qtbot.waitUntil(lambda: seen[-1] == "next")
    assert len(seen) == results_before + 1
    renderer.stop()
