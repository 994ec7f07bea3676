"""What one step computes: every shortcut is an implementation of the same function."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_pgan.model import Architecture, Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.device import Features
from napari_pgan.training.losses import Relativistic
from napari_pgan.training.recipe import read_recipe
from napari_pgan.training.schedule import Moment, Phase
from napari_pgan.training.trainer import Draw, Trainer, fade_reals

ENCODING = Encoding(Channels(("t1", "flair"), (Label(1, "lesion", "#ff0000"),)))
SMALL = [f"sizes.{size}.{key}" for size in (4, 8, 16) for key in ("width=8", "batch=8", "fade=80", "stable=80")]


class Reals:
    """A few made-up images, always the same."""

    crisp = False

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seen)) * 2 - 1
        return x, torch.zeros(count, 0)


def make(*sets: str, precision: str = "float32", wide: bool = False) -> Trainer:
    recipe = read_recipe("default", [*SMALL, f"precision={precision}", "network.latent=8", *sets])
    a = Architecture((4, 4), (8, 8, 8), 3, latent=8, stddev_group=recipe.network.stddev_group)
    trainer = Trainer(recipe, a, ENCODING, "cpu")
    if wide:  # float64, where sums in another order agree to many digits
        for network in (trainer.generator, trainer.critic, trainer.mean):
            network.double()
        trainer.reset_optimizers()
    return trainer


def moment(step: int = 0, alpha: float = 1.0, batch: int = 8) -> Moment:
    return Moment(Phase(2, 16, alpha < 1, 0, 800, batch, 1e-3), alpha, step)


def drawn(trainer: Trainer, n: int = 8) -> Draw:
    draw = trainer._draw(n, Reals())
    wide = next(trainer.critic.parameters()).dtype
    return Draw(**{name: x.to(wide) for name, x in draw.tensors().items()})


def gradients(trainer: Trainer, *networks: str) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": p.grad
        for name in networks or ("generator", "critic")
        for key, p in getattr(trainer, name).named_parameters()
        if p.grad is not None
    }


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-9) -> None:
    assert one.keys() == other.keys()
    assert len(one) > 10
    for name, value in one.items():
        assert (value - other[name]).norm() <= tolerance * (1e-6 + value.norm()), name


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_updating_together_descends_both_losses_from_one_point(alpha: float) -> None:
    trainer = make("loss.lazy=1", "loss.gamma=2", "augment.probability=0.5", wide=True)
    draw = drawn(trainer)
    trainer._both(draw, 2, alpha, True)
    got = {name: g.clone() for name, g in gradients(trainer).items()}

    # the same by the book: every loss from networks of its own, in full
    g, d = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.critic)
    loss, change = Relativistic(2.0), trainer.augment
    real = change(fade_reals(draw.real, alpha), draw.change_real, 0.5).requires_grad_(True)
    made = change(g(draw.latents, 2, alpha), draw.change_fake, 0.5)
    fake = made.detach().requires_grad_(True)
    on_real, on_fake = d(real, 2, alpha), d(fake, 2, alpha)
    penalty = sum(
        torch.autograd.grad(s.sum(), x, create_graph=True)[0].square().flatten(1).sum(1).mean()
        for s, x in ((on_real, real), (on_fake, fake))
    )
    critic_loss = torch.nn.functional.softplus(on_fake - on_real).mean() + 2.0 / 2 * penalty
    generator_loss = loss.generator(d(real, 2, alpha), d(made, 2, alpha))
    expected = {}
    for name, network, value in (("generator", g, generator_loss), ("critic", d, critic_loss)):
        found = torch.autograd.grad(value, list(network.parameters()), allow_unused=True, retain_graph=True)
        names = [key for key, _ in network.named_parameters()]
        expected |= {f"{name}.{k}": x for k, x in zip(names, found, strict=True) if x is not None}
    close(got, expected)


def test_alternating_updates_show_the_generator_a_critic_that_has_learnt() -> None:
    trainer = make("loss.updates=alternating", wide=True)
    before = copy.deepcopy(trainer.critic.state_dict())
    scores: list[dict[str, torch.Tensor]] = []
    half = trainer._generator_half

    def seen(*arguments: Any) -> Any:
        scores.append(copy.deepcopy(trainer.critic.state_dict()))
        return half(*arguments)

    seen.__name__ = half.__name__
    trainer._generator_half = seen  # type: ignore[method-assign]
    trainer._draw = lambda n, reals: drawn_once  # type: ignore[method-assign]
    drawn_once = drawn(make("loss.updates=alternating", wide=True))
    trainer.step(moment(), Reals())  # type: ignore[arg-type]
    assert len(scores) == 1
    assert not torch.equal(scores[0]["score.weight"], before["score.weight"])


@pytest.mark.parametrize("updates", ["together", "alternating"])
@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(updates: str, parts: int) -> None:
    found = []
    for split in (1, parts):
        trainer = make(f"loss.updates={updates}", "network.stddev_group=4", wide=True)
        trainer.split, fixed = split, drawn(trainer, 16)
        trainer._draw = lambda n, reals, fixed=fixed: fixed  # type: ignore[method-assign]
        said = trainer.step(moment(batch=16), Reals())  # type: ignore[arg-type]
        found.append((gradients(trainer), said))
    close(found[0][0], found[1][0])
    for name, value in found[0][1].items():
        assert found[1][1][name].item() == pytest.approx(value.item(), abs=1e-9), name


def test_where_memory_runs_out_the_update_is_done_over_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = (make("network.stddev_group=2", wide=True) for _ in range(2))
    half, calls = short._both, []

    def greedy(draw: Draw, *rest: Any) -> Any:
        calls.append(len(draw.real))
        said = half(draw, *rest)
        if len(draw.real) > 2:
            raise torch.OutOfMemoryError("made up")  # after gradients were left behind
        return said

    greedy.__name__ = "_both"
    short._both = greedy  # type: ignore[method-assign]
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for trainer in (whole, short):
        fixed = drawn(trainer)
        trainer._draw = lambda n, reals, fixed=fixed: fixed  # type: ignore[method-assign]
        trainer.step(moment(), Reals())  # type: ignore[arg-type]
    assert calls == [8, 4, 2, 2, 2, 2]
    assert short.split == 4
    close(gradients(whole), gradients(short))


def test_memory_that_never_suffices_is_an_error() -> None:
    trainer = make()

    def greedy(*_: Any) -> Any:
        raise torch.OutOfMemoryError("made up")

    trainer._both = greedy  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        trainer.step(moment(), Reals())  # type: ignore[arg-type]
    assert trainer.seen == 0


class _Asks(TorchDispatchMode):
    """Notes operations that make the host wait for what a tensor holds."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "is_all_true", "masked_select")):
            self.asked.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("updates", ["together", "alternating"])
