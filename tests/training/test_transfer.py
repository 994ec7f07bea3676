"""`fit --init`: which weights a training takes over from another model."""

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
from napari_pgan.training.plan_architecture import plan_architecture
from napari_pgan.training.recipe import Network, Recipe, Size, read_recipe
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.transfer import Start, plan_start, transfer_weights

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
    """A model with random weights and biases."""
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
    """A trainer right after the transfer from a model."""
    recipe = recipe or a_recipe()
    n, encoding = recipe.network, Encoding(channels, kind)  # type: ignore[arg-type]
    a = Architecture(
        (4, 4), tuple(s.width for s in recipe.sizes.values()), encoding.channel_count, n.latent, len(conditions),
        n.sphere, n.pixelnorm, n.equalized, n.stddev_group,
    )  # fmt: skip
    start = plan_start(path, a, encoding, conditions)
    trainer = Trainer(recipe, a, encoding, "cpu")
    transfer_weights(trainer, start)
    return trainer, start


def transferred(trainer: Trainer) -> tuple[Generator, Generator, Critic]:
    """Generator, its EMA and critic with which a trainer starts, in float64."""
    return trainer.generator.double(), trainer.ema.double(), trainer.critic.double()


def in_file(path: Path) -> tuple[Generator, Critic]:
    """Generator and critic of a model file, in float64."""
    critic = read_critic(path)
    assert critic is not None
    return load_model(path).generator.double(), critic.double()


def latents(n: int = 16, size: int = 10) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).standard_normal((n, size)))


def images(channels: int, size: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).uniform(-1, 1, (8, channels, size, size)))


def assert_alike(a: torch.Tensor, b: torch.Tensor, share: float = 1e-5) -> None:
    """Check that two outputs agree up to the rounding of weights (three float32 roundings of 6e-8 each).

    The standard deviation of scores is a thirtieth of their mean, which multiplies the relative error by 30. The sums
    themselves run in float64, since the order of float32 sums differs between machines.
    """
    assert a.dtype == b.dtype == torch.float64
    assert (a - b).abs().max() < share * b.std()


