"""Read a prepared cohort."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zarr

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, Grid
from napari_pgan.store.address import (
    IMAGES,
    LABELS,
    Address,
    is_remote,
    open_root,
    subject_attributes,
    translate_errors,
)
from napari_pgan.store.keys import digest
from napari_pgan.store.slices import Slices, box_average, label_shares, sizes_below
from napari_pgan.store.splits import SPLITS


@dataclass(frozen=True)
class Subject:
    """One subject of a store.

    Parameters
    ----------
    key
        Salted hash that identifies the subject.
    images
        zarr array, float16 (c, z, y, x) in [-1, 1], read on indexing.
    labels
        zarr array, uint8 (z, y, x).
    slices
        z indices of the selected slices.
    attributes
        Attributes written by `prepare`: spacing, orientation, split, normalisation, clipped fractions, provenance.
    """

    key: str
    images: zarr.Array[Any]
    labels: zarr.Array[Any]
    slices: tuple[int, ...]
    attributes: dict[str, Any]


class Store:
    """A prepared cohort, opened by `open_store`.

    Only finished subjects with a split are visible; an interrupted `prepare` leaves no partial ones.

    Attributes
    ----------
    channels
        Modalities and labels.
    grid
        Grid of one slice, with the spacing between slices.
    name
        Name of the cohort.
    intensity
        Meaning of "-1" and "+1" per modality.
    attributes
        Attributes of the root group.
    """

    def __init__(self, address: Address, root: zarr.Group, attributes: dict[str, Any]) -> None:
        self.address = str(address)
        self.attributes = attributes
        self.name: str = attributes["name"]
        self.channels = Channels.from_dict(attributes["channels"])
        self.grid = Grid.from_dict(attributes["grid"])
        self.intensity: Mapping[str, dict[str, str]] = attributes["intensity"]
        self._root = root
        self._subjects = {k: a for k, a in subject_attributes(address, root).items() if a.get("split") in SPLITS}

    def keys(self, split: str | None = None) -> list[str]:
        """Return the sorted subject keys of a split, or of all splits.

        Raises
        ------
        InputError
            The split does not exist.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"there is no split {split!r}; give one of {', '.join(SPLITS)}")
        return sorted(key for key, about in self._subjects.items() if split is None or about["split"] == split)

    def limit_training(self, count: int) -> Store:
        """Return a view of the store with only the first `count` training subjects; val and test are unchanged.

        Keys are hashes, so their sorted order is random and each smaller subset is contained in the larger ones.

        Raises
        ------
        InputError
            `count` is not between 1 and the number of training subjects.
        """
        train = self.keys("train")
        if not 1 <= count <= len(train):
            raise InputError(f"{self.address} has {len(train)} training subjects, not {count}; give 1 to {len(train)}")
        view = copy.copy(self)
        left_out = set(train[count:])
        view._subjects = {key: about for key, about in self._subjects.items() if key not in left_out}
        return view

    def counts(self) -> dict[str, int]:
        """Return the number of subjects in each split."""
        return {split: len(self.keys(split)) for split in SPLITS}

    @property
    def sizes(self) -> list[int]:
        """Available slice sizes, largest (the stored one) first."""
        return sizes_below(self._shape)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that identify the content: channels, grid, subjects, splits, slices and pixels.

        `Grid.sided` is excluded because it can be set later for the same content.
        """
        content = {
            "channels": self.channels.to_dict(),
            "grid": replace(self.grid, sided=None).to_dict(),
            "subjects": {k: [a["split"], a["slices"], a["digest"]] for k, a in sorted(self._subjects.items())},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def subject(self, key: str) -> Subject:
        """Return one subject; its arrays are read on indexing.

        Raises
        ------
        InputError
            The store has no such finished subject, or its files are damaged.
        """
        if key not in self._subjects:
            raise InputError(f"{self.address} has no finished subject {key!r}; Store.keys() lists the available ones")
        about = self._subjects[key]
        with translate_errors(self.address):
            try:
                images, labels = self._root[f"{key}/{IMAGES}"], self._root[f"{key}/{LABELS}"]
            except (KeyError, ValueError) as error:
                raise self._damaged(key) from error
        assert isinstance(images, zarr.Array)
        assert isinstance(labels, zarr.Array)
        return Subject(key, images, labels, tuple(about["slices"]), dict(about))

    def load_slices(self, split: str | None, size: int | None = None) -> Slices:
        """Read the selected slices of a split.

        Smaller sizes are exact: images are float32 means of the stored values over boxes, labels the fraction of each
        box with the label. Besides the result, one subject at a time is in memory.

        Parameters
        ----------
        split
            ``"train"``, ``"val"``, ``"test"`` or None for all.
        size
            Pixels along the last axis: the stored size (default) divided by a power of two.

        Raises
        ------
        InputError
            The split does not exist or is empty, a subject is damaged, or the size is not available.
        """
        parts = list(self.iter_slices(split, size))
        if not parts:
            raise InputError(f"{self.address} has no slices in the split {split!r}; prepare it with another --split")
        images, labels, subject, position = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("images", "labels", "subject", "position")
        )
        return Slices(images, labels, subject, position, tuple(self.keys(split)))

    def iter_slices(self, split: str | None, size: int | None = None) -> Iterator[Slices]:
        """Like `load_slices`, but yield one subject at a time; `subject` indexes all keys of the split."""
        keys = self.keys(split)
        if not keys:
            raise InputError(f"{self.address} has no subject in the split {split!r}; prepare it with another --split")
        factor = self._factor(size)
        for i, key in enumerate(keys):
            subject = self.subject(key)
            chosen = np.array(subject.slices, np.int64)
            if not len(chosen):
                continue
            volume, segmentation = self._arrays(subject)
            images = box_average(volume[:, chosen], factor).swapaxes(0, 1)
            labels = label_shares(segmentation[chosen], self.channels.values, factor)
            first, last = subject.attributes["brain_slices"]
            position = np.clip((chosen - first) / max(last - first, 1), 0, 1).astype(np.float32)
            yield Slices(images, labels, np.full(len(chosen), i, np.int64), position, tuple(keys))

    def _arrays(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """Read a subject's images (c, z, y, x) and labels (z, y, x), and verify their digest."""
        with translate_errors(self.address):
            try:
                images, labels = np.asarray(subject.images[:]), np.asarray(subject.labels[:])
            except Exception as error:  # zarr and its codecs raise various exceptions on damaged files
                if isinstance(error, OSError) and is_remote(self.address):
                    raise  # a connection error; the files may be intact
                raise self._damaged(subject.key) from error
        if digest(images, labels) != subject.attributes["digest"]:  # a missing file reads as background
            raise self._damaged(subject.key)
        return images, labels

    def _damaged(self, key: str) -> InputError:
        return InputError(
            f"{self.address}: the subject {key} is damaged or truncated; delete its folder and run `prepare` again"
        )

    @property
    def _shape(self) -> tuple[int, int]:
        height, width = self.grid.shape
        return height, width

    def _factor(self, size: int | None) -> int:
        if size is None:
            return 1
        if size not in self.sizes:
            sizes = ", ".join(map(str, self.sizes))
            raise InputError(f"{self.address} has no slices of size {size}; give one of {sizes}")
        return self._shape[-1] // size


def open_store(address: Address) -> Store:
    """Open a prepared cohort for reading.

    Parameters
    ----------
    address
        A folder or an fsspec address.

    Raises
    ------
    InputError
        It is not a store, its format is newer, it cannot be reached, or it has no finished subject.
    """
    root, attributes = open_root(address, "r")
    try:
        store = Store(address, root, attributes)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{address} is a damaged store ({error}); prepare the cohort into a new one") from error
    if not store.keys():
        raise InputError(f"{address} has no finished subject; run its `napari-pgan-train prepare` again")
    return store
