"""Reading, overriding and writing recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pgan.errors import InputError
from napari_pgan.training.recipe import read_recipe, recipe_names
from napari_pgan.training.schedule import Schedule


def test_beers_recipe_has_the_papers_settings() -> None:
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
def test_written_recipe_reads_back(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    copy = tmp_path / "copy.yaml"
    copy.write_text(recipe.to_yaml(), encoding="utf-8")
    assert read_recipe(str(copy)) == recipe


def test_override_changes_one_value() -> None:
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
        ("sizes.48.width=3", ["no size 48", "32, 64"]),
        ("sizes.48.batch=2", ["no size 48", "32, 64"]),
        ("sizes.2048.width=2", ["no size 2048"]),
        ("sizes.x.width=2", ["no size x"]),
        ("sizes.64.widht=3", ["did you mean 'sizes.64.width'"]),
        ("sizes.64.WIDTH=3", ["did you mean 'sizes.64.width'"]),
        ("gamma=1", ["did you mean 'loss.gamma'"]),
        ("Loss.gamma=1", ["did you mean 'loss.gamma'"]),
        ("loss=3", ["'loss' contains keys", "loss.gamma"]),
        ("sizes.64=3", ["'sizes.64' contains keys", "sizes.64.width"]),
        ("sizes=3", ["'sizes' contains keys"]),
        ("loss.gamma.x=1", ["'gamma' is a value"]),
        ("seed=abc", ["seed", "abc", "integer"]),
        ("seed=99999999999999999999", ["seed", "less than"]),
        ("loss.gamma=", ["loss.gamma", "number"]),
        ("loss.gamma=[", ["YAML"]),
        ("loss.gamma=inf", ["loss.gamma", "finite"]),
        ("=3", ["key=value"]),
        ("loss.=3", ["key=value"]),
    ],
)
def test_wrong_override_is_named_with_a_hint(override: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe("default", [override])
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_size_can_be_added() -> None:
    recipe = read_recipe("default", ["sizes.512.width = 4", "sizes.512.stable=1000"])
    assert list(recipe.sizes)[-1] == 512
    assert recipe.sizes[512].width == 4


def test_overrides_in_the_beers_description_work() -> None:
    description = read_recipe("beers2018-mri").description
    changes = [word.strip("().,;") for word in description.split() if word.strip("(").startswith("sizes.")]
    schedule = Schedule(read_recipe("beers2018-mri", changes), 256)
    assert schedule.phases[0].size == 8
    assert {phase.end - phase.start for phase in schedule.phases} == {320_000}


@pytest.mark.parametrize("name", ["beers2018-mri", "beers2018-mri-nomask", "beers2018-fundus"])
def test_beers_recipes_have_the_phases_of_the_papers_code(name: str) -> None:
    last = 512 if name == "beers2018-fundus" else 256
    phases = Schedule(read_recipe(name), last).phases
    assert len(phases) == {256: 13, 512: 15}[last]
    assert not phases[0].fading
    assert {(phase.end - phase.start) / phase.batch for phase in phases} == {20_000}
    assert {phase.batch for phase in phases if phase.size < 512} == {16}
    assert [phase.batch for phase in phases if phase.size == 512] == ([4, 4] if last == 512 else [])


def test_misspelt_recipe_name_gives_a_hint() -> None:
    with pytest.raises(InputError, match="did you mean 'default'"):
        read_recipe("defualt")


@pytest.mark.parametrize("text", ["[1, 2", "just words", "\x00"])
def test_file_that_is_not_a_recipe_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_recipe(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
