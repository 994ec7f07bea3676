"""Generator and critic of a progressively grown GAN (Karras et al. 2017, arXiv:1710.10196)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_pgan.errors import InputError
from napari_pgan.model.layers import Conv, Dense, Head, MinibatchStddev, blend, down, leaky, pixel_norm, smoothed, up


@dataclass(frozen=True)
class Architecture:
    """Parameters that determine the shape of the networks.

    Parameters
    ----------
    base
        Grid of the first feature map, (y, x) or (z, y, x); stage ``s`` has ``base * 2**s`` pixels.
    widths
        Feature maps per stage, smallest size first.
    channels
        Number of image channels, including labels.
    latent
        Length of a latent.
    conditions
        Number of condition values added to the latent and to the critic; 0 for none.
    sphere
        Whether latents are projected to the hypersphere of radius √latent before use.
    pixelnorm
        Whether the generator normalises each pixel's feature vector.
    equalized
        Whether weights are scaled at run time (equalised learning rate) or at initialisation (He).
    stddev_group
        Images per group in the critic's minibatch standard deviation; 0 for the whole batch.
    smooth
        Whether the generator smooths upsampled features (Karras et al. 2019, arXiv:1812.04948), so that blocks of
        repeated pixels are not visible.
    labels
        Number of label channels, which are the last channels.
    label_share
        Share of the generator's maps reserved for the labels. They are normalised separately and no modality uses
        them, so that sharp label edges do not appear as rims in the modalities. 0 to share all maps.
    image_critic
        Width of a second critic, which sees only the modalities, as a share of the critic's; 0 for none.
    """

    base: tuple[int, ...]
    widths: tuple[int, ...]
    channels: int
    latent: int = 512
    conditions: int = 0
    sphere: bool = True
    pixelnorm: bool = True
    equalized: bool = True
    stddev_group: int = 4
    smooth: bool = False
    labels: int = 0
    label_share: float = 0.0
    image_critic: float = 0.0

    def __post_init__(self) -> None:
        if len(self.base) not in (2, 3) or min(self.base) < 1:
            raise InputError(f"the base grid {self.base} must have two or three axes of at least one pixel")
        if not self.widths or min(self.widths) < 1 or self.channels < 1 or self.latent < 1:
            raise InputError(
                f"widths {self.widths}, {self.channels} channels, latent {self.latent}: give positive numbers only"
            )

    @property
    def dimensions(self) -> int:
        return len(self.base)

    @property
    def stages(self) -> int:
        return len(self.widths)

    def shape(self, stage: int) -> tuple[int, ...]:
        """Return the image shape in pixels at a stage, counted from 0."""
        return tuple(n * 2**stage for n in self.base)

    def parts(self, stage: int) -> list[tuple[slice, slice]]:
        """Return pairs (maps, channels) of a stage: one for all channels, or one for modalities and one for labels."""
        width = self.widths[stage]
        own = round(width * self.label_share)
        if not (own and 0 < self.labels < self.channels and own < width):
            return [(slice(0, width), slice(0, self.channels))]
        cut = self.channels - self.labels
        return [(slice(0, width - own), slice(0, cut)), (slice(width - own, width), slice(cut, self.channels))]

    def sources(self, stage: int) -> list[tuple[slice, slice]]:
        """Return pairs (maps, channels) of a stage's head: modalities do not use the maps of labels; labels use all."""
        first, *rest = self.parts(stage)
        return [first, *((slice(0, self.widths[stage]), channels) for _, channels in rest)]

    def to_dict(self) -> dict[str, Any]:
        return {"dimensions": self.dimensions, **asdict(self), "base": list(self.base), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        known = {k: v for k, v in data.items() if k != "dimensions"}
        return cls(**{**known, "base": tuple(data["base"]), "widths": tuple(data["widths"])})


class _Activation:
    """Activation after a convolution of the generator: leaky ReLU, then pixel norm of each group of maps."""

    def __init__(self, a: Architecture, stage: int) -> None:
        self.normalize = a.pixelnorm
        self.sizes = [maps.stop - maps.start for maps, _ in a.parts(stage)]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = leaky(x)
        if not self.normalize:
            return x
        if len(self.sizes) == 1:
            return pixel_norm(x)
        return torch.cat([pixel_norm(part) for part in x.split(self.sizes, dim=1)], dim=1)


def fades(alpha: float | torch.Tensor) -> bool:
    """Return whether a stage is fading in; True for any tensor, since reading its value would synchronise the GPU."""
    return isinstance(alpha, torch.Tensor) or alpha < 1


class _GeneratorBlock(nn.Module):
    def __init__(self, a: Architecture, stage: int) -> None:
        super().__init__()
        inputs, outputs = a.widths[stage - 1], a.widths[stage]
        self.grow = Conv(a.dimensions, inputs, outputs, equalized=a.equalized, scale="up")
        self.refine = Conv(a.dimensions, outputs, outputs, equalized=a.equalized)
        self.smooth, self.activate = a.smooth, _Activation(a, stage)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.grow(x)
        return self.activate(self.refine(self.activate(smoothed(x) if self.smooth else x)))


class Generator(nn.Module):
    """Latents → images with their label channels.

    Each stage doubles the size and has a head that converts its features to an image. While a stage fades in, its image
    is blended with the upsampled image of the stage below.
    """

    mean_map: torch.Tensor
    heads: nn.ModuleList
    blocks: nn.ModuleList

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        first = a.widths[0] * math.prod(a.base)
        self.dense = Dense(a.latent + a.conditions, first, gain=math.sqrt(2) / 4, equalized=a.equalized)
        self.conv = Conv(a.dimensions, a.widths[0], a.widths[0], equalized=a.equalized)
        self.blocks = nn.ModuleList(_GeneratorBlock(a, s) for s in range(1, a.stages))
        self.heads = nn.ModuleList(
            Head(a.dimensions, a.widths[s], a.channels, a.sources(s), a.equalized) for s in range(a.stages)
        )
        self.activate = _Activation(a, 0)
        self.register_buffer("mean_map", torch.zeros(a.widths[0], *a.base))

    def first_map(self, latents: torch.Tensor, conditions: torch.Tensor | None = None) -> torch.Tensor:
        """Map latents (N, L) to the first feature map (N, W₀, *base)."""
        a = self.architecture
        if a.sphere:
            latents = F.normalize(latents, dim=1) * math.sqrt(a.latent)
        if a.conditions:
            if conditions is None or conditions.shape != (len(latents), a.conditions):
                raise ValueError(f"conditions must have the shape ({len(latents)}, {a.conditions})")
            latents = torch.cat([latents, conditions.to(latents)], dim=1)
        x = self.dense(latents).reshape(-1, a.widths[0], *a.base)
        return self.activate(x)

    def features(self, first_map: torch.Tensor, stage: int, offsets: Sequence[torch.Tensor] = ()) -> list[torch.Tensor]:
        """Return the features of stages 0 to `stage`, each (N, W_s, *base·2^s).

        Offsets are added to the outputs of the first stages, one per stage.
        """
        every = [self.activate(self.conv(first_map))]
        for number, block in enumerate([*list(self.blocks)[:stage], None]):
            if number < len(offsets):
                every[-1] = every[-1] + offsets[number]
            if block is not None:
                every.append(block(every[-1]))
        return every

    def synthesize(
        self,
        first_map: torch.Tensor,
        stage: int | None = None,
        alpha: float | torch.Tensor = 1.0,
        offsets: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Map the first feature map to channels (N, C, *base·2^stage); `offsets` as in `features`."""
        stage = self.architecture.stages - 1 if stage is None else stage
        every = self.features(first_map, stage, offsets)
        x = self.heads[stage](every[-1])
        if stage > 0 and fades(alpha):
            x = blend(up(self.heads[stage - 1](every[-2])), x, alpha)
        return x

    def forward(
        self,
        latents: torch.Tensor,
        stage: int | None = None,
        alpha: float | torch.Tensor = 1.0,
        conditions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map latents (N, L) to channels (N, C, *base·2^stage), not clamped; the target range is [-1, 1].

        Parameters
        ----------
        stage
            Counted from 0; the last one if None.
        alpha
            Progress of the fade-in, 0 to 1; a 0-d tensor always computes the blend.
        conditions
            (N, conditions), if the architecture has conditions.
        """
        return self.synthesize(self.first_map(latents, conditions), stage, alpha)


class _CriticBlock(nn.Module):
    def __init__(self, a: Architecture, stage: int) -> None:
        super().__init__()
        inputs, outputs = a.widths[stage], a.widths[stage - 1]
        self.refine = Conv(a.dimensions, inputs, inputs, equalized=a.equalized)
        self.shrink = Conv(a.dimensions, inputs, outputs, equalized=a.equalized, scale="down")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return leaky(self.shrink(leaky(self.refine(x))))


class Critic(nn.Module):
    """Images with their label channels → one score each; mirrors the generator.

    With an `images` critic, which does not see the labels, its scores are appended.
    """

    images: Critic | None

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.tails = nn.ModuleList(
            Conv(a.dimensions, a.channels, width, kernel=1, equalized=a.equalized) for width in a.widths
        )
        self.blocks = nn.ModuleList(_CriticBlock(a, s) for s in range(1, a.stages))
        self.stddev = MinibatchStddev(a.stddev_group)
        self.conv = Conv(a.dimensions, a.widths[0] + 1, a.widths[0], equalized=a.equalized)
        flat = a.widths[0] * math.prod(a.base)
        self.dense = Dense(flat + a.conditions, a.widths[0], equalized=a.equalized)
        self.score = Dense(a.widths[0], 1, gain=1, equalized=a.equalized)
        self.images = None
        if a.image_critic and 0 < a.labels < a.channels:
            widths = tuple(max(1, round(w * a.image_critic)) for w in a.widths)
            self.images = Critic(replace(a, channels=a.channels - a.labels, widths=widths, labels=0, image_critic=0.0))

    def forward(
        self,
        x: torch.Tensor,
        stage: int,
        alpha: float | torch.Tensor = 1.0,
        conditions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map channels (N, C, *base·2^stage) to scores (N,), or (2N,) with two critics.

        During a fade-in the features are blended with those of the stage below.
        """
        h = leaky(self.tails[stage](x))
        for s in range(stage, 0, -1):
            h = self.blocks[s - 1](h)
            if s == stage and fades(alpha):
                h = blend(leaky(self.tails[s - 1](down(x))), h, alpha)
        h = leaky(self.conv(self.stddev(h))).flatten(1)
        if self.architecture.conditions:
            if conditions is None:
                raise ValueError("this critic needs conditions")
            h = torch.cat([h, conditions.to(h)], dim=1)
        scores = self.score(leaky(self.dense(h)))[:, 0]
        if self.images is None:
            return scores
        return torch.cat([scores, self.images(x[:, : -self.architecture.labels], stage, alpha, conditions)])
