"""A training that diverges returns to a checkpoint with half the learning rate, three times at most."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_fit import assert_same_end, checkpoints, fit, leftovers, note_of, rows_of, short, status_of

from napari_pgan.cli.app import main
from napari_pgan.store import open_store
from napari_pgan.training.checkpoint import NotFinite, is_intact, save_checkpoint
from napari_pgan.training.plan_architecture import plan_architecture
from napari_pgan.training.recipe import read_recipe
from napari_pgan.training.trainer import Trainer

BeforeSteps = Callable[[Path, Callable[[Trainer], None]], None]


@pytest.fixture
def before_steps(monkeypatch: pytest.MonkeyPatch) -> BeforeSteps:
    """Run a function before every step of a training, but not during calibration."""
    original = Trainer.step

    def arrange(run: Path, fault: Callable[[Trainer], None]) -> None:
        def step(self: Trainer, *arguments: Any) -> dict[str, torch.Tensor]:
            if checkpoints(run):
                fault(self)
            return original(self, *arguments)

        monkeypatch.setattr(Trainer, "step", step)

    return arrange


@torch.no_grad()
def break_weights(trainer: Trainer) -> None:
    trainer.critic.dense.weight.fill_(float("nan"))


def once_at(images: int) -> Callable[[Trainer], None]:
    due = [images]

    def fault(trainer: Trainer) -> None:
        if due and trainer.seen == images:
            due.pop()
            break_weights(trainer)

    return fault


def assert_all_finite(run: Path) -> None:
    assert checkpoints(run)
    assert all(is_intact(path) for path in checkpoints(run))
    for path in [*checkpoints(run), *run.glob("[mb]*.safetensors")]:
        assert all(torch.isfinite(x).all() for x in load_file(path).values()), path


@pytest.mark.parametrize("images", [0, 24, 56])
def test_divergence_halves_the_learning_rate(
    images: int, before_steps: BeforeSteps, small_store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    before_steps(run, once_at(images))
    assert main(short(small_store, run)) == 0
    status = status_of(run)
    assert (status["state"], len(status["retreats"]), status["rate_factor"]) == ("finished", 1, 0.5)
    (event,) = [row for row in rows_of(run) if "retreat" in row]
    assert event["images"] == event["to"] == images // 16 * 16
    assert f"not finite by {images + 8} images" in event["reason"]
    seen = [row["images"] for row in rows_of(run)]
    assert seen == sorted(seen)
    assert_all_finite(run)


def test_a_kill_after_it_forgets_nothing(before_steps: BeforeSteps, small_store: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    before_steps(whole, once_at(24))
    assert main(short(small_store, whole)) == 0
    fault, steps = once_at(24), list[int]()

    def killed(trainer: Trainer) -> None:
        fault(trainer)
        steps.append(trainer.seen)
        if steps.count(16) == 2:  # right after the return
            raise KeyboardInterrupt

    before_steps(run, killed)
    assert main(short(small_store, run)) == 130
    before_steps(run, lambda trainer: None)
    assert main(short(small_store, run)) == 0
    assert status_of(run)["rate_factor"] == 0.5
    assert_same_end(whole, run)


def test_training_fails_after_three_returns(
    before_steps: BeforeSteps, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    before_steps(run, lambda trainer: break_weights(trainer) if trainer.seen == 40 else None)
    assert main(short(small_store, run)) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    for word in ("not finite", "48 images", "3 times", "--set sizes.16.learning_rate="):
        assert word in message, message
    status = status_of(run)
    assert status["state"] == "failed"
    assert "not finite" in status["reason"]
    retreats = [(retreat["from"], retreat["to"], retreat["rate_factor"]) for retreat in status["retreats"]]
    assert retreats == [(48, 32, 0.5), (48, 16, 0.25), (48, 32, 0.125)]
    assert [row["to"] for row in rows_of(run) if "retreat" in row] == [16, 32]
    assert "not finite" in rows_of(run)[-1]["gave_up"]
    assert_all_finite(run)
    assert not leftovers(run)
    before = {path.name: path.read_bytes() for path in checkpoints(run)}
    assert main(short(small_store, run)) == 2
    assert {path.name: path.read_bytes() for path in checkpoints(run)} == before


def test_absurd_learning_rate_fails(small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(short(small_store, run, "--set=sizes.8.learning_rate=1e30")) == 2
    assert "a lower learning rate (--set sizes.8.learning_rate=" in capsys.readouterr().err
    assert [path.stem for path in checkpoints(run)] == ["0000000000"]
    assert note_of(checkpoints(run)[0])["rate_factor"] == 0.125
    assert_all_finite(run)


@pytest.mark.parametrize("where", ["weight", "moment", "ema"])
def test_state_that_is_not_finite_is_not_saved(where: str, small_store: Path, tmp_path: Path) -> None:
    recipe = read_recipe("default", [word.removeprefix("--set=") for word in fit(small_store, tmp_path) if "=" in word])
    architecture, encoding, _ = plan_architecture(recipe, open_store(str(small_store)), 16)
    trainer = Trainer(recipe, architecture, encoding, "cpu")
    parameter = trainer.generator.dense.weight
    parameter.grad = torch.ones_like(parameter)
    trainer.generator_adam.step()
    save_checkpoint(tmp_path, trainer, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with torch.no_grad():
        tensors = {
            "weight": parameter,
            "ema": trainer.ema.dense.weight,
            "moment": trainer.generator_adam.state[parameter]["exp_avg_sq"],
        }
        tensors[where].view(-1)[3] = float("inf")
    with pytest.raises(NotFinite):
        save_checkpoint(tmp_path, trainer, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
