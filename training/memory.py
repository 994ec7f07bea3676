"""Estimate the memory of a step before it runs."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any
from weakref import finalize

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_pgan.errors import InputError
from napari_pgan.training.dataset import Dataset
from napari_pgan.training.device import free_bytes
from napari_pgan.training.out_of_memory import split_further
from napari_pgan.training.schedule import Phase
from napari_pgan.training.trainer import Trainer

_ROOM = 0.85  # share of the free memory that a step may take; libraries and other processes need some
_WORKSPACE, LIBRARIES = 1.35, 64 * 2**20  # factor and bytes that convolutions need beyond their outputs, on a CPU
_AMPLE = 100  # copies of all feature maps of a generator in memory, at the very most; 10 to 30 are typical
_COPIES = 5  # of every weight: itself, its EMA, its gradient, the two moments of Adam


def weight_bytes(trainer: Trainer) -> int:
    """Return the memory of networks, EMA, gradients and optimisers."""
    networks = (trainer.generator, trainer.critic)
    return _COPIES * sum(p.numel() * p.element_size() for network in networks for p in network.parameters())


def step_bytes(trainer: Trainer, phase: Phase, split: int = 1) -> int:
    """Return the peak memory of images and activations of a step, with its batch in `split` parts.

    The step runs on fake tensors, which have a shape but no content. The storages alive at each operation are added up.
    """
    features = replace(trainer.features, channels_last=False)  # the layout does not change the memory
    with FakeTensorMode(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # copying a network of fake tensors warns
        shadow = Trainer(trainer.recipe, trainer.architecture, trainer.encoding, "cpu", features)
        n, a = max(phase.batch // split, 1), trainer.architecture
        draw = shadow.draw(n, Dataset(torch.empty(n, a.channels, *a.shape(phase.stage)), torch.empty(n, a.conditions)))
        alpha = 0.5 if phase.fading else 1.0
        together = trainer.recipe.loss.updates == "together"
        with _Peak() as peak:
            for run in [shadow._joint_pass] if together else [shadow._critic_pass, shadow._generator_pass]:
                run(draw, phase.stage, alpha, True)
        return int(peak.highest * _WORKSPACE) + LIBRARIES


def ample_bytes(trainer: Trainer, phase: Phase) -> int:
    """Return far more memory than a step can take; if it is free, `step_bytes` is not needed."""
    a = trainer.architecture
    maps = sum(math.prod(a.shape(s)) * (a.widths[s] + a.channels) for s in range(phase.stage + 1))
    return LIBRARIES + weight_bytes(trainer) + _AMPLE * 4 * phase.batch * maps


def micro_batches(trainer: Trainer, phase: Phase, free: int | None = None) -> int:
    """Return the number of parts into which the batches of a phase must be split to fit into memory.

    The result of a step does not depend on it, unless parts are smaller than a group of the minibatch deviation.

    Parameters
    ----------
    free
        Bytes available; the free memory of the device if None.

    Raises
    ------
    InputError
        Even the smallest part does not fit.
    """
    free = free_bytes(trainer.device) if free is None else free
    if ample_bytes(trainer, phase) < _ROOM * free:
        return 1
    split, need = 1, step_bytes(trainer, phase)
    while need > _ROOM * free:
        parts = split_further(phase.batch, split)
        if parts is None:
            raise InputError(
                f"a step at {phase.size} pixels needs about {_gib(need)} with {phase.batch // split} images at a "
                f"time, but only {_gib(free)} is free; give a smaller --size or width "
                f"(--set sizes.{phase.size}.width=…)"
            )
        split = parts
        need = step_bytes(trainer, phase, split)
    return split


class _Peak(TorchDispatchMode):
    """Adds up the storages that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.highest = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf.untyped_storage())
        self.highest = max(self.highest, self.now)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size

        def freed() -> None:
            self._known.discard(key)
            self.now -= size

        finalize(storage, freed)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
