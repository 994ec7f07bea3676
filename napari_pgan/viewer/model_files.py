"""Lists and opens models for the docks: shipped models, recent files, other files."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from napari_pgan.model import Model

DEFAULT = "default"
_MAX_RECENT = 8
_TORCH_FIRST = 'python -c "import torch; from napari.__main__ import main; main()"'


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """An opened model.

    Parameters
    ----------
    model
        The model; None if no model is shipped and no file was chosen.
    source
        Its file, or the name of a shipped model.
    shipped
        Names of the models in the package.
    """

    model: Model | None
    source: str
    shipped: list[str]


def torch_is_loaded() -> bool:
    """Whether torch is already imported."""
    return "torch" in sys.modules


def require_torch() -> None:
    """Import torch; raise InputError with a remedy if that fails."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        # On Windows, torch's libraries may fail to load after those of Qt.
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"torch could not be loaded ({first_line}); reinstall it, or start napari with {_TORCH_FIRST}"
        ) from None


def shipped_names() -> list[str]:
    """Return the names of the models in the package; imports torch."""
    require_torch()
    from napari_pgan.model import shipped_models

    return list(shipped_models())


def open_model(source: str | None) -> OpenedModel:
    """Load a model and compute its identity; imports torch.

    Parameters
    ----------
    source
        A file, or the name of a shipped model; None for the default model, if any model is shipped.

    Raises
    ------
    InputError
        Torch or the model cannot be loaded.
    """
    names = shipped_names()
    if source is None:
        if not names:
            return OpenedModel(None, "", names)
        source = DEFAULT if DEFAULT in names else names[0]
    from napari_pgan.model import load_model

    model = load_model(source)
    _ = model.identity  # cached; the hash of all weights is computed here, in the background
    return OpenedModel(model, source, names)


class RecentModels:
    """Recently opened model files, newest first, stored across sessions.

    Parameters
    ----------
    path
        JSON file; in the user's configuration folder if None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or platformdirs.user_config_path("napari-pgan", appauthor=False) / "recent.json"

    def files(self) -> list[str]:
        """Return the files that still exist."""
        try:
            files = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [f for f in files if isinstance(f, str) and Path(f).is_file()] if isinstance(files, list) else []

    def add(self, file: str | Path) -> None:
        """Put a file first; do nothing if the list cannot be written."""
        first = str(Path(file).resolve())
        try:
            write_text(self._path, json.dumps([first, *(f for f in self.files() if f != first)][:_MAX_RECENT]))
        except InputError:
            return
