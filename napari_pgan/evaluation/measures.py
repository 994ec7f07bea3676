"""The measures by name: their requirements, and how they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import EvaluationContext, each_subject
from napari_pgan.evaluation.memorisation.pairs import write_pairs

QUICK = ("likeness", "memorisation")
_SECONDS_PER_STEP = (0.09, 0.157)  # of a segmenter at 64×64 on two cores: 27,000 steps took 40 and 71 minutes


@dataclass(frozen=True)
class Measure:
    """A measure.

    Parameters
    ----------
    version
        Increases when the results change. Results of other versions are computed again, except for `compatible`.
    compute
        Returns the result as JSON values.
    check
        Raises InputError if the measure does not apply to the model and the store.
    options
        What determines the result in addition to the facts of the evaluation.
    announce
        Message to show before a long computation.
    compatible
        Earlier versions whose results remain valid.
    uses_features
        Whether the result depends on the feature encoder.
    """

    version: int
    compute: Callable[[EvaluationContext], dict[str, Any]]
    check: Callable[[EvaluationContext], None] = lambda context: None
    options: Callable[[EvaluationContext], Any] = lambda context: None
    announce: Callable[[EvaluationContext], str] = lambda context: ""
    compatible: tuple[int, ...] = ()
    uses_features: bool = False


def parse_measures(text: str) -> tuple[str, ...]:
    """Parse ``quick``, ``all``, or names separated by commas; return names in the order of computation.

    Raises
    ------
    InputError
        A name is unknown.
    """
    names = {word.strip() for word in text.split(",") if word.strip()}
    unknown = sorted(names - {"quick", "all", *MEASURES})
    if unknown or not names:
        what = f"there is no measure {unknown[0]!r}" if unknown else "no measure is named"
        raise InputError(f"--measures {text!r}: {what}; give quick, all, or some of {', '.join(MEASURES)}")
    if "all" in names:
        return tuple(MEASURES)
    return tuple(name for name in MEASURES if name in names or ("quick" in names and name in QUICK))


def _likeness(context: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.likeness.likeness import ImageSet, measure_likeness

    cohort, samples, encoder = context.cohort, context.samples, context.encoder
    real, generated = ImageSet(cohort.images, context.one_hot_labels), ImageSet(samples.images, samples.fractions)
    names = context.model.card.channels.modalities
    with context.step("likeness", "%") as step:
        return measure_likeness(
            real, cohort.subject, context.is_held_out, generated, names, encoder, seed=context.seed, progress=step
        ).to_dict()


def _memorisation(context: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.memorisation.memorisation import measure_memorisation

    known, train, samples, encoder = context.matched.known, context.training_data, context.samples, context.encoder
    with context.step("memorisation", "subjects") as step:
        found = measure_memorisation(
            each_subject(train),
            each_subject(context.held_out),
            samples.images,
            encoder.features,
            known=known,
            seed=context.seed,
            progress=step,
        )
    if known == "all" or found.copies:
        values = context.model.card.channels.values
        write_pairs(context.folder.pairs, found.pairs, samples, train, values, context.draw_sheet)
    return found.to_dict()


def _use(context: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.segmentation.labelled import Labelled
    from napari_pgan.evaluation.segmentation.use import Group, measure_use

    groups = []
    for candidate, matched in ((context.candidate, context.matched), *context.low_data):
        if candidate is context.candidate:
            samples = context.samples
        else:
            samples = context.draw(candidate.model, context.count, allocator=context.allocator)
        real = context.training_data_of(matched)
        groups.append(Group(len(real.keys), context.labelled(real), Labelled(samples.images, samples.labels)))
    with context.step("use", "steps") as step:
        return measure_use(
            groups, context.test, context.model.card.channels, context.spacing, context.segmenter_folder,
            steps=context.steps, progress=step,
        ).to_dict()  # fmt: skip


def _consistency(context: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.segmentation.consistency import measure_consistency
    from napari_pgan.evaluation.segmentation.labelled import Labelled
    from napari_pgan.evaluation.segmentation.use import load_or_train_segmenter

    channels, samples = context.model.card.channels, context.samples
    train, unseen = context.labelled(context.training_data), context.labelled(context.held_out)
    context.segmenter_folder.mkdir(parents=True, exist_ok=True)
    path = _judge_path(context)
    with context.step("training the judge", "steps") as step:
        judge = load_or_train_segmenter(path, train.images, train.labels, channels, context.steps, 0, step)
    return measure_consistency(judge, Labelled(samples.images, samples.labels), unseen, channels).to_dict()


def _trends(context: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.trends import measure_trends

    return measure_trends(context)


def _judge_path(context: EvaluationContext) -> Path:
    """The judge of consistency is one of the segmenters of use."""
    from napari_pgan.evaluation.segmentation.use import segmenter_path

    return segmenter_path(context.segmenter_folder, 0, "real", 0)


def _duration_of_use(context: EvaluationContext) -> str:
    from napari_pgan.evaluation.segmentation.use import SEEDS, SOURCES, segmenter_path

    models, folder = 1 + len(context.low_data), context.segmenter_folder
    paths = [segmenter_path(folder, i, s, n) for i in range(models) for s in SOURCES for n in SEEDS]
    return _duration(sum(not path.is_file() for path in paths), context.steps)


def _duration_of_consistency(context: EvaluationContext) -> str:
    return _duration(int(not _judge_path(context).is_file()), context.steps)


def _duration(segmenters: int, steps: int) -> str:
    if not segmenters:
        return ""
    low, high = (max(1, round(per * segmenters * steps / 60)) for per in _SECONDS_PER_STEP)
    minutes = f"{low} to {high} minutes" if high > 1 else "a minute or less"
    return (
        f"training {segmenters} segmenter{'s' if segmenters > 1 else ''}, {segmenters * steps:,} steps in total. At "
        f"64×64 this takes {minutes} on two cores, and four times as long at 128×128. Reduce --steps to shorten it; "
        "Ctrl-C keeps finished segmenters"
    )


def _check_labels(context: EvaluationContext) -> None:
    if not context.model.card.channels.labels:
        raise InputError(
            f"{context.where}: generates no labels, which the measures use and consistency need; leave them out"
        )


def _check_use(context: EvaluationContext) -> None:
    _check_labels(context)
    address = context.store.address
    mine, candidates = context.matched, ((context.candidate, context.matched), *context.low_data)
    for candidate, matched in candidates:
        if matched.seen_in_test:
            raise InputError(
                f"{candidate.where}: was trained on {len(matched.seen_in_test)} of the test subjects of {address}, "
                "which would make the measure use too good; give the store of its training, or leave use out"
            )
        if (matched.size, matched.modalities, matched.labels) != (mine.size, mine.modalities, mine.labels):
            raise InputError(
                f"{candidate.where}: differs from {context.where} in size or order of channels, so they cannot share a "
                "low-data curve; leave it out"
            )
        if candidate is not context.candidate and matched.known != "all":
            raise InputError(
                f"{candidate.where}: was not trained on subjects of {address} alone, so it cannot be on the low-data "
                "curve; leave it out"
            )
    identities = [candidate.model.identity for candidate, _ in candidates]
    for i, (candidate, _) in enumerate(candidates):
        if candidate.model.identity in identities[:i]:
            raise InputError(f"{candidate.where}: is given twice; give each model of the low-data curve once")
    if not mine.tested:
        raise InputError(f"{address}: has no test subjects, which use needs; prepare with another --split")


def _downscaled(context: EvaluationContext) -> str | None:
    # the text is a part of the fingerprint of stored results
    return None if context.matched.size == context.store.grid.shape[-1] else "labels of real images are crisp"


def _history(context: EvaluationContext) -> Any:
    run = context.run
    return None if run is None else [list(run.distances), [model.identity for model in run.models]]


MEASURES: Mapping[str, Measure] = {
    "likeness": Measure(2, _likeness, options=_downscaled, uses_features=True),
    "memorisation": Measure(
        5,
        _memorisation,
        options=lambda context: None if context.matched.known == "all" else context.matched.known,
        compatible=(4, 3),  # 4 planted no rotated or zoomed copies; 3 had other texts
        uses_features=True,
    ),
    "use": Measure(
        1,
        _use,
        _check_use,
        options=lambda context: [few.model.identity for few, _ in context.low_data],
        announce=_duration_of_use,
    ),
    "consistency": Measure(1, _consistency, _check_labels, announce=_duration_of_consistency),
    "trends": Measure(1, _trends, options=_history, uses_features=True),
}
