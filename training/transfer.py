"""Start a training from another model (``fit --init``): what fits, and the transfer of its weights.

New parts start so that the networks first compute what they did before (as in Net2Net, Chen et al. 2016,
arXiv:1511.05641): the critic ignores a new channel, a new latent dimension does not change the image, a new label is
background everywhere, and a new modality shows the mean of the known ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Condition, Critic, Encoding, Generator, find_model, read_critic, read_model
from napari_pgan.model.layers import Conv, Dense
from napari_pgan.model.model_file import holds_critic, identity
from napari_pgan.training.run_folder import Run
from napari_pgan.training.trainer import Trainer

_BACKGROUND = -1.0


@dataclass(frozen=True)
class Start:
    """What a training takes over from a model.

    Parameters
    ----------
    path
        The model file.
    identity
        The hash of its generator.
    grown
        The last stage that is taken over.
    channels
        For each channel of the training, the model's channel of the same meaning, or None.
    modalities
        How many channels of the training are modalities; they precede the labels.
    conditions
        For each condition input of the training, the model's input, or None.
    summary
        What is taken over and what starts with random weights, for the user.
    """

    path: Path
    identity: str
    grown: int
    channels: tuple[int | None, ...]
    modalities: int
    conditions: tuple[int | None, ...]
    summary: str


def plan_start(
    init: str | Path, architecture: Architecture, encoding: Encoding, conditions: tuple[Condition, ...]
) -> Start:
    """Find out what a training can take over from a model, named as for `model_or_best_of_run`.

    Raises
    ------
    InputError
        There is no such model, or nothing of it fits: base grid, normalisation, widths of the first size or all
        channels differ.
    """
    path, source = model_or_best_of_run(init)
    file = read_model(path)
    grown = _common_stages(file.card.architecture, architecture, path) - 1
    theirs = Encoding(file.card.channels, file.card.encoding)
    channels = tuple(_match_channels(theirs, encoding))
    names, their_names = _names(encoding), _names(theirs)
    if all(index is None for index in channels):
        raise InputError(
            f"{path}: generates {', '.join(their_names)}, none of which this cohort has; train without --init"
        )
    taken = [
        name if name.casefold() == their_names[i].casefold() else f"{name} (there {their_names[i]})"
        for name, i in zip(names, channels, strict=True)
        if i is not None
    ]
    fresh = [name for name, i in zip(names, channels, strict=True) if i is None]
    fresh += [] if holds_critic(path) else ["the critic, which the file lacks"]
    fresh += [f"sizes from {_size(architecture, grown + 1)}"] if grown + 1 < architecture.stages else []
    summary = (
        f"starting from {source}: sizes up to {_size(architecture, grown)}, channels {', '.join(taken)}; "
        f"fresh: {', '.join(fresh) or 'nothing'}"
    )
    inputs = tuple(_match_conditions(file.card.conditions, conditions))
    return Start(path, identity(file.generator), grown, channels, encoding.modality_count, inputs, summary)


def model_or_best_of_run(name: str | Path) -> tuple[Path, str]:
    """Return a model's file, and a description of it for the user.

    Parameters
    ----------
    name
        A model file, the name of a shipped model, or a run folder, which stands for its best model, or else its newest.

    Raises
    ------
    InputError
        There is no such model, the folder is not a run, or the run has no model yet.
    """
    run = Run(name)
    if not run.started:
        path = find_model(name)
        if path.is_dir():
            raise InputError(f"{name}: is a folder but not a run folder; give a model file or a run folder")
        return path, str(name)
    for path, which in ((run.best, "the best"), (run.model, "the newest")):
        if path.is_file():
            return path, f"{path}, {which} model of that run"
    raise InputError(f"{name}: this run has no model yet; wait for its first, or give another")


def _common_stages(theirs: Architecture, ours: Architecture, path: Path) -> int:
    """Count the stages, from the first, that have the same shape in both."""
    if theirs.base != ours.base:
        raise InputError(
            f"{path}: starts at {_pixels(theirs.base)} pixels and this training at {_pixels(ours.base)}, so nothing "
            "of it fits; give --init a model with the same first size, or prepare the cohort at another --size"
        )
    for name in ("pixelnorm", "smooth", "label_share"):
        if getattr(theirs, name) != getattr(ours, name):
            value = str(getattr(theirs, name)).lower()
            raise InputError(f"{path}: its weights need network.{name}={value}; give --set network.{name}={value}")
    pairs = list(zip(theirs.widths, ours.widths, strict=False))
    common = next((stage for stage, (a, b) in enumerate(pairs) if a != b), len(pairs))
    if not common:
        raise InputError(
            f"{path}: has {theirs.widths[0]} feature maps at its first size and the recipe {ours.widths[0]}, so "
            "nothing of it fits; --set the model's widths, "
            + ", ".join(f"sizes.{4 * 2**s}.width={w}" for s, w in enumerate(theirs.widths[: ours.stages]))
        )
    return common


def _match_channels(theirs: Encoding, ours: Encoding) -> list[int | None]:
    """For each of our channels, theirs: modalities by name; labels by name, or else by value."""
    modalities = {m.casefold(): i for i, m in enumerate(theirs.channels.modalities)}
    matches = [modalities.get(m.casefold()) for m in ours.channels.modalities]
    old, new = theirs.channels.labels, ours.channels.labels
    if ours.kind != theirs.kind or not new:
        return matches + [None] * ours.label_channel_count
    by_name = {x.name.casefold(): i for i, x in enumerate(old)}
    known = [by_name.get(x.name.casefold()) for x in new]
    if ours.kind == "grey":  # grey levels mean the same only if all labels and their order are the same
        return [*matches, theirs.modality_count if known == list(range(len(old))) else None]
    by_value = {x.value: i for i, x in enumerate(old) if i not in known}
    known = [by_value.get(x.value) if i is None else i for i, x in zip(known, new, strict=True)]
    return matches + [None if i is None else theirs.modality_count + i for i in known]


def _match_conditions(theirs: Sequence[Condition], ours: Sequence[Condition]) -> list[int | None]:
    """For each input of our conditions, theirs; conditions match if name and range are equal."""
    matches: list[int | None] = []
    for condition in ours:
        first = sum(c.size for c in theirs[: theirs.index(condition)]) if condition in theirs else None
        matches += [None if first is None else first + i for i in range(condition.size)]
    return matches


def _names(encoding: Encoding) -> list[str]:
    labels = [label.name for label in encoding.channels.labels]
    return [*encoding.channels.modalities, *(labels if encoding.kind == "onehot" or not labels else ["the labels"])]


def _size(architecture: Architecture, stage: int) -> str:
    return _pixels(architecture.shape(stage))


def _pixels(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


@torch.no_grad()
def transfer_weights(trainer: Trainer, start: Start) -> None:
    """Copy a model's weights into the new generator, its EMA and, if the file has one, the critic."""
    _transfer_generator(trainer.generator, read_model(start.path).generator, start)
    trainer.ema.load_state_dict(trainer.generator.state_dict())
    critic = read_critic(start.path)
    if critic is not None:
        _transfer_critic(trainer.critic, critic, start)


