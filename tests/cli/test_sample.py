"""The command `sample`: its output, how it resumes, and invalid input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from napari_pgan.cli.app import main
from napari_pgan.model import Architecture, Card, Condition, Generator, load_model, write_model
from napari_pgan.model.refit import store_mean_map
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label

BRATS = Channels(("t1", "flair"), (Label(1, "core", "#4daf4a"), Label(4, "rim", "#e41a1c")))


def _write(path: Path, card: Card) -> Path:
    torch.manual_seed(0)
    generator = Generator(card.architecture)
    store_mean_map(generator, 200)
    write_model(path, card, generator)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    architecture = Architecture((4, 4), (8, 8, 8), 4, latent=6)
    card = Card("small", architecture, BRATS, Grid((16, 16), (2.0, 2.0), "PL", 3.0), intensity={"t1": {"-1": "air"}})
    return _write(tmp_path_factory.mktemp("model") / "m.safetensors", card)


@pytest.fixture(scope="module")
def conditioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the conditions grade and position."""
    architecture = Architecture((4, 4), (8, 8), 1, latent=6, conditions=3)
    conditions = (Condition("grade", levels=("low", "high")), Condition("position", range=(0.0, 10.0)))
    card = Card("conditioned", architecture, Channels(("t1",)), Grid((8, 8)), conditions=conditions)
    return _write(tmp_path_factory.mktemp("model") / "conditioned.safetensors", card)


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that must be refused, and return its one-line message."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def _sample(*words: object) -> int:
    return main(["sample", *map(str, words)])


def test_count_and_seed_are_consecutive_seeds(model: Path, tmp_path: Path) -> None:
    assert _sample(model, "--count", 5, "--seed", 3, "--out", tmp_path / "a.npz") == 0
    assert _sample(model, "--seeds", "3-7", "--out", tmp_path / "b.npz") == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    expected = load_model(model).sample(seeds=range(3, 8))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert sorted(archive) == ["images", "labels", "latents", "modalities", "model_identity"]
        np.testing.assert_array_equal(archive["images"], expected.images)
        np.testing.assert_array_equal(archive["labels"], expected.labels)
        np.testing.assert_array_equal(archive["latents"], expected.latents)


@pytest.mark.parametrize("out", ["x.npz", "x.png", "x"])
def test_the_same_command_gives_the_same_bytes(model: Path, tmp_path: Path, out: str) -> None:
    contents = []
    for folder in ("one", "two"):
        assert _sample(model, "--count", 12, "--seed", 1, "--truncation", 0.7, "--out", tmp_path / folder / out) == 0
        files = sorted(p for p in (tmp_path / folder).rglob("*") if p.is_file())
        contents.append([(p.relative_to(tmp_path / folder), p.read_bytes()) for p in files])
    assert contents[0] == contents[1]
    assert len(contents[0]) == (12 * 4 + 1 if out == "x" else 1)


