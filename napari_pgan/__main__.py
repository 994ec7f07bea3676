"""`python -m napari_pgan` is `napari-pgan-train`."""

import sys

from napari_pgan.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
