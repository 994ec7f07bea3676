"""A known bias field is corrected."""

from __future__ import annotations

import numpy as np
from displaced import template

from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.bias import correct_bias
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.phantom.template import load_template


def test_a_known_bias_field_is_corrected() -> None:
    whole = template()["t1"]
    slab = slice(25, 50)  # 50 mm, to be fast
    shift = np.eye(4)
    shift[2, 3] = slab.start
    clean = Volume(np.ascontiguousarray(whole.array[slab]), whole.affine @ shift)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in clean.array.shape], indexing="ij")
    field = np.exp(0.35 * x + 0.25 * y - 0.2 * z**2).astype(np.float32)
    shaded = Volume(clean.array * field, clean.affine)
    head = find_foreground(shaded.array)
    corrected = correct_bias(shaded, head)
    white = (load_template().white[slab] > 0.9) & head.mask
    before, after, ideal = (np.std(v.array[white]) / np.mean(v.array[white]) for v in (shaded, corrected, clean))
    assert before > 2 * ideal
    assert after - ideal < 0.25 * (before - ideal)
    assert (corrected.array[~head.mask] == shaded.array[~head.mask]).all()
    assert abs(np.log(corrected.array[white].mean() / shaded.array[white].mean())) < 0.15  # values keep their scale
