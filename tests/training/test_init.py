"""`fit --init`: what a training takes over from another model, and what it does not disturb."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.model import (
    Architecture,
    Card,
    Condition,
    Critic,
    Encoding,
    Generator,
    load_model,
    read_critic,
    shipped_models,
    write_model,
)
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.store import Store, create_store, open_store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.graft import start_from
from napari_pgan.training.init import Start, plan_start
from napari_pgan.training.recipe import Network, Recipe, Size, read_recipe
from napari_pgan.training.trainer import Trainer

RED = "#ff0000"
HERE = Channels(("t1", "t1ce", "t2", "flair"), (Label(1, "core", RED), Label(2, "oedema", RED), Label(4, "rim", RED)))
SLOPE = Condition("slope", range=(0.0, 1.0))
POSITION = Condition("slice_position", range=(0.0, 1.0))


def a_recipe(widths: tuple[int, ...] = (12, 12, 8), **network: object) -> Recipe:
    sizes = {4 * 2**s: Size(width=w, batch=8, fade=64 * (s > 0), stable=64) for s, w in enumerate(widths)}
    return Recipe("test", "", sizes, Network(**{"latent": 10, "start": -1.0, **network}))


def model_file(
    path: Path,
    channels: Channels = HERE,
    kind: str = "onehot",
    conditions: tuple[Condition, ...] = (),
    critic: bool = True,
    **changed: object,
) -> Path:
    """A model whose every weight is drawn at random, biases too."""
    a = Architecture((4, 4), (12, 12, 8), Encoding(channels, kind).channel_count, 10, len(conditions))  # type: ignore[arg-type]
    a = replace(a, **changed)  # type: ignore[arg-type]
    card = Card("old", a, channels, Grid(a.shape(a.stages - 1)), kind, conditions=conditions)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        generator, fit = Generator(a), Critic(a)
        for network in (generator, fit):
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    torch.nn.init.normal_(parameter, std=0.3)
    write_model(path, card, generator, fit if critic else None)
    return path


def started(
    path: Path,
    recipe: Recipe | None = None,
    channels: Channels = HERE,
    kind: str = "onehot",
    conditions: tuple[Condition, ...] = (),
) -> tuple[Trainer, Start]:
    """A trainer that has just begun from a model."""
    recipe = recipe or a_recipe()
    n, encoding = recipe.network, Encoding(channels, kind)  # type: ignore[arg-type]
    a = Architecture(
        (4, 4), tuple(s.width for s in recipe.sizes.values()), encoding.channel_count, n.latent, len(conditions),
        n.sphere, n.pixelnorm, n.equalized, n.stddev_group,
    )  # fmt: skip
    start = plan_start(path, a, encoding, conditions)
    trainer = Trainer(recipe, a, encoding, "cpu")
    start_from(trainer, start)
    return trainer, start


def latents(n: int = 16, size: int = 10) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).standard_normal((n, size)).astype(np.float32))


def images(channels: int, size: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).uniform(-1, 1, (8, channels, size, size)).astype(np.float32))


def assert_alike(a: torch.Tensor, b: torch.Tensor, share: float = 1e-5) -> None:
    assert (a - b).abs().max() < share * b.std()


@pytest.mark.parametrize("equalized", [True, False])
def test_the_same_networks_go_on_exactly_where_they_stood(equalized: bool, tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", equalized=False)  # weights mean the same, however they are scaled
    trainer, start = started(path, a_recipe(equalized=equalized))
    old, critic = load_model(path).generator, read_critic(path)
    assert critic is not None
    x = images(7)
    with torch.no_grad():
        for network in (trainer.generator, trainer.mean):
            assert_alike(network(latents()), old(latents()))
        assert_alike(trainer.critic(x, 2), critic(x, 2))
    assert start.grown == 2
    assert "sizes up to 16×16" in start.line
    assert start.line.endswith("fresh: nothing")


def test_channels_are_found_by_what_they_mean(tmp_path: Path) -> None:
    there = Channels(("FLAIR", "T1", "pd"), (Label(9, "Rim", RED), Label(2, "swelling", RED), Label(1, "vessel", RED)))
    path = model_file(tmp_path / "m.safetensors", there)
    trainer, start = started(path, channels=Channels(HERE.modalities, (*HERE.labels[1:], Label(5, "cyst", RED))))
    # t1 and flair by name, rim by name in spite of its value, oedema by its value, and the rest is new
    assert start.channels == (1, None, None, 0, 4, 3, None)
    assert "oedema (there swelling)" in start.line
    assert "fresh: t1ce, t2, cyst" in start.line
    with torch.no_grad():
        old, new = load_model(path).generator(latents()), trainer.generator(latents())
    assert_alike(new[:, [0, 3, 4, 5]], old[:, [1, 0, 4, 3]])
    for fresh in (1, 2):  # a modality that was never seen looks like those that were
        assert_alike(new[:, fresh], old[:, :2].mean(1))
    assert (new[:, 6] == -1).all()  # and what was never drawn is nowhere


def test_the_critic_does_not_see_a_new_channel_yet_but_can_learn_to(tmp_path: Path) -> None:
    three = Channels(HERE.modalities[:3], HERE.labels)
    path = model_file(tmp_path / "m.safetensors", three)
    trainer, _ = started(path)
    critic, x = read_critic(path), images(7)
    assert critic is not None
    known = [0, 1, 2, 4, 5, 6]
    for stage in (0, 1, 2):
        small = x[:, :, : 4 * 2**stage, : 4 * 2**stage]
        with torch.no_grad():
            assert_alike(trainer.critic(small, stage), critic(small[:, known], stage))
    trainer.critic(x, 2).sum().backward()
    gradient = trainer.critic.tails[2].weight.grad
    assert gradient is not None
    assert gradient[:, 3].abs().max() > 0.01 * gradient.abs().max()


def test_a_channel_that_is_gone_counts_as_background(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, _ = started(path, channels=Channels(("t2",), HERE.labels[:1]))
    critic, x = read_critic(path), images(2)
    assert critic is not None
    before = torch.full((8, 7, 16, 16), -1.0)
    before[:, [2, 4]] = x
    with torch.no_grad():
        assert_alike(trainer.critic(x, 2), critic(before, 2))


def test_grey_labels_are_taken_over_only_where_their_levels_mean_the_same(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", kind="grey")
    assert started(path, kind="grey")[1].channels == (0, 1, 2, 3, 4)
    fewer = Channels(HERE.modalities, HERE.labels[:2])
    assert started(path, kind="grey", channels=fewer)[1].channels == (0, 1, 2, 3, None)
    assert started(path)[1].channels == (0, 1, 2, 3, None, None, None)


def test_more_numbers_in_the_latent_change_nothing_at_first(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", sphere=False)
    trainer, _ = started(path, a_recipe(latent=16, sphere=False))
    z = latents(16, 16)
    with torch.no_grad():
        assert_alike(trainer.generator(z), load_model(path).generator(z[:, :10]))
    trainer.generator(z).square().sum().backward()
    gradient = trainer.generator.dense.weight.grad
    assert gradient is not None
    assert gradient[:, 10:].abs().max() > 0.01 * gradient.abs().max()


def test_fewer_numbers_in_the_latent_move_the_first_map_as_much(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", latent=40, pixelnorm=False)
    trainer, _ = started(path, a_recipe(latent=10, pixelnorm=False))
    old = load_model(path).generator
    with torch.no_grad():
        spread = [g.dense(latents(2000, size) * (size**0.5) / latents(2000, size).norm(dim=1, keepdim=True)).std()
                  for g, size in ((trainer.generator, 10), (old, 40))]  # fmt: skip
    assert spread[0] == pytest.approx(float(spread[1]), rel=0.1)


def test_conditions_of_the_same_name_are_kept_and_new_ones_have_no_say_yet(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", conditions=(SLOPE, POSITION))
    trainer, _ = started(path, conditions=(POSITION, Condition("age", range=(0.0, 90.0))))
    told, critic, x = torch.linspace(-1, 1, 16)[:, None], read_critic(path), images(7)
    assert critic is not None
    nothing = torch.zeros(16, 1)
    with torch.no_grad():
        old = load_model(path).generator(latents(), conditions=torch.cat([nothing, told], 1))
        for other in (nothing, nothing + 1):
            assert_alike(trainer.generator(latents(), conditions=torch.cat([told, other], 1)), old)
            scored = trainer.critic(x, 2, conditions=torch.cat([told, other], 1)[:8])
            assert_alike(scored, critic(x, 2, conditions=torch.cat([nothing, told], 1)[:8]))


def test_other_widths_are_taken_over_as_far_as_they_agree(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, start = started(path, a_recipe((12, 12, 6, 6)))
    assert start.grown == 1
    assert "sizes up to 8×8" in start.line
    assert "fresh: sizes from 16×16" in start.line
    with torch.no_grad():
        assert_alike(trainer.generator(latents(), 1), load_model(path).generator(latents(), 1))


def test_a_larger_model_lends_its_lower_stages(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, start = started(path, a_recipe((12, 12)))
    assert start.grown == 1
    with torch.no_grad():
        assert_alike(trainer.generator(latents()), load_model(path).generate(latents(), stage=1))


def test_a_file_without_a_critic_says_that_it_starts_fresh(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", critic=False)
    trainer, start = started(path)
    assert "fresh: the critic" in start.line
    untouched = Trainer(a_recipe(), trainer.architecture, trainer.encoding, "cpu").critic
    torch.testing.assert_close(trainer.critic.state_dict(), untouched.state_dict())


@pytest.mark.parametrize(
    ("changed", "recipe", "channels", "words"),
    [
        ({"base": (4, 5)}, a_recipe(), HERE, ["from 4×5 pixels", "from 4×4"]),
        ({"base": (4, 4, 4)}, a_recipe(), HERE, ["from 4×4×4 pixels", "from 4×4"]),
        ({"pixelnorm": False}, a_recipe(), HERE, ["network.pixelnorm=false"]),
        ({}, a_recipe((6, 12, 8)), HERE, ["12 feature maps", "sizes.4.width=12, sizes.8.width=12, sizes.16.width=8"]),
        ({}, a_recipe(), Channels(("ct",)), ["t1, t1ce, t2, flair, core, oedema, rim", "without --init"]),
    ],
)
def test_what_cannot_be_taken_over_is_one_sentence(
    changed: dict[str, object], recipe: Recipe, channels: Channels, words: list[str], tmp_path: Path
) -> None:
    path = model_file(tmp_path / "m.safetensors", **changed)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        started(path, recipe, channels)
    for word in (*words, "m.safetensors"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


# through the command

SMALL = [f"--set=sizes.{size}.{key}" for size in (4, 8, 16, 32) for key in ("width=8", "batch=8")]
LENGTHS = [f"--set=sizes.{s}.{k}" for s in (8, 16, 32) for k in ("fade=64", "stable=64")]
SEEN = ["--set=watch.times=4", "--set=watch.samples=32"]


def fit(store: Path, out: Path, size: int, *more: str) -> list[str]:
    command = ["fit", str(store), "--recipe", "default", "--out", str(out), "--size", str(size)]
    return [*command, *SMALL, *LENGTHS, *SEEN, *more]


@pytest.fixture(scope="module")
def grown(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 16² on three of the four modalities."""
    folder = tmp_path_factory.mktemp("init")
    store = open_store(small_store)
    fewer = replace_channels(
        store, folder / "fewer.zarr", Channels(store.channels.modalities[:3], store.channels.labels)
    )
    assert main(fit(fewer, folder / "run", 16)) == 0
    return folder / "run"


