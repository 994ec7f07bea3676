"""Feature encoders named by the user: any torch module, or the Inception network of torchmetrics."""

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
_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # file name of torch-fidelity


class NamedEncoder:
    """A feature encoder named by the user.

    Parameters
    ----------
    module
        (N, M, Y, X) float32 → (N, D).
    name
        Name given by the user.
    digest
        Hash that distinguishes networks of that name; empty if the name is enough.
    """

    def __init__(self, module: nn.Module, name: str, digest: str = "") -> None:
        self.module, self.name, self.digest = module.eval().requires_grad_(False), name, digest

    @property
    def about(self) -> dict[str, object]:
        """Description for the report."""
        return {"kind": "named", "name": self.name, "sentence": f"the network {self.name}, named by the user"}

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) in [-1, 1] → float32 (N, D).

        Raises
        ------
        InputError
            The network rejects the images, or returns something other than finite rows.
        """
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), _CHUNK):
                part = torch.from_numpy(np.ascontiguousarray(images[start : start + _CHUNK], np.float32))
                try:
                    rows = self.module(part)
                except Exception as error:  # user code may raise anything
                    raise InputError(
                        f"the encoder {self.name} does not accept images of shape {tuple(part.shape)} "
                        f"({_first_line(error)}); name another"
                    ) from error
                if not isinstance(rows, torch.Tensor) or rows.ndim != 2 or len(rows) != len(part):
                    raise InputError(f"the encoder {self.name} does not return features (N, D); give another")
                if not torch.isfinite(rows).all():
                    raise InputError(f"the encoder {self.name} returns NaN or Inf for images in [-1, 1]; give another")
                parts.append(rows.float().numpy())
        return np.concatenate(parts)


def named_encoder(text: str) -> NamedEncoder:
    """Create an encoder by name.

    Parameters
    ----------
    text
        ``package.module:callable``: called without arguments, returns a `torch.nn.Module` that maps float32 images
        (N, M, Y, X) in [-1, 1] to features (N, D). Or ``inception``: Inception-v3 as in published Fréchet distances
        (2048 features), if torch-fidelity and its weights are installed. Three modalities are used as RGB; otherwise
        the mean of the modalities is repeated.

    Raises
    ------
    InputError
        The encoder cannot be imported or created, is not a module, has different weights at each call, or is not
        installed.
    """
    if text == _INCEPTION:
        return NamedEncoder(_Inception(), _INCEPTION)
    where, _, name = text.partition(":")
    if not where or not name:
        raise InputError(f"unknown encoder {text!r}; give package.module:callable, or inception")
    try:
        factory = getattr(importlib.import_module(where), name)
        made, again = factory(), factory()
    except Exception as error:  # user code may raise anything
        raise InputError(
            f"the encoder {text!r} cannot be created ({_first_line(error)}); give package.module:callable"
        ) from error
    if not isinstance(made, nn.Module):
        raise InputError(f"the encoder {text!r} returns a {type(made).__name__}, not a torch.nn.Module; name another")
    digest = _digest(factory, made)
    if digest != _digest(factory, again):
        raise InputError(
            f"the encoder {text!r} has different weights at each call, so results would not be comparable; load or "
            "seed them"
        )
    return NamedEncoder(made, text, digest)


def _first_line(error: Exception) -> str:
    """The type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _digest(factory: object, module: nn.Module) -> str:
    """Hash of the weights, the architecture, and the source files of the factory and the layers."""
    found = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    files = set()
    for part in (factory, *(type(each) for each in module.modules())):
        if not str(getattr(part, "__module__", "")).startswith("torch."):
            with contextlib.suppress(TypeError, OSError):  # implemented in C, or defined interactively
                files.add(inspect.getsourcefile(part))  # type: ignore[arg-type]
    for file in sorted(file for file in files if file):
        with contextlib.suppress(OSError):
            found.update(Path(file).read_bytes())
    return found.hexdigest()[:16]


class _Inception(nn.Module):
    """Inception-v3 for any number of modalities; its weights are never downloaded."""

    def __init__(self) -> None:
        super().__init__()
        weights = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS
        if importlib.util.find_spec("torch_fidelity") is None or not weights.is_file():
            raise InputError(
                f"inception needs the package torch-fidelity and the file {weights}, and nothing is downloaded; "
                "install both, or use an encoder trained on the cohort"
            )
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.inception = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        colours = images if images.shape[1] == 3 else images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        return self.inception(((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))
