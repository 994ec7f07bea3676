"""The model file: round trips, identity and invalid files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_pgan.errors import InputError
from napari_pgan.model import (
    Architecture,
    Card,
    Condition,
    Critic,
    Generator,
    Model,
    load_model,
    read_card,
    read_model,
    write_model,
)  # fmt: skip
from napari_pgan.model.card import LIMITS
from napari_pgan.model.model_file import METADATA_KEY, identity
from napari_pgan.schema import Channels, Grid


@pytest.fixture
def path(tmp_path: Path, small_card: Card, small_model: Model) -> Path:
    write_model(tmp_path / "m.safetensors", small_card, small_model.generator)
    return tmp_path / "m.safetensors"


def test_a_model_round_trips_through_its_file(path: Path, small_card: Card, small_model: Model) -> None:
    read = load_model(path)
    assert read.card == small_card
    assert read.identity == small_model.identity
    assert read.sample(seeds=[0, 1]).images.tobytes() == small_model.sample(seeds=[0, 1]).images.tobytes()
    assert read_card(path) == small_card


def test_a_full_card_round_trips(tmp_path: Path) -> None:
    a = Architecture((2, 3, 4), (8, 4), 2, latent=5, conditions=3, sphere=False)
    card = Card(
        "full", a, Channels(("t1", "t2")), Grid((4, 6, 8), (3.0, 1.0, 1.0), "SPL"),
        intensity={"t1": {"-1": "air", "+1": "fat"}}, licence="CC BY 4.0", training={"images": 7},
        conditions=(Condition("grade", levels=("low", "high")), Condition("position", range=(0.0, 2.0))),
    )  # fmt: skip
    write_model(tmp_path / "m.safetensors", card, Generator(a))
    assert read_card(tmp_path / "m.safetensors") == card
    assert card.limits == LIMITS


def test_every_card_states_the_limits_of_use(small_card: Card) -> None:
    assert "not for diagnosis" in small_card.to_dict()["limits"]


def test_the_identity_depends_on_the_generator_alone(
    path: Path, tmp_path: Path, small_card: Card, small_model: Model
) -> None:
    renamed = Card.from_json(json.dumps({**small_card.to_dict(), "name": "other", "licence": "CC0"}), "")
    write_model(tmp_path / "c.safetensors", renamed, small_model.generator, Critic(small_card.architecture))
    assert load_model(tmp_path / "c.safetensors").identity == load_model(path).identity
    more = {**load_file(path), "encoder.weight": torch.randn(3, 3)}  # an unknown tensor of a future version
    save_file(more, tmp_path / "e.safetensors", metadata={METADATA_KEY: small_card.to_json()})
    assert load_model(tmp_path / "e.safetensors").identity == load_model(path).identity
    changed = read_model(path).generator
    changed.heads[0].bias += 1e-6
    assert identity(changed) != small_model.identity
    other = Architecture(**{**small_card.architecture.__dict__, "sphere": False})
    same_weights = Generator(other)
    same_weights.load_state_dict(small_model.generator.state_dict())
    assert identity(same_weights) != small_model.identity


def test_a_card_for_another_generator_is_not_written(tmp_path: Path, small_card: Card) -> None:
    with pytest.raises(ValueError, match="another architecture"):
        write_model(tmp_path / "m.safetensors", small_card, Generator(Architecture((4, 5), (8,), 7)))
    fitting = Generator(small_card.architecture)
    with pytest.raises(ValueError, match="another architecture than the critic's"):
        write_model(tmp_path / "m.safetensors", small_card, fitting, Critic(Architecture((4, 5), (8,), 7)))
    assert not list(tmp_path.iterdir())


def _refused(path: Path, expected: str) -> None:
    for read in (read_card, read_model, load_model):
        if read is read_card and "tensors" in expected:
            continue
        with pytest.raises(InputError) as caught:
            read(path)
        message = str(caught.value)
        assert expected in message
        assert str(path) in message
        assert "\n" not in message


class _Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["m.pt", "m.pkl", "m.safetensors", "m"])
@pytest.mark.parametrize("old_format", [False, True])
def test_no_pickle_is_ever_opened(tmp_path: Path, name: str, old_format: bool) -> None:
    torch.save(_Trap(tmp_path / "sprung"), tmp_path / name, _use_new_zipfile_serialization=not old_format)
    _refused(tmp_path / name, "is a pickle")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name_length", range(16))
def test_a_model_is_not_mistaken_for_a_pickle_at_any_card_length(tmp_path: Path, name_length: int) -> None:
    # a safetensors file begins with the length of its header; one in 32 lengths begins like a pickle
    a = Architecture((2, 2), (1,), 1, latent=1)
    for fill in range(0, 256, 16):
        card = Card("x" * (fill + name_length), a, Channels(("t1",)), Grid((2, 2)))
        write_model(tmp_path / "m.safetensors", card, Generator(a))
        assert read_card(tmp_path / "m.safetensors") == card


def test_a_newer_format_is_refused_by_its_number(path: Path, tmp_path: Path, small_card: Card) -> None:
    newer = {**small_card.to_dict(), "format_version": 2, "something": "new"}
    save_file(load_file(path), tmp_path / "n.safetensors", metadata={METADATA_KEY: json.dumps(newer)})
    _refused(tmp_path / "n.safetensors", "its format is 2, this version of napari-pgan reads 1; update napari-pgan")


@pytest.mark.parametrize("keep", [0, 5, 100, 3000, -1])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    _refused(path, "is damaged or not a safetensors file")


def test_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    _refused(tmp_path / "other.safetensors", "without a napari-pgan card")
    save_file({"w": torch.zeros(3)}, tmp_path / "broken.safetensors", metadata={METADATA_KEY: "{"})
    _refused(tmp_path / "broken.safetensors", "its card cannot be read")
    (tmp_path / "text.safetensors").write_text("hello")
    _refused(tmp_path / "text.safetensors", "not a safetensors file")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", "b")
    _refused(tmp_path / "z.zip", "is a pickle")
    _refused(tmp_path / "missing.safetensors", "does not exist")
    with pytest.raises(InputError, match="no shipped model 'nobody'"):
        load_model("nobody")


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_tensors_that_do_not_fit_the_card_are_refused(path: Path, small_card: Card, change: str) -> None:
    tensors = load_file(path)
    if change == "missing":
        del tensors["generator.dense.bias"]
    elif change == "more":
        tensors["generator.surprise"] = torch.zeros(1)
    else:
        tensors["generator.dense.weight"] = torch.zeros(2, 2)
    save_file(tensors, path, metadata={METADATA_KEY: small_card.to_json()})
    _refused(path, "its tensors do not fit its card")


def test_a_missing_card_field_is_named(path: Path, small_card: Card) -> None:
    tensors = load_file(path)
    for name in set(small_card.to_dict()) - {"format_version"}:
        card = small_card.to_dict()
        del card[name]
        save_file(tensors, path, metadata={METADATA_KEY: json.dumps(card)})
        _refused(path, f"its card lacks '{name}'")


def _leaves(data: Any, at: tuple = ()) -> list[tuple]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(leaf for key, value in inner for leaf in _leaves(value, (*at, key)))]


@given(data=st.data())
def test_no_card_breaks_the_reader(data: st.DataObject) -> None:
    a = Architecture((4, 4), (8, 4), 2, latent=5, conditions=1)
    full = Card(
        "full", a, Channels(("t1", "t2")), Grid((8, 8), (1.0, 1.0), "PL"), intensity={"t1": {"-1": "air"}},
        conditions=(Condition("position", range=(0.0, 2.0)),), training={"images": 7},
    )  # fmt: skip
    card: Any = json.loads(full.to_json())
    path_in_card = data.draw(st.sampled_from(_leaves(card)[1:]))
    odd = data.draw(st.sampled_from([None, -1, 0, 3, 1e400, "x", "", [], {}, [None], {"a": 1}, True, [[1]], 2.5]))
    inner = card
    for key in path_in_card[:-1]:
        inner = inner[key]
    inner[path_in_card[-1]] = odd
    try:
        read = Card.from_json(json.dumps(card), "m.safetensors")
    except InputError as error:
        assert str(error).startswith("m.safetensors: ")  # noqa: PT017
    else:
        assert Card.from_json(read.to_json(), "") == read
        Generator(read.architecture)
        [c.size for c in read.conditions]


def test_a_card_and_its_networks_must_agree(small_architecture: Architecture) -> None:
    with pytest.raises(InputError, match="the card names 2 channels, but its networks generate 7"):
        Card("x", small_architecture, Channels(("t1", "t2")), Grid((16, 20)))
    a = Architecture((4, 4), (8, 4), 2)
    with pytest.raises(InputError, match="grid"):
        Card("x", a, Channels(("t1", "t2")), Grid((8, 9)))
    with pytest.raises(InputError, match="conditions"):
        Card("x", a, Channels(("t1", "t2")), Grid((8, 8)), conditions=(Condition("position"),))


def test_a_condition_scales_and_names(small_card: Card) -> None:
    assert [Condition("p", range=(10.0, 20.0)).encode(x) for x in (10, 15, "20")] == [[-1], [0], [1]]
    assert Condition("g", levels=("a", "b", "c")).encode("b") == [0, 1, 0]
    for value in (9.9, 20.1, float("nan"), "x"):
        with pytest.raises(InputError, match="from 10 to 20"):
            Condition("p", range=(10.0, 20.0)).encode(value)
    assert np.isfinite(Condition("p").encode(0.5)).all()
    for low, high in ((1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(InputError, match="invalid range"):
            Condition("p", range=(low, high))
