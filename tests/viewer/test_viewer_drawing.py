"""Labels layers as drawings: what is drawn lies where it lay, whatever grid the layer has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Labels

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import TargetMask, any_value
from napari_pgan.model import Model
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.viewer.contours import contour_layers, outlines
from napari_pgan.viewer.drawing import drawing_layer, lock_layer, lock_mask, read_drawing, read_lock

GRID = Grid((16, 16), (3.0, 2.0), "PL", 1.5)
BRATS = Channels(("t1",), (Label(1, "core", "#ff0000"), Label(2, "oedema", "#00ff00")))
MM = {"units": ("mm", "mm"), "axis_labels": ("y", "x")}


def world_of(index: tuple[float, float]) -> np.ndarray:
    """Where a pixel of the model's grid lies: millimetres from its middle."""
    return (np.array(index) - 7.5) * (3.0, 2.0)


@given(st.integers(2, 13), st.integers(2, 13), st.sampled_from([0.5, 1.0, 2.0]), st.floats(-3, 3))
def test_what_is_drawn_stays_where_it_is_in_millimetres(y: int, x: int, step: float, shift: float) -> None:
    count = int(60 / step)
    first = -(count - 1) / 2 * step + shift
    places = first + step * np.arange(count)
    centre = world_of((y, x))
    data = np.zeros((count, count), np.uint8)
    data[np.ix_(abs(places - centre[0]) <= 3.1, abs(places - centre[1]) <= 2.1)] = 2
    drawn = read_drawing(Labels(data, scale=(step, step), translate=(first, first), **MM), GRID, (0, 0), (0, 1))
    target = TargetMask.of(drawn.labels, BRATS, GRID, drawn.affine)
    assert target.labels[y, x] == 2
    assert np.abs(np.argwhere(target.labels) - (y, x)).max() <= 1


def test_a_layer_on_the_models_own_grid_is_taken_as_it_is(model: Model) -> None:
    data, options, _ = drawing_layer(model)
    data[3:7, 5] = 4
    drawn = read_drawing(Labels(data, **options), model.card.grid, (0, 0), (0, 1))
    assert drawn.affine is None
    assert drawn.messages == ()
    np.testing.assert_array_equal(drawn.labels, data)
    data[:] = 0
    assert drawn.labels.any()  # a copy


def test_of_a_volume_the_shown_slice_is_taken_and_that_is_said() -> None:
    data = np.zeros((5, 16, 16), np.uint8)
    data[3, 4, 9] = 1
    volume = Labels(
        data, scale=(4, 3, 2), translate=(-8, -22.5, -15), units=("mm",) * 3, axis_labels=("z", "y", "x"), name="v"
    )
    drawn = read_drawing(volume, GRID, (4.0, 0, 0), (1, 2))
    assert [tuple(p) for p in np.argwhere(drawn.labels)] == [(4, 9)]
    assert drawn.affine is None
    assert "number 3 of axis 0" in drawn.messages[0]
    assert not read_drawing(volume, GRID, (0.0, 0, 0), (1, 2)).labels.any()
    with_time = read_drawing(volume, GRID, (7.0, 4.0, 0, 0), (2, 3))  # the viewer has more dimensions than the layer
    np.testing.assert_array_equal(with_time.labels, drawn.labels)


def test_a_layer_without_millimetres_covers_the_same_field_of_view() -> None:
    drawn = read_drawing(Labels(np.eye(32, dtype=np.uint8)), GRID, (0, 0), (0, 1))
    assert drawn.affine is None
    assert "same field of view" in drawn.messages[0]
    target = TargetMask.of(drawn.labels, BRATS, GRID, drawn.affine)
    np.testing.assert_array_equal(np.argwhere(target.labels).T[0], np.argwhere(target.labels).T[1])


def test_a_layer_that_lies_elsewhere_is_refused_or_said() -> None:
    far = Labels(np.ones((4, 4), np.uint8), translate=(500, 0), name="far", **MM)
    drawn = read_drawing(far, GRID, (0, 0), (0, 1))
    with pytest.raises(InputError, match="outside the model's field of view"):
        TargetMask.of(drawn.labels, BRATS, GRID, drawn.affine)
    half = Labels(np.ones((10, 10), np.uint8), scale=(3, 2), translate=(-22.5 - 15, -15), **MM)
    drawn = read_drawing(half, GRID, (0, 0), (0, 1))
    assert any("50 %" in message for message in TargetMask.of(drawn.labels, BRATS, GRID, drawn.affine).messages)


def test_a_drawing_has_the_models_labels_and_one_for_any(model: Model) -> None:
    data, options, kind = drawing_layer(model)
    whatever = any_value(model.card.channels)
    assert kind == "labels"
    assert data.shape == model.card.grid.shape
    assert options["features"]["index"] == [0, 1, 2, 4, whatever]
    assert options["features"]["name"][-1] == "any"
    assert set(options["colormap"]) == {None, 0, 1, 2, 4, whatever}


def test_unsupported_models_raise_an_input_error(make_session_model: Callable[..., Model]) -> None:
    with pytest.raises(InputError, match="no segmentation"):
        drawing_layer(make_session_model(channels=Channels(("t1",))))
    with pytest.raises(InputError, match="volumes"):
        lock_layer(make_session_model(grid=Grid((16, 16, 16), (1.0, 1.0, 1.0), "SPL")))


def test_a_lock_leaves_room_around_lesions() -> None:
    lesion = np.zeros((64, 64), bool)
    lesion[30, 30] = True
    kept = lock_mask(lesion)
    assert kept[30, 34] == 1
    assert not kept[30, 28:33].any()
    assert lock_mask(np.zeros((8, 8), bool)).all()
    marked = Labels(np.kron(kept, np.ones((2, 2), np.uint8)))  # on a finer grid
    assert (read_lock(marked, Grid((64, 64)), (0, 0), (0, 1)) == (kept > 0)).all()


@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_outlines_are_the_edges_of_regions(finer: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (6, 7)).repeat(3, 0).repeat(3, 1).astype(np.uint8)
    lines, fine = outlines(labels, finer), labels.repeat(finer, 0).repeat(finer, 1)
    assert ((lines == 0) | (lines == fine)).all()
    inside = np.zeros_like(fine, bool)
    inside[1:-1, 1:-1] = (fine[1:-1, 1:-1] == fine[:-2, 1:-1]) & (fine[1:-1, 1:-1] == fine[2:, 1:-1])
    inside[:, 1:-1] &= (fine[:, 1:-1] == fine[:, :-2]) & (fine[:, 1:-1] == fine[:, 2:])
    np.testing.assert_array_equal(lines == 0, inside | (fine == 0))


def test_lines_lie_over_every_picture() -> None:
    drawing = np.zeros((16, 16), np.uint8)
    drawing[4:8, 4:8], drawing[10, 10] = 2, any_value(BRATS)
    layers = contour_layers(TargetMask.of(drawing, BRATS, GRID), GRID)
    assert [options["name"] for _, options, _ in layers] == ["asked for, on t1", "asked for, on segmentation"]
    data, options, _ = layers[0]
    assert set(np.unique(data)) == {0, 2, 255}
    seen = Labels(data, **options)  # its square lies where that of the drawing does
    corner = np.argwhere(data == 2).min(axis=0) - 0.5
    np.testing.assert_allclose(seen.data_to_world(corner), world_of((3.5, 3.5)))
