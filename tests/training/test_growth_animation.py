"""Previews of a run, and the animation and picture made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from napari_pgan.cli.app import main
from napari_pgan.samples.sheet import lay_out, write_sheet
from napari_pgan.schema import Channels, Label
from napari_pgan.training.growth_animation import (
    caption,
    last_of_each_size,
    most_labelled,
    preview_name,
    preview_note,
    read_previews,
    remove_previews_after,
    stages_picture,
    write_growth,
)

CHANNELS = Channels(("t1", "flair"), (Label(1, "core", "#4daf4a"), Label(4, "rim", "#e41a1c")))
CELL = 128


def add_preview(folder: Path, images: int, pictures: np.ndarray, labels: np.ndarray, alpha: float = 1.0) -> None:
    """Write a preview of known images (N, 2, Y, X)."""
    size = pictures.shape[-1]
    title, layout = (
        caption(images, size, alpha),
        lay_out(len(pictures), (size, size), CHANNELS, True, None, None, 2, "t"),
    )
    note = preview_note(images, size, alpha, layout, [str(i) for i in range(len(pictures))], CHANNELS.labels)
    write_sheet(folder / preview_name(images, size), pictures, labels, CHANNELS, None, None, 2, note, title)


def noise(seed: int, size: int, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (count, 2, size, size)), np.zeros((count, size, size), np.uint8)


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A folder of previews at 8, 16 and 32 pixels; at 32 the second half of each picture is labelled."""
    for images, size in ((100, 8), (200, 8), (300, 16), (400, 32), (500, 32)):
        pictures, labels = noise(images, size)
        labels[:, size // 2 :] = 4 if size == 32 else 0
        add_preview(tmp_path, images, pictures, labels)
    return tmp_path


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]


def pauses_of(path: Path) -> list[int]:
    with Image.open(path) as film:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(film)]


def test_animation_has_a_frame_per_preview_and_pauses_at_the_end(grown: Path) -> None:
    write_growth(grown)
    frames, pauses = frames_of(grown / "growth.gif"), pauses_of(grown / "growth.gif")
    assert len(frames) == 5
    assert len({frame.shape for frame in frames}) == 1
    assert pauses[-1] >= 5 * max(pauses[1:-1])


def test_images_are_enlarged_by_repeating_pixels(grown: Path) -> None:
    write_growth(grown)
    first = frames_of(grown / "growth.gif")[0]
    pictures, _ = noise(100, 8)
    wanted = np.round(255 * (pictures[0, 0] + 1) / 2).repeat(16, 0).repeat(16, 1)
    found = [
        (y, x)
        for y in range(40, 80)
        for x in range(40)
        if abs(first[y : y + CELL, x : x + CELL, 0] - wanted).max() <= 6  # of 255; there are 64 greys
    ]
    assert len(found) == 1


def test_palette_keeps_rare_label_colours(tmp_path: Path) -> None:
    for images, size in ((1, 8), (2, 16), (3, 32)):
        pictures, labels = noise(images, size)
        labels[0, 5, 5] = 1
        add_preview(tmp_path, images, pictures, labels)
    write_growth(tmp_path)
    last = frames_of(tmp_path / "growth.gif")[-1]
    picture = last[58 : 58 + CELL, 12 : 12 + 3 * (CELL + 2)]  # without the legend
    assert (abs(picture - (0x4D, 0xAF, 0x4A)).max(axis=-1) < 12).sum() >= 10  # the contour of one enlarged pixel


def test_picture_shows_the_last_preview_of_each_size(grown: Path) -> None:
    previews = read_previews(grown)
    assert [(p.images, p.size) for p in last_of_each_size(previews)] == [(200, 8), (300, 16), (500, 32)]
    page = np.asarray(stages_picture(previews)).astype(int)
    pictures, _ = noise(500, 32)
    wanted = np.round(255 * (pictures[0, 0] + 1) / 2).repeat(4, 0).repeat(4, 1)
    left = page.shape[1] - 12 - CELL
    assert abs(page[46 : 46 + CELL, left : left + CELL, 0] - wanted).max() == 0


