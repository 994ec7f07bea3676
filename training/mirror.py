"""Whether a cohort may be mirrored left to right, and along which axis."""

from __future__ import annotations

import re

from napari_pgan.errors import InputError
from napari_pgan.store import Store
from napari_pgan.training.recipe import Augment

_OFF = "leave augment.mirror off"


def mirror_axis(plan: Augment, store: Store) -> int | None:
    """Return the axis along which a training mirrors the images of a store, counted from the last; None for none.

    Only left and right are exchanged: front and back, or top and bottom, differ in every patient.

    Raises
    ------
    InputError
        The recipe mirrors, but left and right differ in the cohort, a label belongs to one side, or slices are
        sagittal.
    """
    if not plan.mirror:
        return None
    if store.grid.sided:
        raise InputError(f"{store.address}: left and right differ in this cohort (`prepare --sided`); {_OFF}")
    for label in store.channels.labels:
        if re.search(r"(?<![a-z])(left|right)(?![a-z])", label.name.lower()):
            raise InputError(f"{store.address}: a mirror image would put {label.name!r} on the other side; {_OFF}")
    axis = store.grid.lateral_axis
    if axis is None:
        raise InputError(f"{store.address}: a mirror image of its sagittal slices would swap front and back; {_OFF}")
    return axis
