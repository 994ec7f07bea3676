"""Recipes: all settings of a training, read from YAML and written in full into every run."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.yaml_input import parse_yaml, suggest, validate

_STRICT = ConfigDict(extra="forbid")
_FOLDER = resources.files("napari_pgan.training") / "recipes"
Count = Annotated[int, Field(ge=1)]
Images = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True, config=_STRICT)
class Network:
    """The networks, except their widths, which `sizes` gives.

    ``labels``: how the segmentation is encoded (``none`` leaves it out). ``conditions``: properties of a slice that are
    inputs of both networks (``slice_position``). ``start``: the brightness of an untrained generator's images; -1 is
    black, as most of a medical image. ``growth``: whether a new stage starts with ``random`` weights, or ``preserving``
    what both networks computed before (`napari_pgan.model.growing`). ``image_critic``: a second critic of the
    modalities alone, with this share of the first one's widths; 0 for none. The others are as in
    `napari_pgan.model.Architecture`.
    """

    labels: Literal["onehot", "grey", "none"] = "onehot"
    latent: Count = 512
    conditions: tuple[Literal["slice_position"], ...] = ()
    sphere: bool = True
    pixelnorm: bool = True
    equalized: bool = True
    stddev_group: Images = 4
    start: Annotated[float, Field(ge=-1, le=1)] = 0.0
    growth: Literal["random", "preserving"] = "random"
    smooth: bool = False
    label_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    image_critic: Share = 0.0


@dataclass(frozen=True, config=_STRICT)
class Size:
    """One size: feature maps, batch, images during its fade-in and after it, learning rate of both networks.

    A size with neither is skipped; its blocks train with the next size.
    """

    width: Count
    batch: Count = 16
    fade: Images = 0
    stable: Images = 0
    learning_rate: Positive = 1e-3


@dataclass(frozen=True, config=_STRICT)
class Loss:
    """The losses; see `napari_pgan.training.losses`.

    ``gradient_weight`` (λ), ``drift``: for ``wgan-gp``. ``gamma``: weight of R1 and R2, for ``relativistic``.
    ``lazy``: steps per penalty (1: a penalty in every step). ``updates``: both networks ``together`` from the same
    images and scores, or ``alternating``, with new images for the generator (13 passes through a network per step
    instead of 10).
    """

    kind: Literal["wgan-gp", "relativistic"] = "relativistic"
    gradient_weight: NotNegative = 10.0
    drift: NotNegative = 0.001
    gamma: NotNegative = 1.0
    lazy: Count = 1
    updates: Literal["together", "alternating"] = "alternating"


@dataclass(frozen=True, config=_STRICT)
class Optimizer:
    """Adam. ``reset``: its state is reset at every size, at every phase (fade-in, stable), or never."""

    betas: tuple[Beta, Beta] = (0.0, 0.99)
    epsilon: Positive = 1e-8
    reset: Literal["size", "phase", "never"] = "size"


@dataclass(frozen=True, config=_STRICT)
class Ema:
    """The EMA of the generator's weights, which is sampled: none, with a decay per step, or a half-life in images."""

    kind: Literal["none", "step", "halflife"] = "halflife"
    decay: Share = 0.999
    halflife: Positive = 10_000.0


@dataclass(frozen=True, config=_STRICT)
class Augment:
    """Augmentation of real and generated images; see `napari_pgan.training.augment`.

    ``probability``: of each change of an image; with a ``target``, only the initial one. ``target``: how well the
    critic may distinguish real from generated images (mean sign of its scores) before the probability rises, as in ADA.
    ``pace``: images in which the probability can go from 0 to 1. ``translate``: greatest shift, as a share of the size.
    ``rotate``: greatest angle in degrees. ``zoom``: greatest change of scale, as a share. ``gain``: greatest change of
    a modality's brightness, as a share. ``mirror``: whether to add mirrored copies of all slices; leave it off if left
    and right differ.
    """

    probability: Annotated[float, Field(ge=0, le=0.8)] = 0.0
    target: Share | None = None
    pace: Positive = 100_000.0
    translate: Annotated[float, Field(ge=0, le=0.5)] = 0.125
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.0
    gain: Share = 0.2
    mirror: bool = False


