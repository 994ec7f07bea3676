"""Does a model draw better anatomy when it makes the segmentation, too? Models with and without it, side by side.

    python benchmarks/mask_claim.py STORE RUN_OR_MODEL... [--samples 3000] [--steps 3000] [--out figures.json]

Models without a segmentation have none to be judged by, so one segmenter, trained on the real training slices, looks at
everybody's images alone: how often it finds a lesion, how far the areas that it finds lie from those that it finds on
held-out subjects, and whether these lesions have a glioma's contrast. Beside that the distance (SWD × 10³) of the
modalities alone to the held-out subjects, and its finest level. The training slices stand first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from contrast import lesion_contrast
from runs import samples_of
from scipy.stats import wasserstein_distance

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.evaluation.segmentation.segmenter import train_segmenter
from napari_pgan.store import label_map, open_store

LEAST = 20  # pixels of a lesion that counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("models", nargs="+", help="run folders, whose newest model is taken, or model files")
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=3000, help="of the judge")
    parser.add_argument("--out", type=Path, help="a JSON file for the rows")
    options = parser.parse_args()
    store = open_store(options.store)
    train = store.load_slices("train")
    held = np.concatenate([store.load_slices(split).images for split in ("val", "test") if store.keys(split)])
    labels = label_map(train.labels, store.channels.values)
    judge = train_segmenter(train.images, labels, store.channels, steps=options.steps)
    found = judge.predict(held)
    areas = (found > 0).sum(axis=(1, 2))

    def row(name: str, images: np.ndarray) -> dict[str, Any]:
        pick = np.arange(len(held)) * len(images) // len(held)
        distance = sliced_wasserstein(held, images[pick], patches=64, projections=256)
        seen = judge.predict(images)
        own = (seen > 0).sum(axis=(1, 2))
        return {
            "name": name,
            "swd": distance["mean"],
            "finest": next(iter(distance.values())),
            "lesions": float((own >= LEAST).mean()),
            "areas": float(wasserstein_distance(own, areas)),
            "contrast": lesion_contrast(images, seen, store.channels, LEAST).both.value,
        }

    rows = [row("training slices", train.images), row("held-out slices", held)]
    for name in options.models:
        rows.append(row(Path(name).name, samples_of(name, options.samples, train).images))
    print("| images | SWD | finest level | with a lesion | areas off by (pixels) | with a glioma's contrast |")
    print("|---" * 6 + "|")
    for one in rows:
        shares = [f"{100 * one['lesions']:.1f} %", f"{one['areas']:.1f}", f"{100 * one['contrast']:.1f} %"]
        print("| " + " | ".join([one["name"], f"{one['swd']:.1f}", f"{one['finest']:.1f}", *shares]) + " |")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
