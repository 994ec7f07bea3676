"""Starting from another model: which one it is, and what of it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Condition, Encoding, find_model, read_model
from napari_pgan.model.model_file import holds_critic, identity
from napari_pgan.training.run_folder import Run


@dataclass(frozen=True)
class Start:
    """What a training takes over from a model.

    Parameters
    ----------
    path
        The model's file.
    identity
        The hash of its generator.
    grown
        The last stage that is taken over.
    channels
        For each channel here, the model's channel of the same meaning, or None.
    modalities
        How many of the channels here, from the first, are modalities.
    conditions
        For each number here that is told beside the latent, the model's, or None.
    line
        What is taken over and what starts fresh, for people.
    """

    path: Path
    identity: str
    grown: int
    channels: tuple[int | None, ...]
    modalities: int
    conditions: tuple[int | None, ...]
    line: str


def plan_start(
    init: str | Path, architecture: Architecture, encoding: Encoding, conditions: tuple[Condition, ...]
) -> Start:
    """Look at what a training can take over from a model.

    Parameters
    ----------
    init
        A model file, the name of a shipped model, or a run folder, whose best model is taken, or else its newest.
    architecture, encoding, conditions
        Of the training.

    Raises
    ------
    InputError
        There is no such model, or nothing of it fits: another base grid, another normalisation, other widths at the
        first size, no channel in common.
    """
    path, found = model_or_best_of_run(init)
    file = read_model(path)
    grown = _stages_alike(file.card.architecture, architecture, path) - 1
    theirs = Encoding(file.card.channels, file.card.encoding)
    channels = tuple(_same_meaning(theirs, encoding))
    names, known = _names(encoding), _names(theirs)
    if all(index is None for index in channels):
        raise InputError(f"{path}: makes {', '.join(known)}, nothing that this cohort has; train without --init")
    told = tuple(_same_conditions(file.card.conditions, conditions))
    taken = [
        name if name.casefold() == known[i].casefold() else f"{name} (there {known[i]})"
        for name, i in zip(names, channels, strict=True)
        if i is not None
    ]
    fresh = [name for name, i in zip(names, channels, strict=True) if i is None]
    fresh += [] if holds_critic(path) else ["the critic, which the file lacks"]
    fresh += [f"sizes from {_size(architecture, grown + 1)}"] if grown + 1 < architecture.stages else []
    line = (
        f"starting from {found}: sizes up to {_size(architecture, grown)}, channels {', '.join(taken)}; "
        f"fresh: {', '.join(fresh) or 'nothing'}"
    )
    return Start(path, identity(file.generator), grown, channels, encoding.modality_count, told, line)


def model_or_best_of_run(name: str | Path) -> tuple[Path, str]:
    """The model's file, and in words what it is.

    Parameters
    ----------
    name
        A model file, the name of a shipped model, or a run folder, whose best model is taken, or else its newest.

    Raises
    ------
    InputError
        There is no such model, or the folder is no run or has no model yet.
    """
    run = Run(name)
    if not run.begun:
        path = find_model(name)
        if path.is_dir():
            raise InputError(f"{name}: is a folder and no run; give a model file or a run folder")
        return path, str(name)
    for path, which in ((run.best, "the best"), (run.model, "the newest")):
        if path.is_file():
            return path, f"{path}, {which} model of that run"
    raise InputError(f"{name}: is a run without a model yet; wait for its first, or give another")


def _stages_alike(theirs: Architecture, ours: Architecture, path: Path) -> int:
    """How many stages, from the first, have the same shape in both."""
    if theirs.base != ours.base:
        raise InputError(
            f"{path}: grew from {_pixels(theirs.base)} pixels and this training grows from {_pixels(ours.base)}, so "
            "nothing of it fits; give --init a model that grew alike, or prepare the cohort at another --size"
        )
    for name in ("pixelnorm", "smooth", "label_share"):
        if getattr(theirs, name) != getattr(ours, name):
            value = str(getattr(theirs, name)).lower()
            raise InputError(f"{path}: its weights mean nothing but with network.{name}={value}; --set that")
    pairs = list(zip(theirs.widths, ours.widths, strict=False))
    alike = next((stage for stage, (a, b) in enumerate(pairs) if a != b), len(pairs))
    if not alike:
        raise InputError(
            f"{path}: has {theirs.widths[0]} feature maps at its first size and the recipe {ours.widths[0]}, so "
            "nothing of it fits; --set the widths that the model has, "
            + ", ".join(f"sizes.{4 * 2**s}.width={w}" for s, w in enumerate(theirs.widths[: ours.stages]))
        )
    return alike


def _same_meaning(theirs: Encoding, ours: Encoding) -> list[int | None]:
    """For each of our channels, theirs: modalities by name, labels by name and, where that is unknown, by value."""
    modalities = {m.casefold(): i for i, m in enumerate(theirs.channels.modalities)}
    found = [modalities.get(m.casefold()) for m in ours.channels.modalities]
    old, new = theirs.channels.labels, ours.channels.labels
    if ours.kind != theirs.kind or not new:
        return found + [None] * ours.label_channel_count
    by_name = {x.name.casefold(): i for i, x in enumerate(old)}
    known = [by_name.get(x.name.casefold()) for x in new]
    if ours.kind == "grey":  # its levels mean the same only where all labels are the same, in the same order
        return [*found, theirs.modality_count if known == list(range(len(old))) else None]
    left = {x.value: i for i, x in enumerate(old) if i not in known}
    known = [left.get(x.value) if i is None else i for i, x in zip(known, new, strict=True)]
    return found + [None if i is None else theirs.modality_count + i for i in known]


def _same_conditions(theirs: Sequence[Condition], ours: Sequence[Condition]) -> list[int | None]:
    """For each number that our conditions take, theirs; a condition is the same when name and range are."""
    found: list[int | None] = []
    for condition in ours:
        at = sum(c.size for c in theirs[: theirs.index(condition)]) if condition in theirs else None
        found += [None if at is None else at + i for i in range(condition.size)]
    return found


def _names(encoding: Encoding) -> list[str]:
    """What each channel is called."""
    labels = [label.name for label in encoding.channels.labels]
    return [*encoding.channels.modalities, *(labels if encoding.kind == "onehot" or not labels else ["the labels"])]


def _size(architecture: Architecture, stage: int) -> str:
    return _pixels(architecture.shape(stage))


def _pixels(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
