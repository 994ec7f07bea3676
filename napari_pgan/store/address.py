"""Opening zarr groups at a path or an fsspec address, and what is wrong when that fails."""

from __future__ import annotations

import os
import warnings
from typing import Any

import zarr

from napari_pgan.errors import InputError

FORMAT_VERSION = 1
ATTRIBUTE = "napari_pgan"
IMAGES = "0"
LABELS = "labels/segmentation/0"

Address = str | os.PathLike[str]


def open_root(address: Address, mode: str) -> tuple[zarr.Group, dict[str, Any]]:
    """The root group of a store and its attributes.

    Raises
    ------
    InputError
        Nothing is there, or it is no store, or one of a newer format.
    """
    try:
        group = zarr.open_group(os.fspath(address), mode=mode, zarr_format=3, use_consolidated=False)  # type: ignore[arg-type]
    except (FileNotFoundError, NotADirectoryError) as error:
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
        A file is there, or a folder with something else in it.
    """
    text = os.fspath(address)
    try:
        zarr.open_group(text, mode="r", use_consolidated=False)
        return False
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass
    if "://" not in text and os.path.lexists(text) and not (os.path.isdir(text) and not os.listdir(text)):
        raise InputError(f"{address} is there and is no store; name a folder that does not exist yet")
    return True


def subject_attributes(root: zarr.Group) -> dict[str, dict[str, Any]]:
    """Every subject's attributes by key, of those that are finished; a torn or foreign group is not one."""
    found: dict[str, dict[str, Any]] = {}
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
