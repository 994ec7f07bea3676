"""One step: every optimisation computes the same function."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_pgan.model import Architecture, Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.checkpoint import load_checkpoint, save_checkpoint
from napari_pgan.training.device import Features
from napari_pgan.training.losses import Relativistic
from napari_pgan.training.recipe import read_recipe
from napari_pgan.training.schedule import Moment, Phase
from napari_pgan.training.trainer import Draw, Trainer, fade_reals

ENCODING = Encoding(Channels(("t1", "flair"), (Label(1, "lesion", "#ff0000"),)))
SMALL = [f"sizes.{size}.{key}" for size in (4, 8, 16) for key in ("width=8", "batch=8", "fade=80", "stable=80")]


class Images:
    """Random images, the same for the same position."""

    crisp = False

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seen)) * 2 - 1
        return x, torch.zeros(count, 0)


def make(*sets: str, precision: str = "float32", wide: bool = False) -> Trainer:
    recipe = read_recipe("default", [*SMALL, f"precision={precision}", "network.latent=8", *sets])
    a = Architecture((4, 4), (8, 8, 8), 3, latent=8, stddev_group=recipe.network.stddev_group)
    trainer = Trainer(recipe, a, ENCODING, "cpu")
    if wide:  # float64, in which sums in another order agree closely
        for network in (trainer.generator, trainer.critic, trainer.ema):
            network.double()
        trainer.reset_optimizers()
    return trainer


def moment(step: int = 0, alpha: float = 1.0, batch: int = 8) -> Moment:
    return Moment(Phase(2, 16, alpha < 1, 0, 800, batch, 1e-3), alpha, step)


def drawn(trainer: Trainer, n: int = 8) -> Draw:
    draw = trainer.draw(n, Images())
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
def test_joint_update_has_the_gradients_of_separate_losses(alpha: float) -> None:
    trainer = make("loss.lazy=1", "loss.gamma=2", "augment.probability=0.5", wide=True)
    draw = drawn(trainer)
    trainer._joint_pass(draw, 2, alpha, True)
    got = {name: g.clone() for name, g in gradients(trainer).items()}

    # reference: each loss from its own copy of the networks
    g, d = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.critic)
    loss, augment = Relativistic(2.0), trainer.augment
    real = augment(fade_reals(draw.real, alpha), draw.augment_real, 0.5).requires_grad_(True)
    generated = augment(g(draw.latents, 2, alpha), draw.augment_fake, 0.5)
    fake = generated.detach().requires_grad_(True)
    on_real, on_fake = d(real, 2, alpha), d(fake, 2, alpha)
    penalty = sum(
        torch.autograd.grad(s.sum(), x, create_graph=True)[0].square().flatten(1).sum(1).mean()
        for s, x in ((on_real, real), (on_fake, fake))
    )
    critic_loss = torch.nn.functional.softplus(on_fake - on_real).mean() + 2.0 / 2 * penalty
    generator_loss = loss.generator(d(real, 2, alpha), d(generated, 2, alpha))
    expected = {}
    for name, network, value in (("generator", g, generator_loss), ("critic", d, critic_loss)):
        found = torch.autograd.grad(value, list(network.parameters()), allow_unused=True, retain_graph=True)
        names = [key for key, _ in network.named_parameters()]
        expected |= {f"{name}.{k}": x for k, x in zip(names, found, strict=True) if x is not None}
    close(got, expected)


def test_alternating_update_uses_the_updated_critic() -> None:
    trainer = make("loss.updates=alternating", wide=True)
    before = copy.deepcopy(trainer.critic.state_dict())
    scores: list[dict[str, torch.Tensor]] = []
    gradient_pass = trainer._generator_pass

    def seen(*arguments: Any) -> Any:
        scores.append(copy.deepcopy(trainer.critic.state_dict()))
        return gradient_pass(*arguments)

    seen.__name__ = gradient_pass.__name__
    trainer._generator_pass = seen  # type: ignore[method-assign]
    trainer.draw = lambda n, reals: drawn_once  # type: ignore[method-assign]
    drawn_once = drawn(make("loss.updates=alternating", wide=True))
    trainer.step(moment(), Images())  # type: ignore[arg-type]
    assert len(scores) == 1
    assert not torch.equal(scores[0]["score.weight"], before["score.weight"])


@pytest.mark.parametrize("updates", ["together", "alternating"])
@pytest.mark.parametrize("parts", [2, 4])
def test_split_batch_has_the_same_gradients(updates: str, parts: int) -> None:
    found = []
    for split in (1, parts):
        trainer = make(f"loss.updates={updates}", "network.stddev_group=4", wide=True)
        trainer.split, fixed = split, drawn(trainer, 16)
        trainer.draw = lambda n, reals, fixed=fixed: fixed  # type: ignore[method-assign]
        losses = trainer.step(moment(batch=16), Images())  # type: ignore[arg-type]
        found.append((gradients(trainer), losses))
    close(found[0][0], found[1][0])
    for name, value in found[0][1].items():
        assert found[1][1][name].item() == pytest.approx(value.item(), abs=1e-9), name


def test_out_of_memory_repeats_the_update_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = (make("network.stddev_group=2", wide=True) for _ in range(2))
    gradient_pass, calls = short._joint_pass, []

    def greedy(draw: Draw, *rest: Any) -> Any:
        calls.append(len(draw.real))
        losses = gradient_pass(draw, *rest)
        if len(draw.real) > 2:
            raise torch.OutOfMemoryError("made up")  # after some gradients were written
        return losses

    greedy.__name__ = "_joint_pass"
    short._joint_pass = greedy  # type: ignore[method-assign]
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for trainer in (whole, short):
        fixed = drawn(trainer)
        trainer.draw = lambda n, reals, fixed=fixed: fixed  # type: ignore[method-assign]
        trainer.step(moment(), Images())  # type: ignore[arg-type]
    assert calls == [8, 4, 2, 2, 2, 2]
    assert short.split == 4
    close(gradients(whole), gradients(short))


def test_out_of_memory_for_single_images_raises() -> None:
    trainer = make()

    def greedy(*_: Any) -> Any:
        raise torch.OutOfMemoryError("made up")

    trainer._joint_pass = greedy  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        trainer.step(moment(), Images())  # type: ignore[arg-type]
    assert trainer.seen == 0


class _SyncRecorder(TorchDispatchMode):
    """Records operations that make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "is_all_true", "masked_select")):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("updates", ["together", "alternating"])
