"""Which sizes a network can grow to."""

from __future__ import annotations

from napari_pgan.errors import InputError


def base_of(size: int) -> tuple[int, int]:
    """Split a size into the side of the first feature map, 4 to 7, and the number of doublings.

    Raises
    ------
    InputError
        The size is not 4, 5, 6 or 7 times a power of two.
    """
    doublings = 0
    while size % 2 == 0 and size >= 8:
        size, doublings = size // 2, doublings + 1
    if not 4 <= size <= 7:
        raise InputError(
            f"size {size * 2**doublings} cannot be grown by doubling; give 4, 5, 6 or 7 times a power of two"
        )
    return size, doublings
