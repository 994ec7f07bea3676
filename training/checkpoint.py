"""The state of a training in one safetensors file: networks, EMA, optimisers, and the values that control them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from napari_pgan.errors import InputError
from napari_pgan.model.model_file import save_tensors
from napari_pgan.training.trainer import Trainer

T = TypeVar("T")
_KEY = "napari_pgan_checkpoint"
_FORMAT = 2
_KEPT = 3
_NAMES = "[0-9]" * 10 + ".safetensors"
_PROBABILITY = "trainer.augment_probability"


class NotFinite(Exception):
    """The training has diverged: a loss, a gradient or a value of its state is infinite or NaN."""


def save_checkpoint(folder: Path, trainer: Trainer, extra: dict[str, Any]) -> Path:
    """Write the trainer's state and `extra` (JSON), whole or not at all, and remove all but the newest checkpoints.

    Raises NotFinite, and writes nothing, if a value of the state is not finite.
    """
    tensors, steps = _tensors(trainer)
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise NotFinite(f"the networks contain values that are not finite after {trainer.seen:,} images")
    note = {
        "format": _FORMAT,
        "seen": trainer.seen,
        "rate_factor": trainer.rate_factor,
        "split": trainer.split,
        "steps": steps,
        "extra": extra,
    }
    path = folder / f"{trainer.seen:010d}.safetensors"
    save_tensors(path, tensors, {_KEY: json.dumps({**note, "checksum": _checksum(tensors, note)})})
    for old in sorted(folder.glob(_NAMES))[:-_KEPT]:
        old.unlink()
    return path


def load_checkpoint(folder: Path, trainer: Trainer, before: int | None = None) -> dict[str, Any] | None:
    """Load the newest intact checkpoint (of fewer images than `before`) and return its `extra`; None if there is none.

    Raises
    ------
    InputError
        All checkpoints are damaged, or another version of the software wrote them.
    """
    paths = [p for p in sorted(folder.glob(_NAMES), reverse=True) if before is None or int(p.stem) < before]
    for path in paths:
        checkpoint = _read(path)
        if checkpoint is not None:
            tensors, note = checkpoint
            _restore(trainer, tensors, note["steps"])
            trainer.seen, trainer.rate_factor, trainer.split = note["seen"], note["rate_factor"], note["split"]
            trainer.all_finite()  # forget the steps before
            return note["extra"]
    if paths and before is None:
        raise InputError(f"{folder}: all {len(paths)} checkpoints are damaged; start again in another --out")
    return None


def is_intact(path: Path) -> bool:
    """Tell whether a checkpoint is complete and its checksum is right."""
    return _read(path) is not None


def newest_checkpoint(folder: Path) -> int | None:
    """Return the images seen at the newest checkpoint, intact or not; None if there is none."""
    return max((int(path.stem) for path in folder.glob(_NAMES)), default=None)


def remove_checkpoints_after(folder: Path, seen: int) -> None:
    """Remove the checkpoints of more than `seen` images, since the training took another course from there."""
    for path in sorted(folder.glob(_NAMES), reverse=True):
        if int(path.stem) > seen:
            path.unlink()


def _tensors(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    tensors = {_PROBABILITY: trainer.probability.detach().cpu().clone()}
    steps: dict[str, int] = {}
    for name, network in _networks(trainer).items():
        tensors |= {f"{name}.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    for name, adam in _optimizers(trainer).items():
        for index, state in adam.state_dict()["state"].items():
            steps[f"{name}.{index}"] = int(state["step"])
            for key in ("exp_avg", "exp_avg_sq"):
                tensors[f"{name}.{index}.{key}"] = state[key].detach().cpu().contiguous()
    return tensors, steps


def _restore(trainer: Trainer, tensors: dict[str, torch.Tensor], steps: dict[str, int]) -> None:
    for name, network in _networks(trainer).items():
        network.load_state_dict(_under(f"{name}.", tensors))
    trainer.probability.copy_(tensors[_PROBABILITY])
    trainer.reset_optimizers()
    for name, adam in _optimizers(trainer).items():
        for index, step in _under(f"{name}.", steps).items():
            parameter, state = adam.param_groups[0]["params"][int(index)], _under(f"{name}.{index}.", tensors)
            adam.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device if parameter.is_cuda else None),
                **{key: torch.empty_like(parameter).copy_(state[key]) for key in ("exp_avg", "exp_avg_sq")},
            }


def _under(prefix: str, items: dict[str, T]) -> dict[str, T]:
    """Return the items whose key has a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in items.items() if k.startswith(prefix)}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return tensors and metadata of a checkpoint; None if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a file, not a dict
        checksum = note.pop("checksum")
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    if note.get("format") != _FORMAT:
        raise InputError(
            f"{path}: was written by another version of napari-pgan; continue with that version, or start again in "
            "another --out"
        )
    return (tensors, note) if checksum == _checksum(tensors, note) else None


def _networks(trainer: Trainer) -> dict[str, torch.nn.Module]:
    return {"generator": trainer.generator, "mean": trainer.ema, "critic": trainer.critic}


def _optimizers(trainer: Trainer) -> dict[str, torch.optim.Adam]:
    return {"generator_adam": trainer.generator_adam, "critic_adam": trainer.critic_adam}


def _checksum(tensors: dict[str, torch.Tensor], note: dict[str, Any]) -> str:
    digest = hashlib.blake2b(json.dumps(note, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
