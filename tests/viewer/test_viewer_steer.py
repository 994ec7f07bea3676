"""The Steer dock in a real napari window."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget

from napari_pgan.latent.steering import any_value, make_bank
from napari_pgan.model import Model
from napari_pgan.schema import Channels, Label
from napari_pgan.viewer.save import save_sample

pytestmark = pytest.mark.viewer

NAMES = {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
CHANNELS = Channels(("flair",), tuple(Label(v, name, f"#{v}0{v}0ff") for v, name in NAMES.items()))


@pytest.fixture(autouse=True)
def small_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pgan.model.shipped_models", dict)
    monkeypatch.setattr(
        "napari_pgan.latent.steering.cached_bank", lambda model, progress: make_bank(model, 64, progress=progress)
    )


@pytest.fixture
def messages() -> Any:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield lambda: [r.message for r in notification_manager.records]
    notification_manager.records.clear()


@pytest.fixture
def dock(make_napari_viewer_proxy: Callable[..., Any], make_session_model: Callable[..., Model]) -> Any:
    from napari_pgan.viewer.session import session_of

    viewer = make_napari_viewer_proxy()
    session_of(viewer).use(make_session_model(channels=CHANNELS), "made")
    _, steer = viewer.window.add_plugin_dock_widget("napari-pgan", "Steer")
    return steer


def drawn(qtbot: Any, dock: Any) -> Any:
    """A new drawing, over a sample."""
    dock.drawing.new_button.click()
    qtbot.waitUntil(lambda: dock._drawing_layers.drawing is not None, timeout=30000)
    return dock._drawing_layers.drawing


def answered(qtbot: Any, dock: Any, action: Callable[[], None]) -> Any:
    """Do something, wait for the first answer of the search that follows, and end that."""
    before = dock._request
    action()
    qtbot.waitUntil(lambda: dock._request not in (None, before), timeout=30000)
    qtbot.waitUntil(lambda: dock.result is not None and dock.result.request is dock._request, timeout=30000)
    dock.stop()
    qtbot.waitUntil(lambda: not dock._result_layers.is_busy, timeout=30000)
    return dock.result


def test_from_a_stroke_to_files(dock: Any, qtbot: Any, tmp_path: Path, messages: Any) -> None:
    viewer = dock._viewer
    assert dock.search_box.search_button.toolTip() == "Draw first, or choose a layer"
    layer = drawn(qtbot, dock)
    assert (layer.mode, layer.selected_label, layer.data.shape) == ("paint", 1, (16, 16))
    assert viewer.layers.selection.active is layer
    assert dock.result is None  # an empty drawing asks for nothing by itself

    def stroke() -> None:
        layer.selected_label = 2
        layer.paint((8, 8), 2)

    result = answered(qtbot, dock, stroke)
    np.testing.assert_array_equal(result.request.target_mask.labels, layer.data)
    assert len(dock.candidates.thumbnails.buttons) == len(result.candidates)
    assert viewer.layers.selection.active is layer
    cells = [viewer.canvas.grid.contents_at(at, viewer.layers) for at in np.ndindex(2, 2)]
    assert [[viewer.layers[i].name for i in cell] for cell in cells] == [
        ["synthetic flair", "asked for, on flair"],
        ["synthetic segmentation", "asked for, on segmentation"],
        ["drawing"],
        [],
    ]

    dock.candidates.thumbnails.buttons[-1].click()
    qtbot.waitUntil(lambda: not dock._result_layers.is_busy, timeout=30000)
    np.testing.assert_array_equal(viewer.layers["synthetic segmentation"].data, result.candidates.labels[-1])
    np.testing.assert_array_equal(dock._session.result.batch.latents, result.candidates.latents[-1:])

    painted = layer.data.copy()
    undone = answered(qtbot, dock, layer.undo)  # napari says nothing of an undo but that it draws
    assert "without a lesion" in dock.messages.text()
    assert not undone.request.target_mask.present.any()
    again = answered(qtbot, dock, layer.redo)
    np.testing.assert_array_equal(again.request.target_mask.labels, painted)
    moved = answered(qtbot, dock, dock.drawing.edits["Move it down"].click)
    np.testing.assert_array_equal(moved.request.target_mask.labels[1:], painted[:-1])

    dock.save_button.save(dock.result, tmp_path / "found")
    qtbot.waitUntil(lambda: any("Wrote" in m for m in messages()), timeout=30000)
    report = json.loads((tmp_path / "found" / "report.json").read_text())
    assert len(report["candidates"]) == len(dock.result.candidates)
    assert (tmp_path / "found" / "candidate-1_flair.nii.gz").is_file()


def test_lock_numbers_refinement_explore_and_the_end(dock: Any, qtbot: Any, tmp_path: Path) -> None:
    viewer = dock._viewer
    layer = drawn(qtbot, dock)
    answered(qtbot, dock, lambda: layer.paint((8, 8), 2))
    base = dock._session.result.batch.latents[0]
    dock.search_box.lock_button.click()  # these images have a lesion nearly everywhere
    assert viewer.layers.selection.active is layer
    assert not viewer.layers["lock"].data[layer.data > 0].any()
    corner = np.nonzero(np.pad(np.ones((3, 3)), ((0, 13), (0, 13))))
    locked = answered(qtbot, dock, lambda: viewer.layers["lock"].data_setitem(corner, 1))
    np.testing.assert_array_equal(locked.request.lock.latent, base)
    assert locked.request.lock.where[corner].all()
    assert "the rest moved by" in dock.status.text()
    viewer.layers.remove("lock")
    free = answered(qtbot, dock, dock.search)
    assert free.request.lock is None

    refined = answered(qtbot, dock, dock.search_box.refine_button.click)
    assert refined.candidates.offsets
    sidecar = viewer.layers["synthetic flair"].metadata["napari_pgan"]["samples"][0]
    assert sidecar["refined"] == refined.candidates.refined[0]  # nothing was chosen, so that the best is shown
    saved = save_sample(dock._session.result, tmp_path / "shown")  # as Explore's button does it
    beside = json.loads(next(p for p in saved if p.suffix == ".json").read_text())["provenance"]
    assert {name: beside[name] for name in ("steered", "asked", "settings", "refined")} == {
        name: sidecar[name] for name in ("steered", "asked", "settings", "refined")
    }
    dock.explore_button.click()
    place, shown = dock._session.latent, dock._session.result.batch
    for mine, theirs in zip((place.latents, *place.offsets), (shown.latents, *shown.offsets), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(place.offsets) == len(refined.candidates.offsets)
    np.testing.assert_allclose(dock._session.request().run().images, shown.images, atol=1e-4)  # alone in its batch
    dock._drawing_layers.changed.emit()  # the same is asked as before it was refined
    assert dock.result is refined
    assert not dock.is_searching

    dock.tabs.setCurrentWidget(dock.areas)
    asked = answered(qtbot, dock, lambda: dock.areas.areas[2].set_value(120))
    assert asked.request.target.areas == {2: 120}
    assert dock.candidates.table.item(1, 1).text() == "120 mm²"

    latents = dock._session.result.batch.latents
    dock.explore_button.click()
    assert dock._session.latent.offsets == ()
    np.testing.assert_array_equal(dock._session.latent.latents, latents)
    dock.search_box.search_button.click()
    dock.search_box.stop_wanted.emit()
    assert not dock.is_searching
    assert dock.result is not None

    dock.search_box.search_button.click()
    threads = [r._thread._thread for r in (dock._sampler.renderer, dock._bank_loader, dock._searcher)]
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not any(t is not None and t.is_alive() for t in threads), timeout=20000)
    assert "_on_press" not in [f.__name__ for f in layer.mouse_drag_callbacks]


def test_what_goes_to_explore_stays_there(dock: Any, qtbot: Any) -> None:
    layer = drawn(qtbot, dock)
    answered(qtbot, dock, lambda: layer.paint((8, 8), 2))
    dock.search_box.search_button.click()
    qtbot.waitUntil(lambda: dock.result is not None and dock.result.request is dock._request, timeout=30000)
    dock.explore_button.click()
    assert not dock.is_searching
    place = dock._session.latent
    qtbot.wait(500)  # time for several looks of a search
    for mine, theirs in ((place, dock._session.latent), (place, dock._session.result.request.latent)):
        np.testing.assert_array_equal(mine.latents, theirs.latents)
    window = dock._viewer.window._qt_window
    outer = dock.window().findChildren(QDockWidget)
    steer, explore = (next(x for x in outer if name in x.windowTitle()) for name in ("Steer", "Explore"))
    assert window.tabifiedDockWidgets(explore) == [steer]  # each has all of the height


def test_bad_input_gets_a_sentence_and_the_last_result_stays(
    dock: Any, qtbot: Any, messages: Any, make_session_model: Callable[..., Model]
) -> None:
    viewer = dock._viewer
    layer = drawn(qtbot, dock)
    good = answered(qtbot, dock, lambda: layer.paint((8, 8), 2))
    labels = viewer.layers["synthetic segmentation"].data.copy()

    foreign = viewer.add_labels(np.full((16, 16), 3, np.uint8), name="foreign", **MM)
    dock.use_layer(foreign)
    assert "contains 3, which the model does not know; it knows 1 necrotic core" in messages()[-1]
    assert dock.result is good
    np.testing.assert_array_equal(viewer.layers["synthetic segmentation"].data, labels)
    np.testing.assert_array_equal(foreign.data, 3)

    volume = np.zeros((3, 32, 32), np.uint8)
    volume[1, 10:20, 10:20] = 1
    volume[2, 0, 0] = any_value(good.request.model.card.channels)
    result = answered(
        qtbot, dock, lambda: dock.use_layer(viewer.add_labels(volume, name="volume", units=("pixel",) * 3))
    )
    assert "the displayed slice" in dock.messages.text()
    assert "was brought to the model's 16×16" in dock.messages.text()
    assert (result.request.target_mask.labels == 1).sum() in (0, 25)  # whichever slice is shown
    assert "Traceback" not in "".join(messages())

    dock._session.use(make_session_model(channels=Channels(("t1",))), "unlabelled")
    assert "no segmentation" in dock.status.text()
    assert "no segmentation" in dock.drawing.new_button.toolTip()
    assert not dock.search_box.search_button.isEnabled()


MM = {"scale": (3.0, 2.0), "translate": (-22.5, -15.0), "units": ("mm", "mm")}
