"""Facts about the shipped maps."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from napari_pgan.phantom.template import ORIGIN, load_template

FOLDER = resources.files("napari_pgan.phantom").joinpath("templates")


def test_the_maps_are_small_and_have_their_notice() -> None:
    maps = [item for item in FOLDER.iterdir() if item.name.endswith(".nii.gz")]
    assert len(maps) == 3
    assert sum(len(item.read_bytes()) for item in maps) < 1e6
    notice = " ".join(FOLDER.joinpath("NOTICE").read_text(encoding="utf-8").split())
    assert "Permission to use, copy, modify, and distribute" in notice
    assert "Louis Collins, McConnell Brain Imaging Centre" in notice


def test_the_average_brain_is_symmetric_about_the_grid_centre() -> None:
    template = load_template()
    np.testing.assert_allclose(template.inside, template.inside[:, :, ::-1], atol=1e-3)
    assert ORIGIN[2] == 0


def test_landmarks_have_their_mni_coordinates() -> None:
    template = load_template()

    def at(field: np.ndarray, right: float, anterior: float, superior: float, order: int = 1) -> float:
        point = ORIGIN + np.array([superior, -anterior, -right], np.float32)
        return float(template.lattice.sample(field, point.reshape(3, 1), order)[0])

    def tissue(*place: float) -> tuple[float, float]:
        from scipy import ndimage

        index = template.lattice.indices(ORIGIN.reshape(3, 1) + np.array([[place[2]], [-place[1]], [-place[0]]]))
        return tuple(
            float(ndimage.map_coordinates(c, index, order=3, prefilter=False)[0])
            for c in (template.white, template.grey)
        )

    assert tissue(-26, -20, 28)[0] > 0.8  # corona radiata
    assert tissue(0, -38, 10)[0] > 0.6  # splenium of the corpus callosum
    assert tissue(25, 4, 2)[1] > 0.5  # putamen
    assert at(template.ventricles, 14, -8, 24) + at(template.ventricles, 8, 10, 14) > 0.5  # lateral ventricle
    assert at(template.lobes, 0, -60, -35) == pytest.approx(0)  # cerebellum
    assert at(template.lobes, 30, 30, 25) == pytest.approx(1)  # frontal white matter
