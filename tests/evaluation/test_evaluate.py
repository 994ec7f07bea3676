"""A complete evaluation: it resumes where it stopped, and the page shows the values of the JSON."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_evaluation import make_card, make_model, make_request, run_evaluation, shorten_encoder_training, silent

from napari_pgan.errors import InputError
from napari_pgan.evaluation import context, trends
from napari_pgan.evaluation.context import Candidate
from napari_pgan.evaluation.eval_data import ArrayAllocator, draw_samples
from napari_pgan.evaluation.matching import match
from napari_pgan.evaluation.measures import MEASURES as MEASURES_BY_NAME
from napari_pgan.evaluation.measures import parse_measures
from napari_pgan.evaluation.report_folder import ReportFolder
from napari_pgan.model import Condition
from napari_pgan.schema import Channels
from napari_pgan.store import open_store

MEASURES = ("likeness", "memorisation", "trends")


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_encoder_training(monkeypatch)


@pytest.fixture(scope="module")
def done(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished evaluation."""
    out = tmp_path_factory.mktemp("evaluated") / "report"
    with pytest.MonkeyPatch.context() as patch:
        shorten_encoder_training(patch)
        run_evaluation(make_request(small_store, out, MEASURES))
    return out


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents of a folder, with modification times."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def figures(folder: Path) -> dict[str, object]:
    return {p.stem: json.loads(p.read_text())["result"] for p in (folder / "measures").iterdir()}


