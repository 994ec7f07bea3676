"""An encoder that the user names: a torch module of theirs, or the Inception network that torchmetrics takes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_pgan.errors import InputError

_CHUNK = 32
_INCEPTION = "inception"
_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # as torch-fidelity names them


class NamedEncoder:
    """A network of the user's.

    Parameters
    ----------
    module
        (N, M, Y, X) float32 → (N, D).
    name
        As the user gave it.
    digest
        What tells networks of that name apart; empty where the name says all.
    """

    def __init__(self, module: nn.Module, name: str, digest: str = "") -> None:
        self.module, self.name, self.digest = module.eval().requires_grad_(False), name, digest

    @property
    def about(self) -> dict[str, object]:
        """What it is, for the report."""
        return {"kind": "named", "name": self.name, "sentence": f"the network {self.name}, named by the user"}

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) in [-1, 1] → float32 (N, D).

        Raises
        ------
        InputError
            The network does not take such images, or gives something other than finite rows.
        """
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), _CHUNK):
                part = torch.from_numpy(np.ascontiguousarray(images[start : start + _CHUNK], np.float32))
                try:
                    rows = self.module(part)
                except Exception as error:  # it is the user's and may raise what it likes
                    raise InputError(
                        f"the encoder {self.name} does not take images of shape {tuple(part.shape)} ({_why(error)}); "
                        "name one that does"
                    ) from error
                if not isinstance(rows, torch.Tensor) or rows.ndim != 2 or len(rows) != len(part):
                    raise InputError(f"the encoder {self.name} gives no rows of features, (N, D); name one that does")
                if not torch.isfinite(rows).all():
                    raise InputError(f"the encoder {self.name} gives NaN or Inf; name one that takes [-1, 1]")
                parts.append(rows.float().numpy())
        return np.concatenate(parts)


def named_encoder(text: str) -> NamedEncoder:
    """The encoder of a name.

    Parameters
    ----------
    text
        ``package.module:callable``, called without arguments, which gives a `torch.nn.Module` that turns float32 images
        (N, M, Y, X) in [-1, 1] into features (N, D). Or ``inception``: Inception-v3 as the published Fréchet distances
        have it (2048 features), where torch-fidelity and its weights already lie on this machine. Images of three
        modalities go in as they are; of any other number, as their mean, repeated.

    Raises
    ------
    InputError
        It cannot be imported or made, is no module, has other weights at each call, or is not on this machine.
    """
    if text == _INCEPTION:
        return NamedEncoder(_Inception(), _INCEPTION)
    where, _, name = text.partition(":")
    if not where or not name:
        raise InputError(f"the encoder {text!r} is not known; give package.module:callable, or inception")
    try:
        factory = getattr(importlib.import_module(where), name)
        made, again = factory(), factory()
    except Exception as error:  # it is the user's and may raise what it likes
        raise InputError(
            f"the encoder {text!r} cannot be made ({_why(error)}); give package.module:callable"
        ) from error
    if not isinstance(made, nn.Module):
        raise InputError(
            f"the encoder {text!r} gives a {type(made).__name__}, not a torch.nn.Module; give one that does"
        )
    digest = _digest(factory, made)
    if digest != _digest(factory, again):
        raise InputError(
            f"the encoder {text!r} has other weights each time it is called, so its figures would not compare; load or "
            "seed them"
        )
    return NamedEncoder(made, text, digest)


def _why(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _digest(factory: object, module: nn.Module) -> str:
    """Of the weights, of the files that the factory and the network's parts are written in, and of how it is put
    together: where any changes, so may the features."""
    found = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    files = set()
    for part in (factory, *(type(each) for each in module.modules())):
        if not str(getattr(part, "__module__", "")).startswith("torch."):
            with contextlib.suppress(TypeError, OSError):  # written in C, or at a prompt
                files.add(inspect.getsourcefile(part))  # type: ignore[arg-type]
    for file in sorted(file for file in files if file):
        with contextlib.suppress(OSError):
            found.update(Path(file).read_bytes())
    return found.hexdigest()[:16]


class _Inception(nn.Module):
    """Inception-v3 behind images of any number of modalities; its weights are never fetched from the network."""

    def __init__(self) -> None:
        super().__init__()
        weights = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS
        if importlib.util.find_spec("torch_fidelity") is None or not weights.is_file():
            raise InputError(
                f"Inception needs the package torch-fidelity and its weights in {weights}, and nothing is downloaded "
                "here; put them there, or leave the encoder to be trained on the cohort"
            )
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.inception = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        colours = images if images.shape[1] == 3 else images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        return self.inception(((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))
