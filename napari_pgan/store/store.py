"""Reading a prepared cohort."""

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
from napari_pgan.store.digest import digest
from napari_pgan.store.slices import Slices, box_average, label_shares, sizes_below
from napari_pgan.store.splits import SPLITS


@dataclass(frozen=True)
class Subject:
    """One subject of a store.

    Parameters
    ----------
    key
        Its name here: a salted hash.
    images
        zarr array float16 (c, z, y, x) in [-1, 1]; read it by indexing.
    labels
        zarr array uint8 (z, y, x).
    slices
        z of the slices that the store's rule chose.
    attributes
        What `prepare` wrote: spacing, orientation, split, normalisation, clipped shares, provenance.
    """

    key: str
    images: zarr.Array[Any]
    labels: zarr.Array[Any]
    slices: tuple[int, ...]
    attributes: dict[str, Any]


class Store:
    """A prepared cohort; made by `open_store`.

    A subject is in it once it is finished and has a split: what an interrupted `prepare` left half done is not seen.

    Attributes
    ----------
    channels
        Modalities and labels.
    grid
        The grid of one slice: shape, spacing in mm, orientation, and the spacing between slices.
    name
        The cohort's name.
    intensity
        For each modality, what "-1" and "+1" mean.
    attributes
        All that stands at the root.
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
        """The subjects of a split, or of all, sorted.

        Raises
        ------
        InputError
            There is no such split.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
        return sorted(key for key, about in self._subjects.items() if split is None or about["split"] == split)

    def limit_training(self, count: int) -> Store:
        """The same store with the first `count` training subjects alone, and all of the other splits.

        Subjects are sorted by their hashes, so the first few are as good as drawn by lot, and fewer are among more.

        Raises
        ------
        InputError
            It does not have so many.
        """
        train = self.keys("train")
        if not 1 <= count <= len(train):
            raise InputError(
                f"{self.address} has {len(train)} subjects to train on, not {count}; ask for 1 to that many"
            )
        view = copy.copy(self)
        left_out = set(train[count:])
        view._subjects = {key: about for key, about in self._subjects.items() if key not in left_out}
        return view

    def counts(self) -> dict[str, int]:
        """Subjects in each split."""
        return {split: len(self.keys(split)) for split in SPLITS}

    @property
    def sizes(self) -> list[int]:
        """Sizes of slices that can be had, largest (the stored one) first."""
        return sizes_below(self._shape)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when the content does: channels, grid, subjects, splits, slices or any pixel.

        Whether the side matters is not part of it: it can be said later of the same content.
        """
        content = {
            "channels": self.channels.to_dict(),
            "grid": replace(self.grid, sided=None).to_dict(),
            "subjects": {k: [a["split"], a["slices"], a["digest"]] for k, a in sorted(self._subjects.items())},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def subject(self, key: str) -> Subject:
        """One subject, as arrays that are read when indexed.

        Raises
        ------
        InputError
            No such subject is finished here, or its files are damaged.
        """
        if key not in self._subjects:
            raise InputError(f"{self.address} holds no finished subject {key!r}; Store.keys() lists those it holds")
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
        """All chosen slices of a split (None: of all subjects).

        Smaller sizes are exact: images the float32 mean of the stored values over boxes, labels the share of each box
        that has the label. One subject is in memory at its stored size at a time, beside the result.

        Parameters
        ----------
        split
            ``"train"``, ``"val"``, ``"test"`` or None.
        size
            Pixels of the last axis; the stored size divided by a power of two. None: the stored size.

        Raises
        ------
        InputError
            There is no such split, nothing in it, a subject is damaged, or the size cannot be had.
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
        """The same subject by subject, so that no more than one is in memory; subjects are counted as in `keys`."""
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
        """A subject's images (c, z, y, x) and labels (z, y, x), whole and as they were written."""
        with translate_errors(self.address):
            try:
                images, labels = np.asarray(subject.images[:]), np.asarray(subject.labels[:])
            except Exception as error:  # zarr and its codecs raise what they like on damaged files
                if isinstance(error, OSError) and is_remote(self.address):
                    raise  # of the connection; the files may be whole
                raise self._damaged(subject.key) from error
        if digest(images, labels) != subject.attributes["digest"]:  # a missing file reads as background
            raise self._damaged(subject.key)
        return images, labels

    def _damaged(self, key: str) -> InputError:
        return InputError(
            f"{self.address}: the subject {key} is damaged or cut off; delete its folder there and run `prepare` again"
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
            raise InputError(f"{self.address} has no slices of size {size}; it has {sizes}")
        return self._shape[-1] // size


def open_store(address: Address) -> Store:
    """Open a prepared cohort for reading.

    Parameters
    ----------
    address
        A folder, or any address that fsspec knows.

    Raises
    ------
    InputError
        It is no store, of a newer format, cannot be reached, or holds no finished subject.
    """
    root, attributes = open_root(address, "r")
    try:
        store = Store(address, root, attributes)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{address} is a damaged store ({error}); prepare the cohort into another one") from error
    if not store.keys():
        raise InputError(f"{address} holds no finished subject; run its `napari-pgan-train prepare` again")
    return store
