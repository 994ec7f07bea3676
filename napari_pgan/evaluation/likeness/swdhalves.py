"""The sliced Wasserstein distance beside its floor, of several groups of channels at once.

The figures are those of `swd`, channels standardised in each set by itself. The same images are in many halves, and
the same channels in several groups (all of them, each modality, the labels): so pyramids are built once, a set's
patches are cut once for all groups, and its projections sorted once for both comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline
from napari_pgan.evaluation.likeness.swd import PATCH, can_halve, distances_on_lines, halved

_CHUNK = 64  # images at once
_COMPARED = ((0, 2), (1, 2))  # generated and other, each to reference


def swd_beside(
    real: Sequence[np.ndarray],
    generated: Sequence[np.ndarray],
    trios: Sequence[Comparison],
    groups: Mapping[str, Sequence[int]],
    *,
    patches: int = 32,
    projections: int = 128,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, dict[str, tuple[float, float]]]]:
    """Compare generated with real images beside the floor, trio by trio, group by group, level by level.

    Parameters
    ----------
    real, generated
        Arrays (R, Cᵢ, Y, X) and (F, Cᵢ, Y, X) whose channels follow each other, such as images and label fractions.
        They are read a few images at a time and may lie on disk.
    trios
        Rows to be compared. In memory is 1.5 times what the images of all trios take in half precision.
    groups
        Name → channels.
    patches
        An image and level.
    projections
        Random directions a group.
    seed
        Decides patches and directions.
    progress
        Called with (done, all).

    Returns
    -------
    list
        For each trio: group → level, such as ``"64x64"``, finest first, and ``"mean"`` → (model's distance, floor's
        distance) × 10³. `summary` makes them figures.

    Raises
    ------
    InputError
        The sets do not have the same channels and size, or hold NaN or Inf.
    """
    if [x.shape[1:] for x in real] != [x.shape[1:] for x in generated]:
        shapes = ", ".join(str(x.shape) for x in (*real, *generated))
        raise InputError(f"images of shapes {shapes} cannot be compared; give (N, C, Y, X) alike")
    real_rows, generated_rows = (
        np.unique(np.concatenate(rows))
        for rows in ([x for t in trios for x in (t.other, t.reference)], [t.generated for t in trios])
    )
    found: list[dict[str, dict[str, tuple[float, float]]]] = [{name: {} for name in groups} for _ in trios]
    levels = _count_levels(real[0].shape)
    for level, images in enumerate(_levels(_Stack(real, real_rows, generated, generated_rows))):
        name = f"{images.shape[2]}x{images.shape[3]}"
        for done, trio in enumerate(trios):
            sets = [
                len(real_rows) + np.searchsorted(generated_rows, trio.generated),
                np.searchsorted(real_rows, trio.other),
                np.searchsorted(real_rows, trio.reference),
            ]
            # all are looked at in the same places and directions, so equal sets are at distance 0
            clouds = [_Cloud(images, rows, patches, np.random.default_rng([seed, level, 0])) for rows in sets]
            for number, (group, channels) in enumerate(groups.items()):
                random = np.random.default_rng([seed, level, 1, number])
                lines = random.standard_normal((projections, len(channels), clouds[0].pixels))
                lines /= np.linalg.norm(lines, axis=(1, 2), keepdims=True)
                projected = [cloud.project(lines, channels) for cloud in clouds]
                model, floor = 1000 * distances_on_lines(projected, _COMPARED).mean(axis=1)
                found[done][group][name] = (float(model), float(floor))
            if progress:
                progress(level * len(trios) + done + 1, levels * len(trios))
    for one in found:
        for each in one.values():
            each["mean"] = tuple(np.mean(list(each.values()), axis=0).tolist())
    return found


def summary(found: Sequence[Mapping[str, Mapping[str, tuple[float, float]]]]) -> dict[str, dict[str, WithBaseline]]:
    """Group → level → figure over all trios."""
    return {
        group: {
            level: WithBaseline.of([one[group][level][0] for one in found], [one[group][level][1] for one in found])
            for level in levels
        }
        for group, levels in found[0].items()
    }


class _Stack:
    """Some real and then some generated images, channels joined, read a few at a time."""

    def __init__(
        self, real: Sequence[np.ndarray], real_rows: np.ndarray, generated: Sequence[np.ndarray], rows: np.ndarray
    ) -> None:
        self.parts = ((real, real_rows), (generated, rows))
        self.shape = (
            len(real_rows) + len(rows), sum(x.shape[1] for x in real), *real[0].shape[2:],
        )  # fmt: skip

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Where, and float32 (n, C, Y, X)."""
        at = 0
        for (arrays, rows), which in zip(self.parts, ("real", "generated"), strict=True):
            for start in range(0, len(rows), _CHUNK):
                some = rows[start : start + _CHUNK]
                images = np.concatenate([x[some].astype(np.float32, copy=False) for x in arrays], axis=1)
                if not np.isfinite(images).all():
                    raise InputError(f"the {which} images hold NaN or Inf; leave those images out")
                yield slice(at, at + len(some)), images
                at += len(some)


