"""Layers of the networks, in two and three dimensions."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

_CONV = {2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {2: F.conv_transpose2d, 3: F.conv_transpose3d}
_POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}


def down(x: torch.Tensor) -> torch.Tensor:
    """Halve every spatial axis by box averages."""
    return _POOL[x.ndim - 2](x, 2)


def up(x: torch.Tensor) -> torch.Tensor:
    """Double every spatial axis by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def smoothed(x: torch.Tensor) -> torch.Tensor:
    """Average each map with the binomial weights 1, 2, 1 along every axis, with zero padding."""
    dimensions, maps = x.ndim - 2, x.shape[1]
    kernel = torch.ones((), device=x.device, dtype=x.dtype)
    for _ in range(dimensions):
        kernel = kernel[..., None] * torch.tensor([0.25, 0.5, 0.25], device=x.device, dtype=x.dtype)
    kernel = kernel.expand(maps, 1, *kernel.shape)
    return _CONV[dimensions](x, kernel, padding=1, groups=maps)


def blend(old: torch.Tensor, new: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """Interpolate from `old` (alpha 0) to `new` (alpha 1); a 0-d tensor `alpha` is not copied to the host."""
    if isinstance(alpha, torch.Tensor):
        alpha = alpha.to(new.dtype)
    return torch.lerp(old.to(new.dtype), new, alpha)


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Apply a leaky ReLU in place; nothing else may hold a reference to `x`."""
    return F.leaky_relu_(x, 0.2)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    """Scale the feature vector of each pixel to unit mean square (Karras et al. 2017, section 4.2).

    Differentiable once: the gradient is explicit and needs half of autograd's passes over memory. Without gradients the
    function works in place, like `leaky`.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _PixelNorm.apply(x)
    return x.mul_(_norm_scale(x))


def _norm_scale(x: torch.Tensor) -> torch.Tensor:
    with torch.autocast(x.device.type, enabled=False):  # autocast would convert everything to float32
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=wide)
        return norm.square_().div_(x.shape[1]).add_(1e-8).rsqrt_().to(x.dtype)


