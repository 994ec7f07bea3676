"""Walk plans: walks described in YAML files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_pgan.errors import InputError
from napari_pgan.latent.paths import EasingKind, KeyFrame, PathKind, Walk, walk
from napari_pgan.model import latents_of_seeds
from napari_pgan.yaml_input import read_yaml

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
_Truncation = Annotated[float, Field(ge=0, le=1)]
_Number = Annotated[float, Field(gt=-1e30, lt=1e30)]


@dataclass(frozen=True)
class WalkPlan:
    """Description of a walk; `walk` computes its frames."""

    keys: tuple[KeyFrame, ...]
    between: int
    path: str = "slerp"
    easing: str = "linear"
    loop: bool = False

    def walk(self) -> Walk:
        return walk(self.keys, self.between, self.path, self.easing, self.loop)


class _Key(BaseModel):
    model_config = _STRICT

    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    latent: list[_Number] | None = None
    truncation: _Truncation | None = None

    @model_validator(mode="after")
    def _check(self) -> _Key:
        if (self.seed is None) == (self.latent is None):
            raise ValueError("a key frame needs either a seed or a latent; write it as {seed: 3}")
        return self


class _Plan(BaseModel):
    model_config = _STRICT

    keys: Annotated[list[_Key], Field(min_length=1)]
    between: Annotated[int, Field(ge=0)] = 14
    path: PathKind = "slerp"
    easing: EasingKind = "linear"
    truncation: _Truncation = 1.0
    loop: bool = False


def read_plan(path: str | Path, latent_size: int) -> WalkPlan:
    """Read a walk plan.

    Its YAML keys are: ``keys``, a list of ``{seed: 3}`` or ``{latent: [numbers]}``, each with an optional
    ``truncation``; ``between``, the number of frames between two key frames (default 14); ``path``: slerp, lerp or
    via-origin; ``easing``: linear, smooth, in or out; ``truncation`` of key frames that do not set it (default 1);
    ``loop``: true or false.

    Parameters
    ----------
    path
        The YAML file.
    latent_size
        Length of the model's latent vectors.

    Raises
    ------
    InputError
        The file is missing or is not a walk plan; the message names the invalid key.
    """
    plan = read_yaml(path, _Plan, "give a walk plan in YAML, which starts with 'keys: [{seed: 3}, {seed: 8}]'")
    keys = []
    for index, key in enumerate(plan.keys):
        truncation = plan.truncation if key.truncation is None else key.truncation
        if key.latent is None:
            keys.append(KeyFrame(latents_of_seeds([key.seed or 0], latent_size)[0], truncation, key.seed))
        elif len(key.latent) == latent_size:
            keys.append(KeyFrame(np.array(key.latent, np.float32), truncation))
        else:
            raise InputError(
                f"{path}: keys[{index}].latent has {len(key.latent)} numbers; this model's latents have {latent_size}"
            )
    return WalkPlan(tuple(keys), plan.between, plan.path, plan.easing, plan.loop)
