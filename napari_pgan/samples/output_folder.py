"""Claim an output folder for one task, recorded in a note inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError


def claim(out: Path, note: str, fingerprint: str, described: Mapping[str, Any]) -> bool:
    """Claim a folder for a task.

    Parameters
    ----------
    out
        The folder.
    note
        Name of the file that identifies the task.
    fingerprint
        Identifies the task.
    described
        Additional content of the note.

    Returns
    -------
    bool
        Whether the folder already belonged to this task.

    Raises
    ------
    InputError
        The path is a file, or the folder contains something else.
    """
    path = out / note
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give another --out")
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found != fingerprint:
            raise InputError(
                f"{out}: contains results of another model, seed, drawing or setting; give another --out or delete it"
            )
        return True
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: already exists with other content; give another --out")
    write_text(path, json.dumps({**described, "fingerprint": fingerprint}, indent=1, ensure_ascii=False) + "\n")
    return False
