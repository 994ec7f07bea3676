"""Prepared cohorts on disk: OME-Zarr volumes per subject, split by subject, read as slices at several sizes."""

from napari_pgan.store.address import UnreachableStore, is_free, is_in_memory, is_remote
from napari_pgan.store.keys import salt, salt_check, subject_key
from napari_pgan.store.slices import Slices, label_map
from napari_pgan.store.splits import SPLITS, SplitRule
from napari_pgan.store.store import Store, Subject, open_store
from napari_pgan.store.writer import StoreWriter, create_store, extend_store

__all__ = [
    "SPLITS",
    "Slices",
    "SplitRule",
    "Store",
    "StoreWriter",
    "Subject",
    "UnreachableStore",
    "create_store",
    "extend_store",
    "is_free",
    "is_in_memory",
    "is_remote",
    "label_map",
    "open_store",
    "salt",
    "salt_check",
    "subject_key",
]
