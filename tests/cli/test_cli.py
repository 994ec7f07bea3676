"""General behaviour of the command: help with an example, one sentence for bad input, a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_pgan.cli.app import main

COMMANDS = ["demo", "phantom", "prepare", "fit", "sample", "info"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    output = capsys.readouterr().out
    assert f"napari-pgan-train {command}" in output.replace("\n", " ")
    assert "Example" in output


@pytest.mark.parametrize(
    "words", [["paint"], ["fit"], ["sample", "model", "--colour", "blue"], ["fit", "a", "--images", "x"]]
)
def test_wrong_usage_is_exit_code_2_and_a_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    output = capsys.readouterr().err
    assert output.startswith("Error: ")
    assert "Traceback" not in output


def test_ctrl_c_reports_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_pgan.cli.info.describe", interrupted)
    assert main(["info", "model"]) == 130
    assert "Stopped." in capsys.readouterr().err


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(Exception, match="does not exist"):
        main(["info", "nowhere.safetensors", "--debug"])


def test_the_command_starts_without_torch_or_a_window() -> None:
    code = (
        "import sys; from napari_pgan.cli.app import main; main(['--version']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'napari', 'SimpleITK', 'qtpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
