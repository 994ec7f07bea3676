"""The command `prepare`, for users and scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_cohort import write_cohort, write_subject

from napari_pgan.cli.app import main
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.phantom import write_cohort as write_phantoms
from napari_pgan.store import open_store


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    write_subject(tmp_path / "cohort", "incomplete", flair=None)
    return write_cohort(tmp_path / "cohort", 4)


def test_report_for_people_and_for_machines(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "a.zarr"
    words = ["prepare", str(cohort), str(store), "--size", "16", "--workers", "1", "--json", "--split", "0.5,0.25,0.25"]
    assert main(words) == 0
    output, report = capsys.readouterr().err, None
    assert "4 subjects (train 2, val 1, test 1)" in output
    assert "Rejected: 1 of the 5 found\n  incomplete: flair is missing" in output
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["found"], report["taken"], report["new"]) == (5, 4, 0)
    assert [(a["name"], a["reason"]) for a in report["set_aside"]] == [("incomplete", "flair is missing")]
    assert report["splits"] == {"train": 2, "val": 1, "test": 1}
    assert set(report["clipped"]) == {"t1", "t1ce", "t2", "flair"}
    assert open_store(store).attributes["report"]["taken"] == 4


def test_split_counts_with_too_few_subjects_are_reported(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(cohort), str(tmp_path / "a.zarr"), "--size", "16", "--workers", "1", "--split"]
    assert main([*words, "train=3,val=1,test=1"]) == 0
    assert "too few subjects for --split: train has 2 of 3\n" in capsys.readouterr().err
    assert main([*words, "train=1,val=1,test=1"]) == 2
    assert main(["prepare", str(cohort), str(tmp_path / "b.zarr"), *words[3:], "train=1,val=1,test=1"]) == 0
    output = capsys.readouterr().err
    assert "(train 2, val 1, test 1)" in output
    assert "too few" not in output


def test_a_dry_run_lists_and_writes_nothing(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", str(cohort), str(tmp_path / "a.zarr"), "--dry-run"]) == 0
    output = capsys.readouterr().err
    assert "incomplete: flair is missing" in output
    assert "Brats18_CBICA_P003_1: flair, seg, t1, t1ce, t2" in output
    assert "5 subjects found, 4 of them complete" in output
    assert main(["prepare", str(cohort), str(tmp_path / "a.zarr"), "--dry-run", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["incomplete"]["problem"] == "flair is missing"
    assert set(listed["Brats18_CBICA_P000_1"]["files"]) == {"t1", "t1ce", "t2", "flair", "seg"}
    assert not (tmp_path / "a.zarr").exists()


def test_a_dry_run_refuses_what_preparing_would_refuse(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(cohort), str(tmp_path / "a.zarr"), "--dry-run"]
    for more, sentence in (
        (["--register", "--reference", "nothere"], "--reference 'nothere' is not a modality of this cohort"),
        (["--atlas", str(tmp_path / "none.nii.gz")], "none.nii.gz does not exist"),
    ):
        assert main([*words, *more]) == 2
        output = capsys.readouterr().err.replace("\n", " ")
        assert "Brats18_CBICA_P003_1: flair, seg, t1, t1ce, t2" in output  # the list comes first
        assert sentence in output
    assert main([*words, "--register", "--reference", "t2"]) == 0


def test_a_dry_run_names_unassigned_files_and_fails_without_a_complete_subject(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(cohort), str(tmp_path / "a.zarr"), "--dry-run"]
    for name in ("extra/adc.nii.gz", "extra/dwi.nii"):
        (cohort / name).parent.mkdir(exist_ok=True)
        (cohort / name).touch()
    (cohort / "extra" / "notes.txt").touch()
    assert main(words) == 0
    output = capsys.readouterr().err.replace("\n", " ")
    names = " and ".join(str(Path("extra", name)) for name in ("adc.nii.gz", "dwi.nii"))
    assert f"2 image files belong to no modality, for example {names}; a plan file (--plan) can assign them" in output
    for file in cohort.rglob("*_t2.nii.gz"):
        file.unlink()
    for more in ([], ["--json"]):
        assert main([*words, *more]) == 2
        out, output = capsys.readouterr()
        assert "Brats18_CBICA_P000_1: t2 is missing" in output
        assert "--plan" in output
        assert bool(more) is bool(out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere", "a.zarr"], "nowhere is not a folder"),
        ([".", "a.zarr"], "no subject found in ."),
        (["cohort", "a.zarr", "--size", "30"], "--size 30 cannot be grown by doubling"),
        (["cohort", "a.zarr", "--split", "1,2"], "--split '1,2' is not valid"),
        (["cohort", "a.zarr", "--axis", "up"], "--axis 'up' is unknown"),
        (["cohort", "cohort"], "cohort exists and is not a store"),
        (["cohort", "a.zarr", "--workers", "0"], "--workers"),
    ],
)
def test_bad_input_gets_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "cohort":
        write_subject(tmp_path / "cohort", "a")
    assert main(["prepare", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to a group on Windows")
def test_after_ctrl_c_the_same_command_completes(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 8)
    command = [
        sys.executable,
        "-c",
        "import sys; from napari_pgan.cli.app import main; sys.exit(main(sys.argv[1:]))",
    ]
    words = ["prepare", str(cohort), str(tmp_path / "a.zarr"), "--size", "64", "--name", "a", "--workers"]
    with subprocess.Popen(
        [*command, *words, "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        patience = time.monotonic() + 60
        while not (tmp_path / "a.zarr").exists() and time.monotonic() < patience:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)
        _, output = running.communicate(timeout=60)
    assert running.returncode in (0, 130)  # it may have been faster
    assert "Traceback" not in output
    assert main([*words, "1"]) == 0
    prepare(str(cohort), tmp_path / "whole.zarr", Options(size=64, name="a"))
    assert open_store(tmp_path / "a.zarr").fingerprint == open_store(tmp_path / "whole.zarr").fingerprint


def test_a_phantom_cohort_becomes_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantoms(tmp_path / "cohort", 1, seed=3, size=48)
    words = ["prepare", str(tmp_path / "cohort"), str(tmp_path / "a.zarr"), "--size", "32", "--workers", "1"]
    assert main(words) == 0
    assert "Rejected" not in capsys.readouterr().err
    store = open_store(tmp_path / "a.zarr")
    slices = store.load_slices(None)
    assert {label.value for label in store.channels.labels} == {1, 2, 4}
    assert slices.labels.sum() > 0
    whole = slices.labels.sum(axis=1) > 0.9
    brain = (slices.images > -0.999).all(axis=1)
    oedema = slices.labels[:, 1] > 0.9
    assert slices.images[:, 3][oedema].mean() > slices.images[:, 3][brain & ~whole].mean()
