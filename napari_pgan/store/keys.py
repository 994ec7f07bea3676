"""Anonymous subject keys (salted hashes) and digests of subject arrays."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import numpy as np
import platformdirs

from napari_pgan.errors import InputError

SALT_VARIABLE = "NAPARI_PGAN_SALT"


def salt() -> bytes:
    """Return the user's secret salt: the environment variable ``NAPARI_PGAN_SALT``, or a file created on first use.

    The file is in the user's config folder, readable only by the user; no store contains the salt. The same salt gives
    a subject the same key in every store, so held-out subjects stay identifiable; without it, keys cannot be guessed
    from names.

    Raises
    ------
    InputError
        The salt file is damaged.
    """
    if value := os.environ.get(SALT_VARIABLE):
        return value.encode()
    path = Path(platformdirs.user_config_dir("napari-pgan", appauthor=False)) / "salt"
    if not path.exists():
        _create_private(path, secrets.token_hex(32))
    text = path.read_text(encoding="ascii").strip()
    if len(text) < 32:
        raise InputError(f"{path} is damaged; set {SALT_VARIABLE}, or remove it, which gives subjects new keys")
    return text.encode()


def _create_private(path: Path, text: str) -> None:
    """Write `text` to `path`; if another process creates the file first, that file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".salt.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def subject_key(name: str, secret: bytes) -> str:
    """Return the key of a subject: 16 hex digits of the HMAC-SHA256 (RFC 2104) of its name."""
    return hmac.new(secret, b"subject\0" + name.encode(), hashlib.sha256).hexdigest()[:16]


def salt_check(secret: bytes) -> str:
    """Return eight hex digits that identify the salt of a store without revealing it."""
    return hmac.new(secret, b"napari-pgan store", hashlib.sha256).hexdigest()[:8]


def digest(*arrays: np.ndarray) -> str:
    """Return 32 hex digits that identify the shapes and values of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(str(array.shape).encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:32]