@dataclass(frozen=True, config=_STRICT)
class Mask:
    """Changes of the label channels before the critic; see `napari_pgan.training.label_noise`.

    ``soften``: how often real label channels are smoothed. ``noise``: standard deviation of noise on real and generated
    label channels. ``crisp``: whether generated label channels are rounded at the store's own size after its fade-in
    (at smaller sizes real ones are not crisp either).
    """

    soften: Annotated[int, Field(ge=0, le=8)] = 0
    noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    crisp: bool = False


@dataclass(frozen=True, config=_STRICT)
class Watch:
    """Number of snapshots (preview, distance, model file, checkpoint) in a training, and samples for each."""

    times: Count = 24
    samples: Count = 512


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """All settings of a training except its data, its last size and its folder.

    ``sizes`` counts pixels along the longer side, from 4. Grids of 5·2ⁿ to 7·2ⁿ pixels use the entry below.
    """

    name: str
    description: str
    sizes: dict[Count, Size]
    network: Network = Network()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    ema: Ema = Ema()
    augment: Augment = Augment()
    mask: Mask = Mask()
    watch: Watch = Watch()
    precision: Literal["float32", "bf16"] = "float32"
    seed: Seed = 0

    def __post_init__(self) -> None:
        sizes = list(self.sizes)
        if sizes != [4 * 2**i for i in range(len(sizes))]:
            raise ValueError(f"sizes are {sizes}; they must start at 4 and double")

    def to_dict(self) -> dict[str, Any]:
        """Return the whole recipe as mappings, lists and scalars."""
        return asdict(self, dict_factory=lambda items: {k: list(v) if isinstance(v, tuple) else v for k, v in items})

    def to_yaml(self) -> str:
        """Return the whole recipe in YAML, as `read_recipe` reads it."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(name_or_path: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe by name or from a YAML file, and change single values.

    Parameters
    ----------
    name_or_path
        One of `recipe_names`, or a file.
    overrides
        ``key=value`` with dotted keys, for example ``loss.gamma=0.5`` or ``sizes.64.batch=16``.

    Raises
    ------
    InputError
        There is no such recipe or key, or a value is not valid.
    """
    data = parse_yaml(_read(name_or_path), f"recipe {name_or_path}", "compare it with the recipe.yaml of a run")
    if isinstance(data.get("recipe"), dict):  # the recipe.yaml of a run
        data = data["recipe"]
    for override in overrides:
        _override(data, override)
    return recipe_from_dict(data, name_or_path)


def recipe_from_dict(data: Mapping[str, Any], source: str) -> Recipe:
    """Validate a recipe; `source` names it in the InputError."""
    return validate(Recipe, dict(data), f"recipe {source}")


def _read(name_or_path: str) -> str:
    names, path = recipe_names(), Path(name_or_path)
    if name_or_path in names:
        return (_FOLDER / f"{name_or_path}.yaml").read_text("utf-8")
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"recipe {path}: is not a text file; give a YAML file") from None
    near = difflib.get_close_matches(name_or_path, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}, or give a YAML file"
    raise InputError(f"there is no recipe {name_or_path!r}; {hint}")


def _override(data: dict[Any, Any], override: str) -> None:
    key, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {override!r} is not of the form key=value, for example loss.gamma=0.5")
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    section = data
    for depth, part in enumerate(path):
        if depth == 0 and part not in {field.name for field in fields(Recipe)}:
            raise InputError(f"--set {override!r}: there is no key {key!r}; {suggest(Recipe, (*path, last), data)}")
        sizes = list(section) if depth == 1 and path[0] == "sizes" else []
        if sizes and part not in (*sizes, 2 * sizes[-1]):
            raise InputError(f"--set {override!r}: there is no size {part}; choose one of {', '.join(map(str, sizes))}")
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise InputError(f"--set {override!r}: {part!r} is a value and contains no keys")
    try:
        section[last] = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise InputError(f"--set {override!r}: {text!r} is not a YAML value") from None


def _number(value: Any) -> Any:
    """Convert what YAML 1.1 reads as text, for example 1e-3, to a number."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
