"""Command lines of the Prepare dock, and what it reads from the command's output; without Qt."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.plan import read_plan
from napari_pgan.imaging.preparation.options import Options
from napari_pgan.phantom import write_cohort
from napari_pgan.viewer.prepare_command import (
    PreparationRequest,
    SubjectRow,
    last_message,
    parse_listing,
    parse_progress,
    parse_report,
)


def test_the_table_shows_what_the_command_lists_and_prepares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
    write_cohort(tmp_path / "cohort", 2, seed=1, size=32)
    next(tmp_path.glob("cohort/phantom_0001/*flair*")).unlink()
    request = PreparationRequest(
        str(tmp_path / "cohort"), str(tmp_path / "c.zarr"), size=32, field_of_view=224.0, axis="coronal", bias=True
    )
    listing = subprocess.run(request.list_command(), capture_output=True, text=True, check=True)
    rows = parse_listing(listing.stdout)
    assert [row.name for row in rows] == ["phantom_0001", "phantom_0002"]
    assert "flair" in rows[0].result
    assert rows[1].result == ""
    assert rows[0].files == "seg, t1, t1ce, t2"
    prepared = subprocess.run(request.prepare_command(), capture_output=True, text=True, check=True)
    progress = [found for line in prepared.stderr.splitlines() if (found := parse_progress(line))]
    assert {total for _, _, total in progress} == {1}
    assert progress[-1][0].startswith("Subjects")
    summary, results = parse_report(prepared.stdout, rows)
    assert "1 of 2 subjects" in summary
    assert "1 rejected" in summary
    assert results == [
        SubjectRow("phantom_0001", rows[0].files, f"rejected: {rows[0].result}"),
        SubjectRow("phantom_0002", rows[1].files, "prepared"),
    ]
    other = [SubjectRow("of another cohort", "t1")]
    assert parse_report(prepared.stdout, other)[1] == [replace(row, files="") for row in results]


def test_a_plan_with_brain_masks_has_its_quality_page_where_the_command_writes_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    modalities = {"modalities": {"t1": "{subject}/t1.nii"}}
    for content, has_page in ((modalities, False), (modalities | {"brain_mask": "{subject}/brain.nii"}, True)):
        plan.write_text(json.dumps(content))  # JSON is YAML
        request = PreparationRequest("a", str(tmp_path / "b.zarr"), str(plan), reference="t1")
        assert request.quality_page() == (tmp_path / "b-quality" / "quality.html" if has_page else None)
        assert ("--quality" in request.prepare_command()) is has_page
        assert "--reference" not in request.prepare_command()  # the dock offers it with its own steps only
        assert Options(plan=read_plan(plan)).stripped is has_page
    plan.write_text("modalities: [t1]")
    with pytest.raises(InputError, match=r"plan\.yaml"):
        request.prepare_command()


def test_the_command_has_only_the_chosen_options(tmp_path: Path) -> None:
    assert PreparationRequest("a", "b.zarr").prepare_command()[1:] == [
        "-m",
        "napari_pgan",
        "prepare",
        str(Path("a").absolute()),
        str(Path("b.zarr").absolute()),
        "--json",
    ]
    request = PreparationRequest("a", "s3://bucket/b.zarr", "p.yaml", register=True, reference="t1", strip=True)
    command = request.prepare_command()
    assert command[5] == "s3://bucket/b.zarr"
    assert command[6:] == ["--plan", "p.yaml", "--reference", "t1", "--register", "--strip", "--json"]
    assert request.quality_page() is None
    command = PreparationRequest("a", "b.zarr", reference="t2", strip=True).prepare_command()
    assert command[6:] == ["--reference", "t2", "--quality", "b-quality", "--strip", "--json"]
    assert "--reference" not in PreparationRequest("a", "b.zarr", reference="t2", bias=True).prepare_command()
    command = PreparationRequest(
        "a", "b.zarr", reference="t2", atlas="template", labels="gaussian", scheduler="tcp://n:1"
    ).prepare_command()
    common = ["--scheduler", "tcp://n:1", "--reference", "t2", "--quality", "b-quality"]
    assert command[6:] == [*common, "--atlas", "template", "--labels", "gaussian", "--json"]
    page = PreparationRequest("a", str(tmp_path / "b.zarr"), register=True).quality_page()
    assert page == tmp_path / "b-quality" / "quality.html"
    with pytest.raises(InputError, match="store"):
        PreparationRequest("a").prepare_command()
    with pytest.raises(InputError, match="folder"):
        PreparationRequest("").list_command()


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("Subjects: 3/24 subjects (12%), 40 s left", ("Subjects, 40 s left", 3, 24)),
        ("First look: 1,200/2,400 subjects (50%)", ("First look", 1200, 2400)),
        ("store: 18 subjects (train 14, val 2, test 2)", None),
        ("", None),
    ],
)
def test_progress_is_parsed_from_the_output(line: str, progress: tuple[str, int, int] | None) -> None:
    assert parse_progress(line) == progress


def test_the_message_of_a_failed_command_is_its_last_line() -> None:
    assert last_message("First look: 1/1\nError: there is no such folder; name one\n\n") == (
        "there is no such folder; name one"
    )
    assert "without a message" in last_message("")


@pytest.mark.slow
def test_an_interrupted_preparation_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGINT for other processes")
    write_cohort(tmp_path / "cohort", 6, seed=1, size=32)
    request = PreparationRequest(str(tmp_path / "cohort"), str(tmp_path / "c.zarr"), size=32)
    process = subprocess.Popen(request.prepare_command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if (progress := parse_progress(line)) and progress[1:] == (6, 6):  # the first of two passes
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130)  # 0: it finished before the signal came
    resumed = subprocess.run(request.prepare_command(), capture_output=True, text=True, check=True)
    assert json.loads(resumed.stdout)["taken"] == 6
    assert "Traceback" not in err + resumed.stderr
    assert out is not None
