"""Split-half comparison: is a model as close to held-out subjects as these are to each other?

    python benchmarks/split_half.py STORE MODEL [--samples 2000] [--halvings 3]

A random half of the subjects in STORE's test split is compared with samples and with the other half, in sets of equal
size: SWD × 10³ of modalities and one-hot labels.
"""

from __future__ import annotations

import argparse

import numpy as np
from model_samples import samples_of, with_labels

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.store import label_map, open_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--halvings", type=int, default=3)
    options = parser.parse_args()
    store = open_store(options.store)
    held, values = store.load_slices("test"), store.channels.values
    samples = samples_of(options.model, options.samples, held)
    real = with_labels(held.images, label_map(held.labels, values), values)
    generated = with_labels(samples.images, samples.labels, values)
    subjects, distances = np.unique(held.subject), []
    for halving in range(options.halvings):
        random = np.random.default_rng(halving)
        half = np.isin(held.subject, random.permutation(subjects)[: len(subjects) // 2])
        count = min(options.samples, int(half.sum()), int((~half).sum()))
        reference, other = (random.choice(np.flatnonzero(part), count, replace=False) for part in (half, ~half))
        distances.append(
            [
                sliced_wasserstein(real[reference], images, patches=64, projections=256, seed=halving)["mean"]
                for images in (generated[:count], real[other])
            ]
        )
        model, baseline = distances[-1]
        print(f"halving {halving}, {count:,} images per set: model {model:.1f}, the other half {baseline:.1f}")
    model, baseline = np.mean(distances, axis=0)
    print(f"mean: model {model:.1f}, the other half {baseline:.1f}, {model / baseline:.2f} times")


if __name__ == "__main__":
    main()
