"""A recipe says everything about a training: YAML in, a frozen dataclass out, written in full into every run."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from napari_pgan.errors import InputError

_STRICT = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=1)]
Images = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True, config=_STRICT)
class Network:
    """The networks, but for their widths, which `sizes` gives.

    ``labels``: how the segmentation joins the image (``none`` leaves it out). ``conditions``: what the store knows of a
    slice that the generator is told (``slice_position``). ``start``: the brightness that an untrained generator makes;
    at -1 it need not first learn that most of a picture is black. ``growth``: whether a new stage starts at ``random``,
    or ``preserving`` what both networks did before (`napari_pgan.model.growing`). ``image_critic``: a second critic
    that sees the modalities alone, with this share of the first one's widths; 0 for none. The others as in
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
    """One size of the growth: feature maps, batch, images while it fades in and after, learning rate of both networks.

    A size that neither fades nor stays stable is passed over; its blocks train with the next.
    """

    width: Count
    batch: Count = 16
    fade: Images = 0
    stable: Images = 0
    learning_rate: Positive = 1e-3


@dataclass(frozen=True, config=_STRICT)
class Loss:
    """What the networks strive for; see `napari_pgan.training.losses`.

    ``gradient_weight`` (λ), ``drift``: for ``wgan-gp``. ``gamma``: weight of R1 and R2, for ``relativistic``.
    ``lazy``: every how many steps a penalty is taken (1: every step). ``updates``: both networks ``together`` from the
    same images and scores, or ``alternating``, the generator after the critic with images of its own (13 passes through
    a network a step instead of 10).
    """

    kind: Literal["wgan-gp", "relativistic"] = "relativistic"
    gradient_weight: NotNegative = 10.0
    drift: NotNegative = 0.001
    gamma: NotNegative = 1.0
    lazy: Count = 1
    updates: Literal["together", "alternating"] = "alternating"


@dataclass(frozen=True, config=_STRICT)
class Optimizer:
    """Adam. ``reset``: its state starts anew with every size, every phase (fade-in, stable), or never."""

    betas: tuple[Beta, Beta] = (0.0, 0.99)
    epsilon: Positive = 1e-8
    reset: Literal["size", "phase", "never"] = "size"


@dataclass(frozen=True, config=_STRICT)
class Ema:
    """The running mean of the generator that is sampled: none, by a decay a step, or by a half-life in images."""

    kind: Literal["none", "step", "halflife"] = "halflife"
    decay: Share = 0.999
    halflife: Positive = 10_000.0


@dataclass(frozen=True, config=_STRICT)
class Augment:
    """Changes shown to the critic on reals and generated images alike; see `napari_pgan.training.augment`.

    ``probability``: of each change, an image; where ``target`` is given, only at the start. ``target``: how far the
    critic may tell reals from generated images (mean sign of its scores) before changes become more likely, as in ADA.
    ``pace``: images that the probability would need from 0 to 1. ``translate``: greatest shift, as a share of the size.
    ``rotate``: greatest turn in degrees. ``zoom``: greatest enlargement, as a share. ``gain``: greatest change of a
    modality's brightness, as a share. ``mirror``: whether the cohort counts as its own mirror image too; leave it off
    where left and right differ.
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
    """What is done to label channels before the critic sees them; see `napari_pgan.training.label_noise`.

    ``soften``: how often the masks of reals are smoothed. ``noise``: standard deviation of noise on the masks of reals
    and generated images. ``crisp``: whether generated masks are made crisp at the store's own size, once it has faded
    in (smaller reals are not crisp either).
    """

    soften: Annotated[int, Field(ge=0, le=8)] = 0
    noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    crisp: bool = False


@dataclass(frozen=True, config=_STRICT)
class Watch:
    """How often a training is looked at (preview, distance, model file, checkpoint), and on how many samples."""

    times: Count = 24
    samples: Count = 512


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """All of a training but its data, its size and its folder.

    ``sizes`` counts in pixels along the longer side and starts at 4; grids of 5·2ⁿ to 7·2ⁿ pixels take the entry below.
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
            raise ValueError(f"sizes are {sizes}; they start at 4 and double")

    def to_dict(self) -> dict[str, Any]:
        return _plain(asdict(self))

    def to_yaml(self) -> str:
        """The whole recipe, as text that `read_recipe` reads."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)


_ADAPTER = TypeAdapter(Recipe)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("napari_pgan.training") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(name_or_path: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe by name or from a YAML file, and change single values of it.

    Parameters
    ----------
    name_or_path
        One of `recipe_names`, or a file.
    overrides
        ``key=value`` with dots, as ``loss.gamma=0.5`` or ``sizes.64.batch=16``.

    Raises
    ------
    InputError
        No such recipe, a key that does not exist (the nearest is named), a value that does not fit.
    """
    where, text = name_or_path, _text_of(name_or_path)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = "" if line is None else f" (line {line + 1})"
        raise InputError(f"recipe {where}: is no YAML{place}; compare it with one that `fit` wrote") from None
    if not isinstance(data, dict):
        raise InputError(f"recipe {where}: holds no keys; compare it with one that `fit` wrote")
    if isinstance(data.get("recipe"), dict):  # what `fit` wrote into a run
        data = data["recipe"]
    for override in overrides:
        _override(data, override)
    return recipe_from_dict(data, where)


