"""Networks named by the user: errors are reported before anything is computed or written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_evaluation import make_card, make_request, model_file, run_evaluation

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.evaluation import context
from napari_pgan.evaluation.likeness.named_encoder import named_encoder
from napari_pgan.evaluation.measures import MEASURES
from napari_pgan.store import open_store

GOOD = """
import torch
class Sums(torch.nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))
    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1) * self.factor
"""

Write = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes a user module and returns its name."""
    (tmp_path / "theirs").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "theirs"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str) -> str:
        sys.modules.pop("their_features", None)
        (tmp_path / "theirs" / "their_features.py").write_text(GOOD + text)
        return "their_features:make"

    yield write
    sys.modules.pop("their_features", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(): raise ValueError('no weights\\nin the folder')", "cannot be created (ValueError: no weights)"),
        ("def make(): return {}['weights']", "cannot be created (KeyError: 'weights')"),
        ("make = lambda: torch.nn.Linear(3, 3)", "has different weights at each call"),
        ("make = lambda: torch.nn.Conv2d(9, 1, 1, bias=False).requires_grad_(False).zero_()", "cannot be created"),
        ("class make(Sums):\n    def forward(self, x): return x[0, 99]", "does not accept images of shape (2, "),
        ("make = torch.nn.ReLU", "does not return features"),
    ],
)
def test_a_bad_module_is_reported_in_one_sentence_before_anything_is_written(
    module: Write,
    small_store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    message: str,
) -> None:
    monkeypatch.setattr(context, "draw_samples", None)  # nothing is sampled
    model = tmp_path / "tiny.safetensors"
    model_file(model, make_card(open_store(small_store)))
    command = ["evaluate", str(model), str(small_store), "--out", str(tmp_path / "r"), "--features", module(text)]
    assert main(command) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "r").exists()


def test_metrics_are_computed_again_after_code_or_weights_change(
    module: Write, small_store: Path, tmp_path: Path
) -> None:
    def taken(name: str) -> tuple[object, int]:
        report = run_evaluation(make_request(small_store, tmp_path / "out", ("memorisation",), features=name))
        kept = tmp_path / "out" / "measures" / "memorisation.json"
        return report.data["measures"]["memorisation"]["result"], kept.stat().st_mtime_ns

    first = taken(module("make = Sums"))
    assert taken("their_features:make") == first
    assert taken(module("make = Sums"))[1] == first[1]
    figures, when = taken(module("make = lambda: Sums(3.0)"))
    assert when > first[1]
    assert figures != first[0]


def test_the_weights_identify_a_network(module: Write) -> None:
    name = module("import os\nmake = lambda: Sums(float(os.environ.get('THEIR_FACTOR', 1)))")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THEIR_FACTOR", "2")
        other = named_encoder(name).digest
    assert named_encoder(name).digest == named_encoder(name).digest != other


def test_use_does_not_ask_for_features(small_store: Path, tmp_path: Path) -> None:
    assert [name for name, one in MEASURES.items() if not one.uses_features] == ["use", "consistency"]
    with pytest.raises(InputError, match="unknown encoder"):
        run_evaluation(make_request(small_store, tmp_path / "out", ("likeness",), features="resnet"))
    assert not (tmp_path / "out").exists()
