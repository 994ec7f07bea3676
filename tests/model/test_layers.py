"""Layers: fused forms equal the plain functions, and normalisations agree with the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_pgan.model import Architecture, Critic, Generator
from napari_pgan.model.layers import Conv, Dense, MinibatchStddev, down, pixel_norm, up


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("scale", ["up", "down"])
def test_a_scale_change_fused_with_its_convolution_is_the_same_function(dimensions: int, scale: str) -> None:
    torch.manual_seed(0)
    conv = Conv(dimensions, 3, 5, scale=scale).double()
    conv.bias.data.normal_()
    x = torch.randn(2, 3, *(4, 6, 2)[:dimensions], dtype=torch.float64, requires_grad=True)
    fused, plain = conv(x), conv.plain(x)
    factor = 2 if scale == "up" else 0.5
    assert fused.shape == (2, 5, *(int(n * factor) for n in x.shape[2:]))
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)
    seen = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad(fused, [x, conv.weight, conv.bias], seen),
        torch.autograd.grad(plain, [x, conv.weight, conv.bias], seen),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_halving_undoes_doubling_and_keeps_the_mean() -> None:
    for shape in ((2, 3, 4, 6), (2, 3, 4, 6, 2)):
        x = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(down(up(x)), x)
        torch.testing.assert_close(down(x).mean(), x.mean())


@pytest.mark.parametrize("equalized", [True, False])
@pytest.mark.parametrize("layer", ["dense", "conv", "conv3"])
def test_layers_keep_the_variance_at_the_start(equalized: bool, layer: str) -> None:
    # the gain √2 compensates for the ReLU: unit variance becomes variance 2 before it
    torch.manual_seed(0)
    if layer == "dense":
        module, x = Dense(256, 512, equalized=equalized), torch.randn(256, 256)
    elif layer == "conv":
        module, x = Conv(2, 64, 128, equalized=equalized), torch.randn(8, 64, 18, 18)
    else:
        module, x = Conv(3, 32, 64, equalized=equalized), torch.randn(2, 32, 10, 10, 10)
    with torch.no_grad():
        y = module(x)
    if layer != "dense":
        y = y[(..., *[slice(1, -1)] * (y.ndim - 2))]  # the border is affected by zero padding
    assert y.var().item() == pytest.approx(2.0, rel=0.05)
    assert module.weight.std().item() == pytest.approx(1.0 if equalized else module.scaled().std().item(), rel=0.05)


def test_linear_heads_keep_unit_variance() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        y = Conv(2, 256, 64, kernel=1, gain=1)(torch.randn(8, 256, 16, 16))
    assert y.var().item() == pytest.approx(1.0, rel=0.05)


def test_every_weight_of_an_equalised_layer_has_the_same_step_size() -> None:
    # d(scaled)/d(weight) is gain / √fan_in
    conv = Conv(2, 16, 4)
    (gradient,) = torch.autograd.grad(conv.scaled().sum(), conv.weight)
    torch.testing.assert_close(gradient, torch.full_like(gradient, math.sqrt(2 / (16 * 9))))


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (2, 5, 3, 4, 2)])
def test_pixel_norm_gives_unit_mean_square(shape: tuple[int, ...]) -> None:
    x = 100 * torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(pixel_norm(x).square().mean(1), torch.ones(shape[0], *shape[2:], dtype=torch.float64))
    assert torch.isfinite(pixel_norm(torch.zeros(shape))).all()


def test_without_equalisation_layers_use_he_initialisation() -> None:
    torch.manual_seed(0)
    architecture = Architecture((4, 4), (64, 64), channels=5, latent=128, equalized=False)
    for network in (Generator(architecture), Critic(architecture)):
        for name, weight in network.named_parameters():
            if name.endswith("weight") and weight.numel() > 2000:
                fan_in = weight[0].numel()
                assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1), name


def _stddev_by_numpy(x: np.ndarray, group: int) -> np.ndarray:
    """Karras et al. 2017, section 3, written as loops: image i is in one group with i + N/G, i + 2N/G, …"""
    n = len(x)
    group = group if group and n % group == 0 else n
    apart = n // group
    out = np.empty(n)
    for first in range(apart):
        members = x[first::apart]
        value = np.sqrt(members.var(axis=0) + 1e-8).mean()
        out[first::apart] = value
    return out


@pytest.mark.parametrize(("count", "group"), [(8, 4), (8, 0), (6, 4), (4, 4), (12, 3), (1, 4)])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 2, 4, 5)])
def test_minibatch_deviation_agrees_with_the_paper(count: int, group: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(count, *shape)
    y = MinibatchStddev(group)(x)
    assert y.shape == (count, 4, *shape[1:])
    torch.testing.assert_close(y[:, :3], x)
    expected = _stddev_by_numpy(x.double().numpy(), group)
    for image, value in zip(y[:, 3], expected, strict=True):
        np.testing.assert_allclose(image, value, rtol=1e-5)


def test_minibatch_deviation_of_known_images() -> None:
    same = torch.ones(4, 2, 3, 3)
    assert MinibatchStddev(4)(same)[:, 2].max() < 1.1e-4  # the square root of 1e-8
    apart = same * torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1)
    torch.testing.assert_close(MinibatchStddev(4)(apart)[:, 2], torch.ones(4, 3, 3))


def test_the_pixel_norm_gradient_agrees_with_finite_differences() -> None:
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pixel_norm, (x,))


@pytest.mark.parametrize("scale", [None, "up", "down"])
def test_a_cached_kernel_follows_its_weight(scale: str | None) -> None:
    layer = Conv(2, 4, 6, scale=scale)
    x = torch.randn(2, 4, 8, 8)
    learning = layer(x).detach()
    layer.requires_grad_(False)
    assert torch.allclose(layer(x), learning, atol=1e-6)
    assert layer.kernel() is layer.kernel()
    with torch.no_grad():
        layer.weight.mul_(2)  # like the update of a running mean
    assert torch.allclose(layer(x), 2 * learning, atol=1e-5)
    layer.load_state_dict({"weight": layer.weight / 4, "bias": layer.bias})
    assert torch.allclose(layer(x), learning / 2, atol=1e-5)
    with torch.inference_mode():
        layer.weight.data = layer.weight.data.clone() * 2
        assert torch.allclose(layer(x), learning, atol=1e-5)
    z = torch.randn(2, 4, 8, 8, requires_grad=True)  # a kernel cached without gradients can be used with gradients
    layer(z).sum().backward()
    assert z.grad is not None


def test_a_kernel_is_cached_per_precision() -> None:
    layer, x = Dense(4, 3).requires_grad_(False), torch.randn(2, 4)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert torch.equal(layer(x), exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pixel_norm_is_the_same_with_and_without_gradients(dtype: torch.dtype) -> None:
    x = torch.randn(2, 5, 4, 4).to(dtype)
    learning = pixel_norm(x.clone().requires_grad_(True)).detach()
    assert torch.equal(pixel_norm(x.clone()), learning)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pixel_norm(x.clone()), learning)


def test_kernels_of_both_precisions_are_cached_together() -> None:
    layer, x = Conv(2, 4, 3).requires_grad_(False), torch.randn(1, 4, 8, 8)
    layer(x)
    exact = layer.kernel()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.kernel() is layer.kernel()
    assert layer.kernel() is exact