class _PixelNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        scale = _norm_scale(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        y, scale = ctx.saved_tensors
        with torch.autocast(y.device.type, enabled=False):
            along = (gradient * y).sum(dim=1, keepdim=True) / y.shape[1]
            return torch.addcmul(gradient, y, along, value=-1).mul_(scale)


class _Weighted(nn.Module):
    """A weight with He's scale, applied at run time (equalised) or once at initialisation.

    Equalised (Karras et al. 2017, section 4.1): weights are drawn from N(0, 1) and multiplied by gain / √fan_in at
    every use, so that an adaptive optimiser updates all layers at the same rate. Otherwise every layer is initialised
    with variance 2 / fan_in (He et al. 2015, arXiv:1502.01852), independent of its gain.
    """

    def __init__(self, shape: tuple[int, ...], gain: float, equalized: bool) -> None:
        super().__init__()
        std = (gain if equalized else math.sqrt(2)) / math.sqrt(math.prod(shape[1:]))
        self.scale = std if equalized else 1.0
        self.weight = nn.Parameter(torch.randn(shape) * (1.0 if equalized else std))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self._kept: dict[torch.dtype, tuple[tuple[Any, ...], torch.Tensor]] = {}

    def scaled(self) -> torch.Tensor:
        return self.weight * self.scale if self.scale != 1.0 else self.weight

    def kernel(self) -> torch.Tensor:
        """Return the effective kernel; cached while the weight needs no gradient and does not change.

        When images are sampled one at a time, computing the kernel costs more than using it.
        """
        weight = self.weight
        if weight.requires_grad:
            return self._make_kernel()
        device = weight.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        state = (weight._version, weight.data_ptr(), weight.device)
        kept = self._kept.get(dtype)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(device, enabled=False):
                kept = self._kept[dtype] = (state, _laid_out_as(self._make_kernel().to(dtype), weight))
        return kept[1]

    def _make_kernel(self) -> torch.Tensor:
        return self.scaled()


def _laid_out_as(kernel: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if kernel.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        return kernel.contiguous(memory_format=torch.channels_last)
    return kernel.contiguous()


class Dense(_Weighted):
    """Fully connected layer, (N, I) → (N, O)."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2), equalized: bool = True) -> None:
        super().__init__((outputs, inputs), gain, equalized)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.kernel(), self.bias)


class Conv(_Weighted):
    """Size-preserving convolution with an odd kernel and an optional change of scale.

    Parameters
    ----------
    scale
        ``"up"`` doubles the input by repeating pixels before the convolution. ``"down"`` halves the result by box
        averages before the bias is added. Both are fused into one strided convolution with the equivalent 4×4 kernel
        (16 multiplications per output pixel instead of 36 for 3×3); `plain` is the unfused form, for tests.
    """

    def __init__(
        self,
        dimensions: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        gain: float = math.sqrt(2),
        equalized: bool = True,
        scale: str | None = None,
    ) -> None:
        super().__init__((outputs, inputs, *[kernel] * dimensions), gain, equalized)
        self.dimensions, self.padding, self.change = dimensions, kernel // 2, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.change == "up":
            return _CONV_TRANSPOSE[self.dimensions](x, self.kernel(), self.bias, stride=2, padding=1)
        if self.change == "down":
            return _CONV[self.dimensions](x, self.kernel(), self.bias, stride=2, padding=1)
        return _CONV[self.dimensions](x, self.kernel(), self.bias, padding=self.padding)

    def _make_kernel(self) -> torch.Tensor:
        weight = self.scaled()
        if self.change == "up":
            return _spread(weight).flip(list(range(2, weight.ndim))).transpose(0, 1)
        if self.change == "down":
            return _spread(weight) / 2**self.dimensions
        return weight

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the same result without fusing."""
        if self.change == "up":
            x = up(x)
        x = _CONV[self.dimensions](x, self.scaled(), None, padding=self.padding)
        if self.change == "down":
            x = down(x)
        return x + self.bias.reshape(-1, *[1] * self.dimensions)


class Head(Conv):
    """1×1 convolution from features to channels; each group of channels uses only the feature maps assigned to it."""

    own: torch.Tensor

    def __init__(
        self, dimensions: int, inputs: int, outputs: int, parts: list[tuple[slice, slice]], equalized: bool = True
    ) -> None:
        super().__init__(dimensions, inputs, outputs, kernel=1, gain=1, equalized=equalized)
        self.parts = parts
        rows = [[0.0] * inputs for _ in range(outputs)]
        for maps, channels in parts:
            for channel in range(channels.start, channels.stop):
                rows[channel][maps] = [1.0] * (maps.stop - maps.start)
        own = torch.tensor(rows).reshape(self.weight.shape)
        self.register_buffer("own", own, persistent=False)

    def scaled(self) -> torch.Tensor:
        return super().scaled() if len(self.parts) == 1 else super().scaled() * self.own


def _spread(weight: torch.Tensor) -> torch.Tensor:
    """Add a size-3 kernel to itself shifted by one along every axis: the equivalent size-4 kernel on a doubled grid."""
    for axis in range(2, weight.ndim):
        zero = torch.zeros_like(weight.narrow(axis, 0, 1))
        weight = torch.cat([weight, zero], axis) + torch.cat([zero, weight], axis)
    return weight


class MinibatchStddev(nn.Module):
    """Append one map with the mean standard deviation within a group of images (Karras et al. 2017, section 3).

    Parameters
    ----------
    group
        Images per group. 0, or a size that does not divide the batch, makes the whole batch one group.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        group = self.group if self.group and n % self.group == 0 else n
        y = x.float().reshape(group, n // group, -1)  # (G, N/G, features)
        deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=1)  # (N/G,)
        deviation = deviation.repeat(group).to(x.dtype).reshape(n, 1, *[1] * (x.ndim - 2))
        return torch.cat([x, deviation.expand(n, 1, *x.shape[2:])], dim=1)
