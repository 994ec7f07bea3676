"""Similarity of a run's model to its cohort: sample sheet, SWD over time with its baseline, lesion contrast.

    python benchmarks/likeness.py STORE RUN --out FOLDER [--name NAME] [--count 1000]

Writes NAME_sheet.png (generated images), NAME_swd.png and NAME.json, and prints a table for the docs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from contrast import LesionContrast, lesion_contrast
from swd_baseline import swd_baseline

from napari_pgan import load_model
from napari_pgan.model import Encoding
from napari_pgan.samples.sheet import write_sheet
from napari_pgan.store import Store, open_store
from napari_pgan.training.run_folder import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="likeness")
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    store, run = open_store(arguments.store), Run(arguments.run)
    model = load_model(run.model)
    arguments.out.mkdir(parents=True, exist_ok=True)

    batch = model.sample(seeds=range(arguments.count), batch_size=16)
    first = slice(0, 48)
    sheet = arguments.out / f"{arguments.name}_sheet.png"
    write_sheet(sheet, batch.images[first], batch.labels[first], model.card.channels, blocks=3)
    rows = [row for row in run.read_metrics() if any(key.startswith("swd_") for key in row)]
    key = next(key for key in rows[-1] if key.startswith("swd_"))
    baseline = baselines(
        store, model.encoding, sorted({row["size"] for row in rows}), len(store.load_slices(key[4:]).images)
    )
    draw(arguments.out / f"{arguments.name}_swd.png", rows, key, baseline)

    real = store.load_slices(None, batch.images.shape[-1])
    fractions = torch.from_numpy(real.labels)
    crisp = model.encoding.decode(model.encoding.encode(torch.from_numpy(real.images), fractions)).numpy()
    channels = model.card.channels
    figures = {
        "images": rows[-1]["images"],
        "minutes": rows[-1]["minutes"],
        "swd": {str(row["size"]): row[key] for row in rows},
        "floor": baseline,
        "contrast": {
            "generated": describe(lesion_contrast(batch.images, batch.labels, channels), len(batch)),
            "real": describe(lesion_contrast(real.images, crisp, channels), len(crisp)),
        },
    }
    (arguments.out / f"{arguments.name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    print("| images | with a lesion ≥ 20 px | FLAIR: oedema > rest | T1ce: rim > core | both |\n|---|---|---|---|---|")
    for kind, row in figures["contrast"].items():
        print(f"| {kind} | {row['lesions']} of {row['images']} | {row['oedema']} | {row['rim']} | {row['both']} |")
    print(f"\nSWD ×10³ at the end {rows[-1][key]}, baseline {baseline[str(rows[-1]['size'])]}")


def describe(found: LesionContrast, images: int) -> dict[str, object]:
    return {
        "images": images,
        "lesions": found.lesions,
        "oedema": str(found.oedema),
        "rim": str(found.rim),
        "both": str(found.both),
    }


def baselines(store: Store, encoding: Encoding, sizes: list[int], count: int) -> dict[str, dict[str, float]]:
    """The real-vs-real baseline at each size, with as many images as the run's evaluations."""
    baseline = {}
    for size in sizes:
        slices = store.load_slices(None, size)
        channels = encoding.encode(torch.from_numpy(slices.images), torch.from_numpy(slices.labels)).numpy()
        distance = swd_baseline(channels, slices.subject, count=min(count, 512))
        baseline[str(size)] = {k: round(distance[k], 2) for k in ("mean", "low", "high")}
    return baseline


def draw(path: Path, rows: list[dict], key: str, baseline: dict[str, dict[str, float]]) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for color, size in enumerate(sorted({row["size"] for row in rows})):
        size_rows = [row for row in rows if row["size"] == size]
        minutes, mean = [row["minutes"] for row in size_rows], [row[key]["mean"] for row in size_rows]
        axes.plot(minutes, mean, "o-", color=f"C{color}", label=f"{size}²")
        low = baseline[str(size)]
        axes.hlines(low["mean"], min(minutes), max(max(minutes), min(minutes) + 0.5), color=f"C{color}", ls="--", lw=1)
        axes.fill_between([min(minutes), max(minutes)], low["low"], low["high"], color=f"C{color}", alpha=0.12, lw=0)
    axes.set(xlabel="minutes of training", ylabel="sliced Wasserstein distance × 10³", ylim=(0, None))
    axes.set_title("Generated images to held-out subjects, by size\n(dashed: real vs real subjects)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="size", frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
