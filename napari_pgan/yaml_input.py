"""Read YAML into a pydantic model; report the first mistake as one sentence."""

from __future__ import annotations

import difflib
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from napari_pgan.errors import InputError

T = TypeVar("T")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")
_NO_SECTION = ("model_type", "dataclass_type", "dict_type")


def read_yaml(path: str | os.PathLike[str], model: type[T], hint: str) -> T:
    """Read a YAML file into `model`.

    Parameters
    ----------
    path
        The file.
    model
        A pydantic model or pydantic dataclass.
    hint
        What the user should do if the file is not such a file at all, for example "give a walk plan in YAML".

    Raises
    ------
    InputError
        The file cannot be read, is not YAML, or does not fit `model`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file; {hint}") from None
    return validate(model, parse_yaml(text, str(path), hint), str(path))


def parse_yaml(text: str, source: str, hint: str) -> dict[Any, Any]:
    """Parse a YAML mapping; `source` names it in messages, `hint` as in `read_yaml`.

    Raises
    ------
    InputError
        `text` is not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2020-13-01
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}: is not valid YAML{line}{f' ({problem})' if problem else ''}; {hint}") from None
    if not isinstance(data, dict):
        raise InputError(f"{source}: does not hold keys with values; {hint}")
    return data


def validate(model: type[T], data: Any, source: str) -> T:
    """Validate `data` as `model`; `source` names it in messages.

    Raises
    ------
    InputError
        The sentence names the key and its value, and the keys or values that are allowed.
    """
    try:
        return TypeAdapter(model).validate_python(data)
    except ValidationError as error:
        # An unknown key often causes the other errors. Of a union's branches, the one that fits deepest was meant.
        first = max(error.errors(), key=lambda one: (one["type"] in _UNKNOWN, len(one["loc"])))
        raise InputError(f"{source}: {_sentence(model, data, first)}") from None


def suggest(model: Any, loc: tuple[int | str, ...], data: Any = None) -> str:
    """Return a hint at the known keys of `model` for an unknown key at `loc`, such as ``("loss", "gama")``.

    The nearest key of the same section, else the key of the same name in another section, else the most similar dotted
    key; without any, all keys of the section. `data` provides the keys of sections that are dictionaries.
    """
    keys = _dotted_keys(model, data)
    section, level = _locate(model, loc[:-1])
    name = str(loc[-1])
    siblings = list(_children(level))
    near = [f"{section}.{k}" if section else k for k in difflib.get_close_matches(name.lower(), siblings, 1)]
    near = near or [k for k in keys if k.rpartition(".")[2] == name]
    near = near or difflib.get_close_matches(".".join(map(str, loc)), keys, 1)
    return f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(siblings or _children(model))}"


def _sentence(model: Any, data: Any, error: Any) -> str:
    kind, value, message = error["type"], error["input"], error["msg"]
    key, level = _locate(model, error["loc"])
    if kind in _UNKNOWN:
        return f"there is no key {key!r}; {suggest(model, error['loc'], data)}"
    if kind in _MISSING:
        return f"the key {key!r} is missing"
    shown = "" if isinstance(value, dict | list) else f" is {value!r:.80}"
    if kind in _NO_SECTION:
        keys = ", ".join([f"{key}.{k}" for k in _dotted_keys(level, None)][:6])
        return f"{key!r} contains keys{f' ({keys})' if keys else ''}, not a value"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    if not message.startswith("Input "):
        return f"{key}{shown}: {message[:1].lower()}{message[1:]}"
    return f"{key}{f'{shown}; it' if shown else ''} {message.removeprefix('Input ')}"


def _locate(model: Any, loc: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the dotted key of a pydantic location, without its union branches, and the type expected there."""
    key, level = "", model
    for part in loc:
        if part == "[key]":  # the preceding part is a key that does not fit
            break
        branches = _branches(level)
        if len(branches) > 1:
            level = next((b for b in branches if getattr(b, "__name__", "") == part), None)
        elif typing.get_origin(branches[0]) in (list, tuple):
            key, level = f"{key}[{part}]", next(iter(typing.get_args(branches[0])), None)
        else:
            key, level = (
                f"{key}.{part}" if key else str(part),
                _children(branches[0]).get(str(part), _values(branches[0])),
            )
    return key, level


def _branches(annotation: Any) -> list[Any]:
    """Return the members of a union except None; [annotation] for any other type."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [branch for branch in typing.get_args(annotation) if branch is not types.NoneType]
    return [annotation]


def _children(annotation: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model or dataclass with their types; empty for any other type."""
    fields = getattr(annotation, "__pydantic_fields__", {}) if isinstance(annotation, type) else {}
    return {name: field.annotation for name, field in fields.items()}


def _values(annotation: Any) -> Any:
    """Return the type of a dictionary's values; None for any other type."""
    return typing.get_args(annotation)[1] if typing.get_origin(annotation) is dict else None


def _dotted_keys(annotation: Any, data: Any, prefix: str = "") -> list[str]:
    """Return all dotted keys that data of this type can have."""
    found: list[str] = []
    for branch in _branches(annotation):
        children = _children(branch)
        if (values := _values(branch)) is not None and any(map(_children, _branches(values))):
            children = dict.fromkeys(data if isinstance(data, Mapping) else (), values)
        for name, child in children.items():
            inner = data.get(name) if isinstance(data, Mapping) else None
            found += _dotted_keys(child, inner, f"{prefix}{name}.") or [f"{prefix}{name}"]
    return found
