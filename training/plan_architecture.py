"""The architecture of the networks, from a recipe and a store."""

from __future__ import annotations

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Condition, Encoding
from napari_pgan.schema import Channels, Grid, base_of
from napari_pgan.store import Store
from napari_pgan.training.recipe import Recipe


def plan_architecture(recipe: Recipe, store: Store, size: int) -> tuple[Architecture, Encoding, tuple[Condition, ...]]:
    """Return the architecture that a recipe gives for the images of a store, up to a size of the longer side.

    Raises
    ------
    InputError
        The store's grid cannot be reached by doubling a small one, or is not a multiple of the size.
    """
    _, doublings = base_of(size)
    longest = max(store.grid.shape)
    if size > longest or longest % size:
        raise InputError(
            f"the store's slices have {longest} pixels, not a multiple of {size}; give a --size that divides them"
        )
    shape = [side * size // longest for side in store.grid.shape]
    if any(side % 2**doublings for side in shape):
        raise InputError(
            f"slices of {shape} pixels cannot be reached from a small grid by doubling; prepare them square"
        )
    channels = store.channels
    if recipe.network.labels == "none":
        channels = Channels(channels.modalities, (), channels.groups)
    encoding = Encoding(channels, "onehot" if recipe.network.labels == "none" else recipe.network.labels)
    conditions = tuple(Condition(name, range=(0.0, 1.0)) for name in recipe.network.conditions)
    network = recipe.network
    architecture = Architecture(
        base=tuple(side // 2**doublings for side in shape),
        widths=tuple(plan.width for plan in list(recipe.sizes.values())[: doublings + 1]),
        channels=encoding.channel_count,
        latent=network.latent,
        conditions=sum(c.size for c in conditions),
        sphere=network.sphere,
        pixelnorm=network.pixelnorm,
        equalized=network.equalized,
        stddev_group=network.stddev_group,
        smooth=network.smooth,
        labels=encoding.label_channel_count,
        label_share=network.label_share,
        image_critic=network.image_critic,
    )
    return architecture, encoding, conditions


def width_at(grid: Grid, size: int) -> int:
    """Return the pixels of the last axis of an image that has `size` pixels along the longer side."""
    return size * grid.shape[-1] // max(grid.shape)
