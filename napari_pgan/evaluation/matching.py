"""Whether a model and a store speak of the same images, and which of the store's subjects the model has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_pgan.errors import InputError
from napari_pgan.model import Card
from napari_pgan.schema import Channels, Grid
from napari_pgan.store import SPLITS, Store

_TOLERANCE = 0.01  # by which the pixels' millimetres may differ

Known = Literal["all", "some", "none", "unstated"]


@dataclass(frozen=True)
class Match:
    """How the store's slices become the model's images.

    Parameters
    ----------
    size
        Of the store's slices, in pixels of the last axis.
    modalities, labels
        For each of the model's, the store's index.
    trained
        Subjects of the store that the model was trained on, sorted.
    held_out
        Subjects of val and test that it was not trained on, sorted.
    tested
        Those of them that are in test.
    seen_in_test
        Subjects of test that it was trained on.
    known
        How many of the subjects that the model's card names are in the store; ``"unstated"`` where it names none.
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
    """Find the model's channels, grid and subjects in a store.

    Parameters
    ----------
    card
        Of the model.
    store
        The cohort that it is compared with.
    where
        The model, for messages.

    Raises
    ------
    InputError
        They do not fit: other modalities or labels (order and case do not matter), another field of view, a size that
        the store does not have, conditions that a slice does not tell; or the store has no subject left that the model
        has not seen.
    """
    shape = card.grid.shape
    if len(shape) != 2:
        raise InputError(f"{where}: makes volumes, and only slices can be compared with a store so far")
    told = [c.name for c in card.conditions if c.name != "slice_position"]
    if told:
        raise InputError(f"{where}: is told {', '.join(told)}, which no store knows of its slices; use another model")
    size = _size(card.grid, store, where)
    modalities = _modalities(card.channels, store, where)
    labels = _labels(card.channels, store, where)
    seen = set(card.training.get("subject_hashes", ()))
    there = {split: store.keys(split) for split in SPLITS}
    trained = sorted(seen & set(store.keys()))
    held_out = sorted(set(there["val"] + there["test"]) - seen)
    if not held_out:
        those = there["val"] + there["test"]
        what = f"only subjects in val and test that {where} was trained on" if those else "no subject in val or test"
        raise InputError(
            f"{store.address}: has {what}, so nothing to compare with; prepare the cohort with a --split that holds "
            "subjects back"
        )
    known: Known = "unstated" if not seen else "all" if len(trained) == len(seen) else "some" if trained else "none"
    return Match(
        size=size,
        modalities=modalities,
        labels=labels,
        trained=tuple(trained),
        held_out=tuple(held_out),
        tested=tuple(sorted(set(there["test"]) - seen)),
        seen_in_test=tuple(sorted(set(there["test"]) & seen)),
        known=known,
    )


def _size(grid: Grid, store: Store, where: str) -> int:
    size = grid.shape[-1]
    served = ", ".join(map(str, store.sizes))
    factor, rest = divmod(store.grid.shape[-1], size)
    if rest or size not in store.sizes or tuple(n // factor for n in store.grid.shape) != grid.shape:
        pixels = "×".join(map(str, grid.shape))
        raise InputError(
            f"{where}: makes {pixels} pixels, which {store.address} does not have (widths {served}); prepare the "
            f"cohort with --size {max(grid.shape)}"
        )
    ours, theirs = grid.spacing, store.grid.at_size(grid.shape).spacing
    if ours and theirs and any(abs(a - b) > _TOLERANCE * b for a, b in zip(ours, theirs, strict=True)):
        raise InputError(
            f"{where}: has pixels of {_mm(ours)} and {store.address} of {_mm(theirs)}, another field of view; prepare "
            "the cohort with the --fov that the model was trained with"
        )
    if grid.orientation and store.grid.orientation and grid.orientation != store.grid.orientation:
        raise InputError(
            f"{where}: lies as {grid.orientation} and {store.address} as {store.grid.orientation}; prepare the cohort "
            "along the model's axis"
        )
    return size


def _modalities(channels: Channels, store: Store, where: str) -> tuple[int, ...]:
    theirs = [name.casefold() for name in store.channels.modalities]
    ours = [name.casefold() for name in channels.modalities]
    if sorted(ours) != sorted(theirs):
        raise InputError(
            f"{where}: makes {', '.join(channels.modalities)} and {store.address} has "
            f"{', '.join(store.channels.modalities)}; give a store of the model's modalities"
        )
    return tuple(theirs.index(name) for name in ours)


def _labels(channels: Channels, store: Store, where: str) -> tuple[int, ...]:
    """By name, or else by value; a model without labels fits every store."""
    theirs, ours = store.channels.labels, channels.labels
    if not ours:
        return ()
    for found in (
        [[x.name.casefold() for x in some] for some in (ours, theirs)],
        [[x.value for x in some] for some in (ours, theirs)],
    ):
        mine, other = found
        if sorted(mine) == sorted(other):  # type: ignore[type-var]
            return tuple(other.index(x) for x in mine)  # type: ignore[arg-type]
    named = [", ".join(f"{x.value} {x.name}" for x in some) or "none" for some in (ours, theirs)]
    raise InputError(
        f"{where}: has the labels {named[0]} and {store.address} {named[1]}; give a store of the model's labels"
    )


def _mm(spacing: tuple[float, ...]) -> str:
    return " × ".join(f"{step:.3g}" for step in spacing) + " mm"
