"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from napari_pgan.errors import InputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, it takes the place of `path` in one step.

    The content is flushed to the disk before the rename, so that a crash leaves the old file or the new one. When the
    block raises (a full disk, Ctrl-C), the temporary file is removed and `path` is as it was.

    Parameters
    ----------
    path
        The file to be written. Its folder is made when it is missing. The temporary file keeps the suffixes of the
        name, since writers such as nibabel's choose the format by them.

    Raises
    ------
    InputError
        The disk does not take it: it is full, or not to be written to.
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's umask has it; some writers put a private file in its place
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        said = error.strerror or error
        raise InputError(f"{target}: cannot be written ({said}); make room or give another place") from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be gone, and the first error is the one to tell
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
