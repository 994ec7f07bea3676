"""Packages that evaluation needs in addition to those of training."""

from __future__ import annotations

from importlib.util import find_spec

from napari_pgan.errors import InputError

_NEEDED = ("jinja2", "matplotlib", "monai", "torchmetrics")


def check_installed(needed: tuple[str, ...] = _NEEDED) -> None:
    """Raise InputError if a package of the extra ``eval`` is missing. Imports nothing."""
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InputError(f"evaluation needs {', '.join(missing)}: pip install 'napari-pgan[eval]'")
