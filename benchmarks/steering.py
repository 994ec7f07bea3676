"""Quality and speed of steering: Dice over time, on masks that the model generated.

    python benchmarks/steering.py [MODEL] [--masks 100] [--seconds 5] [--clock cpu] [--out curves.json]

The masks come from seeds outside every bank and have a lesion of at least 50 pixels at 128² (in proportion at other
sizes). The table shows the best candidate's mean Dice over the labels that are present, as median and mean over masks.
Baselines: gradient descent with 1,000 steps, from near zero or from a sample, and random search.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from napari_pgan import load_model
from napari_pgan.latent.steering import Bank, TargetMask, make_bank, steer
from napari_pgan.model import Model

FIRST_SEED = 20_000
AT = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
Curve = list[tuple[float, float]]  # seconds, Dice of the best so far


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--masks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: for a busy machine")
    parser.add_argument("--others", type=int, default=0, help="number of masks for gradient descent and random search")
    parser.add_argument("--bank", type=int, default=8192)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock, model = CLOCKS[options.clock], load_model(options.model)
    targets = own_masks(model, options.masks)
    began = clock()
    bank = make_bank(model, options.bank)
    print(f"bank of {len(bank):,}: {clock() - began:.1f} s; {len(targets)} masks, {options.threads} threads")
    curves = {"steered": [timed(steered(model, target, bank), clock, options.seconds) for target in targets]}
    few = targets[: options.others]
    if few:
        curves["gradient descent from near zero"] = [timed(descent(model, w, 0.01, 0.01), clock, 120) for w in few]
        curves["gradient descent from a sample"] = [timed(descent(model, w, 1.0, 0.05), clock, 120) for w in few]
        curves["random search"] = [timed(random_search(model, target), clock, options.seconds) for target in few]
    report(curves)
    if options.out:
        options.out.write_text(json.dumps(curves, indent=1) + "\n", "utf-8")


def own_masks(model: Model, count: int) -> list[TargetMask]:
    """Masks that the model generates, with a lesion that is large enough."""
    min_area, found, seed = 50 * np.prod(model.card.grid.shape) / 128**2, [], FIRST_SEED
    while len(found) < count:
        labels = model.sample(seeds=range(seed, seed + 32), batch_size=32).labels
        found += [TargetMask.of(x, model.card.channels, model.card.grid) for x in labels if (x > 0).sum() >= min_area]
        seed += 32
    return found[:count]


def steered(model: Model, target: TargetMask, bank: Bank) -> Iterator[float]:
    for found in steer(model, target, bank):
        yield float(found.scores[0])


def descent(model: Model, target: TargetMask, length: float, rate: float, steps: int = 1000) -> Iterator[float]:
    """Adam on one latent, at full size."""
    objective = target.objective(model.encoding)
    z = (length * torch.from_numpy(model.latents([0]))).requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=rate)
    best = 0.0
    for _ in range(steps):
        optimizer.zero_grad()
        x = model.generate(z)
        objective(x).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        best = max(best, float(target.score(model.encoding.decode(x.detach()).numpy())[0]))
        yield best


def random_search(model: Model, target: TargetMask) -> Iterator[float]:
    best, seed = 0.0, 10**8
    while True:
        labels = model.sample(seeds=range(seed, seed + 8), batch_size=8).labels
        best, seed = max(best, float(target.score(labels).max())), seed + 8
        yield best


def timed(search: Iterator[float], clock: Clock, seconds: float) -> Curve:
    start, curve = clock(), []
    for dice in search:
        curve.append((clock() - start, dice))
        if curve[-1][0] > seconds:
            break
    return curve


def at(curve: Curve, seconds: float) -> float:
    """The best Dice within a time; 0 before the first result."""
    return max((dice for when, dice in curve if when <= seconds), default=0.0)


def report(curves: dict[str, list[Curve]]) -> None:
    shown = [s for s in AT if s <= max(curve[-1][0] for many in curves.values() for curve in many)]
    print("| search | " + " | ".join(f"{s:g} s" for s in shown) + " |\n" + "|---" * (len(shown) + 1) + "|")
    for name, many in curves.items():
        cells = [f"{np.median([at(c, s) for c in many]):.3f} ({np.mean([at(c, s) for c in many]):.3f})" for s in shown]
        print(f"| {name}, median (mean) of {len(many)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
