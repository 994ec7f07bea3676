"""Trends of models with known quality at each size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import phantom_slices
import pytest
from small_evaluation import make_card, make_model

from napari_pgan.evaluation import trends
from napari_pgan.evaluation.eval_data import Samples
from napari_pgan.evaluation.likeness.features import shrink
from napari_pgan.evaluation.likeness.split_half import Comparison, halvings
from napari_pgan.evaluation.report.trends import trends_section
from napari_pgan.evaluation.trends import measure_trends
from napari_pgan.store import label_map, open_store

SIZES = (8, 16, 32)


@contextmanager
def _quiet(*what: str) -> Iterator[Any]:
    yield lambda done, total: None


def _of_real_images(path: Path, blur: dict[int, float]) -> dict[str, Any]:
    """Trends of a model that returns real images with one-hot labels at every size, blurred at some."""
    store = open_store(path)
    cohort, model = store.load_slices(None), make_model(make_card(store))
    values = store.channels.values

    def draw(model: Any, count: int, step: None, stage: int) -> Samples:
        size = model.card.architecture.shape(stage)[-1]
        images, shares = (shrink(x[:count], 32 // size) for x in (cohort.images, cohort.labels))
        if size in blur:
            images = phantom_slices.blurred(images, blur[size])
        labels = label_map(shares, values)
        return Samples(images, labels, np.float32(labels[:, None] == values[:, None, None]), range(count))

    context = SimpleNamespace(
        model=model, cohort=cohort, count=len(cohort), seed=0, encoder=phantom_slices.encoder(path), run=None,
        draw=draw, step=_quiet, store=store,
    )  # fmt: skip
    return measure_trends(context)  # type: ignore[arg-type]


def _times(found: dict[str, Any]) -> list[float]:
    return [stage["swd"]["value"] / stage["swd"]["floor"] for stage in found["stages"]]


def test_identical_images_have_zero_distance_at_every_size(small_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real images and labels are downscaled like those of the model."""

    def same(*given: Any, **more: Any) -> list[Comparison]:
        return [
            Comparison(comparison.reference, comparison.other, comparison.reference)
            for comparison in halvings(*given, **more)
        ]

    monkeypatch.setattr(trends, "halvings", same)
    found = _of_real_images(small_store, {})
    assert [stage["size"] for stage in found["stages"]] == list(SIZES)
    for stage in found["stages"]:
        assert stage["swd"]["value"] == pytest.approx(0, abs=1e-3)
        assert stage["frechet"]["value"] == pytest.approx(0, abs=1e-3)
        assert stage["swd"]["floor"] > 10
    assert not any("soft" in note for note in trends_section(found, {}).notes)


def test_a_blurred_size_has_a_larger_distance(small_store: Path) -> None:
    sharp, blurred = _of_real_images(small_store, {}), _of_real_images(small_store, {32: 1.5})
    assert _times(blurred)[:2] == _times(sharp)[:2]
    assert _times(blurred)[2] > 1.5 * _times(sharp)[2]
    assert "farther from real images than at the coarsest" in trends_section(blurred, {}).sentence


@pytest.mark.parametrize(
    ("times", "text"), [((1, 1.24), "about as far"), ((1, 1.26), "farther"), ((1, 0.79), "closer"), ((2, 1.7), "about")]
)
def test_sentence_about_sizes(times: tuple[float, float], text: str) -> None:
    stages = [
        {"size": size, **{key: {"value": 10 * t, "low": 10 * t, "high": 10 * t, "floor": 10.0, "floor_low": 10.0,
                                "floor_high": 10.0} for key in ("swd", "frechet")}}
        for size, t in zip((8, 16), times, strict=True)
    ]  # fmt: skip
    section = trends_section({"stages": stages, "run": None, "images": 400, "halvings": 5}, {})
    assert f"finest size are {text}" in section.sentence
    assert any("soft" in note for note in section.notes)  # results of earlier versions have soft labels