def test_finished_measures_are_not_computed_again(
    done: Path, small_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(done)

    def none(*args: object, **more: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(context, "train_encoder", none)
    run_evaluation(make_request(small_store, done, MEASURES))
    after = state(done)
    kept = [name for name in before if name.startswith(("measures", "encoder", "samples", "pairs"))]
    assert len(kept) > 6
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert {name: content for name, (content, _) in after.items()} == {k: v for k, (v, _) in before.items()}


def test_a_lost_measure_is_computed_again_with_the_same_result(done: Path, small_store: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    shutil.copytree(done, other)
    for name in ("memorisation", "trends"):
        (other / "measures" / f"{name}.json").unlink()
    run_evaluation(make_request(small_store, other, MEASURES))
    assert figures(other) == figures(done)


def test_another_evaluation_is_not_overwritten(done: Path, small_store: Path) -> None:
    before = state(done)
    with pytest.raises(InputError, match=r"contains another evaluation [(]other seed[)]; give another --out"):
        run_evaluation(make_request(small_store, done, MEASURES, seed=1))
    other = Candidate(make_model(make_card(open_store(small_store)), seed=1), "other")
    with pytest.raises(InputError, match=r"contains another evaluation [(]other model"):
        run_evaluation(make_request(small_store, done, MEASURES, candidate=other))
    assert state(done) == before


def test_a_folder_with_other_files_is_not_touched(small_store: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="already contains other files"):
        run_evaluation(make_request(small_store, tmp_path, MEASURES))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class References(HTMLParser):
    """References of a page, and its images."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.pictures: list[str] = []
        self.unnamed = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            if given.get(name):
                self.found.append(str(given[name]))
        if tag == "img":
            self.pictures.append(str(given["src"]))
            self.unnamed += not given.get("alt")
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.found.append(tag)


def test_the_page_needs_no_network(done: Path) -> None:
    text = (done / "report.html").read_text("utf-8")
    page = References()
    page.feed(text)
    assert all(ref.startswith(("#", "data:image/png;base64,", "pairs/")) for ref in page.found), page.found
    assert page.unnamed == 0
    assert "url(http" not in text
    assert "@import" not in text


def test_the_only_image_on_the_page_is_the_sheet_of_samples(done: Path) -> None:
    page = References()
    page.feed((done / "report.html").read_text("utf-8"))
    sheet = base64.b64encode((done / "samples.png").read_bytes()).decode()
    assert page.pictures == [f"data:image/png;base64,{sheet}"]


class Cells(HTMLParser):
    """The text of all table cells."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "th"):
            self.inside = True
            self.texts.append("")
        elif tag == "small" and self.inside:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


def test_the_page_shows_the_values_of_the_json(done: Path) -> None:
    data = json.loads((done / "report.json").read_text("utf-8"))
    cells = Cells()
    cells.feed((done / "report.html").read_text("utf-8"))
    at = 0
    for measure in data["measures"].values():
        rows = [row for table in measure["tables"] for row in table["rows"]]
        assert rows
        for row in rows:
            at = cells.texts.index(row["name"], at)
            expected = [row[key] for key in ("value", "interval", "floor", "floor_interval") if row[key]]
            assert [text for text in cells.texts[at + 1 : at + 5] if text][: len(expected)] == expected
    assert data["measures"].keys() == figures(done).keys()
    assert {name: one["result"] for name, one in data["measures"].items()} == figures(done)


def test_ctrl_c_loses_no_finished_result(
    done: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It interrupts trends: memorisation and the encoder are kept, and results do not change."""
    out, measures = tmp_path / "report", ("memorisation", "trends")

    def stopping(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trends, "measure_trends", stopping)
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(make_request(small_store, out, measures))
    kept = {name: content for name, content in state(out).items() if not name.startswith("pairs")}
    assert set(kept) == {"evaluation.json", "encoder.safetensors", "measures/memorisation.json"}
    run_evaluation(make_request(small_store, out, measures))
    after = state(out)
    assert all(after[name] == kept[name] for name in ("encoder.safetensors", "measures/memorisation.json"))
    assert figures(out) == {name: figures(done)[name] for name in measures}


def test_an_untrained_model_is_poor_and_has_no_copies(done: Path) -> None:
    """Its images resemble no subject, so they resemble no training subject either."""
    measures = json.loads((done / "report.json").read_text("utf-8"))["measures"]
    assert measures["likeness"]["verdict"] == "Poor"
    assert measures["memorisation"]["result"]["copies"] == 0


def test_pictures_of_patients_are_in_a_separate_folder_with_a_warning(done: Path) -> None:
    pictures = sorted(path.name for path in (done / "pairs").glob("*.png"))
    assert pictures
    assert "patients" in (done / "pairs" / "WARNING.txt").read_text()
    assert (done / "pairs").stat().st_mode & 0o077 == 0
    with Image.open(done / "pairs" / pictures[0]) as picture:
        assert "a patient's image" in picture.info["Description"]  # not labelled as synthetic as a whole
    page = (done / "report.html").read_text("utf-8")
    for name in pictures:
        assert base64.b64encode((done / "pairs" / name).read_bytes()).decode()[200:400] not in page
    assert "they show subjects of the cohort" in page


def test_memorisation_of_a_model_of_another_cohort_is_inconclusive(small_store: Path, tmp_path: Path) -> None:
    stranger = Candidate(make_model(make_card(open_store(small_store), subject_hashes=["0" * 16])), "stranger")
    report = run_evaluation(make_request(small_store, tmp_path / "out", ("memorisation",), candidate=stranger))
    assert report.sections[0].verdict == "Cannot tell"
    assert not (tmp_path / "out" / "pairs").exists()
    assert "another cohort" in " ".join(report.data["about"]["caveats"])


def test_use_of_a_model_trained_on_test_subjects_is_refused_before_anything_is_written(
    small_store: Path, tmp_path: Path
) -> None:
    store = open_store(small_store)
    seen = Candidate(make_model(make_card(store, subject_hashes=[*store.keys("train"), *store.keys("test")])), "greedy")
    with pytest.raises(InputError, match="greedy: was trained on 1 of the test subjects"):
        run_evaluation(make_request(small_store, tmp_path / "out", ("likeness", "use"), candidate=seen))
    fair = make_request(small_store, tmp_path / "out", ("use",))
    with pytest.raises(InputError, match="greedy: was trained on 1 of the test subjects"):
        run_evaluation(replace(fair, low_data=(seen,)))
    assert not (tmp_path / "out").exists()


def test_use_of_a_model_without_labels_is_refused(small_store: Path, tmp_path: Path) -> None:
    store = open_store(small_store)
    plain = Candidate(make_model(make_card(store, Channels(store.channels.modalities))), "plain")
    with pytest.raises(InputError, match="generates no labels"):
        run_evaluation(make_request(small_store, tmp_path / "out", ("consistency",), candidate=plain))


def test_a_model_conditioned_on_the_slice_position_gets_training_positions(small_store: Path, tmp_path: Path) -> None:
    store = open_store(small_store)
    position = Condition("slice_position", range=(0.0, 1.0))
    model = make_model(make_card(store, conditions=(position,)))
    positions = store.load_slices("train").position
    some = draw_samples(model, 8, 0, ArrayAllocator(), positions)
    drawn = np.random.default_rng([0, 1]).choice(positions, 8)
    alone = [model.sample(seeds=[n], conditions={"slice_position": float(p)}) for n, p in enumerate(drawn)]
    assert np.allclose(some.images, np.concatenate([one.images for one in alone]), atol=1e-4)


def test_samples_equal_those_of_the_command_sample(small_store: Path) -> None:
    model = make_model(make_card(open_store(small_store)))
    some, batch = draw_samples(model, 40, 7, ArrayAllocator(0)), model.sample(seeds=range(7, 47))
    assert np.allclose(some.images, batch.images, atol=1e-4)
    assert np.array_equal(some.fractions.argmax(axis=1)[batch.labels > 0], batch.labels[batch.labels > 0] // 2)
    assert np.array_equal(some.fractions.sum(axis=1), batch.labels > 0)


def test_labels_of_downscaled_slices_are_one_hot(small_store: Path, tmp_path: Path) -> None:
    store = open_store(small_store)
    card = make_card(store)
    whole, half = card.architecture, replace(card.architecture, widths=card.architecture.widths[:-1])
    for architecture, size in ((whole, 32), (half, 16)):
        small = replace(card, architecture=architecture, grid=store.grid.at_size((size, size)))
        request = make_request(small_store, tmp_path, (), candidate=Candidate(make_model(small), "m"))
        found = match(small, store, "m")
        some = context.EvaluationContext(request, found, ReportFolder(tmp_path, {}), silent, lambda *x: None)
        assert np.isin(some.one_hot_labels, (0, 1)).all()
        assert np.array_equal(some.one_hot_labels.argmax(1), (some.cohort.labels > 0.5).argmax(1))
        assert np.isin(some.cohort.labels, (0, 1)).all() == (size == 32)


def test_parsing_of_measures() -> None:
    assert parse_measures("quick") == ("likeness", "memorisation")
    assert parse_measures("trends, likeness") == ("likeness", "trends")
    assert parse_measures("all") == tuple(MEASURES_BY_NAME)
    with pytest.raises(InputError, match="no measure 'beauty'; give quick, all"):
        parse_measures("likeness,beauty")
