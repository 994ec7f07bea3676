"""The state of a training as one safetensors file: networks, running mean, optimisers, images seen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from napari_pgan.errors import InputError
from napari_pgan.model.modelfile import save_tensors
from napari_pgan.training.loop import Trainer

_KEY = "napari_pgan_checkpoint"
_KEPT = 3


def save_checkpoint(folder: Path, trainer: Trainer, extra: dict[str, Any]) -> Path:
    """Write the trainer's state, whole or not at all, and remove all but the newest few.

    Parameters
    ----------
    folder
        Of the run's checkpoints.
    extra
        JSON that `load_checkpoint` gives back.
    """
    tensors, steps = _tensors(trainer)
    note = {"seen": trainer.seen, "checksum": _checksum(tensors), "steps": steps, "extra": extra}
    path = folder / f"{trainer.seen:010d}.safetensors"
    save_tensors(path, tensors, {_KEY: json.dumps(note)})
    for old in sorted(folder.glob("[0-9]*.safetensors"))[:-_KEPT]:
        old.unlink()
    return path


def load_checkpoint(folder: Path, trainer: Trainer) -> dict[str, Any] | None:
    """Put the newest checkpoint that verifies into the trainer; returns its `extra`, or None where there is none.

    Raises
    ------
    InputError
        There are checkpoints, but none of them verifies.
    """
    paths = sorted(folder.glob("[0-9]*.safetensors"), reverse=True)
    for path in paths:
        found = _read(path)
        if found is not None:
            tensors, note = found
            _restore(trainer, tensors, note["steps"])
            trainer.seen = note["seen"]
            return note["extra"]
    if paths:
        raise InputError(f"{folder}: none of its {len(paths)} checkpoints is whole; start again in another --out")
    return None


def _tensors(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    tensors: dict[str, torch.Tensor] = {}
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
        prefix = f"{name}."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    trainer.reset_optimizers()
    for name, adam in _optimizers(trainer).items():
        for key, step in steps.items():
            owner, index = key.rsplit(".", 1)
            if owner != name:
                continue
            parameter = adam.param_groups[0]["params"][int(index)]
            like = {"device": parameter.device, "memory_format": torch.preserve_format}
            adam.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device if parameter.is_cuda else None),
                "exp_avg": torch.empty_like(parameter, **like).copy_(tensors[f"{key}.exp_avg"]),
                "exp_avg_sq": torch.empty_like(parameter, **like).copy_(tensors[f"{key}.exp_avg_sq"]),
            }


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a file, not a dict
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return (tensors, note) if note["checksum"] == _checksum(tensors) else None


def _networks(trainer: Trainer) -> dict[str, torch.nn.Module]:
    return {"generator": trainer.generator, "mean": trainer.mean, "critic": trainer.critic}


def _optimizers(trainer: Trainer) -> dict[str, torch.optim.Adam]:
    return {"generator_adam": trainer.generator_adam, "critic_adam": trainer.critic_adam}


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
