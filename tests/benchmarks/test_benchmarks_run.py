"""The benchmarks run at tiny sizes and count correctly; their results on this machine are not tested."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parents[2] / "benchmarks"

TINY = {
    "cost": "--sizes 8 --batches 4 --widths 4 --size 8 --rounds 1 --side 64",
    "gpu": "--device cpu --sizes 8 --cap 4 --batch 4 --seconds 0 --side 64",
    "memory_flat": "--size 8 --steps 40 --settled 20 --every 5",
    "shortcuts": "--sizes 8 --widths 4 --rounds 1",
}


@pytest.fixture
def benchmark_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a file of benchmarks/ as a script would be."""
    monkeypatch.syspath_prepend(FOLDER)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_writes_finite_results_with_machine_and_command(
    name: str, benchmark_of: Any, tmp_path: Path
) -> None:
    pictures = ["--pictures", str(tmp_path / "pictures")] if name in ("cost", "memory_flat") else []
    benchmark_of(name).main([*TINY[name].split(), "--out", str(tmp_path), *pictures])
    figures = json.loads((tmp_path / f"{name}.json").read_text())
    assert figures["machine"]["torch"] == torch.__version__
    assert f"benchmarks/{name}.py" in figures["command"]
    numbers = list(_numbers(figures))
    assert len(numbers) > 5
    assert all(math.isfinite(x) for x in numbers)
    tables = list(tmp_path.glob(f"{name}-*.md"))
    assert tables
    for table in tables:
        lines = [line for line in table.read_text().splitlines() if line.startswith("|")]
        assert len(lines) >= 3
        assert len({line.count("|") for line in lines}) == 1  # every row has the columns of the header
    if pictures:
        assert all(p.stat().st_size > 5000 for p in (tmp_path / "pictures").iterdir())


@pytest.fixture
def peer_folder() -> Path:
    from platformdirs import user_cache_path

    folder = user_cache_path("napari-pgan") / "benchmarks" / "pro-gan-pth-3.4"
    if not folder.is_dir():
        pytest.skip("pro-gan-pth is not installed; `python benchmarks/peer.py` installs it")
    return folder


def test_the_peer_computes_the_same_function_in_its_own_layer_order(benchmark_of: Any, peer_folder: Path) -> None:
    differences = benchmark_of("peer").agree(benchmark_of("peer_package").Peer(peer_folder), size=16)
    ordered = {k: v for k, v in differences.items() if "order" in k}
    assert len(ordered) == 4
    assert max(ordered.values()) < 1e-4
    assert min(v for k, v in differences.items() if "order" not in k) > 1e-2  # the comparison detects a difference


def test_the_peer_is_timed_with_equal_parameters(benchmark_of: Any, peer_folder: Path, tmp_path: Path) -> None:
    tiny = "--widths 4 --size 8 --batch 4 --rounds 1 --sample-sizes 8 --sample-rounds 1"
    benchmark_of("peer").main([*tiny.split(), "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "peer.json").read_text())
    counts = figures["training"][0]["parameters"]
    assert counts["peer"][1] == counts["`default`"][1]
    assert (
        counts["`default`"][0] - counts["peer"][0] == 15 * 4
    )  # first layer: one bias per value instead of one per map
    assert all(case["faster"] > 0 for case in figures["training"][0]["cases"].values())


@pytest.mark.parametrize("stride", [1, 2])
def test_operations_of_convolutions_and_their_two_derivatives_are_counted(stride: int, benchmark_of: Any) -> None:
    count = benchmark_of("operations").count
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    w = torch.randn(5, 3, 4, 4, requires_grad=True)

    def convolve() -> torch.Tensor:
        return F.conv2d(x, w, stride=stride, padding=1)

    once = 2.0 * convolve().numel() * 3 * 16  # a multiply-add for each weight of each output value
    y = convolve().sum()
    assert count(convolve).operations == once
    assert count(lambda: torch.autograd.grad(y, [x, w], retain_graph=True)).operations == 2 * once

    def penalty() -> None:
        (gradient,) = torch.autograd.grad(convolve().square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    # forward, its gradient, two for the gradient's derivative, and two for the forward's derivative through the square
    assert count(penalty).operations == 6 * once


def test_bytes_are_counted_only_for_memory_accesses(benchmark_of: Any) -> None:
    x = torch.zeros(1000)
    assert benchmark_of("operations").count(lambda: x + x).moved == 3 * 4000
    assert benchmark_of("operations").count(lambda: x.reshape(10, 100).t()).moved == 0


def test_the_roofline_is_the_longer_of_arithmetic_and_memory_time(benchmark_of: Any) -> None:
    work = benchmark_of("operations").Work(((100.0, 1.0, "float32"), (0.0, 50.0, "float32")))
    assert work.roofline_seconds({"matrix float32": 10.0, "bytes": 5.0}) == 100 / 10 + 50 / 5


def test_overlapping_kernels_are_counted_once(benchmark_of: Any) -> None:
    idle = benchmark_of("gpu").idle_share
    assert idle([(0, 4), (2, 6), (8, 10)]) == pytest.approx(0.2)
    assert idle([(0, 10), (1, 2)]) == 0


def test_a_temporary_slowdown_does_not_change_a_ratio(benchmark_of: Any) -> None:
    Times = benchmark_of("stopwatch").Times
    ours, theirs = Times((1.0, 5.0, 1.0)), Times((3.0, 15.0, 3.0))
    assert ours.faster_than(theirs) == 3
    assert benchmark_of("stopwatch").blend([(ours, 0.25), (theirs, 0.75)]).seconds == (2.5, 12.5, 2.5)


def test_the_breakdown_attributes_time_to_kinds_of_operations(benchmark_of: Any) -> None:
    module, x = benchmark_of("breakdown"), torch.randn(4, 8, 32, 32)
    parts = module.break_down(lambda: F.leaky_relu(F.conv2d(x, torch.ones(8, 8, 3, 3))).sum())
    assert parts["convolutions"] > 0
    assert parts["element by element"] > 0
    assert parts["optimisers and mean"] == 0


def test_the_page_shows_the_committed_results(benchmark_of: Any) -> None:
    page = (FOLDER.parent / "docs" / "performance.md").read_text("utf-8")
    names = [line.split()[2] for line in page.splitlines() if line.startswith("<!-- table:")]
    assert {"peer-training", "peer-sampling", "memory_flat-memory", "cost-size"} <= set(names)
    assert all((FOLDER / "results" / f"{name}.md").is_file() for name in names)
    assert benchmark_of("tables").filled(page, FOLDER / "results") == page, "run `python benchmarks/tables.py`"


def test_new_tables_preserve_the_other_text(benchmark_of: Any, tmp_path: Path) -> None:
    page = "By hand.\n\n<!-- table: a -->\nold\n<!-- end -->\n\nMore.\n\n<!-- table: b -->\nkept\n<!-- end -->\n"
    (tmp_path / "a.md").write_text("new\n")
    assert benchmark_of("tables").filled(page, tmp_path) == page.replace("old", "new")


def _numbers(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _numbers(part)
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield tree
