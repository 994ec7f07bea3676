"""The model file: a generator's tensors, its card, and perhaps its critic and its encoders, in one file.

It is a safetensors file; no pickle is ever opened.
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
    """What a model file holds.

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
    """Write a model file, whole or not at all.

    Parameters
    ----------
    path
        Should end in ``.safetensors``.
    card
        Its description; must fit the generator.
    generator
        Whose tensors are stored in float32.
    critic
        Of the same architecture, for trainings that start from this model; stored in half precision.
    """
    for network in (generator, critic):
        if network is not None and network.architecture != card.architecture:
            raise ValueError(f"the card describes another architecture than the {type(network).__name__.lower()}'s")
    tensors = {_GENERATOR + k: v.detach().float().cpu().contiguous() for k, v in generator.state_dict().items()}
    if critic is not None:
        tensors |= {_CRITIC + k: _half(v.detach().float().cpu()).contiguous() for k, v in critic.state_dict().items()}
    save_tensors(path, tensors, {METADATA_KEY: replace(card, encoders={}).to_json()})  # which are of another file


def add_encoders(path: str | Path, encoders: Encoders, measures: Mapping[str, Any]) -> None:
    """Put encoders into a model file, in place of those that it holds; all else in it stays as it is.

    Parameters
    ----------
    path
        The file; it is replaced in one step.
    encoders
        Of its generator; stored in half precision.
    measures
        What the card tells of them, as JSON values.

    Raises
    ------
    InputError
        As `read_card` does, or the disk does not take the file.
    """
    path = Path(path)
    card = read_card(path)
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith(_ENCODER)}
    for name, tensor in encoders.state_dict().items():
        tensors[_ENCODER + name] = _half(tensor.detach().float().cpu()).contiguous()
    card = replace(card, encoders={**encoders.shape.to_dict(), **measures})
    save_tensors(path, tensors, {METADATA_KEY: card.to_json()})


def read_encoders(path: str | Path) -> Encoders | None:
    """The encoders of a model file in float32, or None where it holds none; raises InputError as `read_model` does."""
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
    metadata, _ = _header(path)
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: is a safetensors file without a napari-pgan card; give a model that `fit` wrote")
    return Card.from_json(metadata[METADATA_KEY], str(path))


def read_model(path: str | Path) -> ModelFile:
    """Read and check a model file; what else the file holds beside card and generator is not read.

    Raises
    ------
    InputError
        The file is missing, a pickle, damaged, of a newer format, or its tensors do not fit its card.
    """
    path = Path(path)
    card = read_card(path)
    generator = Generator(card.architecture)
    _fill(generator, path, _GENERATOR)
    return ModelFile(card, generator.eval().requires_grad_(False))


def holds_critic(path: str | Path) -> bool:
    """Whether a model file holds a critic; raises InputError where it is none that can be read."""
    return any(name.startswith(_CRITIC) for name in _header(Path(path))[1])


def read_critic(path: str | Path) -> Critic | None:
    """The critic of a model file in float32, or None where it holds none; raises InputError as `read_model` does."""
    path = Path(path)
    architecture = read_card(path).architecture
    if not holds_critic(path):
        return None
    critic = Critic(architecture)
    _fill(critic, path, _CRITIC)
    return critic.eval().requires_grad_(False)


def identity(generator: Generator) -> str:
    """The hash of a generator and its architecture: the same for every file that holds it (hex, 64 digits)."""
    digest = hashlib.sha256(json.dumps(generator.architecture.to_dict(), sort_keys=True).encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    """In half precision, unless a number is too large for it (above 65,504)."""
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor


def _header(path: Path) -> tuple[dict[str, str], list[str]]:
    """Metadata and names of the tensors."""
    _refuse_what_is_no_model(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is damaged or no safetensors file ({error}); copy or download it again") from None


def _fill(network: Generator | Critic | Encoders, path: Path, prefix: str) -> None:
    """Load the tensors under a prefix; raises InputError where they are not the network's."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  a file, not a dict
        state = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise InputError(f"{path}: its tensors do not fit its card; export the model again") from None


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
