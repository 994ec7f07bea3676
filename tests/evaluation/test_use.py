"""Segmenters learn from their training images, and the metrics show it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.evaluation.segmentation.consistency import measure_consistency
from napari_pgan.evaluation.segmentation.labelled import Joined, Labelled
from napari_pgan.evaluation.segmentation.segmenter import Segmenter, train_segmenter
from napari_pgan.evaluation.segmentation.use import Group, Use, measure_use
from napari_pgan.schema import Channels, Label

CHANNELS = Channels(("a", "b"), (Label(1, "left", "#ff0000"), Label(4, "right", "#00ff00")))
_STEPS = 50
_SIDE = 24  # pixels


def _discs(count: int, seed: int, subjects: int | None = None) -> Labelled:
    """Two bright discs on noise: label 4 is bright in both modalities, label 1 in the first alone."""
    random = np.random.default_rng(seed)
    images = random.normal(-0.6, 0.1, (count, 2, _SIDE, _SIDE)).astype(np.float32)
    labels = np.zeros((count, _SIDE, _SIDE), np.uint8)
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    for i in range(count):
        for value, side in ((1, 6), (4, 17)):
            y, x, radius = random.integers(6, 18), side + random.integers(-1, 2), random.integers(3, 6)
            disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            labels[i][disc] = value
            images[i, 0][disc] += 1.0
            images[i, 1][disc] += 1.0 if value == 4 else 0.0
    return Labelled(images, labels, None if subjects is None else np.arange(count) * subjects // count)


def _mislabelled(data: Labelled) -> Labelled:
    """The same images, each with another one's mask."""
    return Labelled(data.images, np.roll(data.labels, 1, axis=0), data.subject)


@pytest.fixture(scope="module")
def judge() -> Segmenter:
    data = _discs(64, seed=1)
    return train_segmenter(data.images, data.labels, CHANNELS, steps=_STEPS)


def test_a_segmenter_learns_its_labels(judge: Segmenter) -> None:
    new = _discs(32, seed=2)
    found = judge.predict(new.images)
    for value in (1, 4):
        overlap = ((found == value) & (new.labels == value)).sum()
        assert 2 * overlap / ((found == value).sum() + (new.labels == value).sum()) > 0.9


def test_training_is_reproducible() -> None:
    data = _discs(32, seed=1)
    a, b = (train_segmenter(data.images, data.labels, CHANNELS, steps=5, seed=3) for _ in range(2))
    for name, x in a.network.state_dict().items():
        assert x.equal(b.network.state_dict()[name])


def test_a_saved_segmenter_is_unchanged(judge: Segmenter, tmp_path: Path) -> None:
    judge.save(tmp_path / "judge.safetensors")
    images = _discs(8, seed=5).images
    np.testing.assert_array_equal(Segmenter.load(tmp_path / "judge.safetensors").predict(images), judge.predict(images))


def test_a_damaged_segmenter_is_refused(judge: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    judge.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"judge\.safetensors"):
        Segmenter.load(path)


def test_a_segmentation_does_not_depend_on_other_images(judge: Segmenter) -> None:
    images = _discs(9, seed=6).images
    alone = np.concatenate([judge.predict(images[i : i + 1]) for i in range(9)])
    assert (alone == judge.predict(images)).mean() > 0.9999


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Use, Path]:
    real, test = _discs(48, seed=1), _discs(24, seed=9, subjects=6)
    groups = [Group(8, real, _discs(48, seed=2)), Group(2, real, _mislabelled(_discs(48, seed=3)))]
    folder = tmp_path_factory.mktemp("use")
    return measure_use(groups, test, CHANNELS, (1.0, 1.0, 1.0), folder, seeds=(0,), steps=_STEPS), folder


