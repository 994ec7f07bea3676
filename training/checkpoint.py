"""The state of a training as one safetensors file: networks, running mean, optimisers, and all that steers them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from napari_pgan.errors import InputError
from napari_pgan.model.model_file import save_tensors
from napari_pgan.training.trainer import Trainer

_KEY = "napari_pgan_checkpoint"
_FORMAT = 2
_KEPT = 3
_NAMES = "[0-9]" * 10 + ".safetensors"
_TRAINER = "trainer."  # before the names of what `Trainer.state` gives


class NotFinite(Exception):
    """The training has diverged: a loss, a gradient or a number of its state is infinite or not a number."""


def save_checkpoint(folder: Path, trainer: Trainer, extra: dict[str, Any]) -> Path:
    """Write the trainer's state, whole or not at all, and remove all but the newest few.

    Parameters
    ----------
    folder
        Of the run's checkpoints.
    extra
        JSON that `load_checkpoint` gives back.

    Raises
    ------
    NotFinite
        The state is not worth going back to; nothing is written.
    """
    tensors, steps = _tensors(trainer)
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise NotFinite(f"the networks hold numbers that are not finite after {trainer.seen:,} images")
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
    """Put the newest checkpoint that verifies into the trainer.

    Parameters
    ----------
    folder
        Of the run's checkpoints.
    before
        Only checkpoints of fewer images than this are taken.

    Returns
    -------
    dict or None
        Its `extra`, or None where there is no checkpoint (of fewer images that verifies).

    Raises
    ------
    InputError
        There are checkpoints, but none of them verifies, or they are of another version of the software.
    """
    paths = [p for p in sorted(folder.glob(_NAMES), reverse=True) if before is None or int(p.stem) < before]
    for path in paths:
        found = _read(path)
        if found is not None:
            tensors, note = found
            _restore(trainer, tensors, note["steps"])
            trainer.seen, trainer.rate_factor, trainer.split = note["seen"], note["rate_factor"], note["split"]
            trainer.sound()  # of what was before, nothing is left
            return note["extra"]
    if paths and before is None:
        raise InputError(f"{folder}: none of its {len(paths)} checkpoints is whole; start again in another --out")
    return None


def verified(path: Path) -> bool:
    """Whether a checkpoint is whole."""
    return _read(path) is not None


def newest_checkpoint(folder: Path) -> int | None:
    """The images of the newest checkpoint, whole or not; None where there is none."""
    return max((int(path.stem) for path in folder.glob(_NAMES)), default=None)


def drop_checkpoints_after(folder: Path, seen: int) -> None:
    """Remove the checkpoints of more images than that, as a training goes another way from there."""
    for path in sorted(folder.glob(_NAMES), reverse=True):
        if int(path.stem) > seen:
            path.unlink()


def _tensors(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    tensors = {_TRAINER + k: v.detach().cpu().contiguous() for k, v in trainer.state().items()}
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
    trainer.load_state(_under(_TRAINER, tensors))
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


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Tensors and note of a checkpoint; None where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a file, not a dict
        checksum = note.pop("checksum")
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    if note.get("format") != _FORMAT:
        raise InputError(
            f"{path}: was written by another version of napari-pgan; go on with that one, or start again in another "
            "--out"
        )
    return (tensors, note) if checksum == _checksum(tensors, note) else None


def _networks(trainer: Trainer) -> dict[str, torch.nn.Module]:
    return {"generator": trainer.generator, "mean": trainer.mean, "critic": trainer.critic}


def _optimizers(trainer: Trainer) -> dict[str, torch.optim.Adam]:
    return {"generator_adam": trainer.generator_adam, "critic_adam": trainer.critic_adam}


def _checksum(tensors: dict[str, torch.Tensor], note: dict[str, Any]) -> str:
    digest = hashlib.blake2b(json.dumps(note, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
