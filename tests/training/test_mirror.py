"""Mirroring left to right: which cohorts may be mirrored, and along which axis."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.model import Encoding, read_card
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.store import SplitRule, Store, create_store, extend_store, open_store
from napari_pgan.training.dataset import RealDataset
from napari_pgan.training.mirror import mirror_axis
from napari_pgan.training.recipe import Augment

MIRROR = Augment(mirror=True)
SHORT = ["--size", "8", "--images", "8", "--set=watch.samples=8", "--set=sizes.4.width=4", "--set=sizes.8.width=4"]


def one_bright_pixel(
    folder: Path, orientation: str | None, labels: tuple[str, ...] = (), sided: bool | None = None
) -> Store:
    """A store of black slices of 8 × 8 pixels, with pixel (1, 2) bright."""
    channels = Channels(("t1",), tuple(Label(i + 1, name, "#ff0000") for i, name in enumerate(labels)))
    writer = create_store(
        folder / "one.zarr", name="one", channels=channels, intensity={},
        grid=Grid((8, 8), (2.0, 3.0), orientation, sided=sided),
    )  # fmt: skip
    images = np.full((1, 3, 8, 8), -1, np.float16)
    images[:, :, 1, 2] = 1
    for key in ("a", "b", "c"):
        labels_of = np.zeros((3, 8, 8), np.uint8)
        writer.add_subject(key, images, labels_of, spacing=(1, 2, 3), slices=[1], brain_slices=(0, 2))
    writer.assign_splits(SplitRule.parse("train=1,val=1,test=1"))
    return open_store(folder / "one.zarr")


@pytest.mark.parametrize("orientation", ["PL", "AR", "LP", "RS", "IL", "LI"])
def test_mirror_swaps_left_and_right_in_patient_space(orientation: str, tmp_path: Path) -> None:
    store = one_bright_pixel(tmp_path, orientation)
    dataset = RealDataset(store, "train", 8, Encoding(store.channels), mirror=mirror_axis(MIRROR, store))
    assert len(dataset) == 2 * len(RealDataset(store, "train", 8, Encoding(store.channels)))
    positions = []
    for image in (dataset.images[0, 0], dataset.images[-1, 0]):
        row, column = (int(i) for i in torch.nonzero(image > 0)[0])
        positions.append((store.grid.affine() @ [column, row, 0, 1])[:3])  # right, front, up, in mm
    (right, *others), (mirrored, *others_mirrored) = positions
    assert right != 0
    assert mirrored == -right
    assert others_mirrored == others


def test_photograph_is_mirrored_along_columns(tmp_path: Path) -> None:
    store = one_bright_pixel(tmp_path, None)
    dataset = RealDataset(store, "train", 8, Encoding(store.channels), mirror=mirror_axis(MIRROR, store))
    assert torch.nonzero(dataset.images[-1, 0] > 0).tolist() == [[1, 5]]


@pytest.mark.parametrize(
    ("orientation", "labels", "sided", "words"),
    [
        ("PL", (), True, "left and right differ"),
        (None, (), True, "left and right differ"),
        ("IP", (), None, "sagittal slices would swap front and back"),
        ("IP", (), False, "sagittal slices would swap front and back"),
        ("PL", ("Kidney, left",), None, "'Kidney, left' on the other side"),
        ("PL", ("hippocampus_Right",), False, "'hippocampus_Right' on the other side"),
    ],
)
def test_mirror_is_refused_before_anything_is_written(
    orientation: str | None, labels: tuple[str, ...], sided: bool | None, words: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    one_bright_pixel(tmp_path, orientation, labels, sided)
    command = ["fit", str(tmp_path / "one.zarr"), "--out", str(tmp_path / "run"), *SHORT]
    for dry in ([], ["--dry-run"]):
        assert main([*command, "--set", "augment.mirror=true", *dry]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]
        assert "leave augment.mirror off" in lines[0]
    assert not (tmp_path / "run" / "recipe.yaml").exists()
    assert main([*command, "--dry-run"]) == 0  # without mirroring the request is fine


def test_words_that_contain_a_side_are_not_sides(tmp_path: Path) -> None:
    store = one_bright_pixel(tmp_path, "PL", ("bright spot", "leftover"))
    assert mirror_axis(MIRROR, store) == -1
    assert mirror_axis(Augment(), store) is None


def test_sidedness_is_in_the_card_and_shown_by_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_bright_pixel(tmp_path, "PL", sided=True)
    assert main(["fit", str(tmp_path / "one.zarr"), "--out", str(tmp_path / "run"), *SHORT]) == 0
    model = tmp_path / "run" / "model.safetensors"
    assert read_card(model).grid.sided is True
    capsys.readouterr()
    for path in (model, tmp_path / "one.zarr"):
        assert main(["info", str(path)]) == 0
        assert "left and right differ" in capsys.readouterr().out
        assert main(["info", str(path), "--json"]) == 0
        info = json.loads(capsys.readouterr().out)
        assert info.get("card", info)["grid"]["sided"] is True


def test_mirroring_run_refuses_a_store_that_became_sided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = one_bright_pixel(tmp_path, "PL")
    command = ["fit", str(tmp_path / "one.zarr"), "--out", str(tmp_path / "run"), *SHORT]
    assert main([*command, "--set", "augment.mirror=true", "--set=sizes.8.batch=4"]) == 0
    extend_store(tmp_path / "one.zarr").set_sided(True)
    reopened = open_store(tmp_path / "one.zarr")
    assert reopened.grid.sided is True
    assert reopened.fingerprint == store.fingerprint  # the data are the same
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())
    newest[-1].unlink()  # leaves something to train
    capsys.readouterr()
    assert main(["fit", str(tmp_path / "one.zarr"), "--out", str(tmp_path / "run"), "--resume"]) == 2
    assert "left and right differ" in capsys.readouterr().err


def test_grid_without_sidedness_has_no_key() -> None:
    grid = Grid((8, 8), (2.0, 3.0), "PL")
    assert "sided" not in grid.to_dict()
    assert Grid.from_dict(grid.to_dict()).sided is None
    for sided in (True, False):
        grid_sided = Grid((8, 8), (2.0, 3.0), "PL", sided=sided)
        assert Grid.from_dict(json.loads(json.dumps(grid_sided.to_dict()))) == grid_sided
        assert grid_sided.at_size((4, 4)).sided is sided
    with pytest.raises(InputError, match="true or false"):
        Grid.from_dict({**grid.to_dict(), "sided": "yes"})
