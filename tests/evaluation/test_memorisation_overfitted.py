"""Memorisation is detected in a GAN overfitted on ten images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pgan import load_model
from napari_pgan.cli.app import main
from napari_pgan.evaluation.context import each_subject
from napari_pgan.evaluation.memorisation.memorisation import MANY, NONE, measure_memorisation
from napari_pgan.phantom import CHANNELS, make_subject
from napari_pgan.schema import Grid
from napari_pgan.store import create_store, open_store
from napari_pgan.store.slices import box_average

SIZE = 16
STEADY = ["--set=augment.probability=0", "--set=augment.target=0", "--set=loss.gamma=0.3", "--set=ema.halflife=500"]
LENGTHS = ["--set=sizes.8.stable=500", "--set=sizes.16.fade=500", "--set=sizes.16.stable=45000"]
WIDTHS = [f"--set=sizes.{s}.{k}" for s in (4, 8, 16) for k in ("width=24", "batch=8", "learning_rate=0.003")]


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two training phantoms with five slices each and seven held-out phantoms with all slices."""
    grid = Grid((SIZE, SIZE), (12.0, 12.0), "PL", 6.0)
    intensity = {m: {"-1": "air", "+1": "the brightest"} for m in CHANNELS.modalities}
    address = tmp_path_factory.mktemp("ten") / "store.zarr"
    writer = create_store(address, name="ten", channels=CHANNELS, grid=grid, intensity=intensity)
    for seed in range(9):
        subject = make_subject(seed, size=2 * SIZE)
        images = np.stack([subject.images[name] for name in CHANNELS.modalities])
        images = np.clip(images / np.percentile(images, 99.9, axis=(1, 2, 3), keepdims=True) * 2 - 1, -1, 1)
        small = box_average(images, 2)
        head = np.flatnonzero((small.max(axis=0) > -0.8).sum(axis=(1, 2)) > 60)
        slices = head[np.linspace(0, len(head) - 1, 5).astype(int)] if seed < 2 else head
        writer.add_subject(
            f"subject{seed}",
            small,
            subject.labels[:, ::2, ::2],
            spacing=(6.0, 12.0, 12.0),
            slices=slices.tolist(),
            brain_slices=(int(head[0]), int(head[-1])),
            split="train" if seed < 2 else "val" if seed < 5 else "test",
        )
    return address


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_gan_overfitted_on_ten_images_is_caught(ten: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["fit", str(ten), "--out", str(run), "--size", str(SIZE), *WIDTHS, *LENGTHS, *STEADY]) == 0
    store, model = open_store(ten), load_model(run / "model.safetensors")
    train = each_subject(store.load_slices("train"))
    assert sum(len(images) for images, _ in train) == 10
    held_out = [pair for split in ("val", "test") for pair in each_subject(store.load_slices(split))]
    found = measure_memorisation(train, held_out, model.sample(seeds=range(200)).images)
    assert found.verdict == MANY
    assert found.nearer > 0.75  # chance level is 0.5
    acquitted = measure_memorisation(train, held_out[:4], np.concatenate([images for images, _ in held_out[4:]]))
    assert acquitted.verdict == NONE
