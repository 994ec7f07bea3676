"""Recipes say everything, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pgan.errors import InputError
from napari_pgan.training.recipe import read_recipe, recipe_names


def test_the_papers_recipe_is_the_papers() -> None:
    recipe = read_recipe("beers2018-mri")
    assert recipe.network.latent == 128
    assert not recipe.network.sphere
    assert not recipe.network.equalized
    assert recipe.network.labels == "grey"
    assert recipe.network.stddev_group == 0
    assert recipe.loss.kind == "wgan-gp"
    assert (recipe.loss.gradient_weight, recipe.loss.drift) == (10, 0.001)
    assert recipe.optimizer.betas == (0.0, 0.99)
    assert recipe.optimizer.reset == "phase"
    assert recipe.ema.kind == "none"
    assert list(recipe.sizes) == [4, 8, 16, 32, 64, 128, 256]
    assert [plan.width for plan in recipe.sizes.values()] == [128] * 6 + [64]
    assert {(plan.batch, plan.stable, plan.learning_rate) for plan in recipe.sizes.values()} == {(16, 320_000, 1e-4)}
    assert recipe.sizes[4].fade == 0


def test_karras_widths_follow_the_published_formula() -> None:
    recipe = read_recipe("karras2018")
    for stage, plan in enumerate(recipe.sizes.values(), start=1):
        assert plan.width == min(8192 // 2**stage, 512)


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_written_reads_back_the_same(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    copy = tmp_path / "copy.yaml"
    copy.write_text(recipe.to_yaml(), encoding="utf-8")
    assert read_recipe(str(copy)) == recipe


def test_overrides_change_one_value_each() -> None:
    recipe = read_recipe("default", ["loss.gamma=5e-1", "sizes.32.batch=7", "seed=3"])
    assert recipe.loss.gamma == 0.5
    assert recipe.sizes[32].batch == 7
    assert recipe.sizes[16] == read_recipe("default").sizes[16]
    assert recipe.seed == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("loss.gama=1", ["loss.gama", "gamma"]),
        ("sizes.64.batc=3", ["batc", "batch"]),
        ("los.gamma=1", ["los.gamma", "loss"]),
        ("sizes.64.batch=many", ["sizes.64.batch", "many"]),
        ("precision=half", ["precision", "bf16"]),
        ("augment.probability=2", ["augment.probability", "0.8"]),
        ("gamma", ["key=value"]),
        ("sizes.48.width=3", ["start at 4 and double"]),
    ],
)
def test_a_wrong_override_is_named_with_what_would_be_right(override: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe("default", [override])
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'default'"):
        read_recipe("defualt")


@pytest.mark.parametrize("text", ["[1, 2", "just words", "\x00"])
def test_a_file_that_is_no_recipe_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_recipe(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
