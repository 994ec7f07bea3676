"""Write a prepared cohort subject by subject; an interrupted store can be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, Grid
from napari_pgan.store.address import (
    ATTRIBUTE,
    FORMAT_VERSION,
    Address,
    open_root,
    subject_attributes,
    translate_errors,
    zarr_path,
)
from napari_pgan.store.keys import digest
from napari_pgan.store.ome import IMAGE_AXES, LABEL_AXES, image_metadata, label_metadata
from napari_pgan.store.splits import SplitRule, assign


class StoreWriter:
    """Add subjects to a store; created by `create_store` or `extend_store`.

    Several processes may write to one store if each subject is written by only one of them, and only one process calls
    `assign_splits` and `update_attributes`.
    """

    def __init__(self, address: Address, root: zarr.Group, attributes: dict[str, Any]) -> None:
        self.address = address
        self.attributes = attributes
        self.channels = Channels.from_dict(attributes["channels"])
        self.grid = Grid.from_dict(attributes["grid"])
        self._root = root

    def finished(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of each finished subject by key, with or without a split."""
        return subject_attributes(self.address, self._root)

    def add_subject(
        self,
        key: str,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        spacing: Sequence[float],
        slices: Sequence[int],
        brain_slices: tuple[int, int],
        split: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write or replace one subject. The finished marker is written last.

        Parameters
        ----------
        key
            Salted hash (see `subject_key`), never the subject's name.
        images
            float (C, Z, Y, X) in [-1, 1], stored as float16.
        labels
            uint8 (Z, Y, X), with declared values only.
        spacing
            Voxel spacing in mm, (z, y, x).
        slices
            z indices of the slices to use.
        brain_slices
            First and last z with brain.
        split
            ``"train"``, ``"val"``, ``"test"``, or None to let `assign_splits` choose.
        attributes
            Further attributes; must not identify the subject.

        Raises
        ------
        InputError
            The arrays do not fit the store, or the store cannot be reached.
        """
        shape = (len(self.channels.modalities), images.shape[1], *self.grid.shape)
        if images.shape != shape or labels.shape != shape[1:]:
            raise InputError(f"images {images.shape} and labels {labels.shape} do not fit the store's shape {shape}")
        if undeclared := self.channels.undeclared(labels):
            raise InputError(f"the segmentation contains the undeclared value {undeclared[0]}")
        stored, segmentation = np.asarray(images, np.float16), np.asarray(labels, np.uint8)
        about = {
            **(attributes or {}),
            "spacing": [float(s) for s in spacing],
            "orientation": self.attributes["volume_orientation"],
            "slices": [int(z) for z in slices],
            "brain_slices": [int(z) for z in brain_slices],
            "split": split,
            "digest": digest(stored, segmentation),
            "finished": True,
        }
        ome = image_metadata(self.channels, spacing), label_metadata(self.channels.labels, spacing)
        with translate_errors(self.address):
            group = self._root.create_group(key, overwrite=True, attributes={"ome": ome[0]})
            _write_array(group, stored, IMAGE_AXES, fill_value=-1.0)
            maps = group.create_group("labels", attributes={"ome": {"version": "0.5", "labels": ["segmentation"]}})
            maps = maps.create_group("segmentation", attributes={"ome": ome[1]})
            _write_array(maps, segmentation, LABEL_AXES, fill_value=0)
            group.update_attributes({ATTRIBUTE: about})

    def assign_splits(self, rule: SplitRule) -> dict[str, str]:
        """Assign a split to each finished subject that has none; return the split of each key.

        Subjects of one person (attribute ``person``, also a hash) share a split and count as one.
        """
        finished = self.finished()
        person = {key: about.get("person", key) for key, about in finished.items()}
        existing = {person[key]: about["split"] for key, about in finished.items() if about.get("split")}
        by_person = assign(person.values(), rule, existing)
        splits = {key: by_person[person[key]] for key in finished}
        with translate_errors(self.address):
            for key, about in finished.items():
                if about.get("split") != splits[key]:
                    self._root[key].update_attributes({ATTRIBUTE: {**about, "split": splits[key]}})
        return splits

    def set_sided(self, sided: bool) -> None:
        """Record whether left and right differ in this cohort (see `Grid`)."""
        self.grid = replace(self.grid, sided=sided)
        self.update_attributes(grid=self.grid.to_dict())

    def update_attributes(self, **attributes: Any) -> None:
        """Update attributes of the root group."""
        self.attributes = {**self.attributes, **attributes}
        with translate_errors(self.address):
            self._root.update_attributes({ATTRIBUTE: self.attributes})


def create_store(
    address: Address,
    *,
    name: str,
    channels: Channels,
    grid: Grid,
    intensity: Mapping[str, Mapping[str, str]],
    volume_orientation: str = "SPL",
    **attributes: Any,
) -> StoreWriter:
    """Create a store.

    Parameters
    ----------
    address
        A new or empty folder, or an fsspec address.
    name
        Name of the cohort, also recorded in models trained on it.
    channels
        Modalities and labels of each subject.
    grid
        Grid of one slice.
    intensity
        Meaning of "-1" and "+1" per modality.
    volume_orientation
        Orientation letters of the volume axes z, y, x (see `Grid`).
    attributes
        Further root attributes: normalisation and slice rules, settings.

    Raises
    ------
    InputError
        The address is in use or cannot be reached.
    """
    about = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "channels": channels.to_dict(),
        "grid": grid.to_dict(),
        "intensity": {m: dict(meaning) for m, meaning in intensity.items()},
        "volume_orientation": volume_orientation,
        **attributes,
    }
    with translate_errors(address):
        try:
            root = zarr.create_group(zarr_path(address), zarr_format=3, attributes={ATTRIBUTE: about})
        except (zarr.errors.ContainsGroupError, zarr.errors.ContainsArrayError) as error:
            raise InputError(f"{address} exists already; give a new store") from error
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"{address} is a file or inside a file; give a folder for the store") from error
    return StoreWriter(address, root, about)


def extend_store(address: Address) -> StoreWriter:
    """Open a store to add subjects.

    Raises
    ------
    InputError
        It is not a store, or its format is newer.
    """
    return StoreWriter(address, *open_root(address, "r+"))


def _write_array(group: zarr.Group, data: np.ndarray, axes: tuple[str, ...], fill_value: float) -> None:
    """Write array ``0``: one chunk per slice, one shard for all; slices that equal the fill value take no space."""
    array = group.create_array(
        "0",
        shape=data.shape,
        dtype=data.dtype,
        chunks=tuple(1 if axis == "z" else n for axis, n in zip(axes, data.shape, strict=True)),
        shards=data.shape,
        compressors=ZstdCodec(level=1),
        fill_value=fill_value,
        dimension_names=axes,
    )
    array[...] = data
