"""The encoder trained on a cohort, and networks named by the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import phantom_slices
import pytest
import torch
from phantom_slices import blurred, noisier

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.contrastive import nt_xent, slice_positions
from napari_pgan.evaluation.likeness.feature_encoder import Encoder, train_encoder
from napari_pgan.evaluation.likeness.features import factor_below, shrink
from napari_pgan.evaluation.likeness.named_encoder import named_encoder


def test_features_of_an_image_do_not_depend_on_its_batch(small_store: Path) -> None:
    images, encoder = phantom_slices.real_slices(small_store).images, phantom_slices.encoder(small_store)
    together = encoder.features(images)
    order = np.random.default_rng(0).permutation(len(images))
    np.testing.assert_allclose(encoder.features(images[order]), together[order], atol=1e-4)
    np.testing.assert_allclose(encoder.features(images[7:8]), together[7:8], atol=1e-4)
    assert together.dtype == np.float32
    assert encoder.features(images[:0]).shape == (0, together.shape[1])


def test_features_have_mean_0_and_variance_1_over_the_training_images(small_store: Path) -> None:
    found = phantom_slices.encoder(small_store).features(phantom_slices.real_slices(small_store).images)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-2)


def test_larger_images_are_box_averaged(small_store: Path) -> None:
    images, encoder = phantom_slices.real_slices(small_store).images[:5], phantom_slices.encoder(small_store)
    checks = np.indices((64, 64)).sum(axis=0) % 2 - 0.5  # averages out
    large = images.repeat(2, axis=2).repeat(2, axis=3) + checks.astype(np.float32)
    np.testing.assert_allclose(encoder.features(large), encoder.features(images), atol=1e-4)


def test_the_nearest_image_in_features_is_a_neighbour_of_the_same_subject(small_store: Path) -> None:
    real, encoder = phantom_slices.real_slices(small_store), phantom_slices.encoder(small_store)
    features = encoder.features(real.images)
    apart = np.linalg.norm(features[:, None] - features[None, :], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    assert (np.abs(nearest - np.arange(len(nearest))) <= 2).mean() > 0.5
    assert (real.subject[nearest] == real.subject).mean() > 0.5


def test_features_move_farther_with_stronger_blur_and_noise(small_store: Path) -> None:
    images, encoder = phantom_slices.real_slices(small_store).images, phantom_slices.encoder(small_store)
    still = encoder.features(images)
    for damage, strengths in ((blurred, (0.5, 0.8, 1.2)), (noisier, (0.05, 0.1, 0.2))):
        moved = [np.linalg.norm(encoder.features(damage(images, s)) - still, axis=1).mean() for s in strengths]
        assert moved == sorted(moved)
        assert moved[0] > 0.01


def test_slices_are_compared_with_distant_slices_of_their_subject() -> None:
    place = slice_positions(np.array([5] * 40 + [2] * 3))
    assert (place[:4] - place[0] < 1).all()
    assert (place[4:40] - place[0] >= 1).all()
    assert place[41] - place[40] >= 1  # no two of three slices are close
    order = np.random.default_rng(0).permutation(43)
    views = [torch.from_numpy(np.random.default_rng(i).standard_normal((43, 8))) for i in (1, 2)]
    subject, place = torch.tensor([5] * 40 + [2] * 3), torch.from_numpy(place)
    mixed = nt_xent(*(view[order] for view in views), subject[order], place[order])
    assert mixed.item() == pytest.approx(nt_xent(*views, subject, place).item(), rel=1e-5)
    # a slice without distant slices of its own subject has no negatives
    few = np.r_[0:3, 40]
    assert nt_xent(*(view[few] for view in views), subject[few], place[few]).item() == pytest.approx(0, abs=1e-6)


def test_training_is_reproducible_and_reports_progress(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    reported: list[tuple[int, int]] = []
    before = torch.get_rng_state()
    twice = [
        train_encoder(real.images[::3], real.subject[::3], steps=2, seed=3, progress=lambda *x: reported.append(x))
        for _ in range(2)
    ]
    assert reported == [(1, 2), (2, 2)] * 2
    assert torch.equal(before, torch.get_rng_state())
    one, other = (encoder.features(real.images[:9]) for encoder in twice)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_saved_encoder_is_unchanged(small_store: Path, tmp_path: Path) -> None:
    images, encoder = phantom_slices.real_slices(small_store).images[:9], phantom_slices.encoder(small_store)
    encoder.save(tmp_path / "encoder.safetensors")
    again = Encoder.load(tmp_path / "encoder.safetensors")
    np.testing.assert_array_equal(again.features(images), encoder.features(images))
    assert again.about == encoder.about
    assert "training images of 6 subjects at 32×32" in str(again.about["sentence"])
    whole = (tmp_path / "encoder.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    (tmp_path / "text.safetensors").write_text("no encoder")
    for name in ("cut", "text", "absent"):
        with pytest.raises(InputError, match="no encoder of this version"):
            Encoder.load(tmp_path / f"{name}.safetensors")


def test_images_of_another_kind_are_refused(small_store: Path) -> None:
    images, encoder = phantom_slices.real_slices(small_store).images[:3], phantom_slices.encoder(small_store)
    for wrong in (images[:, :1], images[:, :, ::2, ::2], images[:, :, :24], images[0]):
        with pytest.raises(InputError, match="do not match the encoder"):
            encoder.features(wrong)
    with pytest.raises(InputError, match="too few"):
        train_encoder(images[:1], np.zeros(1, int))


def test_sizes_are_halved_until_they_are_small_enough() -> None:
    assert factor_below((128, 128), 64) == 2
    assert factor_below((256, 192), 64) == 4
    assert factor_below((64, 64), 64) == 1
    assert factor_below((90, 130), 64) == 2  # 45 cannot be halved
    x = np.random.default_rng(0).standard_normal((5, 2, 8, 12)).astype(np.float32)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x), 4).numpy()
    np.testing.assert_allclose(shrink(x, 4, chunk=2), expected, atol=1e-6)


def test_a_user_module_computes_the_features() -> None:
    images = np.random.default_rng(0).standard_normal((70, 2, 4, 4)).astype(np.float32)
    encoder = named_encoder("torch.nn:Flatten")
    np.testing.assert_array_equal(encoder.features(images), images.reshape(70, -1))
    assert "torch.nn:Flatten" in str(encoder.about["sentence"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet", "unknown encoder"),
        ("no.such.package:thing", "cannot be created"),
        ("torch.nn:NoSuchThing", "cannot be created"),
        ("torch.nn:Linear", "cannot be created"),
        ("builtins:dict", "not a torch.nn.Module"),
    ],
)
def test_an_unknown_module_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        named_encoder(text)


def test_a_module_that_gives_no_features_is_refused() -> None:
    with pytest.raises(InputError, match="does not return features"):
        named_encoder("torch.nn:ReLU").features(np.zeros((2, 1, 4, 4), np.float32))


def test_inception_is_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match="nothing is downloaded"):
        named_encoder("inception")
    assert not list(tmp_path.iterdir())
