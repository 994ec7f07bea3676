"""Ablation: do models that also generate the segmentation draw better anatomy?

    python benchmarks/mask_ablation.py STORE RUN_OR_MODEL... [--samples 3000] [--steps 3000] [--out figures.json]

One segmenter, trained on the real training slices, segments the images of every model, with or without a segmentation.
For each model: how often the segmenter finds a lesion, the distance between its lesion areas there and on held-out
subjects, the share of lesions with a glioma's contrast, and the SWD × 10³ of the modalities to the held-out subjects
with its finest level. The training slices are the first row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from contrast import lesion_contrast
from model_samples import samples_of
from scipy.stats import wasserstein_distance

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.evaluation.segmentation.segmenter import train_segmenter
from napari_pgan.store import label_map, open_store

MIN_LESION = 20  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("models", nargs="+", help="run folders (newest model) or model files")
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=3000, help="training steps of the segmenter")
    parser.add_argument("--out", type=Path, help="JSON file of the rows")
    options = parser.parse_args()
    store = open_store(options.store)
    train = store.load_slices("train")
    held = np.concatenate([store.load_slices(split).images for split in ("val", "test") if store.keys(split)])
    train_labels = label_map(train.labels, store.channels.values)
    segmenter = train_segmenter(train.images, train_labels, store.channels, steps=options.steps)
    predicted = segmenter.predict(held)
    areas = (predicted > 0).sum(axis=(1, 2))

    def row(name: str, images: np.ndarray) -> dict[str, Any]:
        pick = np.arange(len(held)) * len(images) // len(held)
        distance = sliced_wasserstein(held, images[pick], patches=64, projections=256)
        labels = segmenter.predict(images)
        own = (labels > 0).sum(axis=(1, 2))
        return {
            "name": name,
            "swd": distance["mean"],
            "finest": next(iter(distance.values())),
            "lesions": float((own >= MIN_LESION).mean()),
            "areas": float(wasserstein_distance(own, areas)),
            "contrast": lesion_contrast(images, labels, store.channels, MIN_LESION).both.value,
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
