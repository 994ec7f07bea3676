"""YAML mistakes are reported in one sentence that names the file, the key, the value and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.yaml_input import read_yaml, validate


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Rule(_Strict):
    series: str


class _Frame(_Strict):
    seed: int
    truncation: Annotated[float, Field(ge=0, le=1)] = 1.0


class _Grid(_Strict):
    size: int | None = None
    axis: Literal["axial", "coronal"] | None = None

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: int | None, info: ValidationInfo) -> int | None:
        if size == 7:
            raise ValueError("size 7 is too small; give 8 or more")
        return size


class _Plan(_Strict):
    modalities: dict[str, str | _Rule] = Field(default_factory=dict)
    frames: list[_Frame] = Field(default_factory=list)
    grid: _Grid = _Grid()
    counts: dict[Annotated[int, Field(ge=1)], _Frame] = Field(default_factory=dict)
    times: int = 3


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Loss:
    gamma: float = 1.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Size:
    width: int
    batch: int = 16


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Recipe:
    sizes: dict[int, _Size]
    loss: _Loss = _Loss()


def _read(tmp_path: Path, text: str) -> _Plan:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, _Plan, "give a plan")


def test_a_valid_file_becomes_the_model(tmp_path: Path) -> None:
    plan = _read(tmp_path, "modalities: {t1: 'a*', t2: {series: 'T2*'}}\nframes: [{seed: 3, truncation: 1}]")
    assert plan == _Plan(modalities={"t1": "a*", "t2": _Rule(series="T2*")}, frames=[_Frame(seed=3)])


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("grid: {size: 3\ntimes: 1", ["not valid YAML in line", "give a plan"]),
        ("times: 2020-13-45", ["not valid YAML", "give a plan"]),
        ("\x00", ["not valid YAML", "give a plan"]),
        ("[" * 5000, ["not valid YAML", "give a plan"]),
        ("- 1", ["give a plan"]),
        ("", ["give a plan"]),
        ("time: 3", ["no key 'time'", "did you mean 'times'?"]),
        ("colour: red", ["no key 'colour'", "modalities, frames, grid, counts, times"]),
        ("grid: {sise: 3}", ["no key 'grid.sise'", "did you mean 'grid.size'?"]),
        ("size: 3", ["no key 'size'", "did you mean 'grid.size'?"]),
        ("modalities: {t1: {serie: x}}", ["no key 'modalities.t1.serie'", "did you mean 'modalities.t1.series'?"]),
        ("modalities: {t1: {}}", ["'modalities.t1.series' is missing"]),
        ("modalities: {t1: 3}", ["modalities.t1 is 3", "string"]),
        ("modalities: 3", ["'modalities' contains keys"]),
        ("frames: [{seed: 1}, {seed: x}]", ["frames[1].seed is 'x'", "integer"]),
        ("frames: [{seed: true}]", ["frames[0].seed is True", "integer"]),
        ("frames: [{seed: 1, truncation: 2}]", ["frames[0].truncation is 2", "less than or equal to 1"]),
        ("frames: [{seed: 1, sed: 1}]", ["no key 'frames[0].sed'"]),
        ("frames: 3", ["frames is 3", "list"]),
        ("grid: 3", ["'grid' contains keys", "grid.size, grid.axis"]),
        ("grid: {axis: up}", ["grid.axis is 'up'", "'axial' or 'coronal'"]),
        ("grid: {size: 7}", ["grid.size: size 7 is too small; give 8 or more"]),
        ("counts: {0: {seed: 1}}", ["counts.0", "greater than or equal to 1"]),
        ("counts: {2: {sed: 1}}", ["no key 'counts.2.sed'", "did you mean 'counts.2.seed'?"]),
        ("1: 2", ["1"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_file_key_and_remedy(tmp_path: Path, text: str, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'plan.yaml'}: ")
    assert "\n" not in message
    for fact in facts:
        assert fact in message


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        ({"sizes": {}, "gamma": 1}, ["no key 'gamma'", "did you mean 'loss.gamma'?"]),
        ({"sizes": {64: {"width": 1, "WIDTH": 1}}}, ["did you mean 'sizes.64.width'?"]),
        ({"sizes": {}, "Loss.gamma": 1}, ["did you mean 'loss.gamma'?"]),
        ({"sizes": {}, "loss": 3}, ["'loss' contains keys", "loss.gamma"]),
        ({"sizes": {64: 3}}, ["'sizes.64' contains keys", "sizes.64.width"]),
        ({"loss": {}}, ["'sizes' is missing"]),
        ({"sizes": {}, 3: 1}, ["3"]),
    ],
)
def test_a_dataclass_reports_mistakes_as_a_model_does(data: object, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        validate(_Recipe, data, "recipe x")
    for fact in ["recipe x: ", *facts]:
        assert fact in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("missing.yaml", "binary.yaml"):
        with pytest.raises(InputError, match=rf"{name}: .*; give a plan"):
            read_yaml(tmp_path / name, _Plan, "give a plan")
