"""Quality of steering on the model's own masks and on masks of held-out subjects, rated by an independent segmenter.

    python benchmarks/steering_quality.py STORE JUDGE [--model MODEL] [--masks 50] [--seconds 10] [--out FILE]

The target masks come from STORE's test split, which the model's training must not contain. JUDGE is a segmenter that
`evaluate` trained on real images (`REPORT/segmenters/*/0-real-0.safetensors`). For each mask, the search runs in
latents and then with offsets. The table shows medians over masks:

- Dice of the best candidate: mean over the target's labels, and of the whole lesion;
- Dice of the judge's segmentation of the image, to compare with ordinary samples that have a lesion;
- diversity of the candidates relative to random samples;
- percentiles of the critic's scores among ordinary samples with a lesion, to compare with the bank entries that have
  the nearest masks.

Last, the preserve test moves a sample's lesion to the other hemisphere and keeps the rest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from steering import CLOCKS, Clock, own_masks

from napari_pgan import load_model
from napari_pgan.evaluation.segmentation.segmenter import Segmenter
from napari_pgan.latent.steering import Bank, Candidates, Preserve, TargetMask, cached_bank, refine, steer
from napari_pgan.latent.steering.bank import bank_stage
from napari_pgan.model import Model
from napari_pgan.model.model import find_model
from napari_pgan.model.model_file import read_critic
from napari_pgan.store import label_map, open_store

_FIRST_SEED = 700_000  # of ordinary samples


class References:
    """The judge, the critic and the ordinary samples that candidates are compared with."""

    def __init__(self, path: str, model: Model, judge: Segmenter, min_area: float) -> None:
        self.model, self.judge, self.critic = model, judge, read_critic(find_model(path))
        batch = model.sample(seeds=range(_FIRST_SEED, _FIRST_SEED + 512), batch_size=32)
        with_lesion = np.flatnonzero((batch.labels > 0).sum(axis=(1, 2)) >= min_area)
        images, labels = batch.images[with_lesion], batch.labels[with_lesion]
        half = len(images) // 2
        self.apart = float(np.abs(images[:half] - images[half : 2 * half]).mean())
        self.scores = self.critics(batch.latents[with_lesion])
        targets = [TargetMask.of(x, model.card.channels, model.card.grid) for x in labels]
        judged = judge.predict(images)
        self.ordinary = [float(w.score(x[None])[0]) for w, x in zip(targets, judged, strict=True)]
        self.ordinary_whole = [w.lesion_dice(x[None])[0] for w, x in zip(targets, judged, strict=True)]

    def critics(self, latents: np.ndarray, offsets: tuple[torch.Tensor, ...] = ()) -> np.ndarray:
        """Scores of each image in a batch with the same ordinary images, because it compares images in a batch."""
        if self.critic is None:
            return np.full(len(latents), np.nan)
        scores, stage = [], self.model.stages - 1
        with torch.inference_mode():
            others = self.model.generate(torch.from_numpy(self.model.latents(range(_FIRST_SEED - 3, _FIRST_SEED))))
            for row in range(len(latents)):
                moved = [each[row : row + 1] for each in offsets]
                x = self.model.generate(torch.from_numpy(latents[row : row + 1]), offsets=moved)
                scores.append(float(self.critic(torch.cat([x, others]), stage)[0]))
        return np.array(scores)

    def percentiles(self, scores: np.ndarray) -> np.ndarray:
        return (self.scores[None] < scores[:, None]).mean(axis=1)


def row(target: TargetMask, found: Candidates, references: References) -> dict[str, Any]:
    """The measurements of one search."""
    images = references.model.sample(latents=found.latents, offsets=found.offsets).images
    judged = references.judge.predict(images)
    pairs = [np.abs(images[i] - images[j]).mean() for i in range(len(images)) for j in range(i)]
    return {
        "score": float(found.scores[0]),
        "whole": float(target.lesion_dice(found.labels).max()),
        "judged": float(target.score(judged)[0]),
        "judged_whole": float(target.lesion_dice(judged)[0]),
        "apart": float(np.mean(pairs) / references.apart) if pairs else float("nan"),
        "percentiles": references.percentiles(references.critics(found.latents, found.offsets)).tolist(),
        "seconds": found.seconds,
        "moved": None if found.moved is None else float(found.moved[0]),
    }


def within(search: Iterator[Candidates], clock: Clock, seconds: float) -> Candidates:
    """The best candidates when the time or the search ends."""
    start, best = clock(), next(search)
    while clock() - start <= seconds and (improved := next(search, None)) is not None:
        best = improved
    return best


def measure(
    name: str, targets: list[TargetMask], references: References, bank: Bank, clock: Clock, seconds: float
) -> dict[str, Any]:
    latent, refined, near = [], [], []
    factor = 2 ** (references.model.stages - 1 - bank_stage(references.model))
    for target in targets:
        found = within(steer(references.model, target, bank), clock, seconds)
        latent.append(row(target, found, references))
        found = within(refine(references.model, target, found), clock, seconds)
        refined.append(row(target, found, references))
        nearest = references.model.latents([bank.seeds[i] for i in bank.rank(target, factor)[:6]])
        near += references.percentiles(references.critics(nearest)).tolist()
    print(f"\n{name}: {len(targets)} masks\n")
    print("| | Dice, labels | Dice, whole | judge, labels | judge, whole | diversity | critic 5-95 % | below | moved |")
    print("|---" * 9 + "|")
    for kind, rows in (("latents", latent), ("with offsets", refined)):
        median = {
            key: np.median([r[key] for r in rows]) for key in ("score", "whole", "judged", "judged_whole", "apart")
        }
        every = np.concatenate([r["percentiles"] for r in rows])
        inside, below = ((every >= 0.05) & (every <= 0.95)).mean(), (every < 0.05).mean()
        moved = "" if rows[0]["moved"] is None else f"{np.median([r['moved'] for r in rows]):.3f}"
        cells = [f"{median[key]:.3f}" for key in ("score", "whole", "judged", "judged_whole")]
        cells += [f"{median['apart']:.2f}", f"{inside:.2f}", f"{below:.2f}", moved]
        print("| " + " | ".join([kind, *cells]) + " |")
    inside = np.mean([0.05 <= each <= 0.95 for each in near])
    print(f"nearest of the bank: {inside:.2f} within the critic's 5th to 95th percentile")
    return {"latent": latent, "refined": refined, "nearest": near}


def preserve_test(
    model: Model, bank: Bank, count: int, min_area: float, clock: Clock, seconds: float
) -> list[dict[str, float]]:
    """Move the lesion of samples to the other hemisphere and preserve the rest."""
    rows: list[dict[str, float]] = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + 10_000):
        if len(rows) == count:
            break
        latent = model.latents([seed])
        before = model.sample(latents=latent).labels
        target = TargetMask.of(
            np.flip(before[0], model.card.grid.lateral_axis or -1), model.card.channels, model.card.grid
        )
        if (before > 0).sum() < 2 * min_area or target.lesion_dice(before)[0] > 0.3:
            continue
        changing = ndimage.binary_dilation((before[0] > 0) | (target.labels > 0), iterations=2)
        preserve = Preserve.of(model, latent, ~changing[None])
        found = within(steer(model, target, bank, candidates=2, preserve=preserve), clock, seconds)
        better = within(refine(model, target, found, preserve=preserve), clock, seconds)
        assert found.moved is not None
        assert better.moved is not None
        rows.append(
            {
                "before": float(target.lesion_dice(before)[0]),
                "after": float(target.lesion_dice(found.labels)[0]),
                "moved": float(found.moved[0]),
                "refined": float(target.lesion_dice(better.labels)[0]),
                "refined_moved": float(better.moved[0]),
            }
        )
    print(f"\npreserve, {len(rows)} masks: medians, and the share with Dice of 0.7 or more and 3 % or less moved")
    for after, far in (("after", "moved"), ("refined", "refined_moved")):
        good = np.mean([r[after] >= 0.7 and r[far] <= 0.03 for r in rows])
        middle = [np.median([r[key] for r in rows]) for key in ("before", after, far)]
        print(f"{after}: Dice {middle[0]:.2f} -> {middle[1]:.2f}, moved {middle[2]:.3f}; {good:.2f}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("judge", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--masks", type=int, default=50)
    parser.add_argument("--locks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="for latents, and again for offsets")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: for a busy machine")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = CLOCKS[options.clock]
    model, judge = load_model(options.model), Segmenter.load(options.judge)
    bank, channels, grid = cached_bank(model), model.card.channels, model.card.grid
    min_area = 50 * np.prod(grid.shape) / 128**2
    references = References(options.model, model, judge, min_area)
    judged = np.median(references.ordinary), np.median(references.ordinary_whole)
    print(f"the judge on ordinary samples: {judged[0]:.3f} (labels), {judged[1]:.3f} (whole)")
    slices = open_store(options.store).load_slices("test")
    maps = label_map(slices.labels, channels.values)
    large = np.flatnonzero((maps > 0).sum(axis=(1, 2)) >= min_area)
    chosen = np.random.default_rng(0).choice(large, min(options.masks, len(large)), replace=False)
    held = [TargetMask.of(maps[i], channels, grid) for i in chosen]
    figures: dict[str, Any] = {"judge": judged}
    if options.masks:
        figures["own"] = measure(
            "its own masks", own_masks(model, options.masks), references, bank, clock, options.seconds
        )
        figures["held"] = measure("masks of held-out subjects", held, references, bank, clock, options.seconds)
    if options.locks:
        figures["lock"] = preserve_test(model, bank, options.locks, min_area, clock, options.seconds)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
