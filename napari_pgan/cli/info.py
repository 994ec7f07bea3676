"""`napari-pgan-train info`: describe a model, a store or a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from napari_pgan.schema import Channels, Grid

_HEARTBEAT_TIMEOUT = 120  # seconds without a heartbeat after which a run counts as dead


def info(
    path: Annotated[str, typer.Argument(help="A model file or shipped model, a store, or a run folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Describe a model, a store or a run.

    Example: `napari-pgan-train info run/model.safetensors`
    """
    from napari_pgan.progress import emit

    facts, lines = describe(path)
    if json:
        emit(facts)
        return
    for line in lines:
        print(line)


def describe(path: str) -> tuple[dict[str, Any], list[str]]:
    """Return the facts about a path, as JSON values and as lines of text.

    Raises
    ------
    InputError
        The path is neither a model nor a store nor a run.
    """
    folder = Path(path)
    if (folder / "recipe.yaml").is_file():
        return _run(folder)
    if (folder / "zarr.json").is_file() or "://" in path:
        return _store(path)
    if folder.is_dir():
        raise InputError(f"{path}: this folder is neither a store nor a run; give one of these or a model file")
    return _model(path)


def _model(path: str) -> tuple[dict[str, Any], list[str]]:
    from napari_pgan.model import find_model, load_model
    from napari_pgan.model.model_file import holds_critic

    model, critic = load_model(path), holds_critic(find_model(path))
    card, a = model.card, model.card.architecture
    numbers = sum(p.numel() for p in model.generator.parameters())
    facts = {
        "kind": "model", "identity": model.identity, "parameters": numbers, "critic": critic, "card": card.to_dict(),
    }  # fmt: skip
    smaller = ", ".join("×".join(map(str, a.shape(s))) for s in range(a.stages - 1))
    lines = [
        f"{path}: a model, {card.name!r}",
        f"  makes       {_grid(card.grid)}",
        f"  stages      {smaller or 'none'} below that",
        *_side(card.grid),
        *_channels(card.channels),
        f"  network     {numbers / 1e6:.2f} million parameters, latent of {a.latent}, labels as {card.encoding}",
        f"  critic      {'in the file, for `fit --init`' if critic else 'none in the file'}",
        f"  encoders    {_encoders(card.encoders)}",
    ]
    for condition in card.conditions:
        low, high = condition.range or (0.0, 1.0)
        values = ", ".join(condition.levels) or f"{low:g} to {high:g}"
        lines.append(f"  condition   {condition.name}: {values}")
    same: dict[str, list[str]] = {}
    for modality, ends in card.intensity.items():
        same.setdefault("; ".join(f"{end} is {what}" for end, what in ends.items()), []).append(modality)
    lines += [f"  intensity   {', '.join(modalities)}: {meaning}" for meaning, modalities in same.items()]
    training = card.training
    details = [
        f"{training['images']:,} images seen" if "images" in training else "",
        f"cohort {training['cohort']}" if "cohort" in training else "",
        f"subjects {_counts(training['subjects'])}" if isinstance(training.get("subjects"), dict) else "",
        f"on {training['date']}" if "date" in training else "",
    ]
    lines.append(f"  training    {', '.join(filter(None, details)) or 'not stated'}")
    lines += [f"  identity    {model.identity}", f"  licence     {card.licence}", f"  {card.limits}"]
    return facts, lines


def _encoders(measures: Mapping[str, Any]) -> str:
    if not measures:
        return "none in the file; `napari-pgan-train encoder` trains them"
    if not (own := measures.get("own")):
        return "in the file, for `encode`"
    found = ", ".join(f"{name} {value:.2f}" for name, value in own["correlation"].items())
    return f"in the file, for `encode`; its own samples are reconstructed with a correlation of {found}"


