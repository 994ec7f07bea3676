"""Model files: a generator's tensors and its card, and optionally its critic and encoders.

The format is safetensors; pickles are never opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model.card import Card
from napari_pgan.model.encoders import Encoders, EncoderShape
from napari_pgan.model.networks import Critic, Generator

METADATA_KEY = "napari_pgan"
_GENERATOR, _CRITIC, _ENCODER = "generator.", "critic.", "encoder."


@dataclass(frozen=True)
class ModelFile:
    """Content of a model file.

    Parameters
    ----------
    card
        The model's description.
    generator
        The network, in evaluation mode.
    """

    card: Card
    generator: Generator


def write_model(path: str | Path, card: Card, generator: Generator, critic: Critic | None = None) -> None:
    """Write a model file atomically.

    Parameters
    ----------
    path
        Should end in ``.safetensors``.
    card
        The description; must fit the generator.
    generator
        The network, stored in float32.
    critic
        A critic of the same architecture, for training that starts from this model; stored in half precision.
    """
    for network in (generator, critic):
        if network is not None and network.architecture != card.architecture:
            raise ValueError(f"the card describes another architecture than the {type(network).__name__.lower()}'s")
    tensors = {_GENERATOR + k: v.detach().float().cpu().contiguous() for k, v in generator.state_dict().items()}
    if critic is not None:
        tensors |= {_CRITIC + k: _half(v.detach().float().cpu()).contiguous() for k, v in critic.state_dict().items()}
    save_tensors(path, tensors, {METADATA_KEY: replace(card, encoders={}).to_json()})  # encoders belong to another file


def add_encoders(path: str | Path, encoders: Encoders, measures: Mapping[str, Any]) -> None:
    """Add encoders to a model file or replace them; the other content does not change.

    Parameters
    ----------
    path
        The file; replaced atomically.
    encoders
        Encoders of the file's generator; stored in half precision.
    measures
        Measurements of the encoders for the card, as JSON values.

    Raises
    ------
    InputError
        See `read_card`; or the file cannot be written.
    """
    path = Path(path)
    card = read_card(path)
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith(_ENCODER)}
    for name, tensor in encoders.state_dict().items():
        tensors[_ENCODER + name] = _half(tensor.detach().float().cpu()).contiguous()
    card = replace(card, encoders={**encoders.shape.to_dict(), **measures})
    save_tensors(path, tensors, {METADATA_KEY: card.to_json()})


def read_encoders(path: str | Path) -> Encoders | None:
    """Return the encoders of a model file in float32, or None without encoders; raises InputError like `read_model`."""
    path = Path(path)
    card = read_card(path)
    if not card.encoders:
        return None
    shape = EncoderShape.from_dict(card.encoders)
    with torch.random.fork_rng(devices=[]):
        encoders = Encoders(card.architecture, card.channels, shape)
    _fill(encoders, path, _ENCODER)
    return encoders.eval().requires_grad_(False)


def save_tensors(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    Raises
    ------
    InputError
        The disk is full or not writable; an existing file is not changed.
    """
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except SafetensorError as error:  # safetensors wraps an OSError
        raise InputError(f"{path}: cannot be written ({error}); make room on the disk or give another path") from error


def read_card(path: str | Path) -> Card:
    """Read the card of a model file without its tensors; raises InputError like `read_model`."""
    path = Path(path)
    metadata, _ = _header(path)
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: is a safetensors file without a napari-pgan card; give a model that `fit` wrote")
    return Card.from_json(metadata[METADATA_KEY], str(path))


def read_model(path: str | Path) -> ModelFile:
    """Read and check the card and generator of a model file; critic and encoders are not read.

    Raises
    ------
    InputError
        The file is missing, a pickle, damaged or of a newer format, or its tensors do not fit its card.
    """
    path = Path(path)
    card = read_card(path)
    generator = Generator(card.architecture)
    _fill(generator, path, _GENERATOR)
    return ModelFile(card, generator.eval().requires_grad_(False))


def holds_critic(path: str | Path) -> bool:
    """Return whether a model file contains a critic; raises InputError if the file cannot be read."""
    return any(name.startswith(_CRITIC) for name in _header(Path(path))[1])


def read_critic(path: str | Path) -> Critic | None:
    """Return the critic of a model file in float32, or None without a critic; raises InputError like `read_model`."""
    path = Path(path)
    architecture = read_card(path).architecture
    if not holds_critic(path):
        return None
    critic = Critic(architecture)
    _fill(critic, path, _CRITIC)
    return critic.eval().requires_grad_(False)


def identity(generator: Generator) -> str:
    """Return the hash of a generator and its architecture (64 hex digits), independent of the rest of the file."""
    digest = hashlib.sha256(json.dumps(generator.architecture.to_dict(), sort_keys=True).encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    """Convert to half precision, unless a number is too large for it (above 65,504)."""
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor


def _header(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the metadata and the names of the tensors."""
    _refuse_what_is_no_model(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is damaged or not a safetensors file ({error}); copy or download it again") from None


def _fill(network: Generator | Critic | Encoders, path: Path, prefix: str) -> None:
    """Load the tensors under a prefix; raises InputError if they do not fit the network."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  a file, not a dict
        state = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise InputError(f"{path}: its tensors do not fit its card; export the model again") from None


def _refuse_what_is_no_model(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give a model file (.safetensors)")
    with open(path, "rb") as file:
        head = file.read(9)
    is_safetensors = head[8:] == b"{"  # after the header's length, whose first byte may equal a pickle's
    if (head.startswith((b"PK\x03\x04", b"\x80")) and not is_safetensors) or path.suffix.lower() in (
        ".pt",
        ".pth",
        ".pkl",
        ".ckpt",
    ):
        raise InputError(
            f"{path}: is a pickle (a PyTorch checkpoint) and is not opened, since it could run code; "
            "give a .safetensors model that `fit` wrote"
        )
