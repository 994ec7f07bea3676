"""A folder belongs to one piece of work, which a note in it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError


def claim(out: Path, note: str, fingerprint: str, described: Mapping[str, Any]) -> bool:
    """Make a folder this work's, or refuse it.

    Parameters
    ----------
    out
        The folder.
    note
        Name of the file that tells whose it is.
    fingerprint
        Of the work.
    described
        What stands in the note beside it.

    Returns
    -------
    bool
        Whether it was this work's already.

    Raises
    ------
    InputError
        It is a file, or holds something else.
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
                f"{out}: holds what another model, seed, drawing or setting made; give another --out or delete it"
            )
        return True
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is there already and holds something else; give another --out")
    write_text(path, json.dumps({**described, "fingerprint": fingerprint}, indent=1, ensure_ascii=False) + "\n")
    return False
