"""The estimated memory of a step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.device import free_bytes
from napari_pgan.training.memory import LIBRARIES, ample_bytes, micro_batches, step_bytes
from napari_pgan.training.recipe import read_recipe
from napari_pgan.training.schedule import Moment, Phase
from napari_pgan.training.trainer import Trainer

ENCODING = Encoding(Channels(("t1", "flair"), (Label(1, "lesion", "#ff0000"),)))


def make(size: int, width: int = 16, batch: int = 16, *sets: str) -> tuple[Trainer, Phase]:
    recipe = read_recipe("default", ["precision=float32", "network.latent=16", *sets])
    stage = size.bit_length() - 3
    a = Architecture((4, 4), (width,) * (stage + 1), 3, latent=16, stddev_group=recipe.network.stddev_group)
    return Trainer(recipe, a, ENCODING, "cpu"), Phase(stage, size, False, 0, 10**6, batch, 1e-3)


def test_memory_grows_with_pixels_and_batch() -> None:
    small, large = (step_bytes(*make(size, batch=32)) - LIBRARIES for size in (32, 64))
    assert 3.2 < large / small < 4.2
    half = step_bytes(*make(64, batch=16)) - LIBRARIES
    assert 1.7 < large / half < 2.2
    trainer, phase = make(64, batch=32)
    assert step_bytes(trainer, phase, split=2) - LIBRARIES == pytest.approx(half, rel=0.02)


def test_estimate_agrees_with_the_profiler() -> None:
    trainer, phase = make(64, width=32)

    class Reals:
        crisp = False

        def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.rand(count, 3, 64, 64), torch.zeros(count, 0)

    trainer.step(Moment(phase, 1.0, 0), Reals())  # type: ignore[arg-type]  creates the state of the optimisers
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        trainer.step(Moment(phase, 1.0, 0), Reals())  # type: ignore[arg-type]
    now = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    assert most > 20 * 2**20
    assert 0.8 * most < step_bytes(trainer, phase) < 1.8 * most + LIBRARIES


def test_batch_is_halved_until_it_fits() -> None:
    trainer, phase = make(64, batch=16)
    whole, quarter = step_bytes(trainer, phase), step_bytes(trainer, phase, split=4)
    assert micro_batches(trainer, phase, free=2 * whole) == 1
    assert micro_batches(trainer, phase, free=int(quarter / 0.84)) == 4
    with pytest.raises(InputError, match=r"64 pixels needs about .* with 1 images at a time"):
        micro_batches(trainer, phase, free=2**20)
    assert micro_batches(trainer, phase) == 1  # this machine has enough memory
    assert free_bytes(torch.device("cpu")) > whole


@pytest.mark.parametrize(("size", "width", "batch"), [(8, 1, 1), (8, 64, 64), (32, 8, 16), (64, 2, 4), (64, 64, 16)])
def test_ample_bytes_exceed_any_step(size: int, width: int, batch: int) -> None:
    for sets in (["loss.updates=alternating", "loss.kind=wgan-gp"], ["loss.updates=together"]):
        trainer, phase = make(size, width, batch, *sets, "augment.rotate=30")
        fading = replace(phase, fading=True)
        assert ample_bytes(trainer, fading) - LIBRARIES > 1.5 * (step_bytes(trainer, fading) - LIBRARIES)
