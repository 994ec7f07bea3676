"""What the dock Prepare shows and asks of the command; without Qt."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.plan import read_plan
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.preparation.options import Options
from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
from napari_pgan.phantom import write_cohort
from napari_pgan.viewer.compare import Compared, chequered, grey, wiped
from napari_pgan.viewer.prepare_command import PreparationRequest, SubjectRow, last_sentence, outcome, rows_of, way_said

_pictures = arrays(np.uint8, (4, 6, 8))


@given(_pictures, st.floats(1, 50))
def test_equal_pictures_stay_whole_under_any_board(picture: np.ndarray, field: float) -> None:
    np.testing.assert_array_equal(chequered(picture, picture, (1.0, 2.0, 3.0), field), picture)


@given(st.floats(2, 30))
def test_fields_are_as_long_as_asked_in_millimetres(field: float) -> None:
    black, white = np.zeros((1, 1, 200), np.uint8), np.ones((1, 1, 200), np.uint8)
    board = chequered(black, white, (1.0, 1.0, 0.5), field)[0, 0].astype(int)
    turns = np.flatnonzero(np.diff(board))
    assert (np.abs(np.diff(turns) * 0.5 - field) <= 0.5).all()
    assert chequered(black, white, (1.0, 1.0, 0.5), 300).max() in (0, 1)


@given(_pictures, _pictures, st.floats(0, 1), st.integers(0, 2))
def test_a_swipe_shows_the_first_before_the_line_and_the_second_beyond(
    a: np.ndarray, b: np.ndarray, share: float, axis: int
) -> None:
    made = wiped(a, b, share, axis)
    line = round(share * a.shape[axis])
    np.testing.assert_array_equal(np.split(made, [line], axis)[0], np.split(a, [line], axis)[0])
    np.testing.assert_array_equal(np.split(made, [line], axis)[1], np.split(b, [line], axis)[1])


def test_shades_leave_an_outlier_aside_and_the_background_black() -> None:
    array = np.tile(np.linspace(100, 200, 1000, dtype=np.float32), (10, 1, 1))
    array[0, 0, 0] = 32767
    shades = grey(array, 100.0)
    assert shades[1, 0, 0] == 0
    assert shades[1, 0, 500] == pytest.approx(128, abs=2)
    assert grey(np.full((2, 2, 2), 5.0), 5.0).max() == 0


def test_what_the_command_lists_and_takes_is_what_the_table_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
    write_cohort(tmp_path / "cohort", 2, seed=1, size=32)
    next(tmp_path.glob("cohort/phantom_0001/*flair*")).unlink()
    wish = PreparationRequest(
        str(tmp_path / "cohort"), str(tmp_path / "c.zarr"), size=32, field_of_view=224.0, axis="coronal", bias=True
    )
    listed = subprocess.run(wish.listing(), capture_output=True, text=True, check=True)
    rows = rows_of(listed.stdout)
    assert [(row.name, row.said) for row in rows] == [("phantom_0001", "flair is missing"), ("phantom_0002", "")]
    assert rows[0].found == "seg, t1, t1ce, t2"
    made = subprocess.run(wish.preparing(), capture_output=True, text=True, check=True)
    ways = [way for line in made.stderr.splitlines() if (way := way_said(line))]
    assert {every for _, _, every in ways} == {1}
    assert ways[-1][0].startswith("Subjects")
    text, shown = outcome(made.stdout, rows)
    assert text.startswith("1 of 2 subjects are in the store (")
    assert shown == [
        SubjectRow("phantom_0001", rows[0].found, "set aside: flair is missing"),
        SubjectRow("phantom_0002", rows[1].found, "taken"),
    ]
    assert outcome(made.stdout, [SubjectRow("of another cohort", "t1")])[1] == [replace(row, found="") for row in shown]


def test_a_plan_with_brain_masks_has_its_quality_page_where_the_command_writes_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    modalities = {"modalities": {"t1": "{subject}/t1.nii"}}
    for about, there in ((modalities, False), (modalities | {"brain_mask": "{subject}/brain.nii"}, True)):
        plan.write_text(json.dumps(about))  # JSON is YAML
        wish = PreparationRequest("a", str(tmp_path / "b.zarr"), str(plan), reference="t1")
        assert wish.page() == (tmp_path / "b-quality" / "quality.html" if there else None)
        assert ("--quality" in wish.preparing()) is there
        assert "--reference" not in wish.preparing()  # the dock offers it with its own steps alone
        options = Options(plan=read_plan(plan))
        assert options.stripped is there
    plan.write_text("modalities: [t1]")
    with pytest.raises(InputError, match=r"plan\.yaml"):
        wish.preparing()


def test_only_what_was_chosen_is_asked(tmp_path: Path) -> None:
    assert PreparationRequest("a", "b.zarr").preparing()[1:] == [
        "-m",
        "napari_pgan",
        "prepare",
        str(Path("a").absolute()),
        str(Path("b.zarr").absolute()),
        "--json",
    ]
    wish = PreparationRequest("a", "s3://bucket/b.zarr", "p.yaml", register=True, reference="t1", strip=True)
    words = wish.preparing()
    assert words[5] == "s3://bucket/b.zarr"
    assert words[6:] == ["--plan", "p.yaml", "--reference", "t1", "--register", "--strip", "--json"]
    assert wish.page() is None
    words = PreparationRequest("a", "b.zarr", reference="t2", strip=True).preparing()
    assert words[6:] == ["--reference", "t2", "--quality", "b-quality", "--strip", "--json"]
    assert "--reference" not in PreparationRequest("a", "b.zarr", reference="t2", bias=True).preparing()
    words = PreparationRequest(
        "a", "b.zarr", reference="t2", atlas="template", labels="gaussian", scheduler="tcp://n:1"
    ).preparing()
    asked = ["--scheduler", "tcp://n:1", "--reference", "t2", "--quality", "b-quality"]
    assert words[6:] == [*asked, "--atlas", "template", "--labels", "gaussian", "--json"]
    page = PreparationRequest("a", str(tmp_path / "b.zarr"), register=True).page()
    assert page == tmp_path / "b-quality" / "quality.html"
    with pytest.raises(InputError, match="name the store"):
        PreparationRequest("a").preparing()
    with pytest.raises(InputError, match="choose the folder"):
        PreparationRequest("").listing()


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("Subjects: 3/24 subjects (12%), 40 s left", ("Subjects, 40 s left", 3, 24)),
        ("First look: 1,200/2,400 subjects (50%)", ("First look", 1200, 2400)),
        ("store: 18 subjects (train 14, val 2, test 2)", None),
        ("", None),
    ],
)
def test_progress_is_read_from_the_commands_lines(line: str, way: tuple[str, int, int] | None) -> None:
    assert way_said(line) == way


def test_a_command_that_fails_ends_with_its_sentence() -> None:
    assert last_sentence("First look: 1/1\nError: there is no such folder; name one\n\n") == (
        "there is no such folder; name one"
    )
    assert last_sentence("") == "the command ended without a word"


@pytest.mark.slow
def test_the_store_goes_on_after_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGINT for other processes")
    write_cohort(tmp_path / "cohort", 6, seed=1, size=32)
    wish = PreparationRequest(str(tmp_path / "cohort"), str(tmp_path / "c.zarr"), size=32)
    process = subprocess.Popen(wish.preparing(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("First look: 6/6"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130)  # 0: it was through before the signal came
    made = subprocess.run(wish.preparing(), capture_output=True, text=True, check=True)
    assert json.loads(made.stdout)["taken"] == 6
    assert "Traceback" not in err + made.stderr
    assert out is not None


def test_a_skull_that_is_taken_off_is_dimmed_and_an_atlas_is_laid_beside_the_reference() -> None:
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    head = np.zeros((10, 12, 14), np.float32)
    head[2:8, 2:10, 2:12] = np.linspace(50, 100, 10, dtype=np.float32)
    brain = np.zeros(head.shape, bool)
    brain[4:6, 4:8, 4:10] = True
    t1, atlas = Volume(head, affine), Volume(head[::-1].copy(), affine)
    together = PreprocessedExam(
        "t1", {"t1": t1}, {"t1": t1}, {"t1": Foreground(brain, 0.0, True)}, {}, {"parts": {}}, atlas=atlas
    )
    compared = Compared(together)
    assert compared.pairs == [("atlas | t1", "atlas")]
    ((first, *_), (second, *_)) = (compared.picture("atlas", True, True, share, 0) for share in (0.0, 100.0))
    before, *_ = compared.picture("atlas", False, True, 0.0, 0)
    np.testing.assert_array_equal(second, grey(atlas.array, 0.0))
    np.testing.assert_array_equal(first[brain], before[brain])
    outside = ~brain & (head > 0)
    assert (first[outside] < 0.5 * before[outside]).all()
    alone = Compared(replace(together, atlas=None))
    assert alone.pairs == [("t1", "t1")]
