"""Changes that are shown to the critic on reals and generated images alike, so that few reals go further.

Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738), for any number of channels: geometry moves image and
labels together, intensity touches the modalities only. Each change happens with a probability below 1, so that the
unchanged image stays the likeliest and the generator does not learn the changes (Karras et al. 2020, arXiv:2006.06676).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_pgan.training import recipe

_BACKGROUND = -1.0


class Augmentation:
    """The changes of a recipe.

    Parameters
    ----------
    plan
        Probability and strengths.
    modalities
        How many of the channels, from the first, are modalities.
    """

    def __init__(self, plan: recipe.Augment, modalities: int) -> None:
        self.plan, self.modalities = plan, modalities

    @property
    def active(self) -> bool:
        """Whether any image is ever changed."""
        return self.plan.probability > 0

    def __call__(self, x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Change images (N, C, …); draws from `random` are the same whatever x holds."""
        if not self.active:
            return x
        return self._intensity(self._translate(x, random), random)

    def _translate(self, x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        n, spatial = len(x), x.shape[2:]
        reach = [int(side * self.plan.translate) for side in spatial]
        moved = torch.rand(n, generator=random) < self.plan.probability
        shifts = [torch.randint(-r, r + 1, (n,), generator=random) * moved for r in reach]
        if not any(reach):
            return x
        sides = [r for r in reversed(reach) for _ in range(2)]
        padded = F.pad(x, sides, value=_BACKGROUND).movedim(1, -1)  # (N, …, C)
        index: list[torch.Tensor] = [torch.arange(n, device=x.device).reshape(-1, *[1] * len(spatial))]
        for axis, (side, r, shift) in enumerate(zip(spatial, reach, shifts, strict=True)):
            line = torch.arange(side)[None] + r + shift[:, None]
            index.append(line.reshape(n, *[side if a == axis else 1 for a in range(len(spatial))]).to(x.device))
        return padded[tuple(index)].movedim(-1, 1)

    def _intensity(self, x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        n, m = len(x), self.modalities
        changed = (torch.rand(n, m, generator=random) < self.plan.probability).float()
        gain = 1 + changed * self.plan.gain * (2 * torch.rand(n, m, generator=random) - 1)
        # measured from the background, so that what lies outside the head stays black
        image = (x[:, :m] - _BACKGROUND) * gain.reshape(n, m, *[1] * (x.ndim - 2)).to(x) + _BACKGROUND
        return torch.cat([image, x[:, m:]], dim=1)
