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
    """Everything that decides the shape of the networks.

    Parameters
    ----------
    base
        The grid of the first feature map, (y, x) or (z, y, x); stage ``s`` has ``base * 2**s`` pixels.
    widths
        Feature maps at each stage, smallest size first.
    channels
        Channels of an image, labels included.
    latent
        Numbers in a latent.
    conditions
        Numbers that join the latent and the critic; 0 for none.
    sphere
        Whether latents are projected to the hypersphere of radius √latent before use.
    pixelnorm
        Whether the generator normalises each pixel's feature vector.
    equalized
        Whether weights are scaled at run time (equalised learning rate) or at the start (He).
    stddev_group
        Images a group in the critic's minibatch deviation; 0 for the whole batch.
    smooth
        Whether the generator smooths what it has doubled (Karras et al. 2019, arXiv:1812.04948), so that blocks of
        repeated pixels do not show.
    labels
        How many of the last channels are labels.
    label_share
        The share of the generator's maps that are for the labels alone: these are normalised by themselves, and no
        modality is made of them, so that sharp edges of labels need not show as rims in the modalities. 0 to share all.
    image_critic
        The share of the critic's widths that a second one has, which sees the modalities alone; 0 for none.
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
            raise InputError(f"the base grid {self.base} has neither two nor three axes")
        if not self.widths or min(self.widths) < 1 or self.channels < 1 or self.latent < 1:
            raise InputError(
                f"networks of widths {self.widths}, {self.channels} channels, latent {self.latent}: impossible"
            )

    @property
    def dimensions(self) -> int:
        return len(self.base)

    @property
    def stages(self) -> int:
        return len(self.widths)

    def shape(self, stage: int) -> tuple[int, ...]:
        """The pixels of an image at a stage, counted from 0."""
        return tuple(n * 2**stage for n in self.base)

    def parts(self, stage: int) -> list[tuple[slice, slice]]:
        """Which maps of a stage are for which channels: one part, or the modalities' and the labels'."""
        width = self.widths[stage]
        own = round(width * self.label_share)
        if not (own and 0 < self.labels < self.channels and own < width):
            return [(slice(0, width), slice(0, self.channels))]
        cut = self.channels - self.labels
        return [(slice(0, width - own), slice(0, cut)), (slice(width - own, width), slice(cut, self.channels))]

    def sources(self, stage: int) -> list[tuple[slice, slice]]:
        """Which maps of a stage a head sees for which channels: modalities none of the labels', labels all."""
        first, *rest = self.parts(stage)
        return [first, *((slice(0, self.widths[stage]), channels) for _, channels in rest)]

    def to_dict(self) -> dict[str, Any]:
        return {"dimensions": self.dimensions, **asdict(self), "base": list(self.base), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        known = {k: v for k, v in data.items() if k != "dimensions"}
        return cls(**{**known, "base": tuple(data["base"]), "widths": tuple(data["widths"])})


class _Activation:
    """What follows a convolution of the generator: leaky ReLU, and pixel norm of each part of the maps."""

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
    """Whether a stage is still fading in; what a tensor holds is not asked, since a GPU would have to be waited for."""
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

    Every stage doubles the size; each has a head that turns its features into an image. While a stage fades in, its
    image is blended with the doubled image of the stage below.
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
        """Latents (N, L) → the first feature map (N, W₀, *base)."""
        a = self.architecture
        if a.sphere:
            latents = F.normalize(latents, dim=1) * math.sqrt(a.latent)
        if a.conditions:
            if conditions is None or conditions.shape != (len(latents), a.conditions):
                raise ValueError(f"conditions of shape ({len(latents)}, {a.conditions}) are needed")
            latents = torch.cat([latents, conditions.to(latents)], dim=1)
        x = self.dense(latents).reshape(-1, a.widths[0], *a.base)
        return self.activate(x)

    def features(self, first_map: torch.Tensor, stage: int, offsets: Sequence[torch.Tensor] = ()) -> list[torch.Tensor]:
        """The features of stages 0 to `stage`: (N, W_s, *base·2^s) each.

        Offsets, of the first stages, are added to what those stages hand on.
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
        """The first feature map → channels (N, C, *base·2^stage); `offsets` as in `features`."""
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
        """Latents (N, L) → channels (N, C, *base·2^stage), linear, meant for [-1, 1].

        Parameters
        ----------
        stage
            Counted from 0; the last one if None.
        alpha
            How far that stage has faded in, 0 to 1; a tensor (0-d) stands for a fade-in, whatever it holds.
        conditions
            (N, conditions), where the architecture has them.
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
    """Images with their label channels → one score each; the generator's mirror image.

    With an `images` critic beside it, which does not see the labels, the scores of both follow one another.
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
        """Channels (N, C, *base·2^stage) → scores (N,), or (2N,) where there are two critics.

        The features of a stage that fades in are blended.
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