def test_sidecars_of_nifti_files_reproduce_the_sample(model: Path, tmp_path: Path) -> None:
    assert _sample(model, "--seeds", "0,70", "--truncation", 0.5, "--stage", 1, "--out", tmp_path / "s") == 0
    flair = nib.load(tmp_path / "s" / "seed-000070_flair.nii.gz")
    assert flair.header.get_zooms() == pytest.approx((4, 4, 3))  # stage 1 is half the size
    sidecar = json.loads((tmp_path / "s" / "seed-000070.json").read_text(encoding="utf-8"))
    made_by = sidecar["provenance"]
    loaded = load_model(model)
    assert made_by["model_identity"] == loaded.identity
    assert made_by["seed"] == 70
    assert sidecar["intensity"] == {"t1": {"-1": "air"}}
    assert sidecar["limits"] == "Synthetic images, not for diagnosis."
    again = loaded.sample(
        latents=np.array([made_by["latent"]]), truncation=made_by["truncation"], stage=made_by["stage"]
    )
    np.testing.assert_allclose(np.asarray(flair.dataobj)[..., 0], again.images[0, 1].T, atol=1e-4)
    segmentation = np.asarray(nib.load(tmp_path / "s" / "seed-000070_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(segmentation[..., 0], again.labels[0].T)


def test_an_interrupted_folder_is_completed_to_the_same_bytes(model: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = ("--seeds", "0-19")
    assert _sample(model, *words, "--out", whole) == 0
    shutil.copytree(whole, parts)
    for name in ("seed-000004_t1.nii.gz", "seed-000005.json", "seed-000019_seg.nii.gz"):
        (parts / name).unlink()
    untouched = (parts / "seed-000010_t1.nii.gz").stat().st_mtime_ns
    assert _sample(model, *words, "--out", parts) == 0
    for path in whole.iterdir():
        assert path.read_bytes() == (parts / path.name).read_bytes(), path.name
    assert (parts / "seed-000010_t1.nii.gz").stat().st_mtime_ns == untouched


@pytest.mark.parametrize("out", ["x.npz", "x.png", "x"])
def test_existing_samples_are_kept_and_another_request_is_refused(
    model: Path, tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / out
    assert _sample(model, "--seeds", "0-2", "--out", target) == 0
    assert _sample(model, "--seeds", "0-2", "--out", target) == 0
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    for change in (("--seeds", "0-3"), ("--seeds", "0-2", "--truncation", 0.5), ("--seeds", "0-2", "--stage", 0)):
        line = _refused(capsys, "sample", model, *change, "--out", target)
        assert str(target) in line
        assert "give another --out or delete it" in line
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", ["x.npz", "x.png", "x", "x.txt/y"])
def test_other_files_in_the_folder_are_not_touched(
    model: Path, tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / out
    foreign = target / "thesis.txt" if out == "x" else target.parent if "/" in out else target
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("precious")
    assert "Error: " in _refused(capsys, "sample", model, "--seeds", "0", "--out", target)
    assert foreign.read_text() == "precious"


def test_a_sheet_is_labelled_as_synthetic(model: Path, tmp_path: Path) -> None:
    assert _sample(model, "--seeds", "0-3", "--out", tmp_path / "s.png") == 0
    with Image.open(tmp_path / "s.png") as page:
        assert page.format == "PNG"
        assert page.height > 4 * 128
        assert page.info["Description"] == "Synthetic images, not for diagnosis."


def test_a_walk_passes_through_its_keys(model: Path, tmp_path: Path) -> None:
    (tmp_path / "walk.yaml").write_text("keys: [{seed: 3}, {seed: 8}]\nbetween: 4\ntruncation: 0.8\npath: via-origin\n")
    assert _sample(model, "--plan", tmp_path / "walk.yaml", "--out", tmp_path / "w.npz") == 0
    assert _sample(model, "--plan", tmp_path / "walk.yaml", "--out", tmp_path / "w") == 0
    ends = load_model(model).sample(seeds=[3, 8], truncation=0.8)
    with np.load(tmp_path / "w.npz") as archive:
        assert len(archive["images"]) == 6
        np.testing.assert_allclose(archive["images"][[0, -1]], ends.images, atol=1e-4)
    made_by = [
        json.loads((tmp_path / "w" / f"frame-{n:05d}.json").read_text(encoding="utf-8"))["provenance"] for n in range(6)
    ]
    assert [m["seed"] for m in made_by] == [3, 3, 3, 8, 8, 8]
    assert [m["truncation"] for m in made_by] == pytest.approx([0.8, 0.48, 0.16, 0.16, 0.48, 0.8])


def test_conditions_are_named_on_the_command_line(conditioned: Path, tmp_path: Path) -> None:
    words = (conditioned, "--seeds", "0", "--condition", "position=2.5")
    for grade in ("low", "high"):
        assert _sample(*words, "--condition", f"grade={grade}", "--out", tmp_path / f"{grade}.npz") == 0
    with np.load(tmp_path / "low.npz") as low, np.load(tmp_path / "high.npz") as high:
        assert np.abs(low["images"] - high["images"]).max() > 1e-3
    assert _sample(*words, "--condition", "grade=low", "--out", tmp_path / "s") == 0
    sidecar = json.loads((tmp_path / "s" / "seed-000000.json").read_text(encoding="utf-8"))
    assert sidecar["provenance"]["conditions"] == {"position": 2.5, "grade": "low"}


def test_photographs_become_colour_sheets(tmp_path: Path) -> None:
    channels = Channels(("red", "green", "blue"), (), (DisplayGroup("fundus", ("red", "green", "blue")),))
    card = Card("photo", Architecture((4, 5), (8, 8), 3, latent=6), channels, Grid((8, 10)))
    model = _write(tmp_path / "m.safetensors", card)
    for out in ("s.png", "s.npz", "s"):
        assert _sample(model, "--seeds", "0-1", "--out", tmp_path / out) == 0
    assert len(list((tmp_path / "s").glob("*.nii.gz"))) == 6
    with np.load(tmp_path / "s.npz") as archive:
        assert archive["labels"].shape == (2, 8, 10)
        assert not archive["labels"].any()


def test_volumes_are_sampled_as_volumes(tmp_path: Path) -> None:
    card = Card("volume", Architecture((2, 3, 4), (8, 8), 4, latent=6), BRATS, Grid((4, 6, 8), (3.0, 2.0, 2.0), "SPL"))
    model = _write(tmp_path / "m.safetensors", card)
    for out in ("s.png", "s"):
        assert _sample(model, "--seeds", "0", "--out", tmp_path / out) == 0
    assert nib.load(tmp_path / "s" / "seed-000000_t1.nii.gz").shape == (8, 6, 4)


def test_json_names_the_files(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _sample(model, "--seeds", "0-2,9", "--out", tmp_path / "s", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["samples"] == 4
    assert report["seeds"] == "0-2,9"
    assert len(report["files"]) == 4 * 4
    assert all(Path(path).is_file() for path in report["files"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--seeds"),
        (("--seeds", "0", "--count", "3", "--seed", "1"), "--seeds"),
        (("--count", "three", "--seed", "1"), "--count"),
        (("--count", "0", "--seed", "1"), "--count"),
        (("--sedes", "0"), "--sedes"),
        (("--count", "3"), "--count and --seed need each other"),
        (("--seeds", "0", "--seed", "3"), "--count and --seed need each other"),
        (("--seeds", "x"), "not a list of seeds"),
        (("--count", "2", "--seed", str(2**32 - 1)), "out of range"),
        (("--seeds", "0", "--truncation", "1.5"), "truncation"),
        (("--seeds", "0", "--stage", "7"), "stage 7 does not exist"),
        (("--seeds", "0", "--device", "abacus"), "device 'abacus'"),
        (("--seeds", "0", "--condition", "grade=low"), "no condition 'grade'"),
        (("--seeds", "0", "--condition", "grade"), "name=value"),
        (("--plan", "nope.yaml"), "nope.yaml: cannot be read"),
        (("--plan", "nope.yaml", "--truncation", "0.5"), "omit --truncation"),
    ],
)
def test_invalid_options_are_refused_in_one_line_and_write_nothing(
    model: Path, tmp_path: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in _refused(capsys, "sample", model, "--out", tmp_path / "s", *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ((), "needs a value for grade, position"),
        (("grade=low", "position=11"), "position cannot be"),
        (("grade=low", "position=far"), "give a number"),
        (("grade=middle", "position=1"), "one of low, high"),
        (("grade=low", "grade=high", "position=1"), "given twice"),
    ],
)
def test_wrong_conditions_are_refused(
    conditioned: Path, tmp_path: Path, condition: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for text in condition for word in ("--condition", text)]
    assert message in _refused(capsys, "sample", conditioned, "--seeds", 0, "--out", tmp_path / "s", *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["s.jpg", "s.nii.gz", "s.zip"])
def test_other_kinds_of_file_are_refused(
    model: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "give a folder, a .png or an .npz" in _refused(
        capsys, "sample", model, "--seeds", 0, "--out", tmp_path / name
    )


def test_a_sheet_of_thousands_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "256" in _refused(capsys, "sample", model, "--seeds", "0-999", "--out", tmp_path / "s.png")


def test_a_pickle_is_never_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": 1}, tmp_path / "m.pt")
    assert "is a pickle" in _refused(capsys, "sample", tmp_path / "m.pt", "--seeds", 0, "--out", tmp_path / "s")