def recipe_from_dict(data: Mapping[str, Any], where: str) -> Recipe:
    """Check and freeze a recipe; raises InputError with one sentence."""
    try:
        return _ADAPTER.validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise InputError(f"recipe {where}: there is no key {key!r}{_nearest(key, data)}") from None
        if first["type"] in ("missing", "missing_argument"):
            raise InputError(f"recipe {where}: the key {key!r} is missing") from None
        if first["type"] in ("dataclass_type", "dict_type"):
            within = [k for k in _keys(Recipe, data) if k.startswith(f"{key}.")]
            raise InputError(f"recipe {where}: {key!r} holds keys, not a value: {', '.join(within[:6])}") from None
        said = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first.get("input"), dict) else f" is {first.get('input')!r}:"
        raise InputError(f"recipe {where}: {key}{value} {said[0].lower()}{said[1:]}") from None


def _text_of(name_or_path: str) -> str:
    names = recipe_names()
    if name_or_path in names:
        return (resources.files("napari_pgan.training") / "recipes" / f"{name_or_path}.yaml").read_text("utf-8")
    path = Path(name_or_path)
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"recipe {path}: is no text file; give a YAML file") from None
    near = difflib.get_close_matches(name_or_path, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}, or give a YAML file"
    raise InputError(f"there is no recipe {name_or_path!r}; {hint}")


def _override(data: dict[Any, Any], override: str) -> None:
    key, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {override!r} is not of the form key=value, as in loss.gamma=0.5")
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    section = data
    for depth, part in enumerate(path):
        if depth == 0 and part not in _fields(Recipe):
            raise InputError(f"--set {override!r}: there is no key {key!r}{_nearest(key, data)}")
        sizes = list(section) if depth == 1 and path[0] == "sizes" else []
        if sizes and part not in (*sizes, 2 * sizes[-1]):
            raise InputError(f"--set {override!r}: there is no size {part}; there are {', '.join(map(str, sizes))}")
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise InputError(f"--set {override!r}: {part!r} is a value and holds no keys")
    try:
        section[last] = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise InputError(f"--set {override!r}: {text!r} is no value that YAML knows") from None


def _number(value: Any) -> Any:
    """YAML 1.1 takes 1e-3 for a word; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _nearest(key: str, data: Mapping[str, Any]) -> str:
    """A hint at the key that was meant: in the same section, of the same name in another, or alike as a whole."""
    keys = _keys(Recipe, data)
    section, _, name = key.rpartition(".")
    here = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == section}
    near = [here[k] for k in difflib.get_close_matches(name.lower(), here, 1)] if section else []
    near = near or [k for k in keys if k.rpartition(".")[2] == name] or difflib.get_close_matches(key, keys, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(here or _fields(Recipe))}"


def _keys(cls: Any, data: Any, prefix: str = "") -> list[str]:
    """All keys that a recipe can have, with dots; of sizes, those that it has."""
    found: list[str] = []
    for name, kind in _fields(cls).items():
        if typing.get_origin(kind) is dict:
            sizes = data.get(name) if isinstance(data, Mapping) else None
            for size in sizes if isinstance(sizes, Mapping) else (4,):
                found += _keys(typing.get_args(kind)[1], None, f"{prefix}{name}.{size}.")
        elif _fields(kind):
            found += _keys(kind, None, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def _fields(cls: Any) -> dict[str, Any]:
    if not is_dataclass(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
