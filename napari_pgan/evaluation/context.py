"""Data that several measures of an evaluation share. Each item is computed once, on first use, and timed."""

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
from napari_pgan.evaluation.eval_data import ArrayAllocator, Samples, draw_samples, load_slices, one_hot
from napari_pgan.evaluation.likeness.feature_encoder import Encoder, train_encoder
from napari_pgan.evaluation.likeness.features import FeatureEncoder
from napari_pgan.evaluation.likeness.named_encoder import NamedEncoder, named_encoder
from napari_pgan.evaluation.matching import Match, match
from napari_pgan.evaluation.memorisation.pairs import DrawSheet
from napari_pgan.evaluation.report_folder import ReportFolder, fingerprint
from napari_pgan.evaluation.segmentation.labelled import Labelled
from napari_pgan.evaluation.segmentation.segmenter import STEPS
from napari_pgan.model import Model
from napari_pgan.store import Slices, Store, label_map

_CHUNK = 256  # slices per chunk
TRAINED = "trained"  # selects the encoder that is trained on the store


class Update(Protocol):
    """Takes the number of finished steps, and a note to show with it."""

    def __call__(self, done: int, note: str = "") -> None: ...


Progress = Callable[[str, int, str], AbstractContextManager[Update]]
Step = Callable[[int, int], None]  # called with (done, total)


@dataclass(frozen=True)
class Candidate:
    """A model, and its name in messages."""

    model: Model
    where: str


@dataclass(frozen=True)
class RunModel:
    """A model of a training run after a number of images; loaded on demand."""

    name: str
    images: int
    identity: str
    load: Callable[[], Model]


@dataclass(frozen=True)
class RunHistory:
    """The history of a training run.

    Parameters
    ----------
    distances
        Lines of ``metrics.jsonl`` with a distance to held-out subjects: images, size, mean distance.
    models
        Stored models, oldest first.
    """

    distances: tuple[dict[str, float], ...]
    models: tuple[RunModel, ...]


@dataclass(frozen=True)
class EvaluationRequest:
    """Settings of an evaluation.

    Parameters
    ----------
    candidate
        The model.
    store
        The cohort to compare with.
    out
        Output folder; an unfinished evaluation in it is continued.
    measures
        Names, as returned by `parse_measures`.
    samples, seed
        Number of generated images, and the seed of the first.
    features
        ``"trained"``: train an encoder on the store's training subjects. Otherwise as in `named_encoder`.
    low_data
        Models trained on few of the subjects, for the low-data curve of ``use``.
    run
        History of the training run the model comes from.
    steps
        Training steps of each segmenter.
    """

    candidate: Candidate
    store: Store
    out: Path
    measures: tuple[str, ...]
    samples: int = 2000
    seed: int = 0
    features: str = TRAINED
    low_data: tuple[Candidate, ...] = ()
    run: RunHistory | None = None
    steps: int = STEPS


