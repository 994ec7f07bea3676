"""The command `phantom`."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pgan.cli.app import main


def test_the_command_writes_a_cohort_and_names_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", str(out), "--subjects", "1", "--seed", "3", "--size", "32", "--workers", "1"]
    assert main(words) == 0
    assert (out / "phantom_0001" / "phantom_0001_seg.nii.gz").is_file()
    assert f"napari-pgan-train prepare {out}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--size", "7"], ["--subjects", "0"], ["--seed", "-3"], ["--workers", "-1"], ["--size", "many"]]
)
def test_invalid_options_get_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    words = ["phantom", str(tmp_path / "c"), "--subjects", "1", "--seed", "1", "--size", "32", *options]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "c").exists()
