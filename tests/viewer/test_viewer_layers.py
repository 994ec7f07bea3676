"""Samples as layer data: places, colours, names, origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.model import Model, load_model
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label
from napari_pgan.viewer.layers import METADATA_KEY, batch_layers, picture_planes, placement, stack_layers


def test_one_grey_layer_a_modality_and_one_labels_layer(model: Model) -> None:
    layers = batch_layers(model.sample(seeds=[3]), model, [3])
    names = [options["name"] for _, options, _ in layers]
    assert names == [
        "synthetic t1", "synthetic t1ce", "synthetic t2", "synthetic flair", "synthetic segmentation",
    ]  # fmt: skip
    for data, options, kind in layers[:-1]:
        assert kind == "image"
        assert data.dtype == np.float32
        assert options["contrast_limits"] == (-1, 1)
        assert options["colormap"] == "gray"
    labels, options, kind = layers[-1]
    assert (kind, labels.dtype) == ("labels", np.uint8)
    assert set(np.unique(labels)) <= {0, 1, 2, 4}
    assert options["colormap"][4] == "#e41a1c"
    assert options["features"] == {
        "index": [0, 1, 2, 4],
        "name": ["background", "necrotic core", "oedema", "enhancing tumour"],
    }


def test_layers_hold_what_the_model_made(model: Model) -> None:
    batch = model.sample(seeds=[3, 4])
    layers = batch_layers(batch, model, [3, 4])
    for i, (data, _, _) in enumerate(layers[:-1]):
        np.testing.assert_array_equal(data, batch.images[:, i])
    np.testing.assert_array_equal(layers[-1][0], batch.labels)


def test_every_layer_lies_in_millimetres(model: Model) -> None:
    for data, options, _ in batch_layers(model.sample(seeds=[0]), model, [0]):
        assert data.shape == (16, 16)
        assert options["scale"] == (3.0, 2.0)
        assert options["units"] == ("mm", "mm")
        assert options["axis_labels"] == ("y", "x")


def test_several_samples_get_an_axis_of_their_own(model: Model) -> None:
    for data, options, _ in batch_layers(model.sample(seeds=[0, 1, 2]), model, [0, 1, 2]):
        assert data.shape == (3, 16, 16)
        assert options["scale"] == (1.0, 3.0, 2.0)
        assert options["units"] == ("pixel", "mm", "mm")
        assert options["axis_labels"] == ("sample", "y", "x")
        assert len(options["translate"]) == 3


def test_the_origin_makes_the_sample_again(model: Model) -> None:
    batch = model.sample(seeds=[5, 6], truncation=0.5)
    about = batch_layers(batch, model, [5, 6])[0][1]["metadata"][METADATA_KEY]
    assert about["limits"] == "Synthetic images, not for diagnosis."
    made = about["samples"][1]
    assert (made["seed"], made["truncation"], made["model_identity"]) == (6, 0.5, model.identity)
    again = model.sample(latents=np.array([made["latent"]], np.float32), truncation=made["truncation"])
    np.testing.assert_allclose(again.images[0], batch.images[1], atol=1e-4)


def test_rgb_groups_become_colour_and_come_back(fundus_file: str) -> None:
    fundus = load_model(fundus_file)
    batch = fundus.sample(seeds=[1])
    (data, options, kind), labels = batch_layers(batch, fundus, [1])
    assert (kind, options["rgb"], data.shape) == ("image", True, (16, 16, 3))
    assert data.min() >= 0
    assert data.max() <= 1
    assert options["units"] == ("pixel", "pixel")  # a photograph has no millimetres
    for plane, channel in zip(picture_planes(data, options["metadata"][METADATA_KEY]), batch.images[0], strict=True):
        np.testing.assert_allclose(plane, channel, atol=1e-6)
    assert labels[1]["colormap"][1] == "#00ffff"


def test_volumes_have_three_axes(make_session_model: Callable[..., Model]) -> None:
    volume = make_session_model(grid=Grid((16, 16, 16), (4.0, 3.0, 2.0), "SPL"))
    data, options, _ = batch_layers(volume.sample(seeds=[0]), volume, [0])[0]
    assert data.shape == (16, 16, 16)
    assert options["scale"] == (4.0, 3.0, 2.0)
    assert options["axis_labels"] == ("z", "y", "x")


sides = st.integers(1, 64).map(lambda n: 4 * n)
steps = st.floats(0.1, 10, allow_nan=False)


@given(st.tuples(sides, sides), st.tuples(steps, steps), st.sampled_from([1, 2, 4]))
def test_smaller_sizes_cover_the_same_field_of_view(
    shape: tuple[int, int], spacing: tuple[float, float], factor: int
) -> None:
    whole = Grid(shape, spacing, "PL")
    part = whole.at_size(tuple(n // factor for n in shape))
    for grid in (whole, part):
        placed = placement(grid)
        for n, scale, translate, side in zip(grid.shape, placed["scale"], placed["translate"], range(2), strict=True):
            edge = shape[side] * spacing[side] / 2
            assert translate - scale / 2 == pytest.approx(-edge)
            assert translate + (n - 0.5) * scale == pytest.approx(edge)


@given(st.integers(1, 4), st.integers(0, 3))
def test_any_channels_are_shown(modalities: int, labels: int) -> None:
    names = tuple(f"m{i}" for i in range(modalities))
    groups = (DisplayGroup("colour", names[:3]),) if modalities >= 3 else ()
    channels = Channels(names, tuple(Label(i + 1, f"l{i}", "#123456") for i in range(labels)), groups)
    grid = Grid((4, 4))
    shown = stack_layers(
        np.zeros((2, modalities, 4, 4), np.float32),
        np.zeros((2, 4, 4), np.uint8) if labels else None,
        channels,
        grid,
        {},
    )
    assert len(shown) == (len(groups) or modalities) + bool(labels)


def test_windows_do_not_follow_the_data(model: Model) -> None:
    channels = model.card.channels
    images = np.full((1, 4, 4, 4), 100, np.float32)
    shown = stack_layers(
        images, None, channels, Grid((4, 4)), {}, windows=dict.fromkeys(channels.modalities, (0, 1000))
    )
    assert [options["contrast_limits"] for _, options, _ in shown] == [(0, 1000)] * 4
    np.testing.assert_array_equal(shown[0][0], images[0, 0])  # intensities as they are
