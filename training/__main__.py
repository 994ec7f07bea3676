"""`python -m napari_pgan.training` is `napari-pgan-train`."""

import sys

from napari_pgan.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
