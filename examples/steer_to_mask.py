"""Find images whose segmentation matches a mask: here, the mirrored segmentation of a sample.

python examples/steer_to_mask.py candidates.png --seed 22 --seconds 5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import napari_pgan
from napari_pgan.latent.steering import TargetMask, cached_bank, steer
from napari_pgan.samples import write_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a .png file")
    parser.add_argument("--model", default="default", help="a model file, or the name of a shipped model")
    parser.add_argument("--seed", type=int, default=22, help="sample whose segmentation is mirrored")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for the search")
    options = parser.parse_args()

    model = napari_pgan.load_model(options.model)
    channels, grid = model.card.channels, model.card.grid
    mask = model.sample(seeds=[options.seed]).labels[0, :, ::-1].copy()  # (y, x)
    target = TargetMask.of(mask, channels, grid)
    for candidates in steer(model, target, cached_bank(model), candidates=4, seconds=options.seconds):
        print(f"{candidates.seconds:.1f} s: best Dice {candidates.scores[0]:.2f}")  # the best so far
    batch = model.sample(latents=candidates.latents)
    write_sheet(options.out, batch.images, batch.labels, channels)
    print(f"{len(batch.images)} candidates in {options.out}")


if __name__ == "__main__":
    main()