def replace_channels(store: Store, path: Path, channels: Channels) -> Path:
    """A store of the same subjects with other channels, the first ones of what they have."""
    writer = create_store(path, name="fewer", channels=channels, grid=store.grid, intensity={})
    for key in store.keys():  # noqa: SIM118  not a dict
        subject = store.subject(key)
        about = subject.attributes
        writer.add_subject(
            key, subject.images[: len(channels.modalities)], subject.labels[:], spacing=about["spacing"],
            slices=subject.slices, brain_slices=tuple(about["brain_slices"]), split=about["split"],
        )  # fmt: skip
    return path


def sizes_seen(run: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["size"], row["alpha"]) for row in rows]


def test_a_grown_model_does_not_grow_again_but_goes_on_to_the_next_size(
    grown: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ["--init", str(grown)]
    assert main(fit(small_store, tmp_path / "run", 32, *init, "--dry-run")) == 0
    planned = "".join(capsys.readouterr().out.split())  # lines are broken to the width of a terminal
    assert f"starting from {grown / 'best.safetensors'}, the best model of that run".replace(" ", "") in planned
    assert "inall192images" in planned
    assert main(fit(small_store, tmp_path / "run", 32, *init)) == 0
    said = capsys.readouterr().err
    assert "fresh: flair, sizes from 32×32" in said
    seen = sizes_seen(tmp_path / "run")
    assert {size for size, _ in seen} == {16, 32}
    assert {alpha for size, alpha in seen if size == 16} == {1.0}
    assert any(alpha < 1 for size, alpha in seen if size == 32)
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["grown"] == 2
    card = load_model(tmp_path / "run" / "model.safetensors").card
    assert card.training["started_from"] == load_model(grown / "best.safetensors").identity


@pytest.mark.slow
def test_a_run_that_began_from_a_model_resumes_in_the_same_bytes(
    grown: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ["--init", str(grown / "model.safetensors")]
    for name in ("whole", "cut"):
        assert main(fit(small_store, tmp_path / name, 32, *init)) == 0
    checkpoints = sorted((tmp_path / "cut" / "checkpoints").iterdir())
    whole = load_file(checkpoints[-1])
    checkpoints[-1].unlink()
    assert main(fit(small_store, tmp_path / "cut", 32, *init)) == 0  # the same command goes on
    again = load_file(checkpoints[-1])
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name
    capsys.readouterr()
    for other in ([], ["--init", str(shipped_models()["default"])]):
        assert main(fit(small_store, tmp_path / "cut", 32, *other)) == 2
        assert capsys.readouterr().err.startswith("Error: ")
    checkpoints[-1].unlink()
    assert main(["fit", str(small_store), "--out", str(tmp_path / "cut"), "--resume"]) == 0  # needs the model no more
    assert torch.equal(load_file(checkpoints[-1])["generator.dense.weight"], whole["generator.dense.weight"])


def test_a_run_without_a_best_model_lends_its_newest(grown: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    (run / "best.safetensors").unlink()
    planned = plan_architecture(small_recipe(), open_store(small_store), 16)
    start = plan_start(run, *planned)
    assert start.path == run / "model.safetensors"
    assert "the newest model of that run" in start.line
    (run / "model.safetensors").unlink()
    with pytest.raises(InputError, match="a run without a model yet"):
        plan_start(run, *planned)
    with pytest.raises(InputError, match="is a folder and no run"):
        plan_start(tmp_path, *planned)
    with pytest.raises(InputError, match="no shipped model 'nobody'"):
        plan_start("nobody", *planned)


def small_recipe() -> Recipe:
    changes = [change.removeprefix("--set=") for change in (*SMALL, *LENGTHS)]
    return read_recipe("default", changes)


def test_a_shipped_model_is_known_by_its_name(small_store: Path) -> None:
    start = plan_start("default", *plan_architecture(read_recipe("default"), open_store(small_store), 32))
    assert start.path == shipped_models()["default"]
    assert start.grown == 3
    assert all(index is not None for index in start.channels)


def test_the_critic_of_a_run_comes_with_its_models_and_scores_as_it_did(grown: Path) -> None:
    newest = load_file(sorted((grown / "checkpoints").iterdir())[-1])
    half = read_critic(grown / "model.safetensors")
    assert half is not None
    full = Critic(half.architecture)
    full.load_state_dict({k.removeprefix("critic."): v for k, v in newest.items() if k.startswith("critic.")})
    store, model = open_store(grown.parent / "fewer.zarr"), load_model(grown / "model.safetensors")
    slices = store.load_slices("train", 16)
    real = model.encoding.encode(torch.from_numpy(slices.images), torch.from_numpy(slices.labels))[:48]
    with torch.no_grad():
        x = torch.cat([real, model.generate(torch.from_numpy(model.latents(range(48))))])
        before, after = full(x, 2).numpy(), half(x, 2).numpy()
    assert np.abs(after - before).max() < 0.01 * before.std()
    assert np.corrcoef(*(np.argsort(np.argsort(scores)) for scores in (before, after)))[0, 1] > 0.999
