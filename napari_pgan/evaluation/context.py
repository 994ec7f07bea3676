"""What all measures of one evaluation share: made when first asked for, once, and timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.eval_data import Samples, Shelf, crisp, draw_samples, load_slices
from napari_pgan.evaluation.likeness.encoder import Encoder, train_encoder
from napari_pgan.evaluation.likeness.features import FeatureEncoder
from napari_pgan.evaluation.likeness.named_encoder import NamedEncoder, named_encoder
from napari_pgan.evaluation.matching import Match, match
from napari_pgan.evaluation.memorisation.pairs import DrawSheet
from napari_pgan.evaluation.report_folder import Folder, fingerprint
from napari_pgan.evaluation.segmentation.labelled import Labelled
from napari_pgan.evaluation.segmentation.segmenter import STEPS
from napari_pgan.model import Model
from napari_pgan.store import Slices, Store, label_map

_CHUNK = 256  # slices at once
TRAINED = "trained"  # the encoder that is trained on the store


class Update(Protocol):
    """Told how many steps are done, and what to say beside it."""

    def __call__(self, done: int, note: str = "") -> None: ...


Progress = Callable[[str, int, str], AbstractContextManager[Update]]
Step = Callable[[int, int], None]  # told (done, all)


@dataclass(frozen=True)
class Candidate:
    """A model, and how it is called in messages."""

    model: Model
    where: str


@dataclass(frozen=True)
class RunModel:
    """A model of a training as it stood after so many images; made when it is looked at."""

    name: str
    images: int
    identity: str
    load: Callable[[], Model]


@dataclass(frozen=True)
class RunHistory:
    """What a run folder tells of a training.

    Parameters
    ----------
    distances
        Lines of its ``metrics.jsonl`` with a distance to held-out subjects: images, size, mean distance.
    models
        What it has kept, oldest first.
    """

    distances: tuple[dict[str, float], ...]
    models: tuple[RunModel, ...]


class EvaluationContext:
    """The model, the store, and what is drawn and read of them.

    Parameters
    ----------
    candidate
        The model that is measured.
    store, found
        The cohort, and how its slices become the model's images.
    folder
        Of the evaluation.
    samples, seed
        How many images are generated, and the first one's seed.
    features
        ``"trained"``, or as `named_encoder` takes it.
    low_data
        Models of a few subjects, for the low-data curve.
    run
        The training's history, where the model is a run's.
    progress
        Shows how far a step is.
    draw_sheet
        Writes images as a PNG.
    steps
        Of the training of each segmenter.
    """

    def __init__(
        self,
        candidate: Candidate,
        store: Store,
        found: Match,
        folder: Folder,
        samples: int,
        seed: int,
        features: str,
        low_data: tuple[Candidate, ...],
        run: RunHistory | None,
        progress: Progress,
        draw_sheet: DrawSheet,
        steps: int = STEPS,
    ) -> None:
        self.candidate, self.model, self.where = candidate, candidate.model, candidate.where
        self.store, self.match, self.folder = store, found, folder
        self.count, self.seed, self._features = samples, seed, features
        self.low_data = tuple((few, match(few.model.card, store, few.where)) for few in low_data)
        self.run, self.progress, self.draw_sheet, self.steps = run, progress, draw_sheet, steps
        self.shelf = Shelf()
        self.shared_seconds: dict[str, float] = {}

    @cached_property
    def samples(self) -> Samples:
        """Of the model, in float32."""
        with self.timed("samples"), self.step("sampling", "images") as step:
            return self.draw(self.model, self.count, step, shelf=self.shelf)

    @cached_property
    def cohort(self) -> Slices:
        """The store's training slices, then those of subjects that the model was not trained on."""
        keys = [*self.store.keys("train"), *self.match.held_out]
        with self.timed("reading"):
            return load_slices(self.store, self.match, self.shelf, keys)

    @cached_property
    def crisp_labels(self) -> np.ndarray:
        """The cohort's label fractions as a model's are, 0 or 1: those of slices that were made smaller are not."""
        soft = self.cohort.labels
        if self.match.size == self.store.grid.shape[-1]:
            return soft
        out = self.shelf.empty(soft.shape, np.float32)
        for start in range(0, len(soft), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = crisp(soft[part])
        return out

    @cached_property
    def train(self) -> Slices:
        """The store's training slices."""
        return _of_subjects(self.cohort, 0, len(self.store.keys("train")))

    @cached_property
    def held_out(self) -> Slices:
        """The slices of subjects that the model was not trained on."""
        return _of_subjects(self.cohort, len(self.store.keys("train")), len(self.cohort.keys))

    @property
    def held(self) -> np.ndarray:
        """bool (N,): the slice of the cohort is of a subject that the model was not trained on."""
        return self.cohort.subject >= len(self.store.keys("train"))

    @property
    def tested(self) -> Labelled:
        """The slices of test subjects that neither the model nor those of few subjects were trained on."""
        end = len(self.held_out.keys)  # those of test come last
        return self.labelled(_of_subjects(self.held_out, end - len(self.match.tested), end))

    def labelled(self, slices: Slices) -> Labelled:
        """Slices with label maps in place of shares; images are not copied."""
        maps = self.shelf.empty((len(slices), *slices.images.shape[2:]), np.uint8)
        for start in range(0, len(slices), _CHUNK):
            part = slice(start, start + _CHUNK)
            maps[part] = label_map(slices.labels[part], self.model.card.channels.values)
        return Labelled(slices.images, maps, slices.subject)

    @cached_property
    def learnt(self) -> Slices:
        """The slices that the model was trained on, as far as the store has them."""
        return self.slices_of(self.match)

    def slices_of(self, found: Match) -> Slices:
        """What a model was trained on, or the training slices where the store does not have all of it."""
        if found.known != "all" or set(found.trained) == set(self.store.keys("train")):
            return self.train
        with self.timed("reading"):
            return load_slices(self.store, found, self.shelf, found.trained)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres between slices, rows and columns; None where the cohort has none."""
        grid = self.store.grid.at_size(self.model.card.grid.shape)
        return None if grid.spacing is None else (grid.slice_spacing or 1.0, *grid.spacing)

    @property
    def segmenters(self) -> Path:
        """Where trained segmenters are kept, apart by the models that are on the low-data curve."""
        others = fingerprint({"few": [few.model.identity for few, _ in self.low_data]})
        return self.folder.path / "segmenters" / others

    @cached_property
    def named(self) -> NamedEncoder | None:
        """The encoder that the user names; None where one is trained here."""
        return None if self._features == TRAINED else named_encoder(self._features)

    def try_named(self) -> None:
        """Let the encoder that the user names take images such as it will be given, before work goes into these."""
        if self.named is not None:
            shape = (2, len(self.match.modalities), *self.model.card.grid.shape)
            self.named.features(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))

    @cached_property
    def encoder(self) -> FeatureEncoder:
        """Images → features; the one that is trained here is kept in the folder."""
        if self.named is not None:
            return self.named
        path: Path = self.folder.encoder
        if path.is_file():
            with contextlib.suppress(InputError):  # damaged: trained again
                return Encoder.load(path)
        with self.timed("encoder"), self.step("training the encoder", "steps") as step:
            encoder = train_encoder(self.train.images, self.train.subject, seed=self.seed, progress=step)
        encoder.save(path)
        return encoder

    def draw(
        self,
        model: Model,
        count: int,
        step: Step | None = None,
        stage: int | None = None,
        shelf: Shelf | None = None,
    ) -> Samples:
        """Samples of a model, which may be another than the one that is measured."""
        positions = self.train.position if model.card.conditions else None
        return draw_samples(model, count, self.seed, shelf or Shelf(), positions, stage, step)

    @contextlib.contextmanager
    def step(self, what: str, unit: str = "") -> Iterator[Step]:
        """Show a work whose length is known when it first tells how far it is."""
        with contextlib.ExitStack() as stack:
            update: list[Update] = []

            def told(done: int, total: int) -> None:
                if not update:
                    update.append(stack.enter_context(self.progress(what, total, unit)))
                update[0](done)

            yield told

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds of the block as shared by the measures, not as one's own."""
        began = time.monotonic()
        inner = sum(self.shared_seconds.values())
        try:
            yield
        finally:
            within = sum(self.shared_seconds.values()) - inner
            own = time.monotonic() - began - within
            self.shared_seconds[name] = self.shared_seconds.get(name, 0.0) + own


def _of_subjects(slices: Slices, first: int, end: int) -> Slices:
    """The subjects from one to before another, whose slices follow each other; images and labels are not copied."""
    low, high = np.searchsorted(slices.subject, [first, end])
    part = slice(low, high)
    return Slices(
        slices.images[part], slices.labels[part], slices.subject[part] - first, slices.position[part],
        slices.keys[first:end],
    )  # fmt: skip


def each_subject(slices: Slices) -> list[tuple[np.ndarray, str]]:
    """Each subject's images, which are not copied, and its key."""
    edges = np.searchsorted(slices.subject, np.arange(len(slices.keys) + 1))
    pairs = zip(edges[:-1], edges[1:], slices.keys, strict=True)
    return [(slices.images[low:high], key) for low, high, key in pairs if high > low]
