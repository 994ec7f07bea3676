"""Reader of model files: a file that is dropped on the window opens in the Explore dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pgan.viewer.sample_data import first_samples

_DOCK = "Explore"


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Return the reader of a single model file, or None for other paths."""
    paths = [path] if isinstance(path, str) else list(path)
    if len(paths) != 1 or not paths[0].lower().endswith(".safetensors"):
        return None
    return open_in_dock


def open_in_dock(path: str | list[str]) -> list[Any]:
    """Open a model in the Explore dock and sample it once; without a viewer, return the layers of its first sample.

    Returns
    -------
    list
        ``[(None,)]``, which tells napari that the file is read and adds no layers.
    """
    from napari import current_viewer

    from napari_pgan.viewer.docks.common.dock_windows import show_dock

    file = str(Path(path if isinstance(path, str) else path[0]).resolve())
    viewer = current_viewer()
    if viewer is None:
        return first_samples(file)
    show_dock(viewer, _DOCK).open_model(file, then_sample=True)
    return [(None,)]
