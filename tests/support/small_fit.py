"""A training of seconds, with fade-ins and snapshots, and a comparison of two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

SMALL = [f"--set=sizes.{size}.{key}" for size in (4, 8, 16, 32) for key in ("width=8", "batch=8")]
SEEN = ["--set=watch.times=4", "--set=watch.samples=64"]
LENGTHS = [f"--set=sizes.{s}.{k}" for s in (8, 16) for k in ("fade=64", "stable=64")]
_TIMES = ("minutes", "images_per_second")


def fit(store: Path, out: Path, *more: str) -> list[str]:
    """The arguments of a training up to size 16 in 256 images."""
    return ["fit", str(store), "--recipe", "default", "--out", str(out), "--size", "16", *SMALL, *LENGTHS, *SEEN, *more]


def short(store: Path, out: Path, *more: str) -> list[str]:
    """The arguments of the same training in 64 images, with two steps per phase."""
    return fit(store, out, "--images", "64", "--set=watch.times=2", *more)


def leftovers(run: Path) -> list[str]:
    """Temporary files that should have been removed."""
    return [path.name for path in run.rglob(".*") if path.is_file() and path.name != ".lock"]


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("[0-9]*.safetensors"))


def last_checkpoint(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoints(run)[-1])


def note_of(checkpoint: Path) -> dict[str, Any]:
    with safe_open(checkpoint, framework="pt") as file:
        return json.loads(file.metadata()["napari_pgan_checkpoint"])


def status_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "status.json").read_text())


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl`` without times and speeds."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in _TIMES} for row in rows]


def assert_same_tensors(a: Path, b: Path) -> None:
    one, other = load_file(a), load_file(b)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), (a.name, name)


def assert_same_end(a: Path, b: Path) -> None:
    """Compare the last checkpoint, both models, the metrics, the previews and the best distance of two runs."""
    assert checkpoints(a)[-1].name == checkpoints(b)[-1].name
    assert_same_tensors(checkpoints(a)[-1], checkpoints(b)[-1])
    for name in ("model.safetensors", "best.safetensors"):
        assert_same_tensors(a / name, b / name)
    assert rows_of(a) == rows_of(b)
    one, other = ({p.name: p.read_bytes() for p in (run / "preview").iterdir()} for run in (a, b))
    assert one == other
    for run in (a, b):
        assert note_of(checkpoints(run)[-1])["extra"]["best"] == best_distance(run)
    assert best_distance(a) == best_distance(b)


def best_distance(run: Path) -> float:
    from napari_pgan.model.model_file import read_card

    return read_card(run / "best.safetensors").training["measures"]["swd_val"]["mean"]
