"""The Prepare dock in a napari window."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from displaced_exam import write_exam
from scipy import ndimage

from napari_pgan.phantom import PhantomSubject, make_subject, write_cohort

pytestmark = pytest.mark.viewer
CHANGES: dict[str, Callable[[Any], Any]] = {
    "translate": lambda translate: translate + 5,
    "data": lambda voxels: voxels + 1,
}


@pytest.fixture(scope="module")
def small() -> PhantomSubject:
    return make_subject(4, 32)


@pytest.fixture
def exam_folder(tmp_path: Path, small: PhantomSubject) -> Path:
    write_exam(tmp_path / "exam", small)
    return tmp_path / "exam"


@pytest.fixture
def messages() -> Any:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield lambda: [r.message for r in notification_manager.records]
    notification_manager.records.clear()


@pytest.fixture
def dock(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    viewer = make_napari_viewer_proxy()
    _, prepare = viewer.window.add_plugin_dock_widget("napari-pgan", "Prepare")
    prepare.viewer = viewer
    return prepare


def wait(qtbot: Any, until: Callable[[], bool]) -> None:
    qtbot.waitUntil(until, timeout=60000)


def assert_picture_changes(qtbot: Any, layer: Any, change: Callable[[], Any]) -> None:
    before = layer.data.copy()
    change()
    wait(qtbot, lambda: not np.array_equal(layer.data, before))


def test_an_exam_is_prepared_for_the_model_and_saved_in_patient_space(
    dock: Any, qtbot: Any, exam_folder: Path, model: Any, tmp_path: Path
) -> None:
    from qtpy.QtCore import QTimer

    exam, viewer = dock.exam, dock.viewer
    own = viewer.add_image(np.ones((5, 5, 5)), name="mine t1")
    assert exam.source.table.parts() == {"t1": own}
    exam._session.use(model, "small")
    exam.open_paths([str(exam_folder)])
    wait(qtbot, lambda: exam.source.table.rowCount() == 2)
    assert list(exam.source.table.parts()) == ["t1", "t2"]
    assert exam.add_button.toolTip() == "Preview the exam first"

    gaps, last = [], [time.monotonic()]
    timer = QTimer()
    timer.timeout.connect(lambda: (gaps.append(time.monotonic() - last[0]), last.__setitem__(0, time.monotonic())))
    timer.start(10)
    exam.preview_button.click()
    assert exam.preview_button.text() == "Cancel"
    wait(qtbot, lambda: "preview" in viewer.layers)
    timer.stop()
    assert np.percentile(gaps, 90) < 0.2  # the window stays responsive during the work
    assert not own.visible
    assert [exam.registration.item(0, i).text()[:2] for i in range(1)] == ["t2"]
    before, after = exam.registration.item(0, 1).text().split(" → ")
    assert float(after) > float(before)

    form = exam.comparison
    for change in (
        lambda: form.before.setChecked(True),
        lambda: setattr(form.fields["field"], "value", 12),
        lambda: setattr(form.fields["mode"], "value", "Swipe"),
        lambda: setattr(form.fields["position"], "value", 80),
        lambda: viewer.dims.transpose(),
    ):
        assert_picture_changes(qtbot, viewer.layers["preview"], change)

    exam.steps.fields["bias"].native.setChecked(True)
    assert exam.add_button.toolTip() == "Volumes or steps have changed: preview again"
    exam.steps.fields["bias"].native.setChecked(False)
    exam.add_button.click()
    wait(qtbot, exam.patient.button.isEnabled)
    names = [layer.name for layer in viewer.layers]
    assert names == ["mine t1", "preview", "exam t1", "exam t2", "exam segmentation"]
    assert own.visible
    assert not viewer.layers["preview"].visible
    assert viewer.layers["exam t2"].data.shape[1:] == model.card.grid.shape
    assert "t1ce, flair" in dock.status.text()
    assert exam.source.table.rowCount() == 2  # the layers that the dock made are not listed

    drawn = viewer.layers["exam segmentation"]
    drawn.data_setitem(np.nonzero(np.pad(np.ones((8, 10, 10)), ((10, drawn.data.shape[0] - 18), (3, 3), (3, 3)))), 4)
    viewer.layers.selection = {drawn}
    exam.patient.fields["onto"].value = "t2"
    exam.patient.save(tmp_path / "out.nii.gz")
    wait(qtbot, lambda: "Wrote 2 files" in dock.status.text())
    written, original = nib.load(tmp_path / "out_seg.nii.gz"), nib.load(exam_folder / "head_t2.nii.gz")
    np.testing.assert_array_equal(written.affine, original.affine)
    assert set(np.unique(written.dataobj)) == {0, 4}
    by_menu = viewer.layers.save(str(tmp_path / "menu.nrrd"), selected=True, plugin="napari-pgan")
    assert [Path(p).name for p in by_menu] == ["menu_seg.seg.nrrd", "menu.json"]

    exam.add_button.click()  # the edited layer is preserved; the others are refilled
    wait(qtbot, lambda: len(viewer.layers) == 6 and not exam._renderer.is_busy)
    assert drawn in viewer.layers
    assert (drawn.data == 4).sum() == 800


def test_a_brain_mask_and_an_atlas_can_be_layers(dock: Any, qtbot: Any, small: PhantomSubject, tmp_path: Path) -> None:
    """The head is displaced from the atlas by 10 mm."""
    exam, viewer = dock.exam, dock.viewer
    spacing = small.grid.spacing
    head = viewer.add_image(small.images["t1"], name="t1", scale=spacing)
    inner = ndimage.binary_erosion(small.brain, iterations=2)
    viewer.add_labels(inner.astype(np.uint8), name="brain mask", scale=spacing)
    viewer.add_labels(small.labels.copy(), name="lesion", scale=spacing)
    average = viewer.add_image(small.images["t1"], name="average", scale=spacing, translate=(0, 0, 10))
    assert exam.source.table.parts().keys() == {"t1", "brain", "seg"}
    for row in range(3):
        line = exam.source.table.cellWidget(row, 1).lineEdit()
        width = line.fontMetrics().horizontalAdvance(line.text())
        assert width + 20 < exam.source.table.columnWidth(1)  # the text fits beside the arrow
        assert line.cursorPosition() == 0
    steps = exam.steps
    assert not steps.fields["strip"].native.isEnabled()
    assert "brain mask among the volumes" in steps.fields["strip"].native.toolTip()
    steps.fields["register"].native.setChecked(False)
    assert "not resampled" in steps.fields["labels"].native.toolTip()
    offered = [steps.atlas.itemText(i) for i in range(steps.atlas.count())]
    assert offered == ["no atlas", "shipped brain", "t1", "average", "file…"]
    steps.atlas.setCurrentIndex(3)
    steps.atlas.activated.emit(3)
    assert steps.atlas.value == average
    steps.fields["labels"].value = "gaussian"

    exam.preview_button.click()
    wait(qtbot, lambda: "preview" in viewer.layers)
    assert "Ready" in dock.status.text()
    assert exam.registration.item(0, 0).text() == "atlas"
    assert float(exam.registration.item(0, 2).text().split(" mm")[0]) == pytest.approx(10, abs=1.5)
    assert exam.comparison.fields["part"].native.currentText() == "atlas | t1"
    stale = "Volumes or steps have changed: preview again"
    lesion, sources = viewer.layers["lesion"], [viewer.layers[name] for name in ("t1", "average")]
    lesion.paint((1, 1, 1), 4)
    wait(qtbot, lambda: exam.add_button.toolTip() == stale)
    lesion.undo()
    exam.steps.changed.emit("bias", False)
    assert exam.add_button.isEnabled()
    lesion.redo()  # napari emits no event
    exam.add_button.click()
    assert not exam._renderer.is_busy
    assert exam.add_button.toolTip() == dock.status.text().removesuffix(".") == stale
    lesion.undo()
    for layer, name, other in ((x, name, other) for x in sources for name, other in CHANGES.items()):
        before = getattr(layer, name)
        setattr(layer, name, other(before))
        wait(qtbot, lambda: exam.add_button.toolTip() == stale)
        setattr(layer, name, before)
        wait(qtbot, exam.add_button.isEnabled)
    exam.grid.fields["size"].value = 32
    exam.add_button.click()
    wait(qtbot, exam.patient.button.isEnabled)
    sent, marked = viewer.layers["exam t1"].data, viewer.layers["exam segmentation"].data
    voxel = float(np.prod(viewer.layers["exam t1"].scale))
    assert (sent > -0.999).sum() * voxel == pytest.approx(inner.sum() * np.prod(spacing), rel=0.2)
    assert (marked > 0).sum() * voxel == pytest.approx((small.labels > 0).sum() * np.prod(spacing), rel=0.25)
    assert exam.patient.fields["onto"].choices == (None, "t1", "seg")

    viewer.layers.remove(average)  # a removed atlas is no longer chosen
    assert steps.atlas.value is None
    assert exam.add_button.toolTip() == "Volumes or steps have changed: preview again"
    steps.atlas.add_file(tmp_path / "none.nii.gz")
    exam.preview_button.click()
    wait(qtbot, lambda: "none.nii.gz does not exist" in dock.status.text())
    assert head in viewer.layers


def test_a_new_atlas_is_compared_first_and_a_choice_is_preserved(qtbot: Any) -> None:
    from napari_pgan.viewer.docks.prepare.compare_form import CompareForm

    form = CompareForm()
    qtbot.addWidget(form)
    part = form.fields["part"]
    modalities = [("t1 | t2", "t2"), ("t1 | flair", "flair")]
    form.set_pairs(modalities)
    part.value = "flair"
    form.set_pairs(modalities)
    assert part.value == "flair"
    form.set_pairs([("atlas | t1", "atlas"), *modalities])
    assert part.value == "atlas"
    part.value = "t2"
    form.set_pairs([("atlas | t1", "atlas"), *modalities])
    assert part.value == "t2"


def test_bad_input_gives_a_message_and_changes_nothing(
    dock: Any, qtbot: Any, messages: Any, tmp_path: Path, small: PhantomSubject
) -> None:
    exam, viewer = dock.exam, dock.viewer
    assert not exam.preview_button.isEnabled()
    assert "choose a folder" in exam.preview_button.toolTip()
    (tmp_path / "notes.txt").write_text("no images")
    exam.open_paths([str(tmp_path)])
    wait(qtbot, lambda: "contains no volume" in dock.status.text())
    (tmp_path / "broken_t1.nii.gz").write_bytes(b"\x1f\x8b broken")
    exam.open_paths([str(tmp_path)])
    wait(qtbot, lambda: exam.source.table.rowCount() == 1)
    exam.preview_button.click()
    wait(qtbot, lambda: "fetch it again" in dock.status.text())
    exam.source.buttons[0].click()
    for name in ("t1", "t1 again"):
        viewer.add_image(small.images["t1"], name=name)
    exam.source.table.cellWidget(1, 1).setCurrentText("t1")
    exam.preview_button.click()
    assert "two volumes are marked as t1" in dock.status.text().lower()
    assert len(messages()) == 3
    assert not any("Traceback" in text for text in messages())
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 again"]
    assert exam.preview_button.isEnabled()


def test_cancelling_or_closing_stops_the_work(
    dock: Any, qtbot: Any, small: PhantomSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def slow(exam: Any, options: Any, report: Callable[..., None]) -> None:
        while True:
            steps.append(1)
            report("Registering t2 to t1", len(steps), 10**6)
            time.sleep(0.01)

    monkeypatch.setattr("napari_pgan.imaging.preprocessing.exam.preprocess_exam", slow)
    exam, viewer = dock.exam, dock.viewer
    viewer.add_image(small.images["t1"], name="t1")
    exam.preview_button.click()
    wait(qtbot, lambda: "Registering t2 to t1" in dock.status.text())
    exam.preview_button.click()
    assert exam.preview_button.text() == "Cancelling…"
    wait(qtbot, lambda: exam.preview_button.text() == "Preview")
    assert "Cancelled" in dock.status.text()
    count = len(steps)
    exam.preview_button.click()
    wait(qtbot, lambda: len(steps) > count)
    thread = exam._renderer._thread._thread
    viewer.window.remove_dock_widget(dock)
    wait(qtbot, lambda: not thread.is_alive())
    assert [layer.name for layer in viewer.layers] == ["t1"]


def test_a_cohort_is_listed_prepared_and_stopped(
    dock: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: Any
) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
    tab = dock.cohort
    source = tmp_path / "a folder with a rather long name" / "cohort"
    write_cohort(source, 3, seed=2, size=32)
    incomplete = next(source.glob("*"))
    next(incomplete.glob("*t2*")).unlink()
    assert tab.list_button.toolTip() == "Choose the folder that contains the cohort"
    tab.paths.fields["source"].native.setText(str(source))
    tab.list_button.click()
    wait(qtbot, lambda: "3 subjects found, 2 complete" in dock.status.text())
    assert "t2 is missing" in tab.subjects.item(0, 2).text()
    assert tab.prepare_button.toolTip() == "Name the store to create"

    tab.paths.fields["store"].native.setText(str(tmp_path / "store.zarr"))
    tab.grid.fields["size"].value = 32
    tab.prepare_button.click()
    assert tab.prepare_button.text() == "Cancel"
    wait(qtbot, lambda: not tab.process.is_running)
    assert "2 of 3 subjects are in the store" in dock.status.text()
    assert "1 rejected" in dock.status.text()
    assert tab.subjects.item(0, 2).text() == "rejected: t2 is missing"
    assert [tab.subjects.item(i, 2).text() for i in (1, 2)] == ["prepared", "prepared"]
    assert not tab.quality_button.isEnabled()

    tab.paths.fields["store"].native.setText("")
    tab.prepare()
    assert "name the store" in dock.status.text().lower()
    tab.paths.fields["store"].native.setText(str(tmp_path / "store.zarr"))
    tab.grid.fields["size"].value = 64
    tab.prepare_button.click()
    wait(qtbot, lambda: not tab.process.is_running)
    assert "was prepared with --size 32" in dock.status.text()
    assert "Traceback" not in "".join(messages())

    other = tmp_path / "other"
    write_cohort(other, 1, seed=3, size=32)
    tab.paths.fields["store"].native.setText(str(tmp_path / "other.zarr"))
    tab.grid.fields["size"].value = 32
    tab.paths.fields["source"].native.setText(str(other))
    assert tab.subjects.rowCount() == 0  # the listed subjects belong to another cohort
    tab.steps.fields["register"].native.setChecked(True)
    tab.prepare_button.click()
    tab.paths.fields["store"].native.setText(str(tmp_path / "next.zarr"))  # changed while the command runs
    tab.steps.fields["register"].native.setChecked(False)
    wait(qtbot, lambda: not tab.process.is_running)
    assert tab.subjects.rowCount() == 1
    assert [tab.subjects.item(0, column).text() for column in range(3)] == ["phantom_0001", "", "prepared"]
    assert tab._page == tmp_path / "other-quality" / "quality.html"
    assert tab.quality_button.isEnabled()

    code = (
        "import signal, sys, time\nprint('Subjects: 1/9 subjects (11%)', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    tab._start(tab.request(), lambda: [sys.executable, "-c", code], lambda out: None, "Waiting")
    wait(qtbot, lambda: tab.bar.maximum() == 9)
    tab.prepare_button.click()
    wait(qtbot, lambda: not tab.process.is_running)
    assert "resumes" in dock.status.text()
    assert json.loads((tmp_path / "store.zarr" / "zarr.json").read_text())["attributes"]
