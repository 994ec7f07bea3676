"""Match a model with a store: same images, and which of the store's subjects the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_pgan.errors import InputError
from napari_pgan.model import Card
from napari_pgan.schema import Channels, Grid
from napari_pgan.store import SPLITS, Store

_TOLERANCE = 0.01  # relative difference of pixel spacing

Known = Literal["all", "some", "none", "unstated"]


@dataclass(frozen=True)
class Match:
    """How slices of a store map to images of a model.

    Parameters
    ----------
    size
        Size of the store's slices to use: length of the last axis in pixels.
    modalities, labels
        For each channel of the model, its index in the store.
    trained
        Subjects of the store that the model was trained on, sorted.
    held_out
        Subjects of val and test that it was not trained on, sorted.
    tested
        Those of them in test.
    seen_in_test
        Subjects of test that it was trained on.
    known
        How many of the training subjects named by the model card are in the store; ``"unstated"`` if it names none.
    """

    size: int
    modalities: tuple[int, ...]
    labels: tuple[int, ...]
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    tested: tuple[str, ...]
    seen_in_test: tuple[str, ...]
    known: Known


def match(card: Card, store: Store, where: str) -> Match:
    """Find the channels, grid and subjects of a model in a store.

    Parameters
    ----------
    card
        The model card.
    store
        The cohort to compare with.
    where
        The model's name in messages.

    Raises
    ------
    InputError
        They differ in modalities, labels (order and case do not matter), field of view, size or orientation; the model
        has conditions that are not stored with a slice; or the model was trained on every subject.
    """
    shape = card.grid.shape
    if len(shape) != 2:
        raise InputError(f"{where}: generates volumes; only models of slices can be evaluated")
    conditions = [c.name for c in card.conditions if c.name != "slice_position"]
    if conditions:
        names = ", ".join(conditions)
        raise InputError(f"{where}: is conditioned on {names}, which stores do not record; use another model")
    size = _size(card.grid, store, where)
    modalities = _modalities(card.channels, store, where)
    labels = _labels(card.channels, store, where)
    seen = set(card.training.get("subject_hashes", ()))
    subjects = {split: store.keys(split) for split in SPLITS}
    trained = sorted(seen & set(store.keys()))
    held_out = sorted(set(subjects["val"] + subjects["test"]) - seen)
    if not held_out:
        some = subjects["val"] or subjects["test"]
        what = f"only subjects in val and test that {where} was trained on" if some else "no subject in val or test"
        raise InputError(f"{store.address}: has {what}; prepare the cohort with a --split that holds subjects out")
    known: Known = "unstated" if not seen else "all" if len(trained) == len(seen) else "some" if trained else "none"
    return Match(
        size=size,
        modalities=modalities,
        labels=labels,
        trained=tuple(trained),
        held_out=tuple(held_out),
        tested=tuple(sorted(set(subjects["test"]) - seen)),
        seen_in_test=tuple(sorted(set(subjects["test"]) & seen)),
        known=known,
    )


def _size(grid: Grid, store: Store, where: str) -> int:
    size = grid.shape[-1]
    sizes = ", ".join(map(str, store.sizes))
    factor, rest = divmod(store.grid.shape[-1], size)
    if rest or size not in store.sizes or tuple(n // factor for n in store.grid.shape) != grid.shape:
        pixels = "×".join(map(str, grid.shape))
        raise InputError(
            f"{where}: generates {pixels} pixels, a size that {store.address} does not have (widths {sizes}); "
            f"prepare the cohort with --size {max(grid.shape)}"
        )
    ours, theirs = grid.spacing, store.grid.at_size(grid.shape).spacing
    if ours and theirs and any(abs(a - b) > _TOLERANCE * b for a, b in zip(ours, theirs, strict=True)):
        raise InputError(
            f"{where}: has pixels of {_mm(ours)} and {store.address} of {_mm(theirs)}, so their fields of view differ; "
            "prepare the cohort with the --fov of the model's training"
        )
    if grid.orientation and store.grid.orientation and grid.orientation != store.grid.orientation:
        raise InputError(
            f"{where}: has orientation {grid.orientation} and {store.address} {store.grid.orientation}; prepare the "
            "cohort along the model's axis"
        )
    return size


def _modalities(channels: Channels, store: Store, where: str) -> tuple[int, ...]:
    theirs = [name.casefold() for name in store.channels.modalities]
    ours = [name.casefold() for name in channels.modalities]
    if sorted(ours) != sorted(theirs):
        raise InputError(
            f"{where}: generates {', '.join(channels.modalities)} and {store.address} has "
            f"{', '.join(store.channels.modalities)}; give a store with the model's modalities"
        )
    return tuple(theirs.index(name) for name in ours)


def _labels(channels: Channels, store: Store, where: str) -> tuple[int, ...]:
    """Match labels by name, else by value; a model without labels matches any store."""
    theirs, ours = store.channels.labels, channels.labels
    if not ours:
        return ()
    for mine, other in (
        [[x.name.casefold() for x in some] for some in (ours, theirs)],
        [[x.value for x in some] for some in (ours, theirs)],
    ):
        if sorted(mine) == sorted(other):  # type: ignore[type-var]
            return tuple(other.index(x) for x in mine)  # type: ignore[arg-type]
    named = [", ".join(f"{x.value} {x.name}" for x in some) or "none" for some in (ours, theirs)]
    raise InputError(
        f"{where}: has the labels {named[0]} and {store.address} {named[1]}; give a store with the model's labels"
    )


def _mm(spacing: tuple[float, ...]) -> str:
    return " × ".join(f"{step:.3g}" for step in spacing) + " mm"
