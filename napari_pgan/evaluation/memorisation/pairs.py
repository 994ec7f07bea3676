"""The samples nearest to training images, beside these, as pictures for the user alone: they show patients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.evaluation.eval_data import Samples
from napari_pgan.evaluation.memorisation.copies import Pair
from napari_pgan.store import Slices, label_map

WARNING = "The pictures in this folder show patients whom the model was trained on. Keep them as you keep the scans."
FOOT = "The first row is synthetic, not for diagnosis; the second is a patient's image."
_FLIPS: dict[str, tuple[int, ...]] = {"none": (), "left-right": (-1,), "up-down": (-2,), "both": (-2, -1)}

# path, images (N, M, Y, X), label maps (N, Y, X), a text a row, a line on top and one at the bottom where not the usual
DrawSheet = Callable[[Path, np.ndarray, np.ndarray, Sequence[str], str | None, str | None], None]


def write_pairs(
    folder: Path, pairs: Sequence[Pair], samples: Samples, learnt: Slices, values: np.ndarray, draw: DrawSheet
) -> None:
    """Write a picture a pair, the closest first, and a warning beside them; what lay there before goes.

    Parameters
    ----------
    folder
        Readable by the user alone, where the system has it so.
    pairs
        From `measure_memorisation`.
    samples, learnt
        Generated images and the training images, as they were searched.
    values
        The label values, (K,).
    draw
        Writes images as a PNG.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    write_text(folder / "WARNING.txt", WARNING + "\n")
    for rank, pair in enumerate(pairs, 1):
        row = np.flatnonzero(learnt.subject == learnt.keys.index(pair.subject))[pair.slice_index]
        axes = _FLIPS[pair.flip]
        images = np.stack([np.flip(samples.images[pair.sample], axes), learnt.images[row]])
        labels = np.stack([np.flip(samples.labels[pair.sample], axes), label_map(learnt.labels[row], values)])
        told = f"seed {samples.seeds[pair.sample]}" + ("" if pair.flip == "none" else f", flipped {pair.flip}")
        title = f"generated ({told}), and the training image nearest to it: a patient, do not share"
        draw(folder / f"pair-{rank:02}.png", images, labels, ("generated", "a patient"), title, FOOT)
