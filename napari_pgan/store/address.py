"""Opening zarr groups at a path or an fsspec address, and what is wrong when that fails."""

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
    """What lies behind a store's address does not answer, so that no subject would fare better than another."""


def zarr_path(address: Address) -> str:
    """What zarr is given: a path where the address is one, ``file://`` included, or else the address."""
    text = os.fspath(address)
    if text.startswith(("file://", "local://")):
        return str(LocalFileSystem._strip_protocol(text))
    return text


def is_remote(address: Address) -> bool:
    """Whether fsspec reads and writes the store, as at ``s3://bucket/cohort.zarr``."""
    return "://" in zarr_path(address)


def is_in_memory(address: Address) -> bool:
    """Whether the store lives in the memory of one process, where no other one finds it."""
    return zarr_path(address).startswith("memory://")


@contextlib.contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Say in one sentence what keeps from a remote store, or that a disk is full; else a path's errors go through.

    Raises
    ------
    UnreachableStore
        The protocol is unknown or its package missing, or whoever serves it refuses or does not answer; or the disk
        takes no more.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every protocol raises what it likes
        if isinstance(error, OSError) and error.errno in _FULL:  # for file:// too
            raise UnreachableStore(
                f"{address}: cannot be written ({error.strerror}); make room, and the same command goes on from there, "
                "or give another place"
            ) from error
        if not is_remote(address):
            raise
        if isinstance(error, ImportError):
            raise UnreachableStore(f"{address} needs another package: {_sentence(error)}") from error
        if isinstance(error, ValueError) and "rotocol" in str(error):
            protocol = zarr_path(address).partition("://")[0]
            raise UnreachableStore(
                f"{address}: no protocol {protocol!r} is known; give a folder, or an address such as s3://bucket/a.zarr"
            ) from error
        raise UnreachableStore(
            f"{address} cannot be reached or used ({_sentence(error)}); "
            "compare the address, the credentials and the connection"
        ) from error


def _sentence(error: Exception) -> str:
    """The first line of what an error says, or what kind it is."""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return said or type(error).__name__


def open_root(address: Address, mode: str) -> tuple[zarr.Group, dict[str, Any]]:
    """The root group of a store and its attributes.

    Raises
    ------
    InputError
        Nothing is there, or it is no store, or one of a newer format, or it cannot be reached.
    """
    with translate_errors(address):
        _look(address)
        try:
            group = zarr.open_group(zarr_path(address), mode=mode, zarr_format=3, use_consolidated=False)  # type: ignore[arg-type]
        except _ABSENT as error:
            raise InputError(f"{address} is no prepared cohort; make one with `napari-pgan-train prepare`") from error
        except ValueError as error:
            raise InputError(f"{address} cannot be opened as a store: {error}") from error
    attributes = group.attrs.asdict().get(ATTRIBUTE)
    if not isinstance(attributes, dict) or "format_version" not in attributes:
        raise InputError(f"{address} is a zarr group, but no prepared cohort; name a store that `prepare` made")
    if not isinstance(attributes["format_version"], int) or attributes["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{address} has the format {attributes['format_version']}, newer than {FORMAT_VERSION}, the newest known "
            "here; update napari-pgan"
        )
    return group, attributes


def is_free(address: Address) -> bool:
    """Whether a new store may begin there: nothing is there, or an empty folder.

    Raises
    ------
    InputError
        A file is there, or a folder with something else in it, or it cannot be reached.
    """
    where = zarr_path(address)
    with translate_errors(address):
        there = _look(address)
        try:
            zarr.open_group(where, mode="r", use_consolidated=False)
            return False
        except (*_ABSENT, ValueError):
            pass
    if not is_remote(address):
        there = os.path.lexists(where) and not (os.path.isdir(where) and not os.listdir(where))
    if there:
        raise InputError(f"{address} is there and is no store; name a folder that does not exist yet")
    return True


def _look(address: Address) -> bool:
    """Ask the service behind an address, so that what keeps from it is told apart from a store that is not there.

    Returns whether anything lies there; False for a path, which nobody serves.
    """
    if not is_remote(address):
        return False
    system, path = url_to_fs(zarr_path(address))
    system.invalidate_cache()
    try:
        return bool(system.ls(path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return False


def subject_attributes(address: Address, root: zarr.Group) -> dict[str, dict[str, Any]]:
    """Every subject's attributes by key, of those that are finished; a torn or foreign group is not one."""
    found: dict[str, dict[str, Any]] = {}
    with translate_errors(address):
        if isinstance(root.store, FsspecStore):
            root.store.fs.invalidate_cache()  # some protocols remember what they listed; other processes wrote since
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns of every stray file
            keys = sorted(root.group_keys())
        for key in keys:
            try:
                attributes = root[key].attrs.asdict().get(ATTRIBUTE)
            except (KeyError, ValueError):  # torn: as good as not there
                continue
            if isinstance(attributes, dict) and attributes.get("finished") is True:
                found[key] = attributes
    return found