class EvaluationContext:
    """The model, the store, and the data derived from them.

    Parameters
    ----------
    request
        Settings of the evaluation.
    matched
        How slices of the store map to images of the model.
    folder
        Output folder.
    progress
        Shows the progress of a step.
    draw_sheet
        Writes images as a PNG.
    """

    def __init__(
        self,
        request: EvaluationRequest,
        matched: Match,
        folder: ReportFolder,
        progress: Progress,
        draw_sheet: DrawSheet,
    ) -> None:
        self.candidate, self.store, self.run = request.candidate, request.store, request.run
        self.model, self.where = self.candidate.model, self.candidate.where
        self.count, self.seed, self.steps = request.samples, request.seed, request.steps
        self.low_data = tuple((few, match(few.model.card, self.store, few.where)) for few in request.low_data)
        self.matched, self.folder, self.progress, self.draw_sheet = matched, folder, progress, draw_sheet
        self._features = request.features
        self.allocator = ArrayAllocator()
        self.shared_seconds: dict[str, float] = {}

    @cached_property
    def samples(self) -> Samples:
        """Samples of the model, float32."""
        with self.timed("samples"), self.step("sampling", "images") as step:
            return self.draw(self.model, self.count, step, allocator=self.allocator)

    @cached_property
    def cohort(self) -> Slices:
        """The store's training slices, followed by slices of subjects the model was not trained on."""
        keys = [*self.store.keys("train"), *self.matched.held_out]
        with self.timed("reading"):
            return load_slices(self.store, self.matched, self.allocator, keys)

    @cached_property
    def one_hot_labels(self) -> np.ndarray:
        """The cohort's labels as 0 or 1, like those of a model; downscaled slices have fractions."""
        fractions = self.cohort.labels
        if self.matched.size == self.store.grid.shape[-1]:
            return fractions
        out = self.allocator.empty(fractions.shape, np.float32)
        for part in _chunks(len(fractions)):
            out[part] = one_hot(fractions[part])
        return out

    @cached_property
    def train(self) -> Slices:
        """The store's training slices."""
        return _of_subjects(self.cohort, 0, len(self.store.keys("train")))

    @cached_property
    def held_out(self) -> Slices:
        """Slices of subjects the model was not trained on."""
        return _of_subjects(self.cohort, len(self.store.keys("train")), len(self.cohort.keys))

    @property
    def is_held_out(self) -> np.ndarray:
        """bool (N,): whether the model was not trained on the subject of each slice of the cohort."""
        return self.cohort.subject >= len(self.store.keys("train"))

    @property
    def test(self) -> Labelled:
        """Slices of test subjects that no model was trained on."""
        end = len(self.held_out.keys)  # test subjects come last
        return self.labelled(_of_subjects(self.held_out, end - len(self.matched.tested), end))

    def labelled(self, slices: Slices) -> Labelled:
        """Replace label fractions by label maps; images are not copied."""
        maps = self.allocator.empty((len(slices), *slices.images.shape[2:]), np.uint8)
        for part in _chunks(len(slices)):
            maps[part] = label_map(slices.labels[part], self.model.card.channels.values)
        return Labelled(slices.images, maps, slices.subject)

    @cached_property
    def training_data(self) -> Slices:
        """The slices the model was trained on, as far as they are in the store."""
        return self.training_data_of(self.matched)

    def training_data_of(self, matched: Match) -> Slices:
        """Return the training data of a model, or the store's training slices if the store lacks a part of it."""
        if matched.known != "all" or set(matched.trained) == set(self.store.keys("train")):
            return self.train
        with self.timed("reading"):
            return load_slices(self.store, matched, self.allocator, matched.trained)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Spacing of slices, rows and columns in mm; None if the cohort has none."""
        grid = self.store.grid.at_size(self.model.card.grid.shape)
        return None if grid.spacing is None else (grid.slice_spacing or 1.0, *grid.spacing)

    @property
    def segmenter_folder(self) -> Path:
        """Folder of trained segmenters; it depends on the models of the low-data curve."""
        others = fingerprint({"few": [few.model.identity for few, _ in self.low_data]})
        return self.folder.path / "segmenters" / others

    @cached_property
    def named(self) -> NamedEncoder | None:
        """The encoder the user named; None if an encoder is trained instead."""
        return None if self._features == TRAINED else named_encoder(self._features)

    def check_named_encoder(self) -> None:
        """Fail early if the encoder the user named does not accept images of the model's shape."""
        if self.named is not None:
            shape = (2, len(self.matched.modalities), *self.model.card.grid.shape)
            self.named.features(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))

    @cached_property
    def encoder(self) -> FeatureEncoder:
        """The feature encoder; a trained one is stored in the folder."""
        if self.named is not None:
            return self.named
        path: Path = self.folder.encoder
        if path.is_file():
            with contextlib.suppress(InputError):  # damaged: train again
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
        allocator: ArrayAllocator | None = None,
    ) -> Samples:
        """Generate samples of any model."""
        positions = self.train.position if model.card.conditions else None
        return draw_samples(model, count, self.seed, allocator or ArrayAllocator(), positions, stage, step)

    @contextlib.contextmanager
    def step(self, what: str, unit: str = "") -> Iterator[Step]:
        """Context manager: a progress bar that opens with the first report, which tells its length."""
        with contextlib.ExitStack() as stack:
            update: list[Update] = []

            def report(done: int, total: int) -> None:
                if not update:
                    update.append(stack.enter_context(self.progress(what, total, unit)))
                update[0](done)

            yield report

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Context manager: count the time of the block as shared by all measures."""
        began = time.monotonic()
        before = sum(self.shared_seconds.values())
        try:
            yield
        finally:
            nested = sum(self.shared_seconds.values()) - before
            own = time.monotonic() - began - nested
            self.shared_seconds[name] = self.shared_seconds.get(name, 0.0) + own


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def _of_subjects(slices: Slices, first: int, end: int) -> Slices:
    """Select consecutive subjects; images and labels are not copied."""
    low, high = np.searchsorted(slices.subject, [first, end])
    part = slice(low, high)
    return Slices(
        slices.images[part], slices.labels[part], slices.subject[part] - first, slices.position[part],
        slices.keys[first:end],
    )  # fmt: skip


def each_subject(slices: Slices) -> list[tuple[np.ndarray, str]]:
    """Return the images of each subject, not copied, with the subject's key."""
    edges = np.searchsorted(slices.subject, np.arange(len(slices.keys) + 1))
    pairs = zip(edges[:-1], edges[1:], slices.keys, strict=True)
    return [(slices.images[low:high], key) for low, high, key in pairs if high > low]
