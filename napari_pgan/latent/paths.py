"""Paths between latents, and walks over key frames; independent of networks and viewers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from napari_pgan.errors import InputError

PathKind = Literal["slerp", "lerp", "via-origin"]
EasingKind = Literal["linear", "smooth", "in", "out"]

PATHS: tuple[str, ...] = get_args(PathKind)
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "smooth": lambda t: t * t * (3 - 2 * t),
    "in": lambda t: t * t,
    "out": lambda t: t * (2 - t),
}


def lerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at `t` (0 to 1) on the straight line from `a` to `b`, each (L,)."""
    if t in (0, 1):
        return np.array(b if t else a, np.float64)
    return (1 - t) * np.asarray(a, np.float64) + t * np.asarray(b, np.float64)


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at `t` (0 to 1) on the great circle from `a` to `b`, each (L,), at constant angular speed.

    High-dimensional normal latents lie near a sphere, and a straight line leaves it (Shoemake 1985; White 2016,
    arXiv:1609.04468). Lengths are interpolated linearly. Between opposite latents all great circles are equally short;
    the chosen one is the same in both directions.
    """
    if t in (0, 1):
        return np.array(b if t else a, np.float64)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if length_a == 0 or length_b == 0:
        return lerp(a, b, t)
    u, v = a / length_a, b / length_b
    cosine = float(u @ v)
    across = v - cosine * u
    sine = float(np.linalg.norm(across))
    if sine < 1e-7:
        if cosine > 0:
            return lerp(a, b, t)
        across = np.zeros_like(u)
        across[np.abs(u).argmin()] = 1.0
        across -= (across @ u) * u
        sine = float(np.linalg.norm(across))
        angle = np.pi
    else:
        angle = float(np.arctan2(sine, cosine))
    direction = np.cos(t * angle) * u + np.sin(t * angle) * across / sine
    return ((1 - t) * length_a + t * length_b) * direction


def via_origin(a: np.ndarray, b: np.ndarray, t: float) -> tuple[np.ndarray, float]:
    """Return the point at `t` (0 to 1) on the path from `a` through the mean image to `b`.

    No latent gives the mean image, since latents are projected to a sphere. Truncation reaches it by moving the first
    feature map to its mean.

    Returns
    -------
    tuple
        The latent (`a` in the first half, `b` in the second), and the factor of its truncation, which goes from 1 to 0
        and back to 1.
    """
    if t <= 0.5:
        return np.array(a, np.float64), 1 - 2 * t
    return np.array(b, np.float64), 2 * t - 1


@dataclass(frozen=True)
class KeyFrame:
    """A latent that a walk passes through.

    Parameters
    ----------
    latent
        (L,).
    truncation
        0 to 1.
    seed
        Seed of the latent; None if it has none.
    """

    latent: np.ndarray
    truncation: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Walk:
    """Frames of a walk, in order.

    Parameters
    ----------
    latents
        (F, L) float32.
    truncation
        (F,) float64.
    seeds
        (F,): seed of the frame's latent; None if it has none.
    offsets
        (F, W, …) for each of the first stages, added to their features (see `Model.sample`); empty without offsets.
    """

    latents: np.ndarray
    truncation: np.ndarray
    seeds: tuple[int | None, ...]
    offsets: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.latents)


def walk(
    keys: Sequence[KeyFrame], between: int, path: str = "slerp", easing: str = "linear", loop: bool = False
) -> Walk:
    """Compute the frames of a walk over key frames.

    Parameters
    ----------
    keys
        Key frames in order; each of them is a frame.
    between
        Number of frames between two key frames.
    path
        ``slerp``, ``lerp`` or ``via-origin``; truncation is interpolated linearly.
    easing
        ``linear``, ``smooth`` (slow at both key frames), ``in`` (slow at the first) or ``out`` (slow at the second).
    loop
        Whether the walk returns from the last key frame to the first, so that it can be played in a loop; the first
        frame is not repeated at the end.

    Raises
    ------
    InputError
        There are no key frames, the path or easing is unknown, or `between` is negative.
    """
    if not keys:
        raise InputError("a walk needs at least one key frame; this one has none")
    if path not in PATHS:
        raise InputError(f"unknown kind of path {path!r}; choose one of {', '.join(PATHS)}")
    if easing not in EASINGS:
        raise InputError(f"unknown easing {easing!r}; choose one of {', '.join(EASINGS)}")
    if between < 0:
        raise InputError(f"{between} frames between two key frames are impossible; give 0 or more")
    latents, truncations, seeds = [], [], []
    ends = [*keys, keys[0]] if loop and len(keys) > 1 else list(keys)
    for a, b in pairwise(ends):
        for step in range(between + 1):
            t = EASINGS[easing](step / (between + 1))
            truncation = (1 - t) * a.truncation + t * b.truncation
            if path == "via-origin":
                latent, factor = via_origin(a.latent, b.latent, t)
                truncation *= factor
                seed = a.seed if t <= 0.5 else b.seed
            else:
                latent = (slerp if path == "slerp" else lerp)(a.latent, b.latent, t)
                seed = a.seed if step == 0 else None
            latents.append(latent)
            truncations.append(truncation)
            seeds.append(seed)
    if len(ends) == len(keys):
        latents.append(np.asarray(keys[-1].latent))
        truncations.append(keys[-1].truncation)
        seeds.append(keys[-1].seed)
    return Walk(np.asarray(latents, np.float32), np.asarray(truncations, np.float64), tuple(seeds))
