"""Keys identify a subject and reveal nothing else."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.store import salt, salt_check, subject_key


@given(st.text(min_size=1), st.text(min_size=1), st.binary(min_size=1), st.binary(min_size=1))
def test_keys_depend_on_name_and_salt(name: str, other: str, secret: bytes, another: bytes) -> None:
    key = subject_key(name, secret)
    assert key == subject_key(name, secret)
    assert len(key) == 16
    assert int(key, 16) >= 0
    assert (name == other) == (key == subject_key(other, secret))
    assert (secret.rstrip(b"\0") == another.rstrip(b"\0")) == (key == subject_key(name, another))
    assert salt_check(secret) not in key


def test_the_salt_is_created_once_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_PGAN_SALT")
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    first = salt()
    assert salt() == first
    assert len(first) == 64
    (file,) = (tmp_path / "config").iterdir()
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("short")
    with pytest.raises(InputError, match="damaged"):
        salt()


def test_the_environment_variable_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "mine")
    assert salt() == b"mine"
