"""The Explore dock in a real napari window."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.viewer

BRATS = ["synthetic t1", "synthetic t1ce", "synthetic t2", "synthetic flair", "synthetic segmentation"]


@pytest.fixture(autouse=True)
def no_shipped_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests say the same whatever the package ships."""
    monkeypatch.setattr("napari_pgan.model.shipped_models", dict)


@pytest.fixture
def messages() -> Any:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield lambda: [(str(r.severity), r.message) for r in notification_manager.records]
    notification_manager.records.clear()


@pytest.fixture
def dock(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any) -> Any:
    viewer = make_napari_viewer_proxy()
    _, explore = viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")
    qtbot.waitUntil(lambda: not explore.loader.is_busy, timeout=20000)
    return explore


@pytest.fixture
def opened(dock: Any, qtbot: Any, model_file: Path) -> Any:
    dock.open_model(str(model_file))
    qtbot.waitUntil(lambda: not dock.loader.is_busy, timeout=20000)
    return dock


def press(qtbot: Any, dock: Any, action: Callable[[], None]) -> Any:
    """Do something and wait for the result that follows."""
    before = dock._session.result
    action()
    qtbot.waitUntil(lambda: dock._session.result is not before and not dock._renderer.is_busy, timeout=20000)
    return dock._session.result


def test_without_a_model_controls_say_why_they_are_off(dock: Any) -> None:
    assert not dock.sample_button.isEnabled()
    assert dock.sample_button.toolTip() == "Open a model first"
    dock.open_latents("found.npz")
    assert dock.status.text() == "Open a model first"
    assert "Open" in dock.models.choice.toolTip()
    assert "Shift+S" in dock.sample_button.text()


def test_sampling_makes_layers_and_fills_them_again(opened: Any, qtbot: Any) -> None:
    viewer = opened._viewer
    own = viewer.add_image(np.ones((5, 5)), name="mine", units=("mm", "mm"))
    opened.latent.seed.setValue(3)
    result = press(qtbot, opened, opened.sample_button.click)
    assert [layer.name for layer in viewer.layers] == ["mine", *BRATS]
    assert result.request.seeds == [3]
    first = list(viewer.layers)
    result = press(qtbot, opened, lambda: opened.latent.seed.setValue(4))
    assert list(viewer.layers) == first
    for layer, image in zip(first[1:5], result.batch.images[0], strict=True):
        np.testing.assert_array_equal(layer.data, image)
        assert tuple(layer.contrast_limits) == (-1, 1)
        np.testing.assert_allclose(layer.scale, (3.0, 2.0))
    np.testing.assert_array_equal(own.data, np.ones((5, 5)))
    press(qtbot, opened, opened.latent.undo_button.click)
    assert opened.latent.seed.value() == 3
    assert not viewer.canvas.grid.enabled  # there was a layer already: the view is the person's


def test_truncation_count_and_size_follow_at_once(opened: Any, qtbot: Any) -> None:
    viewer = opened._viewer
    press(qtbot, opened, opened.sample_button.click)
    assert viewer.canvas.grid.enabled  # the viewer was empty
    assert opened.side_by_side.isChecked()
    for value in np.linspace(0.9, 0.1, 20):
        opened.settings.fields["truncation"].value = value
    result = press(qtbot, opened, lambda: opened.settings.fields["truncation"].set_value(0.0))
    assert result.batch.truncation == 0
    assert press(qtbot, opened, opened.settings.reset_buttons["truncation"].click).batch.truncation == 1
    press(qtbot, opened, lambda: opened.settings.fields["count"].set_value(3))
    assert {layer.data.shape for layer in viewer.layers} == {(3, 16, 16)}
    assert viewer.dims.axis_labels[0] == "sample"
    press(qtbot, opened, lambda: opened.settings.fields["stage"].native.setCurrentIndex(1))
    assert {layer.data.shape for layer in viewer.layers} == {(3, 8, 8)}
    assert len(viewer.layers) == 5


def test_a_dropped_model_is_opened_and_sampled(
    make_napari_viewer_proxy: Callable[..., Any], qtbot: Any, model_file: Path, messages: Any, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    assert viewer.open(str(model_file), plugin="napari-pgan") == []
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=20000)
    _, explore = viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")
    qtbot.waitUntil(lambda: explore._session.result is not None, timeout=20000)
    good = explore._session.result
    data = [layer.data.copy() for layer in viewer.layers]

    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"PK\x03\x04 a pickle")
    viewer.open(str(bad), plugin="napari-pgan")
    qtbot.waitUntil(lambda: len(messages()) == 1, timeout=20000)
    ((severity, message),) = messages()
    assert severity == "error"
    assert "pickle" in message
    assert "Traceback" not in message
    assert explore._session.result is good
    for layer, before in zip(viewer.layers, data, strict=True):
        np.testing.assert_array_equal(layer.data, before)
    assert explore.sample_button.isEnabled()
    assert explore.models.choice.currentText() == "small"
    assert "not for diagnosis" in explore.models.limits.text()


