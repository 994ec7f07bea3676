"""Walk plans: reading, error messages, and the frames of the walks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.latent import KeyFrame, WalkPlan, read_plan, sample_walk, walk
from napari_pgan.model import Architecture, Card, Generator, Model, latents_of_seeds
from napari_pgan.model.refit import store_mean_map
from napari_pgan.schema import Channels, Grid


def _read(tmp_path: Path, text: str, size: int = 4) -> WalkPlan:
    path = tmp_path / "walk.yaml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path, size)


def test_a_plan_names_keys_by_seed_or_latent(tmp_path: Path) -> None:
    plan = _read(
        tmp_path,
        """
keys:
  - seed: 3
  - latent: [0.5, 1, -2, 0]
    truncation: 0.25
between: 2
path: lerp
easing: smooth
truncation: 0.75
loop: true
""",
    )
    frames = plan.walk()
    assert len(frames) == 6
    np.testing.assert_array_equal(frames.latents[0], latents_of_seeds([3], 4)[0])
    np.testing.assert_array_equal(frames.latents[3], [0.5, 1, -2, 0])
    assert frames.truncation[[0, 3]].tolist() == [0.75, 0.25]
    assert frames.seeds == (3, None, None, None, None, None)


def test_missing_keys_take_their_defaults(tmp_path: Path) -> None:
    plan = _read(tmp_path, "keys: [{seed: 0}, {seed: 1}]")
    assert (plan.between, plan.path, plan.easing, plan.loop) == (14, "slerp", "linear", False)
    assert len(plan.walk()) == 16


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("keys: [{seed: 1}\nbetween: 3", ["YAML in line", "walk plan"]),
        ("- 1", ["walk plan", "keys: [{seed: 3}"]),
        ("", ["walk plan", "keys: [{seed: 3}"]),
        ("between: 3", ["'keys' is missing"]),
        ("keys: []", ["keys", "at least 1"]),
        ("keys: 7", ["keys is 7", "list"]),
        ("keys: [3]", ["keys[0]", "seed"]),
        ("keys: [{}]", ["keys[0]", "seed", "latent"]),
        ("keys: [{seed: 3}, {seed: 1, latent: [1, 2, 3, 4]}]", ["keys[1]", "seed", "latent"]),
        ("keys: [{seed: x}]", ["keys[0].seed is 'x'", "integer"]),
        ("keys: [{seed: true}]", ["keys[0].seed is True", "integer"]),
        ("keys: [{seed: -1}]", ["keys[0].seed is -1", "0"]),
        ("keys: [{latent: [1, 2]}]", ["keys[0].latent has 2 numbers", "4"]),
        ("keys: [{latent: [1, 2, 3, .nan]}]", ["keys[0].latent[3] is nan"]),
        ("keys: [{seed: 1, colour: red}]", ["'keys[0].colour'", "seed, latent, truncation"]),
        ("keys: [{seed: 1, truncation: 2}]", ["keys[0].truncation is 2", "1"]),
        ("keys: [{seed: 1}]\nfps: 30", ["'fps'", "keys, between"]),
        ("keys: [{seed: 1}]\nbetween: -1", ["between is -1", "0"]),
        ("keys: [{seed: 1}]\nbetween: 1.5", ["between is 1.5"]),
        ("keys: [{seed: 1}]\npath: fly", ["path is 'fly'", "slerp", "lerp", "via-origin"]),
        ("keys: [{seed: 1}]\neasing: [1]", ["easing", "linear"]),
        ("keys: [{seed: 1}]\nloop: 3", ["loop is 3", "boolean"]),
        ("keys: [{seed: 1}]\ntruncation: low", ["truncation is 'low'", "number"]),
    ],
)
def test_an_invalid_plan_is_rejected_with_one_sentence_that_names_file_and_key(
    tmp_path: Path, text: str, facts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    for fact in facts:
        assert fact in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "walk.yaml"))
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_plan_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.yaml"):
        read_plan(tmp_path / "nope.yaml", 4)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="text"):
        read_plan(tmp_path / "b.yaml", 4)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["keys", "seed", "latent", "between", "path", "loop", "x"]), inner, max_size=4
        )
    ),
)


@given(_anything)
def test_any_yaml_is_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with contextlib.suppress(InputError):
        read_plan(path, 4)


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    a = Architecture((4, 4), (8, 8), 2, latent=4)
    generator = Generator(a)
    store_mean_map(generator, 500)
    return Model(Card("small", a, Channels(("t1", "t2")), Grid((8, 8))), generator)


@pytest.mark.parametrize("path", ["slerp", "via-origin"])
def test_a_walk_shows_its_frames_in_order(model: Model, path: str) -> None:
    frames = walk([KeyFrame(z, 0.8) for z in model.latents([0, 1])], 10, path)
    images = np.concatenate([batch.images for batch in sample_walk(model, frames)])
    assert len(images) == 12
    for index in (0, 4, 11):
        alone = model.sample(latents=frames.latents[[index]], truncation=frames.truncation[index])
        np.testing.assert_allclose(images[index], alone.images[0], atol=1e-4)


def test_via_origin_passes_the_mean_image_without_a_jump(model: Model) -> None:
    frames = walk([KeyFrame(z) for z in model.latents([0, 1])], 19, "via-origin")
    images = np.concatenate([batch.images for batch in sample_walk(model, frames)])
    mean = model.sample(seeds=[9], truncation=0).images[0]
    np.testing.assert_allclose(images[10], mean, atol=1e-5)
    steps = np.abs(np.diff(images, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 0.5 * np.abs(images[0] - images[-1]).mean()