class _Whole:
    """An array, a few images at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.shape = images, images.shape

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self.images), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield part, self.images[part]


def _levels(source: _Stack | _Whole) -> Iterator[np.ndarray]:
    """Levels (N, C, Y/2ˢ, X/2ˢ) of the Laplacian pyramid, finest first.

    Details are kept in half precision, which is far finer than the distances of interest; what is halved further, not.
    """
    while can_halve(source.shape):
        n, channels, height, width = source.shape
        detail = np.empty(source.shape, np.float16)
        smaller = np.empty((n, channels, height // 2, width // 2), np.float32)
        for part, images in source:
            detail[part], smaller[part] = halved(images)
        yield detail
        source = _Whole(smaller)
    if isinstance(source, _Whole):
        yield source.images
        return
    rest = np.empty(source.shape, np.float32)
    for part, images in source:
        rest[part] = images
    yield rest


def _count_levels(shape: tuple[int, ...]) -> int:
    count = 1
    while can_halve(shape):
        shape, count = (*shape[:2], shape[2] // 2, shape[3] // 2), count + 1
    return count


class _Cloud:
    """Patches of one set at one level, as points."""

    def __init__(self, images: np.ndarray, rows: np.ndarray, patches: int, random: np.random.Generator) -> None:
        _, channels, height, width = images.shape
        sides = min(PATCH, height), min(PATCH, width)
        windows = np.lib.stride_tricks.sliding_window_view(images, sides, axis=(2, 3))
        count, self.pixels = patches * len(rows), sides[0] * sides[1]
        at = [random.integers(0, n - side + 1, count) for n, side in zip((height, width), sides, strict=True)]
        cut = windows[rows.repeat(patches), :, at[0], at[1]]
        self.points = cut.reshape(count, channels, self.pixels).astype(np.float32, copy=False)
        self.mean = self.points.mean(axis=(0, 2), dtype=np.float64)
        squares = np.einsum("ncp,ncp->c", self.points, self.points, dtype=np.float64) / (count * self.pixels)
        deviation = np.sqrt(np.maximum(squares - self.mean**2, 0))
        self.step = np.where(deviation > 1e-6, deviation, 1.0)  # a channel that is constant says nothing

    def project(self, lines: np.ndarray, channels: Sequence[int]) -> np.ndarray:
        """Standardised points on directions (D, channels, pixels): (D, points) float32."""
        chosen = list(channels)
        scaled = lines / self.step[chosen][:, None]
        shift = (scaled * self.mean[chosen][:, None]).sum(axis=(1, 2))
        every = chosen == list(range(self.points.shape[1]))
        points = self.points if every else self.points[:, chosen]
        flat = points.reshape(len(points), -1)
        return scaled.reshape(len(lines), -1).astype(np.float32) @ flat.T - shift[:, None].astype(np.float32)