def test_perfect_samples_train_as_well_as_real_images_and_mislabelled_ones_do_not(measured: tuple[Use, Path]) -> None:
    ratios = {(x.subjects, x.source): x for x in measured[0].ratios}
    assert ratios[8, "synthetic"].value == pytest.approx(1, abs=0.1)
    assert ratios[2, "synthetic"].value < 0.7
    assert ratios[2, "synthetic"].low <= ratios[2, "synthetic"].value <= ratios[2, "synthetic"].high


def test_every_source_has_a_score_for_every_label(measured: tuple[Use, Path]) -> None:
    use = measured[0]
    assert {(x.subjects, x.source, x.label) for x in use.scores} == {
        (n, s, label)
        for n in (8, 2)
        for s in ("real", "synthetic", "both")
        for label in ("left", "right", "all labels")
    }
    assert all(x.tested == 6 and x.low <= x.dice <= x.high for x in use.scores)
    real = next(x for x in use.scores if (x.subjects, x.source, x.label) == (8, "real", "all labels"))
    assert real.dice > 0.85
    assert real.hausdorff < 3


def test_finished_segmenters_are_not_trained_again(measured: tuple[Use, Path]) -> None:
    use, folder = measured
    real, test = _discs(48, seed=1), _discs(24, seed=9, subjects=6)
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    groups = [Group(8, real, _discs(48, seed=2))]
    again = measure_use(groups, test, CHANNELS, (1.0, 1.0, 1.0), folder, seeds=(0,), steps=_STEPS)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert again.ratios == use.ratios[:2]


def test_results_are_json_values(measured: tuple[Use, Path]) -> None:
    values = measured[0].to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["scores"][0]["dice"] == measured[0].scores[0].dice


def test_missing_labels_are_refused(tmp_path: Path) -> None:
    data = _discs(8, seed=1, subjects=2)
    empty = Labelled(data.images, 0 * data.labels, data.subject)
    with pytest.raises(InputError, match="no test subject has a label"):
        measure_use([Group(2, data, data)], empty, CHANNELS, None, tmp_path, seeds=(0,), steps=2)
    with pytest.raises(InputError, match="no labelled images"):
        train_segmenter(data.images, 0 * data.labels, CHANNELS, steps=2)


def test_the_judge_agrees_with_correct_masks_only(judge: Segmenter) -> None:
    held_out, good = _discs(24, seed=7, subjects=6), _discs(48, seed=8)
    fits = measure_consistency(judge, good, held_out, CHANNELS)
    others = measure_consistency(judge, _mislabelled(good), held_out, CHANNELS)
    for a, b in zip(fits.agreements, others.agreements, strict=True):
        assert a.dice == pytest.approx(a.baseline, abs=0.05)
        assert b.dice < 0.7 * a.dice
        assert b.baseline == a.baseline
    assert fits.to_dict()["agreements"][0]["floor"] == fits.agreements[0].baseline


class _Counted:
    """An array that records the largest number of rows read at once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.shape, self.most = rows, rows.shape, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(rows))
        return self.rows[rows]


def test_training_data_are_read_in_batches() -> None:
    """One batch of images, and about a thousand label maps, are in memory at a time."""
    labels = np.zeros((5000, 8, 8), np.uint8)
    labels[::7, :3] = 4
    images, maps = _Counted(np.zeros((5000, 2, 8, 8), np.float16)), _Counted(labels)
    train_segmenter(images, maps, CHANNELS, steps=2)
    assert images.most <= 16
    assert maps.most <= 1024


def test_joined_arrays_are_indexed_like_one_array() -> None:
    random = np.random.default_rng(0)
    parts = [random.random((n, 2, 3)).astype(dtype) for n, dtype in ((5, np.float16), (9, np.float32))]
    picks = [random.integers(0, len(part), 12) for part in parts]
    whole = np.concatenate([part[pick] for part, pick in zip(parts, picks, strict=True)])
    joined, rows = Joined(parts, picks), random.integers(0, 24, 40)
    assert (joined.shape, len(joined)) == (whole.shape, len(whole))
    np.testing.assert_array_equal(joined[rows], whole[rows])
    assert joined[rows].dtype == whole.dtype
