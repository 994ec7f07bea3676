"""Options shared by several commands."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from napari_pgan.errors import InputError

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto, which uses a GPU if there is one.")]


def require_finite(**options: float) -> None:
    """Raise InputError for an infinite or NaN option, which typer's ranges accept."""
    for name, value in options.items():
        if not math.isfinite(value):
            raise InputError(f"--{name} is {value:g}; give a finite number")
