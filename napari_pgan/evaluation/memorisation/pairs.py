"""Pictures of samples next to their nearest training images, for the user only, since they show patients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.evaluation.eval_data import Samples
from napari_pgan.evaluation.memorisation.copies import Pair
from napari_pgan.store import Slices, label_map

WARNING = "The pictures in this folder show patients the model was trained on. Protect them like the scans."
FOOT = "The first row is synthetic, not for diagnosis; the second is a patient's image."
_FLIPS: dict[str, tuple[int, ...]] = {"none": (), "left-right": (-1,), "up-down": (-2,), "both": (-2, -1)}

# path, images (N, M, Y, X), label maps (N, Y, X), a text per row, title and footer (None: the default)
DrawSheet = Callable[[Path, np.ndarray, np.ndarray, Sequence[str], str | None, str | None], None]


def write_pairs(
    folder: Path, pairs: Sequence[Pair], samples: Samples, train: Slices, values: np.ndarray, draw: DrawSheet
) -> None:
    """Write one picture per pair, the closest first, and a warning; replace earlier contents of the folder.

    Parameters
    ----------
    folder
        Output folder; only the user may read it, if the system supports that.
    pairs
        From `measure_memorisation`.
    samples, train
        Generated images and training images of the search.
    values
        Label values (K,).
    draw
        Writes images as a PNG.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    write_text(folder / "WARNING.txt", WARNING + "\n")
    for rank, pair in enumerate(pairs, 1):
        row = np.flatnonzero(train.subject == train.keys.index(pair.subject))[pair.slice_index]
        axes = _FLIPS[pair.flip]
        images = np.stack([np.flip(samples.images[pair.sample], axes), train.images[row]])
        labels = np.stack([np.flip(samples.labels[pair.sample], axes), label_map(train.labels[row], values)])
        origin = f"seed {samples.seeds[pair.sample]}" + ("" if pair.flip == "none" else f", flipped {pair.flip}")
        title = f"generated ({origin}), and its nearest training image: a patient, do not share"
        draw(folder / f"pair-{rank:02}.png", images, labels, ("generated", "a patient"), title, FOOT)