def _transfer_generator(new: Generator, old: Generator, start: Start) -> None:
    """Copy the stages up to `start.grown`."""
    latent, old_latent = new.architecture.latent, old.architecture.latent
    dense = old.dense.scaled()
    # scaled so that the spread of the first feature map stays the same with fewer latent dimensions
    from_latent = _pick(dense, [i if i < old_latent else None for i in range(latent)])
    from_latent = from_latent * math.sqrt(max(old_latent / latent, 1.0))
    from_conditions = _pick(dense, [None if i is None else old_latent + i for i in start.conditions])
    _set(new.dense, torch.cat([from_latent, from_conditions], dim=1), old.dense.bias)
    _copy(new.conv, old.conv)
    _copy_blocks(new, old, start, ("grow", "refine"))
    for mine, theirs in list(zip(new.heads, old.heads, strict=False))[: start.grown + 1]:
        _transfer_head(cast(Conv, mine), cast(Conv, theirs), start)


def _transfer_critic(new: Critic, old: Critic, start: Start) -> None:
    """Copy the stages up to `start.grown`."""
    if new.images and old.images and new.images.score.weight.shape == old.images.score.weight.shape:
        _transfer_critic(new.images, old.images, replace(start, channels=start.channels[: start.modalities]))
    dense = old.dense.scaled()
    flat = dense.shape[1] - old.architecture.conditions
    from_conditions = _pick(dense, [None if i is None else flat + i for i in start.conditions])
    _set(new.dense, torch.cat([dense[:, :flat], from_conditions], dim=1), old.dense.bias)
    _copy(new.conv, old.conv)
    _copy(new.score, old.score)
    _copy_blocks(new, old, start, ("refine", "shrink"))
    for mine, theirs in list(zip(new.tails, old.tails, strict=False))[: start.grown + 1]:
        _transfer_tail(cast(Conv, mine), cast(Conv, theirs), start)


def _transfer_head(new: Conv, old: Conv, start: Start) -> None:
    """Copy the rows of known channels; a new modality is their mean, a new label is background."""
    weight, bias = old.scaled(), old.bias
    known = [i for i in start.channels[: start.modalities] if i is not None]
    rows, offsets = [], []
    for channel, index in enumerate(start.channels):
        if index is not None:
            row, offset = weight[index], bias[index]
        elif channel < start.modalities and known:
            row, offset = weight[known].mean(0), bias[known].mean()
        else:
            row, offset = torch.zeros_like(weight[0]), torch.full_like(bias[0], _BACKGROUND)
        rows.append(row)
        offsets.append(offset)
    _set(new, torch.stack(rows), torch.stack(offsets))


def _transfer_tail(new: Conv, old: Conv, start: Start) -> None:
    """Copy the columns of known channels; channels that are missing now count as background."""
    weight = old.scaled()
    missing = [i for i in range(weight.shape[1]) if i not in start.channels]
    background = weight[:, missing].flatten(1).sum(1) * _BACKGROUND
    _set(new, _pick(weight, start.channels), old.bias + background)


def _copy_blocks(new: Generator | Critic, old: Generator | Critic, start: Start, parts: Sequence[str]) -> None:
    for mine, theirs in list(zip(new.blocks, old.blocks, strict=False))[: start.grown]:
        for part in parts:
            _copy(getattr(mine, part), getattr(theirs, part))


def _pick(weight: torch.Tensor, columns: Sequence[int | None]) -> torch.Tensor:
    """Return these columns of a weight (O, I, …); zeros for None."""
    padded = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)
    return padded[:, [weight.shape[1] if i is None else i for i in columns]]


def _copy(new: Conv | Dense, old: Conv | Dense) -> None:
    _set(new, old.scaled(), old.bias)


def _set(layer: Conv | Dense, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Give a layer this effective weight, whatever its run-time scale is."""
    layer.weight.copy_(weight / layer.scale)
    layer.bias.copy_(bias)