@pytest.mark.parametrize("fading", [True, False])
def test_updates_do_not_wait_for_the_device(updates: str, fading: bool) -> None:
    trainer = make(f"loss.updates={updates}", "augment.rotate=10", "augment.target=0.6")
    alpha: float | torch.Tensor = torch.tensor(0.5) if fading else 1.0
    passes = [trainer._joint_pass] if updates == "together" else [trainer._critic_pass, trainer._generator_pass]
    with _SyncRecorder() as mode:
        for run in passes:
            run(drawn(trainer), 2, alpha, True)
        torch.tensor(1.0).item()
    assert mode.found == ["aten._local_scalar_dense.default"]  # the last line shows that the recorder works


def test_alpha_as_tensor_and_as_number_agree() -> None:
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


@pytest.mark.parametrize("feature", ["bf16", "channels_last", "fused_adam"])
def test_device_features_do_not_change_results(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps with and without a feature agree; bfloat16 as closely as tiny networks allow."""
    ends = []
    for has in (True, False):
        features = Features(**{"bf16": False, "channels_last": False, "fused_adam": False, feature: has})
        monkeypatch.setattr(Features, "of", classmethod(lambda cls, device, precision, f=features: f))
        trainer = make(
            "optimizer.betas=[0.9, 0.99]", "optimizer.epsilon=1.0", "network.stddev_group=8"
        )  # smooth settings keep small differences small
        trainer.step(moment(), Images())  # type: ignore[arg-type]
        ends.append(gradients(trainer) | {f"now.{k}": p.detach() for k, p in trainer.generator.named_parameters()})
    close(*ends, tolerance=0.2 if feature == "bf16" else 1e-4)


def test_infinite_weight_is_detected() -> None:
    trainer = make()
    trainer.step(moment(), Images())  # type: ignore[arg-type]
    assert trainer.all_finite()
    with torch.no_grad():
        trainer.generator.conv.weight[0, 0, 0, 0] = torch.inf
    trainer.step(moment(1), Images())  # type: ignore[arg-type]
    assert not trainer.all_finite()
    assert trainer.all_finite()  # the call before reset it


def test_augmentation_probability_is_in_a_checkpoint(tmp_path: Path) -> None:
    trainer = make("augment.probability=0.1", "augment.target=0.6", "augment.pace=100")
    for step in range(4):
        trainer.step(moment(step), Images())  # type: ignore[arg-type]
    assert trainer.probability.item() != pytest.approx(0.1)
    save_checkpoint(tmp_path, trainer, {})
    other = make("augment.probability=0.1", "augment.target=0.6", "augment.pace=100")
    assert load_checkpoint(tmp_path, other) == {}
    assert torch.equal(other.probability, trainer.probability)


def test_rate_factor_applies_to_both_optimisers(tmp_path: Path) -> None:
    trainer = make()
    trainer.rate_factor = 0.25
    trainer.step(moment(), Images())  # type: ignore[arg-type]
    lazy = trainer.recipe.loss.lazy
    assert trainer.generator_adam.param_groups[0]["lr"] == pytest.approx(1e-3 / 4)
    assert trainer.critic_adam.param_groups[0]["lr"] == pytest.approx(1e-3 / 4 * lazy / (lazy + 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need CUDA")
@pytest.mark.parametrize("updates", ["together", "alternating"])
def test_cuda_graphs_agree_with_eager_steps(updates: str) -> None:
    class OnGpu(Images):
        def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            return tuple(x.cuda() for x in super().batch(seen, count, seed))  # type: ignore[return-value]

    trainers = []
    for active in (True, False):
        trainer = make(f"loss.updates={updates}", "augment.target=0.6", "optimizer.epsilon=1.0")
        trainer = Trainer(trainer.recipe, trainer.architecture, ENCODING, "cuda")
        trainer.graphs.active = active
        for step in range(24):  # with and without penalty; eager, captured and replayed; through a fade-in
            trainer.step(moment(step, alpha=0.04 * step), OnGpu())  # type: ignore[arg-type]
        trainers.append(trainer)
    for one, other in zip(trainers[0].ema.parameters(), trainers[1].ema.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)
