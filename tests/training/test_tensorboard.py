"""TensorBoard shows what the run folder holds, whatever happened to the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from napari_pgan.cli.app import main

SMALL = [f"--set=sizes.{s}.{k}" for s in (4, 8) for k in ("width=4", "batch=4", "fade=16", "stable=16")]
QUICK = [*SMALL, "--set=watch.times=2", "--set=watch.samples=16", "--size=8"]


def fit(store: Path, out: Path, *more: str) -> list[str]:
    return ["fit", str(store), "--out", str(out), *QUICK, *more]


def accumulator(run: Path) -> Any:
    name = "tensorboard.backend.event_processing.event_accumulator"
    pytest.importorskip(name, reason="tensorboard is not installed")
    found = sys.modules[name].EventAccumulator(str(run / "tensorboard"), {"scalars": 0, "images": 0})  # 0: keep all
    found.Reload()
    return found


def shown(board: Any) -> dict[str, list[tuple[int, float]]]:
    """Every scalar as (images, value)."""
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def assert_shows(board: Any, run: Path) -> None:
    """TensorBoard shows all that the run folder holds, and no more."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wanted: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for key, value in row.items():
            for level, number in value.items() if isinstance(value, dict) else [(key, value)]:
                if key != "images":
                    wanted.setdefault(level, []).append((row["images"], number))
    found = {tag.partition("/")[2]: points for tag, points in shown(board).items()}
    assert found.keys() == wanted.keys()
    for name, points in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points], rel=1e-5), name
    assert [e.step for e in board.Images("preview")] == [
        int(path.name.split("_")[0]) for path in sorted((run / "preview").glob("[0-9]*.png"))
    ]


def test_a_run_is_mirrored_with_its_losses_distances_and_previews(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run, "--tensorboard")) == 0
    board = accumulator(run)
    assert {"loss/critic_loss", "loss/generator_loss", "training/alpha", "swd_val/mean"} <= set(board.Tags()["scalars"])
    assert_shows(board, run)


def test_the_same_run_can_be_taken_up_with_it_and_without_it(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run)) == 0
    assert not (run / "tensorboard").exists()
    assert main(fit(small_store, run, "--tensorboard")) == 0  # finished before, so nothing but the board is made
    assert_shows(accumulator(run), run)
    assert main(["fit", str(small_store), "--out", str(run), "--resume", "--tensorboard"]) == 0


def test_going_back_to_a_checkpoint_takes_away_what_came_after_it(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run, "--tensorboard")) == 0
    looking_on = accumulator(run)
    for path in sorted((run / "checkpoints").glob("*.safetensors"))[1:]:
        path.unlink()
    assert main(fit(small_store, run, "--tensorboard")) == 0
    assert_shows(accumulator(run), run)
    looking_on.Reload()
    assert_shows(looking_on, run)


def test_every_row_is_there_at_once_so_that_a_kill_loses_none(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from napari_pgan.training.tensorboard import Board

    def write(rows: list[dict[str, Any]], end: str = "") -> None:
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + end)

    board = Board(tmp_path)  # never closed while it is looked at
    board.update()
    rows = [{"images": 8 * i, "critic_loss": 0.5 + i} for i in range(1, 6)]
    for count in range(1, 6):
        write(rows[:count], end='{"images": 99')  # another is being written
        board.update()
        assert shown(accumulator(tmp_path)) == {
            "loss/critic_loss": [(row["images"], row["critic_loss"]) for row in rows[:count]]
        }
    # a roll-back that writes as many rows as it took away, before anyone looked
    rows[3:] = [{"images": 8 * i, "critic_loss": 7.5 + i} for i in range(4, 6)]
    write(rows)
    board.update()
    assert shown(accumulator(tmp_path)) == {"loss/critic_loss": [(row["images"], row["critic_loss"]) for row in rows]}
    board.close()


def test_where_it_is_not_installed_it_says_what_to_do(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(fit(small_store, tmp_path / "run", "--tensorboard")) == 2
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