@pytest.mark.parametrize("fading", [True, False])
def test_no_update_waits_for_the_device(updates: str, fading: bool) -> None:
    trainer = make(f"loss.updates={updates}", "augment.rotate=10", "augment.target=0.6")
    alpha: float | torch.Tensor = torch.tensor(0.5) if fading else 1.0
    halves = [trainer._both] if updates == "together" else [trainer._critic_half, trainer._generator_half]
    with _Asks() as mode:
        for half in halves:
            half(drawn(trainer), 2, alpha, True)
        torch.tensor(1.0).item()
    assert mode.asked == ["aten._local_scalar_dense.default"]  # the one at the end, by which it is seen to listen


def test_a_fade_in_by_a_tensor_is_that_by_a_number() -> None:
    trainer = make(wide=True)
    z, x = torch.randn(4, 8).double(), torch.rand(4, 3, 16, 16).double()
    for alpha in (0.0, 0.3, 1.0):
        tensor = torch.tensor(alpha, dtype=torch.float64)
        for one, other in (
            (trainer.generator(z, 2, alpha), trainer.generator(z, 2, tensor)),
            (trainer.critic(x, 2, alpha), trainer.critic(x, 2, tensor)),
            (fade_reals(x, alpha), fade_reals(x, tensor)),
        ):
            assert torch.allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("shortcut", ["bf16", "channels_last", "fused_adam"])
def test_what_a_device_can_do_changes_no_result(shortcut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step with the shortcut and one without end close together; bfloat16 as close as tiny networks allow."""
    ends = []
    for has in (True, False):
        features = Features(**{"bf16": False, "channels_last": False, "fused_adam": False, shortcut: has})
        monkeypatch.setattr(Features, "of", classmethod(lambda cls, device, precision, f=features: f))
        trainer = make(
            "optimizer.betas=[0.9, 0.99]", "optimizer.epsilon=1.0", "network.stddev_group=8"
        )  # smooth, so that small stays small
        trainer.step(moment(), Reals())  # type: ignore[arg-type]
        ends.append(gradients(trainer) | {f"now.{k}": p.detach() for k, p in trainer.generator.named_parameters()})
    close(*ends, tolerance=0.2 if shortcut == "bf16" else 1e-4)


def test_one_infinite_number_makes_a_step_unsound() -> None:
    trainer = make()
    trainer.step(moment(), Reals())  # type: ignore[arg-type]
    assert trainer.sound()
    with torch.no_grad():
        trainer.generator.conv.weight[0, 0, 0, 0] = torch.inf
    trainer.step(moment(1), Reals())  # type: ignore[arg-type]
    assert not trainer.sound()
    assert trainer.sound()  # asked for what came since


def test_the_probability_of_a_change_is_part_of_the_state() -> None:
    trainer = make("augment.probability=0.1", "augment.target=0.6", "augment.pace=100")
    for step in range(4):
        trainer.step(moment(step), Reals())  # type: ignore[arg-type]
    state = trainer.state()
    assert state["augment_probability"].item() != pytest.approx(0.1)
    other = make("augment.probability=0.1", "augment.target=0.6", "augment.pace=100")
    other.load_state(state)
    assert torch.equal(other.probability, trainer.probability)


def test_a_lowered_rate_lowers_both(tmp_path: Path) -> None:
    trainer = make()
    trainer.rate_factor = 0.25
    trainer.step(moment(), Reals())  # type: ignore[arg-type]
    lazy = trainer.recipe.loss.lazy
    assert trainer.generator_adam.param_groups[0]["lr"] == pytest.approx(1e-3 / 4)
    assert trainer.critic_adam.param_groups[0]["lr"] == pytest.approx(1e-3 / 4 * lazy / (lazy + 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on CUDA alone")
@pytest.mark.parametrize("updates", ["together", "alternating"])
def test_replayed_steps_are_steps(updates: str) -> None:
    class Here(Reals):
        def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            return tuple(x.cuda() for x in super().batch(seen, count, seed))  # type: ignore[return-value]

    trainers = []
    for active in (True, False):
        trainer = make(f"loss.updates={updates}", "augment.target=0.6", "optimizer.epsilon=1.0")
        trainer = Trainer(trainer.recipe, trainer.architecture, ENCODING, "cuda")
        trainer.graphs.active = active
        for step in range(24):  # both kinds of steps, eager, captured and replayed, through a fade-in
            trainer.step(moment(step, alpha=0.04 * step), Here())  # type: ignore[arg-type]
        trainers.append(trainer)
    for one, other in zip(trainers[0].mean.parameters(), trainers[1].mean.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)
