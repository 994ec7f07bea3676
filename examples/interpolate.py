"""Walk in a loop through the latents of several seeds, and save it as an animation.

python examples/interpolate.py walk.gif --seeds 22,7,31 --between 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import napari_pgan
from napari_pgan.latent import KeyFrame, parse_seeds, sample_walk, walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a .gif file")
    parser.add_argument("--model", default="default", help="a model file, or the name of a shipped model")
    parser.add_argument("--seeds", default="22,7,31", help="the key frames")
    parser.add_argument("--between", type=int, default=10, help="frames between two key frames")
    options = parser.parse_args()

    model = napari_pgan.load_model(options.model)
    seeds = parse_seeds(options.seeds)
    keys = [KeyFrame(latent, seed=seed) for latent, seed in zip(model.latents(seeds), seeds, strict=True)]
    frames = []
    for batch in sample_walk(model, walk(keys, options.between, easing="smooth", loop=True)):
        for image in batch.images:  # (modalities, y, x) in [-1, 1]
            row = np.concatenate(list(image), axis=1)
            frames.append(Image.fromarray(np.uint8(127.5 * (row + 1))))
    frames[0].save(options.out, save_all=True, append_images=frames[1:], duration=80, loop=0)
    print(f"{len(frames)} frames in {options.out}")


if __name__ == "__main__":
    main()
