"""The plan of a dry run, and the calibration behind its times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_pgan.cli.app import main
from napari_pgan.model import Architecture, Critic, Generator
from napari_pgan.training import calibrate
from napari_pgan.training.operation_counts import operations, parameters
from napari_pgan.training.recipe import Recipe, Size
from napari_pgan.training.schedule import Moment, Schedule

SMALL = [f"--set=sizes.{size}.{key}" for size in (4, 8, 16, 32) for key in ("width=8", "batch=4")]


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["fit", *words, "--dry-run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_text_is_a_table_with_a_line_per_phase(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "fit",
        str(small_store),
        "--recipe",
        "beers2018-mri",
        "--out",
        str(tmp_path / "run"),
        "--size",
        "8",
        *SMALL,
    ]
    assert main([*words, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "starts at 4x4" in " ".join(map(str.strip, lines)).lower()  # where the paper and its code differ
    assert max(map(len, lines)) <= 80
    table = [line.split() for line in lines if line.lstrip()[:1].isdigit() or line.lstrip().startswith("size")]
    assert table[0] == ["size", "phase", "maps", "gen.", "critic", "images", "batch", "rate", "memory", "time"]
    assert [row[:3] for row in table[1:]] == [["4", "stable", "8"], ["8", "fade", "8"], ["8", "stable", "8"]]
    assert any("in all 960,000 images, about " in line for line in lines)


def test_minutes_become_images(small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(capsys, str(small_store), "--out", str(tmp_path / "run"), "--size", "16", "--minutes", "3", *SMALL)
    assert 0.85 * 180 < plan["seconds"] + plan["look_seconds"] < 180
    assert plan["look_seconds"] > 1


def test_parameters_in_use_are_those_with_gradients() -> None:
    architecture = Architecture((4, 4), (6, 5, 3), channels=4, latent=7, conditions=2)
    for stage in range(3):
        generator, critic = Generator(architecture), Critic(architecture)
        conditions = torch.zeros(4, 2)
        critic(generator(torch.randn(4, 7), stage, 1.0, conditions), stage, 1.0, conditions).sum().backward()
        learning = [sum(p.numel() for p in n.parameters() if p.grad is not None) for n in (generator, critic)]
        assert parameters(architecture, stage) == tuple(learning)


def test_operations_agree_with_a_count_by_hand() -> None:
    first = 5 * 32 + 9 * 2 * 2 * 16 + 2 * 3 * 16  # dense, convolution, head
    last = 9 * 3 * 2 * 16 + 32 * 2 + 2  # convolution with the deviation's map, dense, score
    assert operations(Architecture((4, 4), (2,), channels=3, latent=5)) == [first + 3 * 2 * 16 + last]


class SlowMachine:
    """A simulated machine: a step takes time for each parameter in use and each operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, update: float, speed: float) -> None:
        self.now, self.update, self.speed = 0.0, update, speed
        self.architecture = Architecture((4, 4), (64, 64, 32, 16, 8), channels=4, latent=64)
        sizes = {
            4 * 2**i: Size(width=w, batch=16, fade=160, stable=160) for i, w in enumerate(self.architecture.widths)
        }
        self.schedule = Schedule(Recipe("slow", "", sizes), 64)
        self.device = torch.device("cpu")
        self.count = operations(self.architecture)
        self.in_use = [sum(parameters(self.architecture, stage)) for stage in range(5)]
        monkeypatch.setattr(calibrate.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(calibrate, "_seconds", self.seconds)

    def step(self, stage: int, batch: int) -> float:
        return self.update * self.in_use[stage] + batch * self.count[stage] / self.speed

    def seconds(self, trainer: Any, moment: Moment, batch: int) -> float:
        self.now += 4 * self.step(moment.phase.stage, batch)
        return self.step(moment.phase.stage, batch)


@pytest.mark.parametrize("speed", [1e12, 1e8, 3e6])
@pytest.mark.parametrize("update", [1e-9, 1e-7, 1e-6])
def test_calibration_is_right_and_takes_less_than_a_minute(
    speed: float, update: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = SlowMachine(monkeypatch, update, speed)
    costs = calibrate.calibrate(machine, machine.schedule)  # type: ignore[arg-type]
    assert machine.now < 60
    for phase in machine.schedule.phases:
        cost = costs[phase.stage, phase.fading]
        assert cost.seconds == pytest.approx(machine.step(phase.stage, 16) / 16, rel=0.2)
        if cost.measured:
            assert cost.seconds == pytest.approx(machine.step(phase.stage, 16) / 16, rel=1e-6)
    assert all(cost.measured for cost in costs.values()) == (speed > 1e9)
