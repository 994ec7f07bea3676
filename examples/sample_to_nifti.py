"""Write samples of a model as NIfTI files, with a JSON file of provenance beside each.

python examples/sample_to_nifti.py out --model default --seeds 0-3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import napari_pgan
from napari_pgan.latent import parse_seeds
from napari_pgan.samples import SampleSet, write_samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the files")
    parser.add_argument("--model", default="default", help="a model file, or the name of a shipped model")
    parser.add_argument("--seeds", default="0-3", help="such as 7 or 0-3,10")
    parser.add_argument("--truncation", type=float, default=1.0)
    options = parser.parse_args()

    model = napari_pgan.load_model(options.model)
    samples = SampleSet.of_seeds(model, parse_seeds(options.seeds), options.truncation)
    files = write_samples(samples, options.out)
    print(f"{len(files)} files in {options.out}: {', '.join(model.card.channels.modalities)} and the segmentation")


if __name__ == "__main__":
    main()
