"""Likeness at each stage of a model, and over the training run it comes from.

Images of each stage are compared with box averages of real images at the same size, with a baseline of their own;
labels are one-hot in both. A stage that is worse than the coarser ones shows where longer training or wider layers
would help. For a run, recorded distances are reported as they are, and stored models are measured like the final one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import EvaluationContext
from napari_pgan.evaluation.eval_data import Samples, one_hot
from napari_pgan.evaluation.likeness.features import FeatureEncoder, shrink
from napari_pgan.evaluation.likeness.frechet import frechet_distance
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline, halvings
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.store import Slices

COUNT = 400  # maximum number of images per set
_SMALLEST = 8  # pixels of the shorter side; smaller images have no structure to compare
_TIMES = 5
_PATCHES, _PROJECTIONS = 64, 256
_CHUNK = 128
_LEAST = 2  # images needed to fit a normal distribution


def measure_trends(context: EvaluationContext) -> dict[str, Any]:
    """Measure the distances of every stage, and of every stored model of the run.

    Parameters
    ----------
    context
        The evaluation; the history of its run is optional.

    Returns
    -------
    dict
        ``stages``: list of size, ``swd`` and ``frechet`` (each a `WithBaseline`). ``run``: recorded ``distances``, and
        ``models`` with name, number of images, ``swd`` and ``frechet``; None without a run. ``images`` and
        ``halvings``: number of images per set, and of random splits. ``crisp``: True, since real labels are one-hot.

    Raises
    ------
    InputError
        The store has too few subjects to split, or too few slices.
    """
    cohort, architecture = context.cohort, context.model.card.architecture
    drawn = min(context.count, COUNT)
    comparisons = halvings(cohort.subject, drawn, times=_TIMES, seed=context.seed)
    if len(comparisons[0]) < _LEAST:
        raise InputError(f"{context.store.address}: has too few slices for trends; prepare more of each subject")
    last = architecture.stages - 1
    stages = [s for s in range(architecture.stages) if min(architecture.shape(s)) >= _SMALLEST or s == last]
    saved = () if context.run is None else context.run.models
    rows, models = [], []
    with context.step("trends", "models") as step:
        for done, stage in enumerate(stages, 1):
            size = architecture.shape(stage)[-1]
            real = _RealImages(cohort, context.encoder, architecture.shape(last)[-1] // size, comparisons)
            rows.append({"size": size, **real.compare(context.draw(context.model, drawn, None, stage))})
            step(done, len(stages) + len(saved))
        for done, each in enumerate(saved, len(stages) + 1):
            model = each.load()
            factor = architecture.shape(last)[-1] // model.card.grid.shape[-1]
            if factor != real.factor:
                real = _RealImages(cohort, context.encoder, factor, comparisons)
            models.append({"name": each.name, "images": each.images, **real.compare(context.draw(model, drawn))})
            step(done, len(stages) + len(saved))
    run = None
    if context.run is not None:
        run = {"distances": [dict(row) for row in context.run.distances], "models": models}
    return {"stages": rows, "run": run, "images": len(comparisons[0]), "halvings": len(comparisons), "crisp": True}


class _RealImages:
    """Real images at one size with their features and baselines, shared by all models of that size."""

    def __init__(self, cohort: Slices, encoder: FeatureEncoder, factor: int, comparisons: list[Comparison]) -> None:
        self.encoder, self.factor, self.comparisons = encoder, factor, comparisons
        rows = np.unique(np.concatenate([rows for c in comparisons for rows in (c.other, c.reference)]))
        images = shrink(cohort.images[rows], factor)
        self.rows = rows
        self.joint = np.concatenate([images, 2 * one_hot(shrink(cohort.labels[rows], factor)) - 1], axis=1)
        self.features = self._features(images)
        self.baselines = [self._distances(*self._select(c.other), c) for c in comparisons]

    def compare(self, samples: Samples) -> dict[str, dict[str, float]]:
        """Distances of generated images of this size."""
        joint = np.concatenate([samples.images, 2 * samples.fractions - 1], axis=1)
        features = self._features(samples.images)
        models = [self._distances(joint[c.generated], features[c.generated], c) for c in self.comparisons]
        return {
            name: WithBaseline.of([x[name] for x in models], [x[name] for x in self.baselines]).to_dict()
            for name in ("swd", "frechet")
        }

    def _distances(self, joint: np.ndarray, features: np.ndarray, comparison: Comparison) -> dict[str, float]:
        reference, expected = self._select(comparison.reference)
        swd = sliced_wasserstein(reference, joint, patches=_PATCHES, projections=_PROJECTIONS)["mean"]
        return {"swd": swd, "frechet": frechet_distance(features, expected)}

    def _select(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = np.searchsorted(self.rows, rows)
        return self.joint[index], self.features[index]

    def _features(self, images: np.ndarray) -> np.ndarray:
        """Features of images that are enlarged to the size of the encoder by repeating pixels."""
        return np.concatenate([self.encoder.features(part) for part in _enlarged(images, self.factor)])


def _enlarged(images: np.ndarray, factor: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK].repeat(factor, axis=2).repeat(factor, axis=3)
