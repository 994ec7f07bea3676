"""The model: generates images and labels from latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.model.batch import Batch
from napari_pgan.model.card import Card
from napari_pgan.model.encoders import Encoders
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.model.latents import latents_of_seeds
from napari_pgan.model.model_file import identity, read_encoders, read_model
from napari_pgan.model.networks import Generator
from napari_pgan.model.refit import mean_map


class Model:
    """A generator with its card.

    Parameters
    ----------
    card
        The description.
    generator
        The network; switched to evaluation mode, with gradients of its parameters disabled.
    encoders
        Networks from images and label maps to latents, if any (see `napari_pgan.latent.encoder`).
    """

    def __init__(self, card: Card, generator: Generator, encoders: Encoders | None = None) -> None:
        self.card, self.encoders = card, encoders
        self.generator = generator.eval().requires_grad_(False)
        self.encoding = Encoding(card.channels, card.encoding)
        if card.architecture.dimensions == 2:  # 1.2 times faster on a CPU
            self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._conditional_means: dict[tuple[float, ...], torch.Tensor] = {}

    @cached_property
    def identity(self) -> str:
        """Hash of the generator and its architecture, 64 hex digits."""
        return identity(self.generator)

    @property
    def stages(self) -> int:
        """Number of image sizes of the generator; ``stage`` counts them from 0."""
        return self.card.architecture.stages

    @property
    def device(self) -> torch.device:
        return self.generator.dense.weight.device

    def to(self, device: torch.device | str) -> Model:
        """Move the networks to a device and return the model."""
        self.generator.to(device)
        if self.encoders is not None:
            self.encoders.to(device)
        self._conditional_means.clear()
        return self

    def latents(self, seeds: Iterable[int]) -> np.ndarray:
        """Return the latents of seeds, (N, L) float32, identical on every machine."""
        return latents_of_seeds(seeds, self.card.architecture.latent)

    def sample(
        self,
        *,
        seeds: Iterable[int] | None = None,
        latents: np.ndarray | torch.Tensor | None = None,
        offsets: Sequence[np.ndarray | torch.Tensor] = (),
        truncation: float = 1.0,
        stage: int | None = None,
        conditions: Mapping[str, str | float] | None = None,
        batch_size: int = 8,
        precision: Literal["float32", "bf16"] = "float32",
        progress: Callable[[int, int], None] | None = None,
    ) -> Batch:
        """Generate images.

        Parameters
        ----------
        seeds
            One image per seed. Give either seeds or latents.
        latents
            (N, L), one image per row.
        offsets
            (N, W, …) for each of the first stages, added to the stage's features, for images that no latent generates
            (`latent.steering.refine`); those beyond `stage` are ignored.
        truncation
            1 samples the whole distribution; lower values move the first feature map towards its mean, which trades
            variety for fidelity (Marchesi 2017, arXiv:1706.00082; Karras et al. 2019, arXiv:1812.04948). Offsets are
            scaled by it, since they were found for the untruncated features: at 0 every image is the mean image.
        stage
            Counted from 0; lower stages give smaller versions of the same image. None for the last stage.
        conditions
            Name → value, for all images.
        batch_size
            Images per batch; affects the result only by rounding (below 1e-4).
        precision
            ``bf16`` is for previews: up to twice as fast where supported, and accurate to two digits.
        progress
            Called with (done, total) after each batch.

        Raises
        ------
        InputError
            Neither or both of seeds and latents are given, a latent or offset has the wrong size or is not finite, or
            the model does not support the stage, condition, truncation or precision.
        """
        if (seeds is None) == (latents is None):
            raise InputError("give either seeds or latents, not both or neither")
        z = torch.as_tensor(self.latents(seeds) if seeds is not None else latents, dtype=torch.float32)
        size = self.card.architecture.latent
        if z.ndim != 2 or z.shape[1] != size or not torch.isfinite(z).all():
            raise InputError(f"latents of shape {tuple(z.shape)} do not fit; this model takes (N, {size}), all finite")
        if precision not in ("float32", "bf16"):
            raise InputError(f"the precision {precision!r} does not exist; give float32 or bf16")
        self.check_offsets(offsets, len(z))
        added = [torch.as_tensor(offset, dtype=torch.float32) for offset in offsets]
        coarse = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")
        stage = self.stage(stage)
        shape = self.card.architecture.shape(stage)
        n, k = len(z), self.encoding.label_count
        images = np.empty((n, self.encoding.modality_count, *shape), np.float32)
        labels = np.empty((n, *shape), np.uint8)
        probabilities = np.empty((n, k, *shape), np.float32)
        with torch.inference_mode(), _exact():
            for start in range(0, n, batch_size):
                part = slice(start, start + batch_size)
                with coarse:
                    moved = [offset[part].to(self.device) for offset in added]
                    x = self.generate(
                        z[part], offsets=moved, truncation=truncation, stage=stage, conditions=conditions
                    ).float()
                images[part] = self.encoding.images(x).clamp(-1, 1).cpu().numpy()
                labels[part] = self.encoding.decode(x).cpu().numpy()
                probabilities[part] = self.encoding.probabilities(x).cpu().numpy()
                if progress:
                    progress(min(start + batch_size, n), n)
        grid = self.card.grid.at_size(shape)
        kept = tuple(offset.detach().cpu().numpy() for offset in added)
        return Batch(images, labels, probabilities, z.numpy(), dict(conditions or {}), grid, truncation, kept)

    def generate(
        self,
        latents: torch.Tensor,
        *,
        offsets: Sequence[torch.Tensor] = (),
        truncation: float = 1.0,
        stage: int | None = None,
        conditions: Mapping[str, str | float] | None = None,
    ) -> torch.Tensor:
        """Map latents (N, L) to raw channels (N, C, …), differentiable in latents and offsets; see `encoding`.

        Offsets are multiplied by the truncation, see `sample`.
        """
        if not 0 <= truncation <= 1:
            raise InputError(f"truncation {truncation:g} is out of range; give 0 to 1")
        first = self._first_map(latents, truncation, conditions)
        if truncation != 1:
            offsets = [truncation * offset for offset in offsets]
        return self.generator.synthesize(first, self.stage(stage), offsets=offsets)

    def features(
        self, latents: torch.Tensor, stage: int, *, conditions: Mapping[str, str | float] | None = None
    ) -> list[torch.Tensor]:
        """Return the features (N, W, …) of stages 0 to `stage` for latents (N, L); offsets have the same shapes."""
        return self.generator.features(self._first_map(latents, 1.0, conditions), self.stage(stage))

    def _first_map(
        self, latents: torch.Tensor, truncation: float, conditions: Mapping[str, str | float] | None
    ) -> torch.Tensor:
        latents = latents.to(self.device)
        row = self._condition_row(conditions)
        joined = None if row is None else row.expand(len(latents), -1)
        first = self.generator.first_map(latents, joined)
        return first if truncation == 1 else torch.lerp(self._mean_map(row), first, truncation)

    def check_offsets(self, offsets: Sequence[np.ndarray | torch.Tensor], count: int) -> None:
        """Raise InputError for offsets that do not fit `count` images of this model."""
        a = self.card.architecture
        wanted = [(count, a.widths[s], *a.shape(s)) for s in range(self.stages)]
        given = [tuple(offset.shape) for offset in offsets]
        if given != wanted[: len(given)]:
            raise InputError(f"offsets of shapes {given} do not fit; for {count} images this model takes {wanted}")
        if not all(torch.isfinite(torch.as_tensor(offset)).all() for offset in offsets):
            raise InputError("offsets contain numbers that are not finite; compute them again")

    def stage(self, stage: int | None) -> int:
        """Return the stage if it exists, the last one for None; raises InputError otherwise."""
        if stage is None:
            return self.stages - 1
        if not 0 <= stage < self.stages:
            shapes = (self.card.architecture.shape(s) for s in range(self.stages))
            listed = ", ".join(f"{s} ({'×'.join(map(str, shape))})" for s, shape in enumerate(shapes))
            raise InputError(f"stage {stage} does not exist; this model has the stages {listed}")
        return stage

    def _condition_row(self, conditions: Mapping[str, str | float] | None) -> torch.Tensor | None:
        given, known = dict(conditions or {}), {c.name: c for c in self.card.conditions}
        for name in given:
            if name not in known:
                raise InputError(f"this model has no condition {name!r}; it has {', '.join(known) or 'none'}")
        missing = [name for name in known if name not in given]
        if missing:
            raise InputError(
                f"this model needs a value for {', '.join(missing)}; give it in `conditions` "
                f"(--condition {missing[0]}=VALUE)"
            )
        if not known:
            return None
        numbers = [x for name, condition in known.items() for x in condition.encode(given[name])]
        return torch.tensor(numbers, dtype=torch.float32, device=self.device)

    def _mean_map(self, row: torch.Tensor | None) -> torch.Tensor:
        if row is None:
            return self.generator.mean_map
        key = tuple(row.tolist())
        if key not in self._conditional_means:
            self._conditional_means[key] = mean_map(self.generator, row)
        return self._conditional_means[key]


def _exact() -> AbstractContextManager[None]:
    """Run convolutions deterministically and in full float32; NVIDIA's default TF32 is off by more than 1e-4."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def shipped_models() -> dict[str, Path]:
    """Return the shipped models by name."""
    folder = resources.files("napari_pgan.model") / "weights"
    with resources.as_file(folder) as path:
        return {file.stem: file for file in sorted(path.glob("*.safetensors"))}


def find_model(path_or_name: str | Path) -> Path:
    """Return the file of a model, given by its path or by the name of a shipped one.

    Raises
    ------
    InputError
        Neither a file nor a shipped model has that name. Paths with a folder or suffix are not checked.
    """
    path = Path(path_or_name)
    shipped = shipped_models()
    if str(path_or_name) in shipped and not path.is_file():
        return shipped[str(path_or_name)]
    if not path.exists() and path.suffix == "" and path.name == str(path_or_name):
        names = ", ".join(shipped) or "none"
        raise InputError(f"there is no file and no shipped model {str(path_or_name)!r}; shipped: {names}")
    return path


def load_model(path_or_name: str | Path, device: torch.device | str = "cpu") -> Model:
    """Load a model from a file, or a shipped one by name.

    Raises
    ------
    InputError
        The file or name does not exist, or the file cannot be read (see `read_model`).
    """
    path = find_model(path_or_name)
    file = read_model(path)
    return Model(file.card, file.generator, read_encoders(path)).to(device)
