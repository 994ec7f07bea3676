"""Atomic file writes: a file is replaced completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from napari_pgan.errors import InputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Context manager that yields a temporary path in the same folder and renames it to `path` on success.

    The content is flushed to disk before the rename, so a crash leaves either the old file or the new one. If the
    block raises (full disk, Ctrl-C), the temporary file is removed and `path` is unchanged.

    Parameters
    ----------
    path
        The file to write. Missing folders are created. The temporary name keeps the suffixes, because writers such as
        nibabel choose the format by them.

    Raises
    ------
    InputError
        The disk is full or not writable.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # set by the umask; some writers replace the file by a private one
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{target}: cannot be written ({reason}); make room or choose another path") from error
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone; the first error is the one to report
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