def test_the_dock_takes_a_dropped_model_or_latents_and_leaves_other_files_to_the_window(
    dock: Any, qtbot: Any, model_file: Path, tmp_path: Path
) -> None:
    from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent
    from qtpy.QtWidgets import QApplication

    how = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)

    def drop(path: str) -> bool:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(path)])
        enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, *how)
        QApplication.sendEvent(dock, enter)
        if enter.isAccepted():
            QApplication.sendEvent(dock, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, *how))
        return enter.isAccepted()

    assert not drop("/tmp/x.nii.gz")
    assert press(qtbot, dock, lambda: drop(str(model_file))).request.model.card.name == "small"
    np.savez(tmp_path / "found.npz", latents=np.ones((3, 8)))
    assert len(press(qtbot, dock, lambda: drop(str(tmp_path / "found.npz"))).batch) == 3


def test_latents_of_a_file_are_shown_unchanged(
    opened: Any, qtbot: Any, model: Any, make_session_model: Callable[..., Any], messages: Any, tmp_path: Path
) -> None:
    from napari_pgan.model import Condition
    from napari_pgan.samples import write_npz

    random = np.random.default_rng(0)
    offsets = [random.normal(size=(2, 8, 4, 4)).astype(np.float32)]
    batch = model.sample(latents=random.normal(size=(2, 8)), offsets=offsets)
    write_npz(tmp_path / "found.npz", batch, model)
    press(qtbot, opened, opened.sample_button.click)
    opened.settings.fields["truncation"].value = 0.5
    result = press(qtbot, opened, lambda: opened.latent.file_chosen.emit(str(tmp_path / "found.npz")))
    np.testing.assert_array_equal(result.batch.images, batch.images)
    np.testing.assert_array_equal(opened._viewer.layers["synthetic t1"].data, batch.images[:, 0])
    made_by = opened._viewer.layers["synthetic t1"].metadata["napari_pgan"]["samples"]
    assert [sample["refined"] for sample in made_by] == [True, True]
    assert "refined" in opened.latent.note.text()
    assert opened.settings.fields["truncation"].value == 1
    half = press(qtbot, opened, lambda: opened.settings.fields["truncation"].set_value(0.5))
    again = model.sample(latents=batch.latents, offsets=offsets, truncation=0.5)
    np.testing.assert_array_equal(half.batch.images, again.images)
    write_npz(tmp_path / "half.npz", half.batch, model)
    press(qtbot, opened, lambda: opened.settings.fields["truncation"].set_value(1))
    as_made = press(qtbot, opened, lambda: opened.open_latents(str(tmp_path / "half.npz")))
    np.testing.assert_array_equal(as_made.batch.images, again.images)
    press(qtbot, opened, opened.latent.undo_button.click)
    assert not opened._session.result.batch.refined.any()

    conditions = (Condition("grade", levels=("low", "high")),)
    conditional = make_session_model(seed=1, conditions=conditions)
    write_npz(tmp_path / "conditional.npz", conditional.sample(seeds=[1], conditions={"grade": "high"}), conditional)
    good = opened._session.result
    for name, says in (("conditional.npz", "latents of another model"), ("none.npz", "does not exist")):
        opened.open_latents(str(tmp_path / name))
        qtbot.waitUntil(lambda says=says: says in opened.status.text(), timeout=20000)
        assert messages()[-1][0] == "error"
        assert says in messages()[-1][1]
    assert opened._session.result is good
    opened._session.use(conditional, "conditional")
    file = str(tmp_path / "conditional.npz")
    result = press(qtbot, opened, lambda: opened.open_latents(file))
    assert result.batch.conditions == {"grade": "high"}

    write_npz(tmp_path / "many.npz", conditional.sample(seeds=range(70), conditions={"grade": "low"}), conditional)
    result = press(qtbot, opened, lambda: opened.open_latents(str(tmp_path / "many.npz")))
    assert len(result.batch) == 64
    assert "The first 64 of 70 latents" in messages()[-1][1]


