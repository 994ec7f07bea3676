"""Is what steering finds worth having? Masks that the model drew, masks that nobody generated, and what a judge says.

    python benchmarks/steering_truth.py STORE JUDGE [--model MODEL] [--masks 50] [--seconds 10] [--out figures.json]

STORE holds the subjects whose masks are asked for (its test split; none of them in the model's training), JUDGE is a
segmenter that `evaluate` trained on real images (`REPORT/segmenters/*/0-real-0.safetensors`). For each mask the search
runs in latents alone and then with offsets. Told are medians over masks: Dice of the best candidate (mean over labels
that are asked for, and of the lesion as a whole), the judge's, who sees the images alone, beside what it says of
ordinary samples with a lesion, how different candidates are beside random samples, and where the critic's scores lie
among those of ordinary samples with a lesion, beside those of the bank's entries with the nearest masks. Then the lock:
the lesion of a sample is asked for in the other hemisphere, while the rest stays.
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

_FIRST = 700_000  # of ordinary samples


class Witnesses:
    """What candidates are held against."""

    def __init__(self, path: str, model: Model, judge: Segmenter, least: float) -> None:
        self.model, self.judge, self.critic = model, judge, read_critic(find_model(path))
        batch = model.sample(seeds=range(_FIRST, _FIRST + 512), batch_size=32)
        with_lesion = np.flatnonzero((batch.labels > 0).sum(axis=(1, 2)) >= least)
        images, labels = batch.images[with_lesion], batch.labels[with_lesion]
        half = len(images) // 2
        self.apart = float(np.abs(images[:half] - images[half : 2 * half]).mean())
        self.scores = self.critics(batch.latents[with_lesion])
        targets = [TargetMask.of(x, model.card.channels, model.card.grid) for x in labels]
        judged = judge.predict(images)
        self.ordinary = [float(w.score(x[None])[0]) for w, x in zip(targets, judged, strict=True)]
        self.ordinary_whole = [w.lesion_dice(x[None])[0] for w, x in zip(targets, judged, strict=True)]

    def critics(self, latents: np.ndarray, offsets: tuple[torch.Tensor, ...] = ()) -> np.ndarray:
        """Scores, each image in the company of the same ordinary ones, since critics look at how a group differs."""
        if self.critic is None:
            return np.full(len(latents), np.nan)
        scores, stage = [], self.model.stages - 1
        with torch.inference_mode():
            others = self.model.generate(torch.from_numpy(self.model.latents(range(_FIRST - 3, _FIRST))))
            for row in range(len(latents)):
                moved = [each[row : row + 1] for each in offsets]
                x = self.model.generate(torch.from_numpy(latents[row : row + 1]), offsets=moved)
                scores.append(float(self.critic(torch.cat([x, others]), stage)[0]))
        return np.array(scores)

    def percentiles(self, scores: np.ndarray) -> np.ndarray:
        return (self.scores[None] < scores[:, None]).mean(axis=1)


def row(target: TargetMask, found: Candidates, seen: Witnesses) -> dict[str, Any]:
    """What is to be known of one search."""
    images = seen.model.sample(latents=found.latents, offsets=found.offsets).images
    judged = seen.judge.predict(images)
    pairs = [np.abs(images[i] - images[j]).mean() for i in range(len(images)) for j in range(i)]
    return {
        "score": float(found.scores[0]),
        "whole": float(target.lesion_dice(found.labels).max()),
        "judged": float(target.score(judged)[0]),
        "judged_whole": float(target.lesion_dice(judged)[0]),
        "apart": float(np.mean(pairs) / seen.apart) if pairs else float("nan"),
        "percentiles": seen.percentiles(seen.critics(found.latents, found.offsets)).tolist(),
        "seconds": found.seconds,
        "moved": None if found.moved is None else float(found.moved[0]),
    }


def within(search: Iterator[Candidates], clock: Clock, seconds: float) -> Candidates:
    """The best so far when the time is over, or the search."""
    began, best = clock(), next(search)
    while clock() - began <= seconds and (better := next(search, None)) is not None:
        best = better
    return best


def measure(
    name: str, targets: list[TargetMask], seen: Witnesses, bank: Bank, clock: Clock, seconds: float
) -> dict[str, Any]:
    latent, refined, near = [], [], []
    factor = 2 ** (seen.model.stages - 1 - bank_stage(seen.model))
    for target in targets:
        found = within(steer(seen.model, target, bank), clock, seconds)
        latent.append(row(target, found, seen))
        found = within(refine(seen.model, target, found), clock, seconds)
        refined.append(row(target, found, seen))
        nearest = seen.model.latents([bank.seeds[i] for i in bank.rank(target, factor)[:6]])
        near += seen.percentiles(seen.critics(nearest)).tolist()
    print(f"\n{name}: {len(targets)} masks\n")
    print("| | Dice, labels | Dice, whole | judge, labels | judge, whole | apart | critic 5-95 % | below | moved |")
    print("|---" * 9 + "|")
    for kind, rows in (("latents", latent), ("with offsets", refined)):
        median = {
            key: np.median([r[key] for r in rows]) for key in ("score", "whole", "judged", "judged_whole", "apart")
        }
        every = np.concatenate([r["percentiles"] for r in rows])
        inside, below = ((every >= 0.05) & (every <= 0.95)).mean(), (every < 0.05).mean()
        far = "" if rows[0]["moved"] is None else f"{np.median([r['moved'] for r in rows]):.3f}"
        cells = [f"{median[key]:.3f}" for key in ("score", "whole", "judged", "judged_whole")]
        print("| " + " | ".join([kind, *cells, f"{median['apart']:.2f}", f"{inside:.2f}", f"{below:.2f}", far]) + " |")
    usual = np.mean([0.05 <= each <= 0.95 for each in near])
    print(f"nearest of the bank: {usual:.2f} within the critic's 5th to 95th percentile")
    return {"latent": latent, "refined": refined, "nearest": near}


def lock(model: Model, bank: Bank, count: int, least: float, clock: Clock, seconds: float) -> list[dict[str, float]]:
    """The lesion of samples is asked for in the other hemisphere, and all the rest is to stay."""
    rows: list[dict[str, float]] = []
    for seed in range(_FIRST, _FIRST + 10_000):
        if len(rows) == count:
            break
        latent = model.latents([seed])
        have = model.sample(latents=latent).labels
        target = TargetMask.of(
            np.flip(have[0], model.card.grid.lateral_axis or -1), model.card.channels, model.card.grid
        )
        if (have > 0).sum() < 2 * least or target.lesion_dice(have)[0] > 0.3:
            continue
        changing = ndimage.binary_dilation((have[0] > 0) | (target.labels > 0), iterations=2)
        preserve = Preserve.of(model, latent, ~changing[None])
        found = within(steer(model, target, bank, candidates=2, preserve=preserve), clock, seconds)
        better = within(refine(model, target, found, preserve=preserve), clock, seconds)
        assert found.moved is not None
        assert better.moved is not None
        rows.append(
            {
                "before": float(target.lesion_dice(have)[0]),
                "after": float(target.lesion_dice(found.labels)[0]),
                "moved": float(found.moved[0]),
                "refined": float(target.lesion_dice(better.labels)[0]),
                "refined_moved": float(better.moved[0]),
            }
        )
    print(f"\nlock, {len(rows)} masks: medians, and the share with Dice of 0.7 or more and 3 % or less moved")
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
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: where others use the machine, too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = CLOCKS[options.clock]
    model, judge = load_model(options.model), Segmenter.load(options.judge)
    bank, channels, grid = cached_bank(model), model.card.channels, model.card.grid
    least = 50 * np.prod(grid.shape) / 128**2
    seen = Witnesses(options.model, model, judge, least)
    said = np.median(seen.ordinary), np.median(seen.ordinary_whole)
    print(f"the judge on ordinary samples: {said[0]:.3f} (labels), {said[1]:.3f} (whole)")
    slices = open_store(options.store).load_slices("test")
    maps = label_map(slices.labels, channels.values)
    large = np.flatnonzero((maps > 0).sum(axis=(1, 2)) >= least)
    chosen = np.random.default_rng(0).choice(large, min(options.masks, len(large)), replace=False)
    held = [TargetMask.of(maps[i], channels, grid) for i in chosen]
    figures: dict[str, Any] = {"judge": said}
    if options.masks:
        figures["own"] = measure("its own masks", own_masks(model, options.masks), seen, bank, clock, options.seconds)
        figures["held"] = measure("masks of held-out subjects", held, seen, bank, clock, options.seconds)
    if options.locks:
        figures["lock"] = lock(model, bank, options.locks, least, clock, options.seconds)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
