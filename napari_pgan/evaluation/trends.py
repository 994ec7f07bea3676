"""How likeness grows with the stages of a model, and over the training that it comes from.

Each stage's images are held against box averages of real ones at the same size, beside their own floor; labels are
crisp in both, as a model's are. A stage that falls behind those below it is where more training, or wider layers, would
help. Of a run, the distances that it has noted on the way are taken as they stand, and the models that it has kept are
measured as the finished one is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import EvaluationContext
from napari_pgan.evaluation.eval_data import Samples, crisp
from napari_pgan.evaluation.likeness.features import FeatureEncoder, shrink
from napari_pgan.evaluation.likeness.frechet import frechet_distance
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline, halvings
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.store import Slices

COUNT = 400  # images of a set at most
_SMALLEST = 8  # pixels of the shorter side, below which there is no structure to compare
_TIMES = 5
_PATCHES, _PROJECTIONS = 64, 256
_CHUNK = 128
_LEAST = 2  # images that a normal distribution is fitted to


def measure_trends(work: EvaluationContext) -> dict[str, Any]:
    """Distances of every stage, and of every model that the run has kept.

    Parameters
    ----------
    work
        Whose model has stages; its training's history is looked at where there is one.

    Returns
    -------
    dict
        ``stages``: a list of size, ``swd`` and ``frechet`` (each a `WithBaseline`); ``run``: ``distances`` as the run
        noted them and ``models``, the same as of the stages by name and images seen, or None without a run; ``images``
        and ``halvings``: how many a set had, and how often subjects were parted; ``crisp``: True, as real labels are.

    Raises
    ------
    InputError
        The store has too few subjects for halves, or too few slices.
    """
    model, cohort, a = work.model, work.cohort, work.model.card.architecture
    drawn = min(work.count, COUNT)
    trios = halvings(cohort.subject, drawn, times=_TIMES, seed=work.seed)
    if len(trios[0]) < _LEAST:
        raise InputError(f"{work.store.address}: has too few slices for trends; prepare more of each subject")
    stages = [s for s in range(a.stages) if min(a.shape(s)) >= _SMALLEST or s == a.stages - 1]
    kept = () if work.run is None else work.run.models
    total = len(stages) + len(kept)
    found = []
    with work.step("trends", "models") as step:
        for done, stage in enumerate(stages):
            reals = _Reals(cohort, work.encoder, a.shape(a.stages - 1)[-1] // a.shape(stage)[-1], trios)
            made = work.draw(model, drawn, None, stage)
            found.append({"size": a.shape(stage)[-1], **reals.beside(made)})
            step(done + 1, total)
        models = []
        for done, each in enumerate(kept, len(stages)):
            old = each.load()
            factor = a.shape(a.stages - 1)[-1] // old.card.grid.shape[-1]
            if factor != reals.factor:
                reals = _Reals(cohort, work.encoder, factor, trios)
            models.append({"name": each.name, "images": each.images, **reals.beside(work.draw(old, drawn))})
            step(done + 1, total)
    run = None
    if work.run is not None:
        run = {"distances": [dict(row) for row in work.run.distances], "models": models}
    return {"stages": found, "run": run, "images": len(trios[0]), "halvings": len(trios), "crisp": True}


class _Reals:
    """Real images at one size, with their features and floors, which serve all models of that size."""

    def __init__(self, cohort: Slices, encoder: FeatureEncoder, factor: int, trios: list[Comparison]) -> None:
        self.encoder, self.factor, self.trios = encoder, factor, trios
        rows = np.unique(np.concatenate([part for trio in trios for part in (trio.other, trio.reference)]))
        images = shrink(cohort.images[rows], factor)
        self.joint = np.concatenate([images, 2 * crisp(shrink(cohort.labels[rows], factor)) - 1], axis=1)
        self.features = self._features(images)
        self.place = {int(row): i for i, row in enumerate(rows)}
        self.floors = [self._distances(*self._of(trio.other), trio) for trio in trios]

    def beside(self, samples: Samples) -> dict[str, dict[str, float]]:
        """The figures of generated images of this size."""
        joint = np.concatenate([samples.images, 2 * samples.fractions - 1], axis=1)
        features = self._features(samples.images)
        models = [self._distances(joint[t.generated], features[t.generated], t) for t in self.trios]
        return {
            name: WithBaseline.of([m[name] for m in models], [f[name] for f in self.floors]).to_dict()
            for name in ("swd", "frechet")
        }

    def _distances(self, joint: np.ndarray, features: np.ndarray, trio: Comparison) -> dict[str, float]:
        reference, expected = self._of(trio.reference)
        swd = sliced_wasserstein(reference, joint, patches=_PATCHES, projections=_PROJECTIONS)["mean"]
        return {"swd": swd, "frechet": frechet_distance(features, expected)}

    def _of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = [self.place[int(row)] for row in rows]
        return self.joint[index], self.features[index]

    def _features(self, images: np.ndarray) -> np.ndarray:
        """Of images as large as the encoder knows them: each pixel of a smaller one becomes several."""
        return np.concatenate([self.encoder.features(part) for part in _enlarged(images, self.factor)])


def _enlarged(images: np.ndarray, factor: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK].repeat(factor, axis=2).repeat(factor, axis=3)
