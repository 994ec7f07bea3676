"""The contents of ``metrics.jsonl`` and ``status.json``, and their documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from napari_pgan.cli.app import main

DOCS = Path(__file__).parents[2] / "docs" / "watch.md"
KEYS = ("width=4", "batch=4", "stable=40", "learning_rate=0.01")
SMALL = ["--set=sizes.8.fade=40", *(f"--set=sizes.{size}.{key}" for size in (4, 8) for key in KEYS)]
QUICK = [*SMALL, "--set=watch.times=2", "--set=watch.samples=16", "--size=8"]


@pytest.fixture(scope="module")
def run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched") / "run"
    adaptive = ["--set=augment.probability=0.1", "--set=augment.target=0", "--set=augment.pace=100"]
    assert main(["fit", str(small_store), "--out", str(folder), "--device", "cpu", *QUICK, *adaptive]) == 0
    return folder


def rows_of(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def documented(heading: str) -> set[str]:
    """The fields in the first column of a table in the docs."""
    section = DOCS.read_text("utf-8").partition(f"### `{heading}`")[2].partition("\n### ")[0]
    firsts = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return {name for first in firsts for name in re.findall(r"`(\w+)`", first)}


def test_every_field_is_documented(run: Path) -> None:
    written = {key for row in rows_of(run) for key in row}
    assert written <= documented("metrics.jsonl")
    assert {"critic_loss", "generator_loss", "swd_val", "learning_rate", "augment", "alpha"} <= written
    status = json.loads((run / "status.json").read_text())
    assert set(status) | {"reason"} == documented("status.json")


def test_status_describes_the_training(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["images"], status["total"]) == ("finished", 120, 120)
    assert (status["device"], status["split"], status["retreats"]) == ("cpu", 1, [])
    assert status["precision"] in ("bf16", "float32")
    assert status["seconds_left"] == 0


def test_rows_follow_schedule_and_augmentation(run: Path) -> None:
    rows = [row for row in rows_of(run) if "critic_loss" in row]
    assert {row["learning_rate"] for row in rows} == {0.01}
    fading = [row for row in rows if 40 < row["images"] < 80]
    assert [row["alpha"] for row in fading] == pytest.approx([row["images"] / 40 - 1 for row in fading], abs=0.11)
    strengths = [row["augment"] for row in rows]
    assert len(set(strengths)) > 1
    assert all(0 <= strength <= 0.8 for strength in strengths)
    assert strengths[-1] == json.loads((run / "status.json").read_text())["augment"]
