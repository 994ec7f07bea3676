"""Compare models of short runs by the same few metrics.

    python benchmarks/compare_models.py STORE RUN_OR_MODEL... [--samples 3000] [--size 32] [--steps 1000] [--out FILE]

For each model: SWD × 10³ of modalities and decoded labels to the held-out subjects, its finest level, the Fréchet
distance of features, the sharpness of label borders in each modality relative to real images, and the Dice on held-out
subjects of a segmenter trained on samples only. The training slices are the first row, as an upper bound.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from model_samples import samples_of, with_labels

from napari_pgan.evaluation.likeness.feature_encoder import Encoder, train_encoder
from napari_pgan.evaluation.likeness.frechet import frechet_distance
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.evaluation.segmentation.overlap import by_subject
from napari_pgan.evaluation.segmentation.rims import rims
from napari_pgan.evaluation.segmentation.segmenter import train_segmenter
from napari_pgan.schema import Channels
from napari_pgan.store import Store, label_map, open_store

SEGMENTER_SEEDS = (0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("models", nargs="*", help="run folders (newest model) or model files")
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--size", type=int, help="image size of the models, if smaller than the store's")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of each segmenter; 0: no segmenter")
    parser.add_argument("--out", type=Path, help="JSON file of the rows")
    options = parser.parse_args()
    store = open_store(options.store)
    bench = Bench(store, options.size, options.steps)
    rows = [bench.row("training slices", bench.train.images, bench.train_labels)]
    print(table(rows, store.channels), flush=True)
    for name in options.models:
        samples = samples_of(name, options.samples, bench.train)
        rows.append(bench.row(Path(name).name, samples.images, samples.labels))
        print(table(rows[-1:], store.channels).splitlines()[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


class Bench:
    """Held-out subjects, with the encoder and the metrics that compare models with them."""

    def __init__(self, store: Store, size: int | None, steps: int) -> None:
        self.channels, self.steps = store.channels, steps
        self.train = store.load_slices("train", size)
        parts = [store.load_slices(split, size) for split in ("val", "test") if store.keys(split)]
        self.images = np.concatenate([x.images for x in parts])
        fractions = np.concatenate([x.labels for x in parts])
        self.subject = np.concatenate([x.subject + 10_000 * i for i, x in enumerate(parts)])
        values = store.channels.values
        self.labels, self.train_labels = (label_map(x, values) for x in (fractions, self.train.labels))
        self.spacing = (store.grid.slice_spacing or 1.0, *(store.grid.spacing or (1.0, 1.0)))
        self.encoder: Encoder = train_encoder(self.train.images, self.train.subject, steps=600, seed=0)
        self.features = self.encoder.features(self.images)
        self.rims = rims(self.images, self.labels)

    def row(self, name: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        pick = np.arange(len(self.images)) * len(images) // len(self.images)
        channels = [
            with_labels(x, y, self.channels.values)
            for x, y in ((self.images, self.labels), (images[pick], labels[pick]))
        ]
        distance = sliced_wasserstein(channels[0], channels[1], patches=64, projections=256)
        found: dict[str, Any] = {
            "name": name,
            "swd": distance["mean"],
            "finest": next(iter(distance.values())),
            "frechet": frechet_distance(self.features, self.encoder.features(images[pick])),
            "rims": (rims(images, labels) / self.rims).tolist(),
        }
        if self.steps:
            values = self.channels.values.tolist()
            dice = []
            for seed in SEGMENTER_SEEDS:
                segmenter = train_segmenter(images, labels, self.channels, steps=self.steps, seed=seed)
                predicted = segmenter.predict(self.images)
                dices, _ = by_subject(predicted, self.labels, self.subject, values, self.spacing)
                dice.append(np.nanmean(dices, axis=0)[: len(values)])
            found["dice"] = np.mean(dice, axis=0).tolist()
        return found


def table(rows: list[dict[str, Any]], channels: Channels) -> str:
    """The rows as a Markdown table."""
    sharp, dice = (", ".join(names) for names in (channels.modalities, [x.name for x in channels.labels]))
    lines = [f"| model | SWD | finest level | Fréchet | rims: {sharp} | Dice: {dice} | mean |", "|---" * 7 + "|"]
    for row in rows:
        figures = [f"{row[key]:.1f}" for key in ("swd", "finest", "frechet")]
        figures += [" ".join(f"{x:.2f}" for x in row.get(key, [])) for key in ("rims", "dice")]
        figures.append(f"{np.mean(row['dice']):.3f}" if "dice" in row else "")
        lines.append("| " + " | ".join([row["name"], *figures]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
