"""Write docs/images/growth.png, the picture of train.md: samples at each size of a training on phantoms.

napari-pgan-train demo --out demo --size 64 --minutes 40
python docs/make_growth.py demo/run64
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_pgan.training.growth_animation import read_previews, stages_picture

IMAGES = Path(__file__).parent / "images"


def main(run: Path) -> None:
    """Draw the picture from a run's previews."""
    stages_picture(read_previews(run / "preview")).save(IMAGES / "growth.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
