"""An evaluation as a whole: it goes on where it stopped, and its page says what its figures are."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_evaluation import a_card, a_model, a_wish, of_few_steps, take

from napari_pgan.errors import InputError
from napari_pgan.evaluation import work
from napari_pgan.evaluation.work import Candidate
from napari_pgan.store import open_store

MEASURES = ("trends",)


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    of_few_steps(monkeypatch)


@pytest.fixture(scope="module")
def done(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished evaluation."""
    out = tmp_path_factory.mktemp("evaluated") / "report"
    with pytest.MonkeyPatch.context() as patch:
        of_few_steps(patch)
        take(a_wish(small_store, out, MEASURES))
    return out


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What lies in a folder, and when it was written."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def figures(folder: Path) -> dict[str, object]:
    return {p.stem: json.loads(p.read_text())["result"] for p in (folder / "measures").iterdir()}


def test_what_is_finished_is_not_done_again(done: Path, small_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(done)

    def none(*args: object, **more: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(work, "train_encoder", none)
    take(a_wish(small_store, done, MEASURES))
    after = state(done)
    kept = [name for name in before if name.startswith(("measures", "encoder", "samples"))]
    assert kept
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert {name: content for name, (content, _) in after.items()} == {k: v for k, (v, _) in before.items()}


def test_a_measure_that_is_lost_is_taken_again_to_the_same_figures(
    done: Path, small_store: Path, tmp_path: Path
) -> None:
    import shutil

    other = tmp_path / "copy"
    shutil.copytree(done, other)
    for path in (other / "measures").iterdir():
        path.unlink()
    take(a_wish(small_store, other, MEASURES))
    assert figures(other) == figures(done)


def test_another_evaluation_is_not_written_over(done: Path, small_store: Path) -> None:
    before = state(done)
    with pytest.raises(InputError, match="holds another evaluation .other seed.; give another --out"):
        take(a_wish(small_store, done, MEASURES, seed=1))
    other = Candidate(a_model(a_card(open_store(small_store)), seed=1), "other")
    with pytest.raises(InputError, match="holds another evaluation .other model."):
        take(a_wish(small_store, done, MEASURES, candidate=other))
    assert state(done) == before


def test_a_folder_of_something_else_is_left_alone(small_store: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        take(a_wish(small_store, tmp_path, MEASURES))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class References(HTMLParser):
    """What a page would fetch, and the pictures in it."""

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


def test_the_page_fetches_nothing(done: Path) -> None:
    text = (done / "report.html").read_text("utf-8")
    page = References()
    page.feed(text)
    assert all(ref.startswith(("#", "data:image/png;base64,", "pairs/")) for ref in page.found), page.found
    assert page.unnamed == 0
    assert "url(http" not in text
    assert "@import" not in text


def test_the_one_picture_on_the_page_is_of_samples(done: Path) -> None:
    import base64

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


def test_the_page_has_the_figures_of_the_json(done: Path) -> None:
    data = json.loads((done / "report.json").read_text("utf-8"))
    cells = Cells()
    cells.feed((done / "report.html").read_text("utf-8"))
    for measure in data["measures"].values():
        rows = [row for table in measure["tables"] for row in table["rows"]]
        assert rows
        for row in rows:
            at = cells.texts.index(row["name"])
            shown = [text for text in cells.texts[at : at + 5] if text]
            assert [x for x in (row["value"], row["interval"], row["floor"], row["floor_interval"]) if x] == shown[
                1 : 1 + sum(bool(row[k]) for k in ("value", "interval", "floor", "floor_interval"))
            ]
    assert data["measures"].keys() == figures(done).keys()
    assert {name: one["result"] for name, one in data["measures"].items()} == figures(done)


def test_ctrl_c_on_the_way_loses_nothing_that_was_finished(
    done: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the last measure draws its samples; the encoder is there already, and figures do not change."""
    out, drawn = tmp_path / "report", []
    whole = work.draw_samples

    def stopping(*args: object, **more: object) -> object:
        drawn.append(1)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return whole(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "draw_samples", stopping)
    with pytest.raises(KeyboardInterrupt):
        take(a_wish(small_store, out, MEASURES))
    kept = (out / "encoder.safetensors").stat().st_mtime_ns
    take(a_wish(small_store, out, MEASURES))
    assert (out / "encoder.safetensors").stat().st_mtime_ns == kept
    assert figures(out) == figures(done)
