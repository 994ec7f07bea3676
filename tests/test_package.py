"""The package as a whole: what importing it costs, its manifest, its import rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import napari_pgan

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "napari", "qtpy", "SimpleITK", "zarr", "scipy", "nibabel", "numpy")


def _imports(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert _imports("import napari_pgan") == set()
    assert _imports("import napari_pgan; napari_pgan.__version__; dir(napari_pgan)") == set()


def test_importing_the_command_imports_nothing_heavy() -> None:
    assert _imports("import napari_pgan.cli.app") <= {"numpy"}


def test_a_trainer_needs_neither_napari_nor_simpleitk() -> None:
    assert _imports("import napari_pgan.training.session").isdisjoint({"napari", "qtpy", "SimpleITK"})


def test_a_model_is_loaded_without_napari_qt_or_simpleitk() -> None:
    assert _imports("from napari_pgan import load_model").isdisjoint({"napari", "qtpy", "SimpleITK", "zarr"})


def test_the_two_names_of_the_package_are_there_when_asked_for() -> None:
    from napari_pgan.model import Model, load_model

    assert napari_pgan.load_model is load_model
    assert napari_pgan.Model is Model
    with pytest.raises(AttributeError):
        napari_pgan.nothing  # noqa: B018


def test_training_goes_by_one_name_only() -> None:
    code = "import training"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode != 0
    assert "import this package as napari_pgan.training" in done.stderr


def test_the_manifest_that_is_installed_is_the_one_at_the_root() -> None:
    installed = Path(napari_pgan.__file__).parent / "napari.yaml"
    assert installed.read_bytes() == (ROOT / "napari.yaml").read_bytes()


def test_napari_finds_the_manifest_and_everything_in_it() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_distribution("napari-pgan")
    assert manifest.name == "napari-pgan"
    assert manifest.package_version == napari_pgan.__version__


def test_rooms_import_only_what_stands_below_them() -> None:
    pytest.importorskip("importlinter")
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
