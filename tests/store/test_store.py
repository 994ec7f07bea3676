"""Stores return what was written, completely or not at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import CHANNELS, add, content, new_store

from napari_pgan.errors import InputError
from napari_pgan.schema import Grid
from napari_pgan.store import SplitRule, extend_store, is_free, open_store
from napari_pgan.store.slices import box_average, label_shares, sizes_below


def test_volumes_are_read_back_unchanged(make_store: Callable[..., Path]) -> None:
    store = open_store(make_store())
    for i, key in enumerate(store.keys()):
        images, labels = content(i)
        np.testing.assert_array_equal(store.subject(key).images[:], images)
        np.testing.assert_array_equal(store.subject(key).labels[:], labels)
        assert store.subject(key).images.dtype == np.float16
    assert store.channels == CHANNELS
    assert store.grid == Grid((16, 16), (3.0, 3.0), "PL", 5.0)
    assert store.intensity["flair"]["+1"] == "the brightest"


def test_selected_slices_carry_their_subject_and_position(make_store: Callable[..., Path]) -> None:
    store = open_store(make_store())
    slices = store.load_slices("train")
    assert slices.keys == tuple(store.keys("train"))
    assert len(slices) == 3 * len(slices.keys)
    images, labels = content(int(slices.keys[1], 16))
    np.testing.assert_array_equal(slices.images[3:6], images[:, [1, 2, 4]].swapaxes(0, 1).astype(np.float32))
    np.testing.assert_array_equal(slices.labels[3:6, 1], (labels[[1, 2, 4]] == 4).astype(np.float32))
    assert slices.subject.tolist() == [i for i in range(len(slices.keys)) for _ in range(3)]
    np.testing.assert_allclose(slices.position[:3], [0, 0.25, 0.75])
    assert (slices.images.dtype, slices.labels.dtype, slices.position.dtype) == (np.float32, np.float32, np.float32)


def test_smaller_sizes_are_means_of_stored_values(make_store: Callable[..., Path]) -> None:
    store = open_store(make_store())
    full, small = store.load_slices(None), store.load_slices(None, 4)
    assert store.sizes == [16, 8, 4]
    for row in range(4):
        for column in range(4):
            box = full.images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].astype(np.float64)
            np.testing.assert_allclose(small.images[:, :, row, column], box.mean((2, 3)), atol=1e-6)
    assert np.isclose(small.labels.sum() * 16, full.labels.sum())
    assert small.labels.sum(axis=1).max() <= 1


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 4, 8]))
def test_repeated_and_single_box_averages_agree(n: int, height: int, width: int, factor: int) -> None:
    values = np.random.default_rng(n).integers(-128, 129, (n, height * 8, width * 8)).astype(np.float32) / 128
    at_once = box_average(values, factor)
    in_steps = values
    for _ in range(factor.bit_length() - 1):
        in_steps = box_average(in_steps, 2)
    np.testing.assert_array_equal(at_once, in_steps)  # sums of dyadic numbers are exact
    assert np.isclose(at_once.mean(), values.mean(), atol=1e-5)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]))
def test_fractions_of_all_labels_and_background_sum_to_one(seed: int, factor: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 4], np.uint8), (3, 8, 8))
    shares = label_shares(labels, np.array([0, 1, 2, 4], np.uint8), factor)
    np.testing.assert_array_equal(shares.sum(axis=1), 1)


def test_sizes_of_oblong_slices() -> None:
    assert sizes_below((160, 192)) == [192, 96, 48, 24, 12, 6]
    assert sizes_below((48, 48)) == [48, 24, 12, 6]


def test_an_unavailable_size_lists_the_available_ones(make_store: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"size 32; .*16, 8, 4"):
        open_store(make_store()).load_slices("train", 32)


def test_the_fingerprint_changes_with_the_content(make_store: Callable[..., Path], tmp_path: Path) -> None:
    first = open_store(make_store()).fingerprint
    assert open_store(make_store(name="b.zarr")).fingerprint == first
    writer = extend_store(tmp_path / "b.zarr")
    writer.update_attributes(report={"seconds": 1})
    assert open_store(tmp_path / "b.zarr").fingerprint == first
    add(writer, "0003", seed=99)
    writer.assign_splits(SplitRule())
    assert open_store(tmp_path / "b.zarr").fingerprint != first


def test_limited_training_subjects_are_nested_and_other_splits_unchanged(small_store: Path) -> None:
    store = open_store(small_store)
    train = store.keys("train")
    assert len(train) > 2
    two, one = store.limit_training(2), store.limit_training(1)
    assert (two.keys("train"), one.keys("train")) == (train[:2], train[:1])
    assert one.keys("val") + one.keys("test") == store.keys("val") + store.keys("test")
    assert store.limit_training(len(train)).fingerprint == store.fingerprint
    assert len({store.fingerprint, two.fingerprint, one.fingerprint}) == 3
    assert len(one.load_slices("train").images) == len(store.subject(train[0]).slices)
    assert store.keys("train") == train
    for count in (0, len(train) + 1):
        with pytest.raises(InputError, match=f"{len(train)} training subjects, not {count}"):
            store.limit_training(count)


def test_a_subject_without_finished_marker_is_ignored(make_store: Callable[..., Path]) -> None:
    path = make_store()
    document = path / "0003" / "zarr.json"
    about = json.loads(document.read_text())
    del about["attributes"]["napari_pgan"]["finished"]
    document.write_text(json.dumps(about))
    assert "0003" not in open_store(path).keys(None)
    assert "0003" not in extend_store(path).finished()
    with pytest.raises(InputError, match="no finished subject '0003'"):
        open_store(path).subject("0003")


def test_a_subject_without_a_split_is_hidden(make_store: Callable[..., Path]) -> None:
    path = make_store()
    writer = extend_store(path)
    add(writer, "ffff", 3)
    assert "ffff" not in open_store(path).keys(None)
    assert "ffff" in writer.finished()
    writer.assign_splits(SplitRule())
    assert "ffff" in open_store(path).keys(None)


def test_splits_stay_when_subjects_are_added(make_store: Callable[..., Path]) -> None:
    path = make_store()
    store = open_store(path)
    before = {split: set(store.keys(split)) for split in ("train", "val", "test")}
    writer = extend_store(path)
    for i in range(100, 108):
        add(writer, f"{i:04x}", i)
    writer.assign_splits(SplitRule())
    after = open_store(path)
    assert after.counts() == {"train": 12, "val": 2, "test": 2}
    for split, keys in before.items():
        assert keys <= set(after.keys(split))


def test_a_store_of_fsspec() -> None:
    address = f"memory://{uuid.uuid4().hex}/cohort.zarr"
    assert is_free(address)
    writer = new_store(address)
    for i in range(4):
        add(writer, f"{i:04x}", i)
    writer.assign_splits(SplitRule())
    assert not is_free(address)
    store = open_store(address)
    assert store.counts() == {"train": 2, "val": 1, "test": 1}
    np.testing.assert_array_equal(store.subject("0002").images[:], content(2)[0])


def test_what_is_no_store_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a prepared cohort"):
        open_store(tmp_path / "nothing.zarr")
    zarr.create_group(tmp_path / "foreign.zarr")
    with pytest.raises(InputError, match="zarr group, but not a prepared cohort"):
        open_store(tmp_path / "foreign.zarr")
    zarr.create_array(tmp_path / "array.zarr", shape=(3,), dtype="u1")
    with pytest.raises(InputError, match=r"array\.zarr"):
        open_store(tmp_path / "array.zarr")
    (tmp_path / "file.zarr").write_text("hello")
    with pytest.raises(InputError, match="not a prepared cohort"):
        open_store(tmp_path / "file.zarr")
    new_store(tmp_path / "empty.zarr")
    with pytest.raises(InputError, match="no finished subject"):
        open_store(tmp_path / "empty.zarr")
    with pytest.raises(InputError, match="exists already"):
        new_store(tmp_path / "empty.zarr")


def test_a_newer_format_is_refused(make_store: Callable[..., Path]) -> None:
    path = make_store(1)
    zarr.open_group(path).update_attributes({"napari_pgan": {"format_version": 2}})
    with pytest.raises(InputError, match="newer than 1"):
        open_store(path)


def test_an_occupied_folder_is_not_overwritten(tmp_path: Path) -> None:
    assert is_free(tmp_path / "new.zarr")
    (tmp_path / "photos").mkdir()
    assert is_free(tmp_path / "photos")
    (tmp_path / "photos" / "a.jpg").write_text("precious")
    with pytest.raises(InputError, match="not a store"):
        is_free(tmp_path / "photos")
    with pytest.raises(InputError, match="not a store"):
        is_free(tmp_path / "photos" / "a.jpg")


def test_arrays_of_the_wrong_shape_or_value_are_rejected(tmp_path: Path) -> None:
    writer = new_store(tmp_path / "a.zarr")
    images, labels = content(0, size=8)
    with pytest.raises(InputError, match="do not fit"):
        writer.add_subject("00", images, labels, spacing=(1, 1, 1), slices=[0], brain_slices=(0, 1))
    images, labels = content(0)
    with pytest.raises(InputError, match="undeclared value 7"):
        writer.add_subject("00", images, np.full_like(labels, 7), spacing=(1, 1, 1), slices=[0], brain_slices=(0, 1))


@settings(max_examples=10, deadline=None)
@given(st.text(min_size=1, max_size=8))
def test_only_the_three_splits_exist(name: str) -> None:
    writer = new_store(f"memory://{uuid.uuid4().hex}/a.zarr")
    add(writer, "00", 0)
    writer.assign_splits(SplitRule())
    with pytest.raises(InputError, match="no split"):
        open_store(writer.address).keys(name)
