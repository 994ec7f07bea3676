"""Finding and opening models for the docks: the shipped ones, those opened lately, files."""

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
_KEPT = 8
_TORCH_FIRST = 'python -c "import torch; from napari.__main__ import main; main()"'


@dataclass(frozen=True, eq=False)
class Opened:
    """What came of opening a model.

    Parameters
    ----------
    model
        The model; None where there was none to open.
    source
        The file or the name it came from.
    shipped
        The names of the models that come with the package.
    """

    model: Model | None
    source: str
    shipped: list[str]


def torch_is_loaded() -> bool:
    """Whether opening a model will be quick."""
    return "torch" in sys.modules


def require_torch() -> None:
    """Import torch; raises InputError with a way out where it cannot be loaded."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        # On Windows, torch's libraries may fail to load once those of Qt are there.
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"torch could not be loaded ({first_line}); install it anew, or start napari with {_TORCH_FIRST}"
        ) from None


def shipped() -> list[str]:
    """The names of the models that come with the package; imports torch."""
    require_torch()
    from napari_pgan.model import shipped_models

    return list(shipped_models())


def open_model(source: str | None) -> Opened:
    """Load a model and work out its identity; imports torch.

    Parameters
    ----------
    source
        A file, or the name of a shipped model. None asks for the default model, or for none where none is shipped.

    Raises
    ------
    InputError
        torch or the model cannot be loaded.
    """
    names = shipped()
    if source is None:
        if not names:
            return Opened(None, "", names)
        source = DEFAULT if DEFAULT in names else names[0]
    from napari_pgan.model import load_model

    model = load_model(source)
    _ = model.identity  # a hash of all its numbers: here, since this runs in the background
    return Opened(model, source, names)


class Recent:
    """The model files opened lately, newest first, kept from one start of napari to the next.

    Parameters
    ----------
    path
        Where they are kept; in the user's configuration folder if None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or platformdirs.user_config_path("napari-pgan", appauthor=False) / "recent.json"

    def files(self) -> list[str]:
        """Those that still exist."""
        try:
            files = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [f for f in files if isinstance(f, str) and Path(f).is_file()] if isinstance(files, list) else []

    def add(self, file: str | Path) -> None:
        """Put a file first; a folder that cannot be written to is no reason to complain."""
        first = str(Path(file).resolve())
        try:
            write_text(self._path, json.dumps([first, *(f for f in self.files() if f != first)][:_KEPT]))
        except InputError:
            return
