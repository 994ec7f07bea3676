"""Grids: pixel positions in patient space, checked against nibabel and SimpleITK."""

from __future__ import annotations

import json
from itertools import permutations, product
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import aff2axcodes, axcodes2ornt, io_orientation

from napari_pgan.errors import InputError
from napari_pgan.schema import Grid

VOLUMES = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]
SLICES = sorted({v[:2] for v in VOLUMES})
_steps = st.floats(0.1, 10)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    dimensions = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.lists(st.integers(1, 300), min_size=dimensions, max_size=dimensions)))
    spacing = draw(st.none() | st.tuples(*[_steps] * dimensions))
    orientation = draw(st.none() | st.sampled_from(SLICES if dimensions == 2 else VOLUMES))
    return Grid(shape, spacing, orientation, draw(st.none() | _steps) if dimensions == 2 else None)


def test_all_48_volume_and_24_slice_orientations_are_covered() -> None:
    assert (len(VOLUMES), len(SLICES)) == (48, 24)


@pytest.mark.parametrize("orientation", VOLUMES)
def test_nibabel_reads_the_orientation_of_a_volume(orientation: str) -> None:
    affine = Grid((4, 5, 6), (3.0, 2.0, 1.0), orientation).affine()
    assert "".join(aff2axcodes(affine)) == orientation[::-1]  # NIfTI counts x fastest
    np.testing.assert_array_equal(io_orientation(affine), axcodes2ornt(orientation[::-1]))
    np.testing.assert_allclose(voxel_sizes(affine), [1, 2, 3])


@pytest.mark.parametrize("orientation", SLICES)
def test_nibabel_reads_the_orientation_of_a_slice(orientation: str) -> None:
    affine = Grid((5, 6), (2.0, 1.0), orientation, 7.0).affine()
    assert "".join(aff2axcodes(affine))[:2] == orientation[::-1]
    np.testing.assert_allclose(voxel_sizes(affine), [1, 2, 7])


def test_axial_slices_follow_the_radiological_convention() -> None:
    # anterior on top: rows grow towards posterior; the patient's left on the right: columns grow towards left
    affine = Grid((5, 6), (2.0, 1.0), "PL").affine()
    right_ras = apply_affine(affine, [1, 0, 0]) - apply_affine(affine, [0, 0, 0])
    down_ras = apply_affine(affine, [0, 1, 0]) - apply_affine(affine, [0, 0, 0])
    np.testing.assert_allclose(right_ras, [-1, 0, 0])
    np.testing.assert_allclose(down_ras, [0, -2, 0])


@given(grids())
def test_the_grid_centre_is_the_origin(grid: Grid) -> None:
    shape = grid.shape if len(grid.shape) == 3 else (1, *grid.shape)
    middle = apply_affine(grid.affine(), (np.array(shape[::-1]) - 1) / 2)
    np.testing.assert_allclose(middle, 0, atol=1e-9 * max(shape) * 10)


@given(grids())
def test_grids_survive_a_json_round_trip(grid: Grid) -> None:
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid


@given(grids(), st.integers(1, 4))
def test_resizing_preserves_the_field_of_view(grid: Grid, factor: int) -> None:
    other = grid.at_size(tuple(n * factor for n in grid.shape))
    assert other.orientation == grid.orientation
    assert other.slice_spacing == grid.slice_spacing
    if grid.spacing is None:
        assert other.spacing is None
    else:
        field = np.multiply(grid.shape, grid.spacing)
        np.testing.assert_allclose(np.multiply(other.shape, other.spacing), field)
    assert other.at_size(grid.shape).shape == grid.shape


@pytest.mark.parametrize("orientation", ["SPL", "IAR", "LSP"])
def test_simpleitk_computes_the_same_positions(orientation: str, tmp_path: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    grid = Grid((4, 5, 6), (3.0, 2.0, 1.0), orientation)
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4), np.float32), grid.affine()), tmp_path / "x.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "x.nii.gz"))
    for index in ((0, 0, 0), (5, 0, 0), (0, 4, 3)):
        lps = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], apply_affine(grid.affine(), index), atol=1e-5)


def test_grids_without_spacing_default_to_one_millimetre() -> None:
    np.testing.assert_allclose(voxel_sizes(Grid((4, 6)).affine()), 1)
    assert Grid((4, 6)).axes == ("y", "x")
    assert Grid((2, 4, 6)).axes == ("z", "y", "x")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"shape": (4,)}, "neither a slice nor a volume"),
        ({"shape": (4, 0)}, "neither a slice nor a volume"),
        ({"shape": (4, 4), "spacing": (1.0,)}, "one positive number per axis"),
        ({"shape": (4, 4), "spacing": (1.0, 0.0)}, "one positive number per axis"),
        ({"shape": (4, 4), "spacing": (1.0, float("nan"))}, "one positive number per axis"),
        ({"shape": (4, 4), "orientation": "PLS"}, "not an orientation of 2 axes"),
        ({"shape": (4, 4), "orientation": "PA"}, "not an orientation of 2 axes"),
        ({"shape": (4, 4), "orientation": "XY"}, "not an orientation of 2 axes"),
    ],
)
def test_invalid_grids_are_rejected(options: dict[str, Any], pattern: str) -> None:
    with pytest.raises(InputError, match=pattern):
        Grid(**options)
