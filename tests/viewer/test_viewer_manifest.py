"""The plugin manifest that napari reads."""

from __future__ import annotations

from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import npe2
import pytest

import napari_pgan

ROOT = Path(__file__).parents[2]


def test_the_installed_manifest_is_the_root_one() -> None:
    (entry,) = metadata.entry_points(group="napari.manifest", name="napari-pgan")
    module, _, file = entry.value.partition(":")
    installed = Path(str(import_module(module).__file__)).parent / file
    assert installed.read_bytes() == (ROOT / "napari.yaml").read_bytes()
    assert installed.resolve().name == "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> npe2.PluginManifest:
    return npe2.PluginManifest.from_file(Path(str(napari_pgan.__file__)).parent / "napari.yaml")


def test_everything_it_names_is_there(manifest: npe2.PluginManifest) -> None:
    manifest.validate_imports()
    named = {c.id for c in manifest.contributions.commands or ()}
    used = [
        *(c.command for c in manifest.contributions.readers or ()),
        *(c.command for c in manifest.contributions.writers or ()),
        *(c.command for c in manifest.contributions.widgets or ()),
        *(c.command for c in manifest.contributions.sample_data or ()),
    ]
    assert set(used) == named


def test_menus_are_among_those_that_napari_lets_plugins_use(manifest: npe2.PluginManifest) -> None:
    from napari._app_model.constants import MenuId

    assert set(manifest.contributions.menus) <= {str(m) for m in MenuId.contributables()}


def test_model_files_are_claimed_and_nothing_else() -> None:
    from napari_pgan.viewer.readers import get_reader

    assert get_reader("a/b.safetensors") is not None
    assert get_reader(["a/B.SAFETENSORS"]) is not None
    assert get_reader("a/b.nii.gz") is None
    assert get_reader(["a.safetensors", "b.safetensors"]) is None


def test_without_a_viewer_the_reader_gives_layers(model_file: Path, npe2pm: Any) -> None:
    with npe2pm.tmp_plugin(package="napari-pgan"):  # as it is installed, and no other plugin
        layers = npe2.read([str(model_file)], stack=False)
    assert [options["name"] for _, options, _ in layers][:2] == ["synthetic t1", "synthetic t1ce"]


def test_the_phantom_is_a_volume_in_millimetres(subject: Any) -> None:
    from napari_pgan.viewer.sample_data import subject_layers

    layers = subject_layers(subject, 2)
    assert [options["name"] for _, options, _ in layers] == [
        *(f"phantom {m}" for m in subject.channels.modalities), "phantom segmentation",
    ]  # fmt: skip
    for data, options, _ in layers:
        assert data.shape == subject.grid.shape
        assert options["scale"] == subject.grid.spacing
        assert options["units"] == ("mm", "mm", "mm")
        assert options["axis_labels"] == ("z", "y", "x")
    low, high = layers[0][1]["contrast_limits"]
    assert low == 0
    assert high <= subject.images["t1"].max()
