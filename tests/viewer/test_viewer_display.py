"""One layer for each part of a result; all others are left alone. napari's model of a viewer, without a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_pgan.model import Model, load_model
from napari_pgan.viewer.display import Display, display_of
from napari_pgan.viewer.layers import batch_layers


@pytest.fixture
def viewer() -> Any:
    from napari.components import ViewerModel

    return ViewerModel()


def made(model: Model, *seeds: int, stage: int | None = None) -> list[Any]:
    return batch_layers(model.sample(seeds=seeds, stage=stage), model, seeds, stage)


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


BRATS = ["synthetic t1", "synthetic t1ce", "synthetic t2", "synthetic flair", "synthetic segmentation"]


def test_layers_are_filled_anew_and_stay_the_same(viewer: Any, model: Model) -> None:
    display = Display()
    display.show(viewer, made(model, 1))
    before = list(viewer.layers)
    assert names(viewer) == BRATS
    viewer.layers["synthetic t2"].colormap = "magma"
    tuples = made(model, 2)
    display.show(viewer, tuples)
    assert list(viewer.layers) == before
    for layer, (data, options, _) in zip(viewer.layers, tuples, strict=True):
        np.testing.assert_array_equal(layer.data, data)
        assert layer.metadata == options["metadata"]
    assert viewer.layers["synthetic t2"].colormap.name == "magma"  # how a person shows it stays


def test_what_is_seen_is_what_was_written(viewer: Any, model: Model) -> None:
    display = Display()
    display.show(viewer, made(model, 1))
    tuples = made(model, 2)
    display.show(viewer, tuples, live=True)
    for layer, (data, _, _) in zip(viewer.layers, tuples, strict=True):
        np.testing.assert_array_equal(layer._slice.image.raw, data)  # what goes to the canvas


def test_millimetres_names_and_colours(viewer: Any, model: Model) -> None:
    Display().show(viewer, made(model, 1))
    assert {str(u) for layer in viewer.layers for u in layer.units} == {"millimeter"}
    assert viewer.layers.units is not None
    labels = viewer.layers["synthetic segmentation"]
    np.testing.assert_allclose(labels.colormap.map(4)[:3], (0xE4 / 255, 0x1A / 255, 0x1C / 255), atol=0.01)
    assert labels.colormap.map(3)[3] == 0  # nobody declared 3
    assert labels.data.dtype == np.uint8
    value = labels.data[8, 8]
    name = {0: "background", 1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}[value]
    assert name in labels.get_status(labels.data_to_world((8, 8)))["value"]


@pytest.mark.parametrize("file", ["model_file", "fundus_file"])
def test_one_many_small_and_back(viewer: Any, file: str, request: pytest.FixtureRequest) -> None:
    model = load_model(request.getfixturevalue(file))
    display = Display()
    display.show(viewer, made(model, 1))
    first = list(viewer.layers)
    for seeds, stage in (((1, 2, 3), None), ((1, 2), 1), ((1,), 0), ((4,), None)):
        tuples = made(model, *seeds, stage=stage)
        display.show(viewer, tuples)
        assert list(viewer.layers) == first
        for layer, (data, options, _) in zip(viewer.layers, tuples, strict=True):
            np.testing.assert_array_equal(layer.data, data)
            np.testing.assert_allclose(layer.scale, options["scale"])
            np.testing.assert_allclose(layer.translate, options["translate"])
            assert layer.axis_labels == options["axis_labels"]
            assert [f"{u:~}" if str(u) != "pixel" else "pixel" for u in layer.units] == list(options["units"])


def test_other_layers_are_never_touched(viewer: Any, model: Model) -> None:
    own = viewer.add_image(np.arange(256.0).reshape(16, 16), name="synthetic t1", scale=(3, 2), units=("mm", "mm"))
    display = Display()
    for seed in (1, 2):
        display.show(viewer, made(model, seed))
    assert own in viewer.layers
    np.testing.assert_array_equal(own.data, np.arange(256.0).reshape(16, 16))
    assert len(viewer.layers) == 6


def test_a_deleted_layer_comes_back_with_the_next_result(viewer: Any, model: Model) -> None:
    display = Display()
    display.show(viewer, made(model, 1))
    viewer.layers.remove("synthetic t2")
    display.show(viewer, made(model, 2))
    assert sorted(names(viewer)) == sorted(BRATS)


def test_what_a_person_has_drawn_stays(viewer: Any, model: Model) -> None:
    display = Display()
    display.show(viewer, made(model, 1))
    drawn = viewer.layers["synthetic segmentation"]
    drawn.data_setitem((np.array([3, 4]), np.array([3, 4])), 4 if drawn.data[3, 3] != 4 else 1)
    kept = drawn.data.copy()
    tuples = made(model, 2)
    display.show(viewer, tuples)
    np.testing.assert_array_equal(drawn.data, kept)
    assert len(viewer.layers) == 6
    np.testing.assert_array_equal(viewer.layers[-1].data, tuples[-1][0])


def test_drawing_on_a_layer_does_not_change_the_result(viewer: Any, model: Model) -> None:
    tuples = made(model, 1)
    before = tuples[-1][0].copy()
    Display().show(viewer, tuples)
    viewer.layers[-1].data[:] = 2
    np.testing.assert_array_equal(tuples[-1][0], before)


def test_another_model_takes_the_place_of_the_first(
    viewer: Any, model: Model, make_session_model: Callable[..., Model], fundus_file: str
) -> None:
    display = Display()
    display.show(viewer, made(model, 1))
    display.show(viewer, made(make_session_model(seed=3), 1))
    assert names(viewer) == BRATS
    display.show(viewer, made(load_model(fundus_file), 1))
    assert names(viewer) == ["synthetic photo", "synthetic segmentation"]
    assert viewer.layers["synthetic segmentation"].features["name"].tolist() == ["background", "vessel"]


def test_a_viewer_finds_its_own_display_again(viewer: Any) -> None:
    assert display_of(viewer) is display_of(viewer)
