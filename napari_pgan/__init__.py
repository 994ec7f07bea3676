"""Progressively grown GANs of multi-modal medical images with their segmentation.

Importing this package costs nothing: torch, napari and SimpleITK are imported by the parts that use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_pgan.model import Model, load_model

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name in ("Model", "load_model"):
        import napari_pgan.model

        return getattr(napari_pgan.model, name)
    raise AttributeError(f"module 'napari_pgan' has no attribute {name!r}")