def test_conditions_have_controls(dock: Any, qtbot: Any, make_session_model: Callable[..., Any]) -> None:
    from napari_pgan.model import Condition

    model = make_session_model(
        conditions=(Condition("grade", levels=("low", "high")), Condition("age", range=(20.0, 80.0)))
    )
    dock._session.use(model, "made")
    press(qtbot, dock, dock.sample_button.click)
    grade, age = dock.settings.conditions["grade"], dock.settings.conditions["age"]
    assert age.value == 50
    result = press(qtbot, dock, lambda: grade.native.setCurrentIndex(1))
    assert result.batch.conditions == {"grade": "high", "age": 50.0}
    assert press(qtbot, dock, lambda: age.set_value(30)).batch.conditions == {"grade": "high", "age": 30.0}


def test_a_fault_is_reported_and_the_last_result_stays(
    opened: Any, qtbot: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = press(qtbot, opened, opened.sample_button.click)

    def broken(*args: Any, **kwargs: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("napari_pgan.viewer.docks.explore.explore.batch_layers", broken)
    opened.sample_button.click()
    qtbot.waitUntil(lambda: len(messages()) == 1, timeout=20000)
    assert "no room" in messages()[0][1]
    assert opened._session.result is good
    assert opened.sample_button.isEnabled()


def test_saving_writes_nifti_with_its_origin(opened: Any, qtbot: Any, tmp_path: Path, messages: Any) -> None:
    viewer = opened._viewer
    opened.latent.seed.setValue(5)
    result = press(qtbot, opened, opened.sample_button.click)
    written = [Path(p) for p in viewer.layers.save(str(tmp_path / "a.nii.gz"), plugin="napari-pgan")]
    assert len(written) == 6
    one = nib.load(tmp_path / "a_flair.nii.gz")
    np.testing.assert_array_equal(np.asarray(one.dataobj)[:, :, 0].T, result.batch.images[0, 3])
    np.testing.assert_allclose(np.abs(np.diag(one.affine))[:3], (2.0, 3.0, 1.5))
    assert json.loads((tmp_path / "a.json").read_text())["provenance"]["seed"] == 5
    assert [Path(p).name for p in viewer.layers["synthetic t2"].save(str(tmp_path / "b.nii.gz"))] == [
        "b_t2.nii.gz", "b.json",
    ]  # fmt: skip
    opened.save_button.save(result, tmp_path / "c.nii.gz")
    assert opened.save_button.toolTip() == "The files are being written"
    qtbot.waitUntil(opened.save_button.isEnabled, timeout=20000)
    assert (tmp_path / "c_flair.nii.gz").read_bytes() == (tmp_path / "a_flair.nii.gz").read_bytes()
    assert "Wrote 6 files" in messages()[-1][1]


def test_closing_gives_keys_and_thread_back_and_the_next_dock_goes_on(opened: Any, qtbot: Any) -> None:
    viewer = opened._viewer
    opened.latent.seed.setValue(8)
    press(qtbot, opened, opened.sample_button.click)
    first = list(viewer.layers)
    assert len(viewer.keymap) == 3
    thread = opened._renderer._thread._thread
    assert thread.is_alive()
    viewer.window.remove_dock_widget(opened)
    assert len(viewer.keymap) == 0
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=20000)
    _, again = viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")
    assert again is not opened
    assert again.latent.seed.value() == 8
    assert len(viewer.keymap) == 3
    press(qtbot, again, lambda: again.latent.draw())
    assert list(viewer.layers) == first  # the same layers serve on


def test_a_key_that_is_taken_stays_with_its_owner(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any) -> None:
    viewer, calls = make_napari_viewer_proxy(), []
    viewer.bind_key("Shift-S", lambda v: calls.append(v))
    _, explore = viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")
    assert explore.sample_button.text() == "Sample"
    assert "Shift+R" in explore.latent.random_button.text()
    qtbot.waitUntil(lambda: not explore.loader.is_busy, timeout=20000)
    viewer.window.remove_dock_widget(explore)
    assert len(viewer.keymap) == 1


def test_sample_data_opens_beside_a_window_that_lives(
    make_napari_viewer_proxy: Callable[..., Any], subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtCore import QTimer

    def slow(*args: Any) -> Any:
        time.sleep(0.3)
        return subject

    monkeypatch.setattr("napari_pgan.phantom.make_subject", slow)
    viewer, ticks = make_napari_viewer_proxy(), []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(10)
    viewer.open_sample("napari-pgan", "phantom")
    timer.stop()
    assert len(viewer.layers) == 5
    assert [str(u) for u in viewer.layers.units] == ["millimeter"] * 3
    assert len(ticks) > 3
