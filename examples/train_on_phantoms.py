"""Make a phantom cohort, prepare it, and train a small model on it, as the command does.

python examples/train_on_phantoms.py folder --subjects 8 --images 2000
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_pgan.cli.app import main as command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for cohort, store and run")
    parser.add_argument("--subjects", default="8")
    parser.add_argument("--size", default="32", help="pixels of a slice")
    parser.add_argument("--images", default="2000", help="length of the training in real images")
    options = parser.parse_args()

    cohort, store, run = (str(options.folder / name) for name in ("cohort", "cohort.zarr", "run"))
    for arguments in (
        ["phantom", cohort, "--subjects", options.subjects, "--seed", "1", "--size", "32"],
        ["prepare", cohort, store, "--size", options.size],
        ["fit", store, "--recipe", "demo", "--out", run, "--images", options.images],
        ["sample", f"{run}/model.safetensors", "--out", f"{run}/sheet.png", "--count", "8", "--seed", "0"],
    ):
        if (code := command(arguments)) != 0:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
