"""TensorBoard shows the content of the run folder, whatever happened to the run."""

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
    """TensorBoard shows exactly the content of the run folder."""
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


def test_losses_distances_and_previews_are_shown(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run, "--tensorboard")) == 0
    board = accumulator(run)
    assert {"loss/critic_loss", "loss/generator_loss", "training/alpha", "swd_val/mean"} <= set(board.Tags()["scalars"])
    assert_shows(board, run)


def test_sessions_with_and_without_tensorboard(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run)) == 0
    assert not (run / "tensorboard").exists()
    assert main(fit(small_store, run, "--tensorboard")) == 0  # the run is finished, so only the board is written
    assert_shows(accumulator(run), run)
    assert main(["fit", str(small_store), "--out", str(run), "--resume", "--tensorboard"]) == 0


def test_return_to_a_checkpoint_removes_later_rows(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    assert main(fit(small_store, run, "--tensorboard")) == 0
    running = accumulator(run)
    for path in sorted((run / "checkpoints").glob("*.safetensors"))[1:]:
        path.unlink()
    assert main(fit(small_store, run, "--tensorboard")) == 0
    assert_shows(accumulator(run), run)
    running.Reload()
    assert_shows(running, run)


def test_rows_are_flushed_at_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from napari_pgan.training.tensorboard import Board

    def write(rows: list[dict[str, Any]], end: str = "") -> None:
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + end)

    board = Board(tmp_path)  # not closed while it is read
    board.update()
    rows = [{"images": 8 * i, "critic_loss": 0.5 + i} for i in range(1, 6)]
    for count in range(1, 6):
        write(rows[:count], end='{"images": 99')  # an incomplete row
        board.update()
        assert shown(accumulator(tmp_path)) == {
            "loss/critic_loss": [(row["images"], row["critic_loss"]) for row in rows[:count]]
        }
    # a return to a checkpoint that rewrites as many rows before the next update
    rows[3:] = [{"images": 8 * i, "critic_loss": 7.5 + i} for i in range(4, 6)]
    write(rows)
    board.update()
    assert shown(accumulator(tmp_path)) == {"loss/critic_loss": [(row["images"], row["critic_loss"]) for row in rows]}
    board.close()


def test_missing_package_is_reported_with_a_remedy(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(fit(small_store, tmp_path / "run", "--tensorboard")) == 2
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
