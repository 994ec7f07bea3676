"""Use, the low-data curve and consistency, from the request to the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_evaluation import make_card, make_model, make_request, run_evaluation, silent

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import Candidate, EvaluationRequest
from napari_pgan.evaluation.evaluate import evaluate
from napari_pgan.evaluation.report.page import EvaluationReport
from napari_pgan.evaluation.report.use import use_section
from napari_pgan.evaluation.report_folder import fingerprint
from napari_pgan.evaluation.segmentation import segmenter, use
from napari_pgan.store import open_store

STEPS = 12


def few(store: Path, seed: int, count: int = 2) -> Candidate:
    """A model of a few training subjects."""
    opened = open_store(store)
    card = make_card(opened, subject_hashes=opened.keys("train")[:count])
    return Candidate(make_model(card, seed), f"few{seed}")


def request(store: Path, out: Path, **changed: Any) -> EvaluationRequest:
    low_data = (few(store, 1), few(store, 2))
    return make_request(store, out, ("use", "consistency"), low_data=low_data, steps=STEPS, **changed)


@pytest.fixture(scope="module")
def done(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationReport, Path]:
    out = tmp_path_factory.mktemp("used") / "report"
    return run_evaluation(request(small_store, out)), out


def test_models_of_equal_numbers_of_subjects_are_separate_points(done: tuple[EvaluationReport, Path]) -> None:
    report, _ = done
    section = report.sections[0]
    rows = [row.name for table in section.tables if table.title == "With few subjects" for row in table.rows]
    called = ["2 subjects, model 1 of --low-data", "2 subjects, model 2 of --low-data", "4 subjects"]
    assert rows == [f"{name}: {kind}" for name in called for kind in ("generated images only", "both together")]
    assert "use-few" in [chart.name for chart in section.charts]
    found = report.data["measures"]["use"]["result"]
    assert {(row["model"], row["subjects"]) for row in found["scores"]} == {(0, 4), (1, 2), (2, 2)}
    assert found["steps"] == STEPS
    assert json.loads((report.folder.path / "evaluation.json").read_text())["steps"] == STEPS


def test_values_are_in_range_and_the_judge_is_one_of_the_segmenters(done: tuple[EvaluationReport, Path]) -> None:
    report, out = done
    use_rows, judged = (report.data["measures"][name]["result"] for name in ("use", "consistency"))
    assert all(0 <= row["dice"] <= 1 for row in use_rows["scores"] if row["tested"])
    names = [label["name"] for label in report.data["about"]["model"]["labels"]] + ["all labels"]
    assert [row["label"] for row in judged["agreements"]] == names
    assert len(judged["rims"]) == 4
    assert {path.stem for path in (out / "segmenters").rglob("*.safetensors")} == {
        f"{model}-{source}-{seed}" for model in range(3) for source in use.SOURCES for seed in use.SEEDS
    }


def test_finished_results_and_segmenters_are_reused(
    done: tuple[EvaluationReport, Path], small_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, out = done

    def none(*args: object, **more: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(use, "train_segmenter", none)
    assert run_evaluation(request(small_store, out)).data == report.data
    (out / "measures" / "consistency.json").unlink()
    again = run_evaluation(request(small_store, out)).data["measures"]["consistency"]["result"]
    assert again == report.data["measures"]["consistency"]["result"]


def test_another_number_of_steps_is_another_evaluation(done: tuple[EvaluationReport, Path], small_store: Path) -> None:
    with pytest.raises(InputError, match=r"contains another evaluation [(]other steps[)]"):
        run_evaluation(replace(request(small_store, done[1]), steps=segmenter.STEPS))
    with pytest.raises(InputError, match=r"contains another evaluation [(]other steps[)]"):
        run_evaluation(replace(request(small_store, done[1]), steps=STEPS + 1))


def test_the_default_steps_are_not_part_of_the_fingerprint(small_store: Path, tmp_path: Path) -> None:
    """As in evaluations of versions without this option."""
    mine = make_request(small_store, tmp_path / "out", ())
    evaluate(mine, silent, print, lambda path, *more: None)
    note = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    facts = {name: note[name] for name in ("model", "store", "samples", "seed", "features")}
    assert note == {"format": 1, "fingerprint": fingerprint(facts), **facts}


def test_old_results_without_a_model_index_are_read(done: tuple[EvaluationReport, Path]) -> None:
    """Models are then identified by their number of subjects."""
    report, _ = done
    found = report.data["measures"]["use"]["result"]
    old = {**found, **{k: [r for r in found[k] if r["model"] < 2] for k in ("scores", "ratios")}}
    bare = {**old, **{k: [{n: v for n, v in r.items() if n != "model"} for r in old[k]] for k in ("scores", "ratios")}}
    assert use_section(bare, {}).to_dict() == use_section(old, {}).to_dict()


def test_a_model_given_twice_is_refused(small_store: Path, tmp_path: Path) -> None:
    twice = replace(request(small_store, tmp_path / "out"), low_data=(few(small_store, 1), few(small_store, 1)))
    with pytest.raises(InputError, match="few1: is given twice"):
        run_evaluation(twice)
    assert not (tmp_path / "out").exists()


def test_the_expected_run_time_is_announced(small_store: Path, tmp_path: Path) -> None:
    lines: list[str] = []

    class Enough(Exception):
        pass

    def say(line: str) -> None:
        lines.append(line)
        raise Enough

    default = replace(request(small_store, tmp_path / "out"), steps=segmenter.STEPS, low_data=())
    for measure in ("use", "consistency"):
        with pytest.raises(Enough):
            evaluate(replace(default, measures=(measure,)), silent, say, lambda *_: None)
    assert "use: training 9 segmenters, 27,000 steps in total. At 64×64 this takes 40 to 71 minutes" in lines[0]
    assert "consistency: training 1 segmenter, 3,000 steps in total" in lines[1]


def test_steps_without_a_measure_that_trains_segmenters_are_refused(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "default", str(small_store), "--out", str(tmp_path / "r"), "--steps", "100"]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in ("--steps", "use", "consistency", "--measures"))
