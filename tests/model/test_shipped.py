"""The model that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contrast import lesion_contrast

from napari_pgan import load_model
from napari_pgan.model import Model, shipped_models
from napari_pgan.model.layers import down


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


def test_the_shipped_model_is_small_and_trained_on_phantoms(model: Model) -> None:
    assert shipped_models()["default"].stat().st_size < 10e6
    assert model.card.training["cohort"] == "phantoms"
    assert model.card.licence == "BSD-3-Clause"
    assert "not for diagnosis" in model.card.limits
    assert model.card.channels.modalities == ("t1", "t1ce", "t2", "flair")
    assert [label.value for label in model.card.channels.labels] == [1, 2, 4]


def test_shipped_lesions_look_like_lesions(model: Model) -> None:
    batch = model.sample(seeds=range(64))
    found = lesion_contrast(batch.images, batch.labels, model.card.channels)
    assert found.lesions >= 10
    assert found.oedema.value >= 0.8


def test_shipped_samples_vary_less_with_truncation(model: Model) -> None:
    spread = [
        float(model.sample(seeds=range(16), truncation=t, stage=2).images.std(axis=0).mean())
        for t in (1.0, 0.7, 0.4, 0.1, 0.0)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 0.05
    assert spread[-1] < 1e-6


def test_lower_stages_of_the_shipped_model_show_the_same_labels(model: Model) -> None:
    """The Dice of labels at half size against the averaged final labels is high over all samples and labels."""
    seeds, lower = range(100, 148), model.stages - 2
    with torch.inference_mode():
        z = torch.from_numpy(model.latents(seeds))
        averaged = model.encoding.decode(down(model.generate(z).clamp(-1, 1))).numpy()
        small = model.encoding.decode(model.generate(z, stage=lower)).numpy()
    agree = ((small == averaged) & (small > 0)).sum()
    assert 2 * agree / ((small > 0).sum() + (averaged > 0).sum()) >= 0.9
    assert np.isin(small, [0, 1, 2, 4]).all()
