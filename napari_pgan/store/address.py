"""Open zarr groups at a path or fsspec address, and report failures in one sentence."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from typing import Any

import zarr
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from zarr.storage import FsspecStore

from napari_pgan.errors import InputError

FORMAT_VERSION = 1
ATTRIBUTE = "napari_pgan"
IMAGES = "0"
LABELS = "labels/segmentation/0"

Address = str | os.PathLike[str]

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EROFS, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []))
_ABSENT = (FileNotFoundError, NotADirectoryError)


class UnreachableStore(InputError):
    """The whole store cannot be read or written, so trying other subjects is pointless."""


def zarr_path(address: Address) -> str:
    """Return the address in the form zarr expects: ``file://`` addresses become paths."""
    text = os.fspath(address)
    if text.startswith(("file://", "local://")):
        return str(LocalFileSystem._strip_protocol(text))
    return text


def is_remote(address: Address) -> bool:
    """Return whether the store is accessed through fsspec, such as ``s3://bucket/cohort.zarr``."""
    return "://" in zarr_path(address)


def is_in_memory(address: Address) -> bool:
    """Return whether the store lives in the memory of this process, invisible to others."""
    return zarr_path(address).startswith("memory://")


@contextlib.contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Context manager that turns remote-access errors and full disks into one sentence.

    Other errors of local paths pass through unchanged.

    Raises
    ------
    UnreachableStore
        The protocol is unknown, its package is missing, the service refuses or does not answer, or the disk is full.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each protocol has its own exceptions
        if isinstance(error, OSError) and error.errno in _FULL:  # for file:// too
            raise UnreachableStore(
                f"{address}: cannot be written ({error.strerror}); make room and repeat the command, which continues "
                "from there, or choose another path"
            ) from error
        if not is_remote(address):
            raise
        if isinstance(error, ImportError):
            raise UnreachableStore(f"{address} needs another package: {_first_line(error)}") from error
        if isinstance(error, ValueError) and "rotocol" in str(error):
            protocol = zarr_path(address).partition("://")[0]
            raise UnreachableStore(
                f"{address}: unknown protocol {protocol!r}; give a folder or an address such as s3://bucket/a.zarr"
            ) from error
        raise UnreachableStore(
            f"{address} cannot be reached or used ({_first_line(error)}); "
            "check the address, the credentials and the connection"
        ) from error


def _first_line(error: Exception) -> str:
    """First line of the message, or the class name if there is none."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def open_root(address: Address, mode: str) -> tuple[zarr.Group, dict[str, Any]]:
    """Open the root group of a store; return it with its attributes.

    Raises
    ------
    InputError
        Nothing exists there, it is not a store, its format is newer, or it cannot be reached.
    """
    with translate_errors(address):
        _exists_remotely(address)
        try:
            group = zarr.open_group(zarr_path(address), mode=mode, zarr_format=3, use_consolidated=False)  # type: ignore[arg-type]
        except _ABSENT as error:
            raise InputError(f"{address} is not a prepared cohort; run `napari-pgan-train prepare`") from error
        except ValueError as error:
            raise InputError(f"{address} cannot be opened as a store: {error}") from error
    attributes = group.attrs.asdict().get(ATTRIBUTE)
    if not isinstance(attributes, dict) or "format_version" not in attributes:
        raise InputError(f"{address} is a zarr group, but not a prepared cohort; give a store made by `prepare`")
    if not isinstance(attributes["format_version"], int) or attributes["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{address} has format {attributes['format_version']}, newer than {FORMAT_VERSION}, the newest supported; "
            "update napari-pgan"
        )
    return group, attributes


def is_free(address: Address) -> bool:
    """Return True if a new store can be created there, False if a zarr group exists.

    Raises
    ------
    InputError
        The address is a file or a non-empty folder without a store, or cannot be reached.
    """
    path = zarr_path(address)
    with translate_errors(address):
        exists = _exists_remotely(address)
        try:
            zarr.open_group(path, mode="r", use_consolidated=False)
            return False
        except (*_ABSENT, ValueError):
            pass
    if not is_remote(address):
        exists = os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path))
    if exists:
        raise InputError(f"{address} exists and is not a store; give a folder that does not exist yet")
    return True


def _exists_remotely(address: Address) -> bool:
    """Whether anything exists at a remote address; False for local paths.

    Listing the address first separates connection errors from a missing store.
    """
    if not is_remote(address):
        return False
    system, path = url_to_fs(zarr_path(address))
    system.invalidate_cache()
    try:
        return bool(system.ls(path, detail=False))
    except _ABSENT:
        return False


def subject_attributes(address: Address, root: zarr.Group) -> dict[str, dict[str, Any]]:
    """Return the attributes of each finished subject by key; damaged and foreign groups are skipped."""
    result: dict[str, dict[str, Any]] = {}
    with translate_errors(address):
        if isinstance(root.store, FsspecStore):
            root.store.fs.invalidate_cache()  # some protocols cache listings; other processes may have written since
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns about every stray file
            keys = sorted(root.group_keys())
        for key in keys:
            try:
                attributes = root[key].attrs.asdict().get(ATTRIBUTE)
            except (KeyError, ValueError):  # damaged
                continue
            if isinstance(attributes, dict) and attributes.get("finished") is True:
                result[key] = attributes
    return result
