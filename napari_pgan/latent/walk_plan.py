"""A walk written down as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_pgan.errors import InputError
from napari_pgan.latent.paths import EASINGS, PATHS, KeyFrame, Walk, walk
from napari_pgan.model import latents_of_seeds

_KNOWN = ("keys", "between", "path", "easing", "truncation", "loop")


@dataclass(frozen=True)
class WalkPlan:
    """A walk as it is planned; `walk` makes its frames."""

    keys: tuple[KeyFrame, ...]
    between: int
    path: str = "slerp"
    easing: str = "linear"
    loop: bool = False

    def walk(self) -> Walk:
        return walk(self.keys, self.between, self.path, self.easing, self.loop)


def read_plan(path: str | Path, latent_size: int) -> WalkPlan:
    """Read a walk plan.

    Its keys: ``keys``, a list of ``{seed: 3}`` or ``{latent: [numbers]}``, each with a ``truncation`` of its own if
    wanted; ``between``, the frames between two of them (default 14); ``path``: slerp, lerp or via-origin; ``easing``:
    linear, smooth, in or out; ``truncation`` for keys without their own (default 1); ``loop``: true or false.

    Parameters
    ----------
    path
        The YAML file.
    latent_size
        Numbers in a latent of the model that will walk.

    Raises
    ------
    InputError
        The file is missing or not such a plan; the sentence names the place.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a walk plan") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text file; give a walk plan in YAML") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}: is no YAML{where}; a plan begins with 'keys:' and a list of seeds") from None
    try:
        return _plan(data, latent_size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _plan(data: Any, latent_size: int) -> WalkPlan:
    if not isinstance(data, Mapping) or "keys" not in data:
        raise InputError("a walk plan needs 'keys', a list such as [{seed: 3}, {seed: 8}]")
    for name in data:
        if name not in _KNOWN:
            raise InputError(f"a walk plan has no {name!r}; it has {', '.join(_KNOWN)}")
    if not isinstance(data["keys"], list) or not data["keys"]:
        raise InputError("'keys' is no list of key frames; write it as [{seed: 3}, {seed: 8}]")
    truncation = _truncation(data.get("truncation", 1.0), "truncation")
    keys = tuple(_key(key, f"key {n}", truncation, latent_size) for n, key in enumerate(data["keys"], 1))
    between = data.get("between", 14)
    if not _is_whole(between) or between < 0:
        raise InputError(f"'between' is {between!r}; it is the number of frames between two keys, 0 or more")
    loop = data.get("loop", False)
    if not isinstance(loop, bool):
        raise InputError(f"'loop' is {loop!r}; write true or false")
    kind, easing = data.get("path", "slerp"), data.get("easing", "linear")
    if kind not in PATHS:
        raise InputError(f"'path' is {kind!r}; it is one of {', '.join(PATHS)}")
    if easing not in list(EASINGS):
        raise InputError(f"'easing' is {easing!r}; it is one of {', '.join(EASINGS)}")
    return WalkPlan(keys, between, kind, easing, loop)


def _key(data: Any, where: str, truncation: float, latent_size: int) -> KeyFrame:
    if not isinstance(data, Mapping) or ("seed" in data) == ("latent" in data):
        raise InputError(f"{where} names neither or both of seed and latent; write it as {{seed: 3}}")
    for name in data:
        if name not in ("seed", "latent", "truncation"):
            raise InputError(f"{where} has no {name!r}; it has seed or latent, and truncation")
    truncation = _truncation(data.get("truncation", truncation), f"truncation of {where}")
    if "seed" in data:
        seed = data["seed"]
        if not _is_whole(seed):
            raise InputError(f"the seed of {where} is {seed!r}; a seed is a whole number")
        return KeyFrame(latents_of_seeds([seed], latent_size)[0], truncation, seed)
    numbers = data["latent"]
    if not isinstance(numbers, list) or not all(_is_number(x) for x in numbers):
        raise InputError(f"the latent of {where} is no list of finite numbers; write [0.3, -1.2, …]")
    if len(numbers) != latent_size:
        raise InputError(f"the latent of {where} has {len(numbers)} numbers; this model takes {latent_size}")
    return KeyFrame(np.array(numbers, np.float32), truncation)


def _truncation(value: Any, name: str) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise InputError(f"the {name} is {value!r}; it is a number from 0 to 1")
    return float(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
