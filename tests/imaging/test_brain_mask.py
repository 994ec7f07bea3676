"""Brains found in heads with skull, by a template of other people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from displaced import motion, move

from napari_pgan.imaging.brainmask import brain_mask, shipped_template
from napari_pgan.imaging.volume import Volume, read_volume


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("seed", [None, 1])
def test_the_brain_of_an_averaged_head(shared_data: Path, seed: int | None) -> None:
    folder = shared_data / "templates_2mm"
    head = read_volume(folder / "avg152T1.nii.gz")
    maps = sum(read_volume(folder / f"{tissue}.nii.gz").array for tissue in ("grey", "white", "csf"))
    truth = np.asarray(maps) > 0.5
    if seed is not None:
        moved = motion(np.random.default_rng(seed), 20, 20, np.zeros(3))
        head = move(head, moved, float(head.array.min()))
        truth = move(Volume(truth.astype(np.float32), head.affine), moved).array > 0.5
    mask, found = brain_mask(head)
    assert _dice(mask, truth) > 0.92
    assert found.disagreement < 4


def test_the_shipped_brain_is_whole() -> None:
    template = shipped_template()
    millilitres = template.brain.sum() * np.prod(template.image.spacing) / 1000
    assert 1700 < millilitres < 2100  # with its ventricles and the fluid in its sulci, as averages are large
    assert (template.image.array[~template.brain] < 25).mean() > 0.95
