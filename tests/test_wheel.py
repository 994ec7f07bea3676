"""The built wheel, installed into an empty environment, works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_DOCKS = """
import napari

viewer = napari.Viewer(show=False)
for name in ("Explore", "Steer", "Prepare"):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-pgan", name)
    print(name, type(widget).__name__, widget.minimumSizeHint().width() > 0)
layers = viewer.open_sample("napari-pgan", "phantom")
print("layers", len(layers))
viewer.close()
"""


class Environment:
    """A virtual environment of its own, whose programs see nothing of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True)

    def run(self, program: str, *arguments: str, cwd: Path, before: Sequence[str] = ()) -> str:
        """Run one of its programs; returns what it printed."""
        variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        command = [*before, str(self.folder / ("Scripts" if os.name == "nt" else "bin") / program), *arguments]
        done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True)
    (built,) = out.glob("*.whl")
    return built


def _install(folder: Path, what: str) -> Environment:
    environment = Environment(folder)
    environment.run("python", "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), what, cwd=folder)
    return environment


@pytest.mark.slow
def test_the_base_trains_and_samples_without_qt(wheel: Path, tmp_path: Path) -> None:
    environment = _install(tmp_path / "environment", str(wheel))
    installed = environment.run("python", "-m", "pip", "list", cwd=tmp_path).lower()
    assert not {"napari", "qtpy", "pyqt6", "magicgui", "superqt"} & set(installed.split())
    environment.run("napari-pgan-train", "demo", "--out", "demo", "--minutes", "0.5", cwd=tmp_path)
    (model,) = (tmp_path / "demo").glob("*/model.safetensors")
    sample = ["sample", str(model), "--out", "sheet.png", "--count", "4", "--seed", "0"]
    environment.run("napari-pgan-train", *sample, cwd=tmp_path)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.viewer
def test_with_all_extras_the_docks_open_in_napari(wheel: Path, tmp_path: Path) -> None:
    environment = _install(tmp_path / "environment", f"napari-pgan[all] @ {wheel.as_uri()}")
    (tmp_path / "docks.py").write_text(_DOCKS, "utf-8")
    screen = ("xvfb-run", "-a") if sys.platform.startswith("linux") else ()
    printed = environment.run("python", "docks.py", cwd=tmp_path, before=screen)
    assert {"Explore", "Steer", "Prepare"} <= {line.split()[0] for line in printed.splitlines()}
    assert "True" in printed
    assert "layers 5" in printed
