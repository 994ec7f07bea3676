"""How much memory a step takes, before it is taken."""

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
from napari_pgan.training.device import free_bytes
from napari_pgan.training.schedule import Phase
from napari_pgan.training.trainer import Draw, Trainer

_ROOM = 0.85  # share of what is free that a step may take: libraries need workspace, and others work here too
_WORKSPACE, LIBRARIES = 1.35, 64 * 2**20  # what convolutions need beside their results, as measured on a CPU
_AMPLE = 100  # times that all maps of a generator, in float32, are in memory, at the very most; 10 to 30 are usual
_COPIES = 5  # of every weight: itself, the running mean's, its gradient, Adam's two moments


def weight_bytes(trainer: Trainer) -> int:
    """What networks, running mean, gradients and optimisers take in all."""
    networks = (trainer.generator, trainer.critic)
    return _COPIES * sum(p.numel() * p.element_size() for network in networks for p in network.parameters())


def step_bytes(trainer: Trainer, phase: Phase, split: int = 1) -> int:
    """The most that the images and activations of a step take at one time, its batch in `split` parts.

    Nothing is computed: the step is walked through with tensors that have a shape and no content, and what is alive at
    each operation is added up.
    """
    features = replace(trainer.features, channels_last=False)  # a layout takes no memory
    with FakeTensorMode(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # copying a network asks where its tensors lie, which these do not
        shadow = Trainer(trainer.recipe, trainer.architecture, trainer.encoding, "cpu", features)
        n, a = max(phase.batch // split, 1), trainer.architecture
        rows = {"latents": a.latent, "more_latents": a.latent, "told": a.conditions}
        changes = dict.fromkeys(("change_real", "change_fake", "change_more"), shadow.augment.numbers)
        noisy = (n, shadow.masks.noisy_channels, *a.shape(phase.stage))
        draw = Draw(
            real=torch.empty(n, a.channels, *a.shape(phase.stage)),
            blend=torch.empty(n),
            **{name: torch.empty(noisy) for name in ("noise_real", "noise_fake", "noise_more")},
            **{name: torch.empty(n, width) for name, width in {**rows, **changes}.items()},
        )
        alpha = 0.5 if phase.fading else 1.0
        together = trainer.recipe.loss.updates == "together"
        with _Peak() as peak:
            for half in [shadow._both] if together else [shadow._critic_half, shadow._generator_half]:
                half(draw, phase.stage, alpha, True)
        return int(peak.most * _WORKSPACE) + LIBRARIES


def ample_bytes(trainer: Trainer, phase: Phase) -> int:
    """More than a step can take, by far: where it is free, no step need be walked through."""
    a = trainer.architecture
    maps = sum(math.prod(a.shape(s)) * (a.widths[s] + a.channels) for s in range(phase.stage + 1))
    return LIBRARIES + weight_bytes(trainer) + _AMPLE * 4 * phase.batch * maps


def micro_batches(trainer: Trainer, phase: Phase, free: int | None = None) -> int:
    """Into how many parts the batches of a phase must be split to fit, 1 where they fit whole.

    Parts smaller than a group of the minibatch deviation are groups of their own; else a step in parts is the same.

    Parameters
    ----------
    free
        Bytes to fit into; what the device has left if None.

    Raises
    ------
    InputError
        Not even the smallest part fits.
    """
    free = free_bytes(trainer.device) if free is None else free
    if ample_bytes(trainer, phase) < _ROOM * free:
        return 1
    split, need = 1, step_bytes(trainer, phase)
    while need > _ROOM * free:
        if phase.batch % (2 * split):
            raise InputError(
                f"a step at {phase.size} pixels needs about {_gib(need)}, even {phase.batch // split} images at a "
                f"time, and {_gib(free)} are free; give a smaller --size or width (--set sizes.{phase.size}.width=…)"
            )
        split *= 2
        need = step_bytes(trainer, phase, split)
    return split


class _Peak(TorchDispatchMode):
    """Adds up the storages that are alive, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        self.most = max(self.most, self.now)
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size

        def gone() -> None:
            self._known.discard(key)
            self.now -= size

        finalize(storage, gone)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
