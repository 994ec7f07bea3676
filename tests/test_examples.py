"""The scripts in `examples/` run as their docstrings say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str | Path, cwd: Path) -> str:
    """Run an example with an empty cache; returns what it printed."""
    command = [sys.executable, str(FOLDER / name), *map(str, arguments)]
    variables = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "NAPARI_PGAN_SALT": "a salt for tests"}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_every_example_explains_itself(path: Path, tmp_path: Path) -> None:
    assert f"python examples/{path.name}" in run(path.name, "--help", cwd=tmp_path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_in_the_documentation(path: Path) -> None:
    assert f'--8<-- "examples/{path.name}"' in (FOLDER.parent / "docs" / "examples.md").read_text("utf-8")


def test_samples_become_nifti(tmp_path: Path) -> None:
    run("sample_to_nifti.py", tmp_path / "out", "--seeds", "0-1", cwd=tmp_path)
    files = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    assert len(files) == 2 * 5
    assert nib.load(tmp_path / "out" / files[0]).header.get_zooms()[:2] == (3.0, 3.0)


def test_a_walk_is_an_animation_of_all_its_frames(tmp_path: Path) -> None:
    run("interpolate.py", tmp_path / "walk.gif", "--seeds", "1,2", "--between", "2", cwd=tmp_path)
    with Image.open(tmp_path / "walk.gif") as animation:
        assert animation.n_frames == 2 * 3  # a loop over two key frames
        assert animation.size == (4 * 64, 64)


def test_a_mirrored_mask_is_found(tmp_path: Path) -> None:
    printed = run("steer_to_mask.py", tmp_path / "c.png", "--seconds", "2", cwd=tmp_path)
    assert float(printed.splitlines()[-2].rpartition(" ")[2]) > 0.5
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_a_model_is_trained_on_phantoms(tmp_path: Path) -> None:
    run("train_on_phantoms.py", tmp_path, "--subjects", "3", "--size", "16", "--images", "64", cwd=tmp_path)
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "sheet.png").is_file()