@pytest.mark.parametrize("equalized", [True, False])
def test_equal_networks_are_transferred_exactly(equalized: bool, tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", equalized=False)  # the effective weights do not depend on it
    trainer, start = started(path, a_recipe(equalized=equalized))
    generator, mean, new_critic = transferred(trainer)
    old, critic = in_file(path)
    x = images(7)
    with torch.no_grad():
        for network in (generator, mean):
            assert_alike(network(latents()), old(latents()))
        assert_alike(new_critic(x, 2), critic(x, 2))
    assert start.grown == 2
    assert "sizes up to 16×16" in start.summary
    assert start.summary.endswith("fresh: nothing")


def test_channels_are_matched_by_meaning(tmp_path: Path) -> None:
    there = Channels(("FLAIR", "T1", "pd"), (Label(9, "Rim", RED), Label(2, "swelling", RED), Label(1, "vessel", RED)))
    path = model_file(tmp_path / "m.safetensors", there)
    trainer, start = started(path, channels=Channels(HERE.modalities, (*HERE.labels[1:], Label(5, "cyst", RED))))
    # t1 and flair by name, rim by name despite its other value, oedema by value; the others are new
    assert start.channels == (1, None, None, 0, 4, 3, None)
    assert "oedema (there swelling)" in start.summary
    assert "fresh: t1ce, t2, cyst" in start.summary
    with torch.no_grad():
        old, new = in_file(path)[0](latents()), transferred(trainer)[0](latents())
    assert_alike(new[:, [0, 3, 4, 5]], old[:, [1, 0, 4, 3]])
    for fresh in (1, 2):  # a new modality is the mean of the known ones
        assert_alike(new[:, fresh], old[:, :2].mean(1))
    assert (new[:, 6] == -1).all()  # a new label is background


def test_critic_ignores_a_new_channel_but_can_learn_it(tmp_path: Path) -> None:
    three = Channels(HERE.modalities[:3], HERE.labels)
    path = model_file(tmp_path / "m.safetensors", three)
    trainer, _ = started(path)
    new, critic, x = transferred(trainer)[2], in_file(path)[1], images(7)
    known = [0, 1, 2, 4, 5, 6]
    for stage in (0, 1, 2):
        small = x[:, :, : 4 * 2**stage, : 4 * 2**stage]
        with torch.no_grad():
            assert_alike(new(small, stage), critic(small[:, known], stage))
    new(x, 2).sum().backward()
    gradient = new.tails[2].weight.grad
    assert gradient is not None
    assert gradient[:, 3].abs().max() > 0.01 * gradient.abs().max()


def test_missing_channel_counts_as_background(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, _ = started(path, channels=Channels(("t2",), HERE.labels[:1]))
    x, all_channels = images(2), torch.full((8, 7, 16, 16), -1.0, dtype=torch.float64)
    all_channels[:, [2, 4]] = x
    with torch.no_grad():
        assert_alike(transferred(trainer)[2](x, 2), in_file(path)[1](all_channels, 2))


def test_grey_labels_match_only_if_all_labels_do(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", kind="grey")
    assert started(path, kind="grey")[1].channels == (0, 1, 2, 3, 4)
    fewer = Channels(HERE.modalities, HERE.labels[:2])
    assert started(path, kind="grey", channels=fewer)[1].channels == (0, 1, 2, 3, None)
    assert started(path)[1].channels == (0, 1, 2, 3, None, None, None)


def test_larger_latent_changes_nothing_at_first(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", sphere=False)
    trainer, _ = started(path, a_recipe(latent=16, sphere=False))
    new, z = transferred(trainer)[0], latents(16, 16)
    with torch.no_grad():
        assert_alike(new(z), in_file(path)[0](z[:, :10]))
    new(z).square().sum().backward()
    gradient = new.dense.weight.grad
    assert gradient is not None
    assert gradient[:, 10:].abs().max() > 0.01 * gradient.abs().max()


def test_smaller_latent_keeps_the_spread_of_the_first_map(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", latent=40, pixelnorm=False)
    trainer, _ = started(path, a_recipe(latent=10, pixelnorm=False))
    new, old = transferred(trainer)[0], in_file(path)[0]
    with torch.no_grad():
        spread = [g.dense(latents(2000, size) * (size**0.5) / latents(2000, size).norm(dim=1, keepdim=True)).std()
                  for g, size in ((new, 10), (old, 40))]  # fmt: skip
    assert spread[0] == pytest.approx(float(spread[1]), rel=0.1)


def test_known_conditions_are_kept_and_new_ones_have_no_effect(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", conditions=(SLOPE, POSITION))
    trainer, _ = started(path, conditions=(POSITION, Condition("age", range=(0.0, 90.0))))
    (new, _, new_critic), (generator, critic), x = transferred(trainer), in_file(path), images(7)
    values, nothing = torch.linspace(-1, 1, 16)[:, None], torch.zeros(16, 1)
    with torch.no_grad():
        old = generator(latents(), conditions=torch.cat([nothing, values], 1))
        for other in (nothing, nothing + 1):
            assert_alike(new(latents(), conditions=torch.cat([values, other], 1)), old)
            scored = new_critic(x, 2, conditions=torch.cat([values, other], 1)[:8])
            assert_alike(scored, critic(x, 2, conditions=torch.cat([nothing, values], 1)[:8]))


def test_stages_of_equal_width_are_transferred(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, start = started(path, a_recipe((12, 12, 6, 6)))
    assert start.grown == 1
    assert "sizes up to 8×8" in start.summary
    assert "fresh: sizes from 16×16" in start.summary
    with torch.no_grad():
        assert_alike(transferred(trainer)[0](latents(), 1), in_file(path)[0](latents(), 1))


def test_lower_stages_of_a_larger_model_are_transferred(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors")
    trainer, start = started(path, a_recipe((12, 12)))
    assert start.grown == 1
    with torch.no_grad():
        assert_alike(transferred(trainer)[0](latents()), in_file(path)[0](latents(), 1))


def test_file_without_critic_leaves_a_new_one(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.safetensors", critic=False)
    trainer, start = started(path)
    assert "fresh: the critic" in start.summary
    untouched = Trainer(a_recipe(), trainer.architecture, trainer.encoding, "cpu").critic
    torch.testing.assert_close(trainer.critic.state_dict(), untouched.state_dict())


@pytest.mark.parametrize(
    ("changed", "recipe", "channels", "words"),
    [
        ({"base": (4, 5)}, a_recipe(), HERE, ["4×5 pixels", "4×4"]),
        ({"base": (4, 4, 4)}, a_recipe(), HERE, ["4×4×4 pixels", "4×4"]),
        ({"pixelnorm": False}, a_recipe(), HERE, ["network.pixelnorm=false"]),
        ({}, a_recipe((6, 12, 8)), HERE, ["12 feature maps", "sizes.4.width=12, sizes.8.width=12, sizes.16.width=8"]),
        ({}, a_recipe(), Channels(("ct",)), ["t1, t1ce, t2, flair, core, oedema, rim", "without --init"]),
    ],
)
def test_model_that_does_not_fit_is_refused_in_one_sentence(
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
    """A run up to size 16 with three of the four modalities."""
    folder = tmp_path_factory.mktemp("init")
    store = open_store(small_store)
    fewer = replace_channels(
        store, folder / "fewer.zarr", Channels(store.channels.modalities[:3], store.channels.labels)
    )
    assert main(fit(fewer, folder / "run", 16)) == 0
    return folder / "run"


def replace_channels(store: Store, path: Path, channels: Channels) -> Path:
    """A store of the same subjects with fewer channels."""
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


def test_training_from_a_model_starts_at_its_last_size(
    grown: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ["--init", str(grown)]
    assert main(fit(small_store, tmp_path / "run", 32, *init, "--dry-run")) == 0
    planned = "".join(capsys.readouterr().out.split())  # lines are wrapped
    assert f"starting from {grown / 'best.safetensors'}, the best model of that run".replace(" ", "") in planned
    assert "inall192images" in planned
    assert main(fit(small_store, tmp_path / "run", 32, *init)) == 0
    output = capsys.readouterr().err
    assert "fresh: flair, sizes from 32×32" in output
    seen = sizes_seen(tmp_path / "run")
    assert {size for size, _ in seen} == {16, 32}
    assert {alpha for size, alpha in seen if size == 16} == {1.0}
    assert any(alpha < 1 for size, alpha in seen if size == 32)
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["grown"] == 2
    card = load_model(tmp_path / "run" / "model.safetensors").card
    assert card.training["started_from"] == load_model(grown / "best.safetensors").identity


@pytest.mark.slow
def test_resume_after_init_is_byte_identical(
    grown: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ["--init", str(grown / "model.safetensors")]
    for name in ("whole", "cut"):
        assert main(fit(small_store, tmp_path / name, 32, *init)) == 0
    checkpoints = sorted((tmp_path / "cut" / "checkpoints").iterdir())
    whole = load_file(checkpoints[-1])
    checkpoints[-1].unlink()
    assert main(fit(small_store, tmp_path / "cut", 32, *init)) == 0  # the same command continues
    again = load_file(checkpoints[-1])
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name
    capsys.readouterr()
    for other in ([], ["--init", str(shipped_models()["default"])]):
        assert main(fit(small_store, tmp_path / "cut", 32, *other)) == 2
        assert capsys.readouterr().err.startswith("Error: ")
    checkpoints[-1].unlink()
    assert main(["fit", str(small_store), "--out", str(tmp_path / "cut"), "--resume"]) == 0  # does not need the model
    assert torch.equal(load_file(checkpoints[-1])["generator.dense.weight"], whole["generator.dense.weight"])


def test_newest_model_of_a_run_without_a_best_one(grown: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    (run / "best.safetensors").unlink()
    planned = plan_architecture(small_recipe(), open_store(small_store), 16)
    start = plan_start(run, *planned)
    assert start.path == run / "model.safetensors"
    assert "the newest model of that run" in start.summary
    (run / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no model yet"):
        plan_start(run, *planned)
    with pytest.raises(InputError, match="not a run folder"):
        plan_start(tmp_path, *planned)
    with pytest.raises(InputError, match="no shipped model 'nobody'"):
        plan_start("nobody", *planned)


def small_recipe() -> Recipe:
    changes = [change.removeprefix("--set=") for change in (*SMALL, *LENGTHS)]
    return read_recipe("default", changes)


def test_shipped_model_by_name(small_store: Path) -> None:
    start = plan_start("default", *plan_architecture(read_recipe("default"), open_store(small_store), 32))
    assert start.path == shipped_models()["default"]
    assert start.grown == 3
    assert all(index is not None for index in start.channels)


def test_exported_critic_scores_as_the_trained_one(grown: Path) -> None:
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
