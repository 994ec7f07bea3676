"""As near to new subjects as these are to each other? Samples beside half of the held-out subjects.

    python benchmarks/halves.py STORE MODEL [--samples 2000] [--halvings 3]

Half of the subjects of STORE's test split, drawn at random, is held against samples and against the other half: SWD
× 10³ of modalities and crisp labels, sets of equal size.
"""

from __future__ import annotations

import argparse

import numpy as np
from runs import samples_of, with_labels

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
    made = samples_of(options.model, options.samples, held)
    real = with_labels(held.images, label_map(held.labels, values), values)
    generated = with_labels(made.images, made.labels, values)
    subjects, found = np.unique(held.subject), []
    for halving in range(options.halvings):
        random = np.random.default_rng(halving)
        one = np.isin(held.subject, random.permutation(subjects)[: len(subjects) // 2])
        count = min(options.samples, int(one.sum()), int((~one).sum()))
        reference, other = (random.choice(np.flatnonzero(part), count, replace=False) for part in (one, ~one))
        found.append(
            [
                sliced_wasserstein(real[reference], other_set, patches=64, projections=256, seed=halving)["mean"]
                for other_set in (generated[:count], real[other])
            ]
        )
        print(
            f"halving {halving}, {count:,} images a side: model {found[-1][0]:.1f}, the other half {found[-1][1]:.1f}"
        )
    model, floor = np.mean(found, axis=0)
    print(f"mean: model {model:.1f}, the other half {floor:.1f}, {model / floor:.2f} times")


if __name__ == "__main__":
    main()