def test_large_animation_drops_frames_but_not_the_last_of_each_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(12):
        add_preview(tmp_path, 1000 * k, *noise(k, 8 if k < 3 else 64))  # noise hardly compresses
    write_growth(tmp_path)
    heavy, frames = (tmp_path / "growth.gif").stat().st_size, frames_of(tmp_path / "growth.gif")
    assert len(frames) == 12
    monkeypatch.setattr("napari_pgan.training.growth_animation._BYTES", heavy // 2)
    monkeypatch.setattr("napari_pgan.training.growth_animation._FEWEST", 3)
    write_growth(tmp_path)
    assert (tmp_path / "growth.gif").stat().st_size < heavy // 2
    fewer = [frame.tobytes() for frame in frames_of(tmp_path / "growth.gif")]
    assert len(fewer) < 9
    assert all(frames[k].tobytes() in fewer for k in (0, 2, 11))


def test_latents_with_the_largest_labels_are_shown(tmp_path: Path) -> None:
    pictures, labels = noise(1, 16)
    for latent, extent in ((2, 3), (5, 9), (6, 1)):
        labels[latent, :extent, :extent] = 4
    add_preview(tmp_path, 1, pictures, labels)
    (preview,) = read_previews(tmp_path)
    assert most_labelled(preview, 1) == [5]
    assert most_labelled(preview, 3) == [2, 5, 6]
    assert most_labelled(preview, 5) == [0, 1, 2, 5, 6]


def test_other_and_incomplete_pictures_are_skipped(grown: Path) -> None:
    write_growth(grown)  # adds another picture
    (grown / "holiday.png").write_bytes((grown / preview_name(100, 8)).read_bytes())
    (grown / preview_name(600, 32)).write_bytes((grown / preview_name(500, 32)).read_bytes()[:40])
    assert [p.images for p in read_previews(grown)] == [100, 200, 300, 400, 500]


def test_one_preview_is_not_animated(tmp_path: Path) -> None:
    add_preview(tmp_path, 100, *noise(0, 8))
    write_growth(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [preview_name(100, 8)]


def test_previews_after_a_checkpoint_are_removed(grown: Path) -> None:
    write_growth(grown)
    remove_previews_after(grown, 300)
    assert [p.images for p in read_previews(grown)] == [100, 200, 300]
    assert (grown / "growth.gif").is_file()


def test_training_writes_a_preview_at_the_end_of_each_size(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = [f"--set=sizes.{s}.{k}" for s in (4, 8, 16) for k in ("width=4", "batch=4", "fade=16", "stable=16")]
    command = ["fit", str(small_store), "--out", str(run), "--size", "16", *small, "--set=watch.samples=16"]
    assert main([*command, "--set=watch.times=3"]) == 0
    previews = read_previews(run / "preview")
    ended = {preview.size: (preview.images, preview.alpha) for preview in last_of_each_size(previews)}
    assert ended == {4: (32, 1.0), 8: (64, 1.0), 16: (96, 1.0)}
    assert len({preview.layout for preview in previews}) == 1
    assert len(frames_of(run / "preview" / "growth.gif")) == len(previews)
    whole = {path.name: path.read_bytes() for path in (run / "preview").iterdir()}
    # return to an earlier checkpoint, with a preview of images that are not reached again
    shutil.copyfile(previews[0].path, run / "preview" / preview_name(90, 16))
    checkpoints = sorted((run / "checkpoints").glob("*.safetensors"))
    for path in checkpoints[1:]:
        path.unlink()
    assert int(checkpoints[0].stem) < 90
    assert main(["fit", str(small_store), "--out", str(run), "--resume"]) == 0
    assert {path.name: path.read_bytes() for path in (run / "preview").iterdir()} == whole
