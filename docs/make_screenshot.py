"""Write docs/images/explore.png or steer.png: ``python docs/make_screenshot.py [MODEL] [--dock Explore|Steer]``.

Without a display, the script runs under Xvfb.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_window import Window, display

HERE = Path(__file__).parent
SEEDS = range(200)
RINGS = (2, 4, 1)  # a glioma's labels from the outside: oedema, enhancing rim, core


def representative_seed(model: Any) -> int:
    """A seed whose sample has every label, and a lesion larger than in most samples."""
    import numpy as np

    labels = model.sample(seeds=SEEDS).labels
    sizes = (labels > 0).reshape(len(labels), -1).sum(axis=1)
    counts = np.array([len(np.unique(x)) for x in labels])
    complete = np.flatnonzero(counts == counts.max())
    order = complete[np.argsort(sizes[complete])]
    return int(SEEDS[order[int(0.7 * (len(order) - 1))]])


def take_explore(source: str, out: Path, seed: int | None, size: tuple[int, int]) -> None:
    """Write the Explore dock with a sample, and the label of its lesion in the status bar."""
    window = Window(size)
    viewer, explore = window.viewer, window.open_dock("Explore")
    explore.open_model(source)
    window.wait(explore.sample_button.isEnabled)
    model = explore._session.model
    explore.latent.seed.setValue(representative_seed(model) if seed is None else seed)
    explore.sample_button.click()
    window.wait(lambda: explore._session.result is not None)
    window.settle()
    viewer.reset_view()
    labels = viewer.layers[-1]
    lesion = labels.data == labels.data.max()
    if lesion.any():  # show the label in the status bar
        inside = tuple(axis[len(axis) // 2] for axis in lesion.nonzero())
        viewer.status = labels.get_status(labels.data_to_world(inside), world=True)
    window.write(out)
    viewer.close()
    print(f"seed {explore._session.latent.seed} of {model.card.name}")


def take_steer(source: str, out: Path, seed: int | None, size: tuple[int, int]) -> None:
    """Write the Steer dock with a drawn lesion of nested labels and the candidates."""
    import numpy as np

    from napari_pgan.viewer.session import LatentSource

    window = Window(size)
    steer = window.open_dock("Steer")
    steer.open_model(source)
    window.wait(lambda: steer._bank is not None)
    model = steer._session.model
    if seed is not None:
        steer._session.set_latent(LatentSource(seed))
    steer.new_drawing()
    window.wait(lambda: steer._drawing_layers.drawing is not None)
    layer = steer._drawing_layers.drawing
    height, width = model.card.grid.shape
    y, x = np.mgrid[:height, :width] / min(height, width)
    values = list(model.card.channels.values)
    rings = RINGS if set(RINGS) == set(values) else values
    for value, radius in zip(rings, (0.15, 0.1, 0.055), strict=False):
        layer.data_setitem(np.nonzero(np.hypot(1.2 * (y - 0.4), x - 0.63 + 0.2 * (y - 0.4)) < radius), value)
    window.wait(lambda: steer.result is not None)
    window.wait(lambda: not steer.is_searching)
    window.viewer.reset_view()
    window.write(out)
    window.viewer.close()
    print(f"{steer.result.candidates.scores.max():.2f} of what was drawn, {model.card.name}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="default", help="model file, or name of a shipped model")
    parser.add_argument("--dock", choices=["Explore", "Steer"], default="Explore")
    parser.add_argument("--out", type=Path, help="default: docs/images/explore.png or steer.png")
    parser.add_argument("--seed", type=int, help="seed of the sample; default in Explore: a representative one")
    parser.add_argument("--size", type=int, nargs=2, default=(1500, 800))
    options = parser.parse_args()
    with display(tuple(options.size)):
        out = options.out or HERE / "images" / f"{options.dock.lower()}.png"
        take = {"Explore": take_explore, "Steer": take_steer}[options.dock]
        take(options.model, out, options.seed, tuple(options.size))


if __name__ == "__main__":
    main()
