"""The model file: a generator's tensors and its card in one safetensors file. No pickle is ever opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model.card import Card
from napari_pgan.model.networks import Generator

METADATA_KEY = "napari_pgan"
_GENERATOR = "generator."


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Parameters
    ----------
    card
        The model's description.
    generator
        The network, in evaluation mode.
    extras
        Tensors of other parts, by their full names (``critic.…``, ``encoder.…``).
    """

    card: Card
    generator: Generator
    extras: dict[str, torch.Tensor]


def write_model(
    path: str | Path, card: Card, generator: Generator, extras: dict[str, torch.Tensor] | None = None
) -> None:
    """Write a model file, whole or not at all.

    Parameters
    ----------
    path
        Should end in ``.safetensors``.
    card
        Its description; must fit the generator.
    generator
        Whose tensors are stored in float32.
    extras
        Tensors of other parts under their full names.
    """
    if generator.architecture != card.architecture:
        raise ValueError("the card describes another architecture than the generator's")
    tensors = {_GENERATOR + k: v.detach().float().cpu().contiguous() for k, v in generator.state_dict().items()}
    for name, tensor in (extras or {}).items():
        tensors[name] = tensor.detach().cpu().contiguous()
    save_tensors(path, tensors, {METADATA_KEY: card.to_json()})


def save_tensors(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Raises
    ------
    InputError
        The disk does not take it: full, or not to be written to. What was there before is still there.
    """
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except SafetensorError as error:  # its own form of an OSError
        raise InputError(f"{path}: cannot be written ({error}); make room on the disk or give another place") from error


def read_card(path: str | Path) -> Card:
    """The card of a model file, without its tensors; raises InputError as `read_model` does."""
    path = Path(path)
    _refuse_what_is_no_model(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is damaged or no safetensors file ({error}); copy or download it again") from None
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: is a safetensors file without a napari-pgan card; give a model that `fit` wrote")
    return Card.from_json(metadata[METADATA_KEY], str(path))


def read_model(path: str | Path) -> ModelFile:
    """Read and check a model file.

    Raises
    ------
    InputError
        The file is missing, a pickle, damaged, of a newer format, or its tensors do not fit its card.
    """
    path = Path(path)
    card = read_card(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a file, not a dict
    generator = Generator(card.architecture)
    state = {k.removeprefix(_GENERATOR): v for k, v in tensors.items() if k.startswith(_GENERATOR)}
    try:
        generator.load_state_dict(state)
    except RuntimeError:
        raise InputError(f"{path}: its tensors do not fit its card; export the model again") from None
    extras = {k: v for k, v in tensors.items() if not k.startswith(_GENERATOR)}
    return ModelFile(card, generator.eval().requires_grad_(False), extras)


def identity(generator: Generator) -> str:
    """The hash of a generator and its architecture: the same for every file that holds it (hex, 64 digits)."""
    digest = hashlib.sha256(json.dumps(generator.architecture.to_dict(), sort_keys=True).encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _refuse_what_is_no_model(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a model file (.safetensors)")
    with open(path, "rb") as file:
        head = file.read(9)
    is_safetensors = head[8:] == b"{"  # after the header's length, whose first byte may be that of a pickle
    if (head.startswith((b"PK\x03\x04", b"\x80")) and not is_safetensors) or path.suffix.lower() in (
        ".pt",
        ".pth",
        ".pkl",
        ".ckpt",
    ):
        raise InputError(
            f"{path}: is a pickle (a PyTorch checkpoint), which could run code on opening and is never opened here; "
            "give a .safetensors model that `fit` wrote"
        )
