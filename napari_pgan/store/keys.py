"""Names of subjects that tell nothing: salted hashes."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import platformdirs

from napari_pgan.errors import InputError

SALT_VARIABLE = "NAPARI_PGAN_SALT"


def salt() -> bytes:
    """The user's secret: from the environment variable ``NAPARI_PGAN_SALT``, or made once and kept.

    It lies in the user's config folder, readable by the user alone, and in no store. With the same secret a subject
    has the same key in every store of the user, so that "held out" can mean the same subjects everywhere; without it
    nobody finds a subject by trying names.

    Raises
    ------
    InputError
        The kept secret is damaged.
    """
    given = os.environ.get(SALT_VARIABLE)
    if given:
        return given.encode()
    path = Path(platformdirs.user_config_dir("napari-pgan", appauthor=False)) / "salt"
    if not path.exists():
        _keep(path, secrets.token_hex(32))
    text = path.read_text(encoding="ascii").strip()
    if len(text) < 32:
        raise InputError(f"{path} is damaged; remove it, and subjects get new keys, or set {SALT_VARIABLE}")
    return text.encode()


def _keep(path: Path, text: str) -> None:
    """Write `text` to `path` unless another process was first; then the other one's stays."""
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
    """The key of the subject `name`: 16 hex digits of HMAC-SHA256 (RFC 2104) under the secret."""
    return hmac.new(secret, b"subject\0" + name.encode(), hashlib.sha256).hexdigest()[:16]


def salt_check(secret: bytes) -> str:
    """Eight hex digits by which a store knows whether it was begun with the same secret; they do not give it away."""
    return hmac.new(secret, b"napari-pgan store", hashlib.sha256).hexdigest()[:8]