def _store(path: str) -> tuple[dict[str, Any], list[str]]:
    from napari_pgan.store import open_store

    store = open_store(path)
    counts = store.counts()
    slices = {split: sum(len(store.subject(k).slices) for k in store.keys(split)) for split in counts}
    facts = {
        "kind": "store",
        "name": store.name,
        "fingerprint": store.fingerprint,
        "subjects": counts,
        "slices": slices,
        "sizes": store.sizes,
        "channels": store.channels.to_dict(),
        "grid": store.grid.to_dict(),
        "intensity": {m: dict(ends) for m, ends in store.intensity.items()},
    }
    lines = [
        f"{path}: a store, cohort {store.name!r}",
        f"  subjects    {sum(counts.values())} ({_counts(counts)})",
        f"  slices      {sum(slices.values())} ({_counts(slices)}), {_grid(store.grid)}",
        f"  sizes       {', '.join(map(str, store.sizes))}",
        *_side(store.grid),
        *_channels(store.channels),
        f"  fingerprint {store.fingerprint}",
    ]
    return facts, lines


def _run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    from napari_pgan.progress import duration
    from napari_pgan.training.run_folder import Run

    run = Run(folder)
    plan, status, metrics = run.read_plan(), run.read_status(), run.read_metrics()
    models = [path for path in (run.model, run.best) if path.is_file()]
    facts = {
        "kind": "run",
        "recipe": plan.recipe.to_dict(),
        "store": plan.store,
        "store_fingerprint": plan.store_fingerprint,
        "size": plan.size,
        "images": plan.images,
        "status": status,
        "metrics": metrics[-1] if metrics else {},
        "models": [str(path) for path in models],
    }
    seen, total = int(status.get("images", 0)), int(status.get("total", plan.images))
    share = f" ({100 * seen / total:.0f} %)" if total else ""
    state, silent = status.get("state", "begun"), time.time() - float(status.get("heartbeat", time.time()))
    if state == "training" and silent > _HEARTBEAT_TIMEOUT:
        state = f"killed or hung: silent for {silent:.0f} s"
    reason = f" ({status['reason']})" if "reason" in status else ""
    alpha = float(status.get("alpha", 1))
    fading = f", faded in by {alpha:.0%}" if alpha < 1 else ""
    lines = [
        f"{folder}: a run of the recipe {plan.recipe.name!r} on {plan.store}",
        f"  state       {state}{reason}, {seen:,} of {total:,} images{share}",
        f"  size        {status.get('size', '?')} now{fading}, {plan.size} at the end",
    ]
    if state == "training" and "seconds_left" in status:
        left = duration(float(status["seconds_left"]))
        lines.append(
            f"  speed       {float(status['images_per_second']):.0f} images/s on {status['device']}, {left} left"
        )
    if status.get("retreats"):
        lines.append(
            f"  retreats    {len(status['retreats'])}, now at {status['rate_factor']:g} times the learning rate"
        )
    for name, value in _newest_distances(metrics).items():
        lines.append(f"  {name:<11} {value:.2f}")
    lines.append(f"  models      {', '.join(path.name for path in models) or 'none yet'}")
    return facts, lines


def _newest_distances(metrics: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in metrics:
        for name, value in row.items():
            if name.startswith("swd") and isinstance(value, dict) and "mean" in value:
                found[name] = value["mean"]
    return found


def _grid(grid: Grid) -> str:
    pixels = "×".join(map(str, grid.shape))
    if grid.spacing is None:
        return f"{pixels} pixels"
    steps = " × ".join(f"{step:.3g}" for step in grid.spacing)
    return f"{pixels} pixels of {steps} mm" + (f", {grid.orientation}" if grid.orientation else "")


def _side(grid: Grid) -> list[str]:
    if grid.sided is None:
        return []
    return [f"  side        {'left and right differ, never mirrored' if grid.sided else 'left and right are alike'}"]


def _channels(channels: Channels) -> list[str]:
    labels = ", ".join(f"{label.value} {label.name}" for label in channels.labels)
    return [f"  modalities  {', '.join(channels.modalities)}", f"  labels      {labels or 'none'}"]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
