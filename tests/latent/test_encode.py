"""What a model made itself comes back through its encoders."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.latent.encoder import Fidelity, encode, judge, refine
from napari_pgan.model import Batch, Model, load_model

SEEDS = range(50_000, 50_012)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


@pytest.fixture(scope="module")
def batch(model: Model) -> Batch:
    return model.sample(seeds=SEEDS)


def likeness(model: Model, images: np.ndarray, latents: np.ndarray) -> np.ndarray:
    return Fidelity.of(images, model.sample(latents=latents).images).correlation.mean(axis=1)


def test_one_encoder_pass_beats_the_best_of_two_hundred_samples(model: Model, batch: Batch) -> None:
    found = encode(model, images=batch.images)
    assert found.shape == batch.latents.shape
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 16, rtol=1e-4)
    others = model.sample(seeds=range(200), stage=2).images.reshape(200, -1)
    small = model.sample(seeds=SEEDS, stage=2).images.reshape(len(SEEDS), -1)
    nearest = np.square(small[:, None] - others[None]).sum(axis=2).argmin(axis=1)
    drawn = model.latents(nearest)
    by_one_pass = likeness(model, batch.images, found)
    assert np.median(by_one_pass) > np.median(likeness(model, batch.images, drawn))


def test_latents_are_recovered_as_far_as_images_determine_them(model: Model, batch: Batch) -> None:
    """In the directions that move the images most; unrelated latents have a cosine of 0 there, 0.25 give or take."""
    assert model.encoders is not None
    strongest = model.encoders.directions[:, -16:].numpy()
    found, true = (z @ strongest for z in (encode(model, images=batch.images), batch.latents))
    cosine = (found * true).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(true, axis=1)
    assert cosine.mean() > 0.3


def test_a_segmentation_alone_is_encoded(model: Model) -> None:
    batch = model.sample(seeds=range(60_000, 60_048))
    large = [n for n in range(len(batch)) if (batch.labels[n] > 0).sum() > 40]
    assert len(large) >= 8
    wanted = batch.labels[large]
    found = model.sample(latents=encode(model, labels=wanted)).labels

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.median(2 * ((a > 0) & (b > 0)).sum((1, 2)) / ((a > 0).sum((1, 2)) + (b > 0).sum((1, 2)))))

    assert overlap(wanted, found) > 0.5 > 0.3 > overlap(wanted, np.roll(wanted, 1, axis=0))


def test_refinement_recovers_an_image_and_never_gets_worse(model: Model, batch: Batch) -> None:
    images = batch.images[:3]
    told = list(refine(model, encode(model, images=images), images=images, steps=60))
    losses = np.array([one.losses for one in told])
    assert (np.diff(losses, axis=0) <= 0).all()
    assert told[0].steps == 0
    assert told[-1].steps == 60
    last = told[-1]
    made = model.sample(latents=last.latents)
    np.testing.assert_allclose(made.images, last.images, atol=1e-3)
    assert Fidelity.of(images, last.images).correlation.mean() > 0.93
    np.testing.assert_allclose(np.linalg.norm(last.latents, axis=1), 16, rtol=1e-4)


def test_refinement_also_fits_a_given_segmentation(model: Model) -> None:
    """Of images with a large lesion that is said not to be there, less of it comes back."""
    many = model.sample(seeds=range(70_000, 70_032))
    chosen = np.argsort([(one > 0).sum() for one in many.labels])[-2:]
    images, start = many.images[chosen], encode(model, images=many.images[chosen])
    sizes = []
    for given in (None, np.zeros_like(many.labels[chosen])):
        *_, last = refine(model, start, images=images, labels=given, steps=30)
        sizes.append((last.labels > 0).sum())
    assert sizes[1] < 0.95 * sizes[0]


def test_refinement_stops_when_its_time_is_over(model: Model, batch: Batch) -> None:
    told = list(refine(model, encode(model, images=batch.images[:1]), images=batch.images[:1], seconds=0.0))
    assert told[-1].steps <= 1


def test_fidelity_is_measured_within_the_head() -> None:
    random = np.random.default_rng(0)
    a = np.full((1, 1, 20, 20), -1.0, np.float32)
    a[0, 0, 5:15, 5:15] = random.uniform(-0.5, 1, (10, 10))
    b = a.copy()
    b[0, 0, 5:15, 5:15] = np.clip(0.5 * a[0, 0, 5:15, 5:15] + 0.1, -1, 1)
    found = Fidelity.of(a, b)
    assert found.correlation[0, 0] == pytest.approx(1)
    assert found.error[0, 0] == pytest.approx(np.sqrt(np.square(a - b).sum() / 100) / 2, rel=1e-5)
    same = Fidelity.of(a, a)
    assert same.error[0, 0] == 0
    flat = Fidelity.of(a, np.full_like(a, -1.0))
    assert flat.correlation[0, 0] == 0


def test_explained_variance_ignores_the_outline_of_the_head_and_noise() -> None:
    y, x = np.mgrid[:64, :64] / 64 - 0.5
    head = np.hypot(y, x) < 0.4
    a = np.where(head, 0.5 * np.sin(6 * x) + 0.3 * np.cos(9 * y), -1.0)[None, None].astype(np.float32)
    grey = np.where(head, a[0, 0][head].mean(), -1.0)[None, None]
    noisy = np.where(head, a + np.random.default_rng(0).normal(0, 0.3, a.shape), -1.0)
    half = np.where(head, 0.5 * (a + grey), -1.0)

    def explained(found: np.ndarray) -> float:
        return float(Fidelity.of(a, found).explained[0, 0])

    assert explained(a) == 1
    assert explained(noisy) > 0.95
    assert explained(half) == pytest.approx(0.75, abs=1e-6)  # 1 - 0.5²
    assert explained(grey) == pytest.approx(0, abs=0.02)  # of equal outline
    assert explained(np.where(head, 2 * grey - a, -1.0)) == pytest.approx(-3, abs=0.1)
    assert Fidelity.of(np.full_like(a, -1.0), a).explained[0, 0] == 0  # there is nothing to explain


def test_verdicts_follow_the_fidelity(model: Model) -> None:
    own = model.card.encoders["own"]
    values, all_steps = (1.0, own["least"], own["limit"], own["limit"] - 0.01, 0.0), own["steps"]
    assert [judge(value, own, all_steps).name for value in values] == ["own", "own", "near", "beyond", "beyond"]


def test_too_few_steps_do_not_give_the_verdict_beyond(model: Model) -> None:
    own = model.card.encoders["own"]
    few = [judge(value, own, 7) for value in (own["least"], own["limit"], 0.0)]
    assert [verdict.name for verdict in few] == ["own", "near", "unfinished"]
    assert not any("cannot" in verdict.sentence for verdict in few)
    assert all(f"7 of {own['steps']} steps" in verdict.sentence for verdict in few[1:])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "either images or labels"),
        ({"images": np.zeros((1, 3, 64, 64), np.float32)}, "do not fit"),
        ({"images": np.full((1, 4, 64, 64), np.nan, np.float32)}, "finite"),
        ({"labels": np.full((1, 64, 64), 3, np.uint8)}, "contains 3"),
        ({"labels": np.zeros((1, 32, 32), np.uint8)}, "do not fit"),
    ],
)
def test_mismatched_input_is_refused(model: Model, wrong: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InputError, match=says):
        encode(model, **wrong)
