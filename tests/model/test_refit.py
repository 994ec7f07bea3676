"""Refitted lower heads agree with NumPy's least squares."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_pgan.model import Architecture, Generator, latents_of_seeds, refit
from napari_pgan.model.layers import down
from napari_pgan.model.refit import _FIRST_SEED, mean_map, refit_lower_heads, store_mean_map

COUNT = 48


def _grown(base: tuple[int, ...], equalized: bool = True) -> Generator:
    """Return a generator whose lower heads do not match the final one."""
    torch.manual_seed(0)
    return Generator(Architecture(base, (8, 7, 6), 3, latent=10, equalized=equalized)).eval().requires_grad_(False)


def _errors(generator: Generator, z: torch.Tensor) -> list[float]:
    """Return the mean squared error of each lower head's image against the box average of the final image."""
    target, errors = generator(z).clamp(-1, 1), []
    for stage in (1, 0):
        target = down(target)
        errors.append((generator(z, stage) - target).square().mean().item())
    return errors


@pytest.mark.parametrize("equalized", [True, False])
@pytest.mark.parametrize("base", [(4, 4), (3, 5), (2, 3, 2)])
def test_lower_heads_show_the_final_image(base: tuple[int, ...], equalized: bool) -> None:
    generator = _grown(base, equalized)
    last = copy.deepcopy(generator.heads[2].state_dict())
    unseen = torch.from_numpy(latents_of_seeds(range(64), 10))
    before, full = _errors(generator, unseen), generator(unseen)
    refit_lower_heads(generator, 256)
    after = _errors(generator, unseen)
    assert all(new < 0.5 * old for new, old in zip(after, before, strict=True))
    torch.testing.assert_close(generator(unseen), full)  # the final image does not change
    torch.testing.assert_close(dict(generator.heads[2].state_dict()), dict(last))


@pytest.mark.parametrize("equalized", [True, False])
def test_no_linear_head_does_better(equalized: bool) -> None:
    generator = _grown((4, 4), equalized)
    refit_lower_heads(generator, COUNT, ridge=0.0)
    z = torch.from_numpy(latents_of_seeds(range(_FIRST_SEED, _FIRST_SEED + COUNT), 10))
    features, target = generator.features(generator.first_map(z), 2), generator(z).clamp(-1, 1)
    for stage in (1, 0):
        target = down(target)
        x = features[stage].movedim(1, -1).reshape(-1, features[stage].shape[1]).double().numpy()
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        solution = np.linalg.lstsq(x, target.movedim(1, -1).reshape(-1, 3).double().numpy())[0]
        head = generator.heads[stage]
        np.testing.assert_allclose(head.scaled().flatten(1).T, solution[:-1], rtol=0, atol=1e-4)
        np.testing.assert_allclose(head.bias, solution[-1], rtol=0, atol=1e-4)


def test_a_dead_feature_does_no_harm() -> None:
    generator = _grown((4, 4))
    generator.conv.weight[0] = 0  # the first feature of stage 0 is 0 everywhere
    generator.conv.bias[0] = 0
    refit_lower_heads(generator, COUNT)
    assert all(torch.isfinite(p).all() for p in generator.parameters())
    assert generator.heads[0].scaled().abs().max() < 100


def test_the_mean_map_is_stored_and_depends_on_the_condition() -> None:
    generator = _grown((4, 4))
    store_mean_map(generator, 1000)
    torch.testing.assert_close(generator.mean_map, mean_map(generator, None, 1000))
    assert generator.mean_map.abs().max() > 0
    conditioned = Generator(Architecture((4, 4), (8,), 1, latent=10, conditions=1))
    one, two = (mean_map(conditioned, torch.tensor([c]), 500) for c in (-1.0, 1.0))
    assert not torch.allclose(one, two)


def test_refitting_is_reproducible_and_does_not_change_the_random_state() -> None:
    one, two = _grown((4, 4)), _grown((4, 4))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    refit_lower_heads(one, COUNT)
    torch.testing.assert_close(torch.rand(2), expected)
    refit_lower_heads(two, COUNT)
    torch.testing.assert_close(dict(one.state_dict()), dict(two.state_dict()), rtol=0, atol=0)


def test_label_heads_fitted_as_labels_beat_least_squares() -> None:
    z = torch.from_numpy(latents_of_seeds(range(64), 10))
    wrong = []
    for labels in (0, 2):
        generator = _grown((4, 4))
        generator.heads[2].bias[1:] -= 0.3  # labels are rare, as lesions are
        refit_lower_heads(generator, 256, label_channels=labels)
        final = down(generator(z).clamp(-1, 1))[:, 1:].amax(1) > 0
        wrong.append(((generator(z, 1)[:, 1:].amax(1) > 0) != final).float().mean().item())
    assert 0 < final.float().mean() < 0.5
    assert wrong[1] < wrong[0]


def test_a_fraction_of_the_pixels_is_enough_to_fit_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.from_numpy(latents_of_seeds(range(256), 10))
    wrong = []
    for most in (10**9, 800):
        monkeypatch.setattr(refit, "_MAX_LABEL_ROWS", most)
        generator = _grown((4, 4))
        generator.heads[2].bias[1:] -= 0.3
        refit_lower_heads(generator, 256, label_channels=2)
        final = down(generator(z).clamp(-1, 1))[:, 1:].amax(1) > 0
        wrong.append(((generator(z, 1)[:, 1:].amax(1) > 0) != final).float().mean().item())
    assert 0 < wrong[0] < 0.35
    assert wrong[1] < 1.05 * wrong[0]
