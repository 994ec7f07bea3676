"""The measures by name: what each needs, and how it is taken of a work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import EvaluationContext, each_subject
from napari_pgan.evaluation.memorisation.pairs import write_pairs

QUICK = ("likeness", "memorisation")
_SECONDS_A_STEP = (0.09, 0.157)  # of a segmenter at 64×64 on two cores: 27,000 took 40 and 71 minutes


@dataclass(frozen=True)
class Measure:
    """A measure.

    Parameters
    ----------
    title
        For people.
    version
        Grows when its figures change; results of another version are taken again, but for those of `readable`.
    take
        Takes it; gives JSON.
    refuse
        Raises InputError where the work does not allow it.
    options
        What beside the evaluation's facts decides its figures.
    announce
        What to say before it is taken: how long it takes, where that is long.
    readable
        Versions of before whose results stand as they are.
    on_features
        Whether it looks at features; if the user names what makes them, results are of that very network.
    """

    title: str
    version: int
    take: Callable[[EvaluationContext], dict[str, Any]]
    refuse: Callable[[EvaluationContext], None] = lambda work: None
    options: Callable[[EvaluationContext], Any] = lambda work: None
    announce: Callable[[EvaluationContext], str] = lambda work: ""
    readable: tuple[int, ...] = ()
    on_features: bool = False


def parse_measures(text: str) -> tuple[str, ...]:
    """``quick``, ``all``, or names with commas between, in the order in which they are taken.

    Raises
    ------
    InputError
        There is no such measure.
    """
    names = {word.strip() for word in text.split(",") if word.strip()}
    wrong = sorted(names - {"quick", "all", *MEASURES})
    if wrong or not names:
        what = f"there is no measure {wrong[0]!r}" if wrong else "no measure is named"
        raise InputError(f"--measures {text!r}: {what}; give quick, all, or some of {', '.join(MEASURES)}")
    if "all" in names:
        return tuple(MEASURES)
    return tuple(name for name in MEASURES if name in names or ("quick" in names and name in QUICK))


def _likeness(work: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.likeness.likeness import ImageSet, measure_likeness

    cohort, made, encoder = work.cohort, work.samples, work.encoder
    real, generated = ImageSet(cohort.images, work.crisp_labels), ImageSet(made.images, made.fractions)
    names = work.model.card.channels.modalities
    with work.step("likeness", "%") as step:
        found = measure_likeness(
            real, cohort.subject, work.held, generated, names, encoder, seed=work.seed, progress=step
        )
    return found.to_dict()


def _memorisation(work: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.memorisation.memorisation import measure_memorisation

    known, learnt, made, encoder = work.match.known, work.learnt, work.samples, work.encoder
    with work.step("memorisation", "subjects") as step:
        found = measure_memorisation(
            each_subject(learnt),
            each_subject(work.held_out),
            made.images,
            encoder.features,
            known=known,
            seed=work.seed,
            progress=step,
        )
    if known == "all" or found.copies:
        write_pairs(work.folder.pairs, found.pairs, made, learnt, work.model.card.channels.values, work.draw_sheet)
    return found.to_dict()


def _use(work: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.segmentation.labelled import Labelled
    from napari_pgan.evaluation.segmentation.use import Group, measure_use

    groups = []
    for candidate, found in ((work.candidate, work.match), *work.low_data):
        own = candidate is work.candidate
        made = work.samples if own else work.draw(candidate.model, work.count, shelf=work.shelf)
        real = work.slices_of(found)
        groups.append(Group(len(real.keys), work.labelled(real), Labelled(made.images, made.labels)))
    with work.step("use", "steps") as step:
        return measure_use(
            groups, work.tested, work.model.card.channels, work.spacing, work.segmenters, steps=work.steps,
            progress=step,
        ).to_dict()  # fmt: skip


def _consistency(work: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.segmentation.consistency import measure_consistency
    from napari_pgan.evaluation.segmentation.labelled import Labelled
    from napari_pgan.evaluation.segmentation.use import kept_segmenter

    channels, made = work.model.card.channels, work.samples
    taught, unseen = work.labelled(work.slices_of(work.match)), work.labelled(work.held_out)
    work.segmenters.mkdir(parents=True, exist_ok=True)
    path = _judge_path(work)
    with work.step("training the judge", "steps") as step:
        judge = kept_segmenter(path, taught.images, taught.labels, channels, work.steps, 0, step)
    return measure_consistency(judge, Labelled(made.images, made.labels), unseen, channels).to_dict()


def _judge_path(work: EvaluationContext) -> Path:
    """One of the segmenters of use is the judge of consistency."""
    from napari_pgan.evaluation.segmentation.use import segmenter_path

    return segmenter_path(work.segmenters, 0, "real", 0)


def _time_of_use(work: EvaluationContext) -> str:
    from napari_pgan.evaluation.segmentation.use import SEEDS, SOURCES, segmenter_path

    models = 1 + len(work.low_data)
    paths = [segmenter_path(work.segmenters, i, s, n) for i in range(models) for s in SOURCES for n in SEEDS]
    return _time_of(sum(not path.is_file() for path in paths), work.steps)


def _time_of_judge(work: EvaluationContext) -> str:
    return _time_of(int(not _judge_path(work).is_file()), work.steps)


def _time_of(segmenters: int, steps: int) -> str:
    if not segmenters:
        return ""
    many = f"{segmenters} segmenters are" if segmenters > 1 else "a segmenter is"
    low, high = (max(1, round(per * segmenters * steps / 60)) for per in _SECONDS_A_STEP)
    minutes = f"{low} to {high} minutes" if high > 1 else "a minute or less"
    return (
        f"{many} trained now, {segmenters * steps:,} steps in all. At 64×64 that takes {minutes} on two cores, and "
        "four times as long at 128×128. With --steps it takes less; Ctrl-C loses no segmenter that is finished"
    )


def _trends(work: EvaluationContext) -> dict[str, Any]:
    from napari_pgan.evaluation.trends import measure_trends

    return measure_trends(work)


def _shrunk(work: EvaluationContext) -> str | None:
    return None if work.match.size == work.store.grid.shape[-1] else "labels of real images are crisp"


def _known(work: EvaluationContext) -> str | None:
    return None if work.match.known == "all" else work.match.known


def _history(work: EvaluationContext) -> Any:
    return None if work.run is None else [list(work.run.distances), [model.identity for model in work.run.models]]


def _others(work: EvaluationContext) -> list[str]:
    return [candidate.model.identity for candidate, _ in work.low_data]


def _refuse_unlabelled(work: EvaluationContext) -> None:
    if not work.model.card.channels.labels:
        raise InputError(
            f"{work.where}: makes no labels, so use and consistency have nothing to look at; leave them out"
        )


def _refuse_seen(work: EvaluationContext) -> None:
    _refuse_unlabelled(work)
    for candidate, found in ((work.candidate, work.match), *work.low_data):
        if found.seen_in_test:
            raise InputError(
                f"{candidate.where}: was trained on {len(found.seen_in_test)} of the test subjects of "
                f"{work.store.address}, so use would flatter it; give the store of its training, or leave use out"
            )
        if (found.size, found.modalities, found.labels) != (work.match.size, work.match.modalities, work.match.labels):
            raise InputError(
                f"{candidate.where}: has another size or order of channels than {work.where}, so both cannot stand on "
                "one low-data curve; leave it out"
            )
        if candidate is not work.candidate and found.known != "all":
            raise InputError(
                f"{candidate.where}: was not trained on subjects of {work.store.address} alone, so it has no place on "
                "its low-data curve; leave it out"
            )
    every = [candidate.model.identity for candidate in (work.candidate, *(few for few, _ in work.low_data))]
    if len(set(every)) < len(every):
        again = next(few.where for i, (few, _) in enumerate(work.low_data, 1) if few.model.identity in every[:i])
        raise InputError(f"{again}: is given twice, and one model is one point of the low-data curve; give it once")
    if not work.match.tested:
        raise InputError(f"{work.store.address}: has no test subjects, which use needs; prepare with another --split")


MEASURES: Mapping[str, Measure] = {
    "likeness": Measure("likeness", 2, _likeness, options=_shrunk, on_features=True),
    # 4 found no kind of copies that was turned or zoomed, and 3 said it in other words
    "memorisation": Measure("memorisation", 5, _memorisation, options=_known, readable=(4, 3), on_features=True),
    "use": Measure("use", 1, _use, _refuse_seen, _others, _time_of_use),
    "consistency": Measure("consistency", 1, _consistency, _refuse_unlabelled, announce=_time_of_judge),
    "trends": Measure("trends", 1, _trends, options=_history, on_features=True),
}
