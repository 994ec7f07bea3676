"""`napari-pgan-train steer`, as a user types it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_pgan.cli.app import main
from napari_pgan.latent.steering import Candidates, TargetMask
from napari_pgan.model import load_model
from napari_pgan.samples import SteeringSearch, claim_folder, finished_report, write_candidates


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _kept_bank(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small bank, made once for all of these tests."""
    from napari_pgan.latent.steering import bank

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(bank.cached_bank, "__defaults__", (64, None))


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation that the default model drew, as a file on its grid."""
    model = load_model("default")
    batch = model.sample(seeds=range(30), batch_size=32)
    labels = batch.labels[(batch.labels > 0).sum(axis=(1, 2)).argmax()]
    path = tmp_path_factory.mktemp("masks") / "mask.nii.gz"
    nib.save(nib.Nifti1Image(labels.T[..., None], model.card.grid.affine()), path)
    return path


def test_candidates_are_written_with_their_target_and_scores(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_pgan.latent import steering
    from napari_pgan.latent.steering.search import Phase

    steer, refine, short = steering.steer, steering.refine, (Phase(0, 10, 1),)
    monkeypatch.setattr(steering, "steer", lambda *a, seconds, **how: steer(*a, phases=short, **how))  # by no clock
    monkeypatch.setattr(steering, "refine", lambda *a, seconds, **how: refine(*a, steps=20, **how))
    out = tmp_path / "out"
    command = ["steer", "default", str(mask), "--out", str(out), "--candidates", "2", "--seconds", "4", "--json"]
    assert main([*command, "--refine", "0.2"]) == 0
    report = json.loads(capsys.readouterr().out)
    model, asked = load_model("default"), np.asarray(nib.load(out / "asked_seg.nii.gz").dataobj)[..., 0].T
    target = TargetMask.of(asked, model.card.channels, model.card.grid)
    arrays = np.load(out / "candidates.npz")
    for row, told in enumerate(report["candidates"]):
        drawn = np.asarray(nib.load(out / f"candidate-{row + 1}_seg.nii.gz").dataobj)[..., 0].T
        assert told["score"] == pytest.approx(target.score(drawn[None])[0], abs=1e-4)
        assert told["areas"]["oedema"] == (drawn == 2).sum() * 9
        sidecar = json.loads((out / f"candidate-{row + 1}.json").read_text())
        np.testing.assert_allclose(sidecar["provenance"]["latent"], arrays["latents"][row], rtol=1e-6)
        assert sidecar["provenance"]["mask"] == report["mask"]
        assert sidecar["provenance"]["refined"] is any(arrays[f"offset_{s}"][row].any() for s in range(3))
    assert {"offset_0", "offset_1", "offset_2", "scores"} <= set(arrays.files)
    assert report["steps"] == 30
    assert report["mask"] == {"sha256": hashlib.sha256(mask.read_bytes()).hexdigest(), "slice": 0}
    again = ["sample", "default", "--latents", str(out / "candidates.npz"), "--out"]
    assert main([*again, str(tmp_path / "again.npz"), "--json"]) == 0  # with what was added to the features
    said = capsys.readouterr()
    assert json.loads(said.out)["refined"] == sum("offsets" in told for told in report["candidates"])
    assert "are refined" in said.err
    with np.load(tmp_path / "again.npz") as same:
        for name in ("images", "labels", "latents", "offset_0", "offset_1", "offset_2"):
            np.testing.assert_array_equal(same[name], arrays[name])
    assert main([*again, str(tmp_path / "half"), "--truncation", "0.5"]) == 0
    assert "scaled by the truncation of 0.5" in capsys.readouterr().err
    made_by = json.loads((tmp_path / "half" / "latent-00000.json").read_text())["provenance"]
    assert (made_by["refined"], made_by["truncation"]) == ("offsets" in report["candidates"][0], 0.5)
    assert (out / "sheet.png").stat().st_size > 10_000
    kept = (out / "report.json").stat().st_mtime_ns
    assert main([*command, "--refine", "0.2"]) == 0  # the same work is done
    assert json.loads(capsys.readouterr().out) == report
    assert (out / "report.json").stat().st_mtime_ns == kept
    (out / "candidate-2_t1.nii.gz").unlink()
    (out / "asked_seg.nii.gz").unlink()
    assert main([*command, "--refine", "0.2"]) == 0  # it is no more
    assert (out / "candidate-2_t1.nii.gz").is_file()
    assert (out / "asked_seg.nii.gz").is_file()
    capsys.readouterr()
    assert main(command) == 2
    assert "another --out" in capsys.readouterr().err


def test_messages_and_source_are_part_of_the_fingerprint(mask: Path, tmp_path: Path) -> None:
    """A drawing may be reached in several ways, each of which is told in the report of its own folder."""
    model, labels = load_model("default"), np.asarray(nib.load(mask).dataobj)[..., 0].T
    target = TargetMask.of(labels, model.card.channels, model.card.grid)
    one, same = SteeringSearch(model, target, source={"slice": 3}), SteeringSearch(model, target, source={"slice": 3})
    assert one.fingerprint == same.fingerprint
    others = (
        SteeringSearch(model, target, source={"slice": 4}),
        SteeringSearch(model, replace(target, messages=("Moved.",)), source=one.source),
    )
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_stale_output_of_an_earlier_search_is_removed(mask: Path, tmp_path: Path) -> None:
    model, labels = load_model("default"), np.asarray(nib.load(mask).dataobj)[..., 0].T
    search = SteeringSearch(model, TargetMask.of(labels, model.card.channels, model.card.grid), {"candidates": 2})
    claim_folder(search, tmp_path)
    for count in (2, 1):
        batch = model.sample(seeds=range(count))
        found = Candidates(batch.latents, batch.labels, search.target.score(batch.labels), 0, 0.0)
        written = write_candidates(search, found, tmp_path, stopped=count == 2)
        assert {*tmp_path.iterdir()} == {*written, tmp_path / "steer.json"}
        assert (finished_report(search, tmp_path) is None) == (count == 2)
    (tmp_path / "candidate-1_seg.nii.gz").unlink()
    assert finished_report(search, tmp_path) is None


def test_target_areas_replace_a_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    asked = ["--ask", "lesion=900", "--ask", "side=right", "--ask", "oedema share=0.5"]
    assert main(["steer", "default", "--out", str(out), *asked, "--candidates", "1", "--seconds", "0.5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["asked"] == {"areas": {}, "lesion": 900.0, "shares": {"oedema": 0.5}, "side": "right"}
    best = report["candidates"][0]
    assert best["score"] > 0.6
    assert best["found"]["lesion"] == sum(best["areas"].values())


def test_an_interrupted_search_keeps_its_best_candidates_and_can_be_repeated(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_pgan.latent import steering

    real = steering.steer

    def interrupted(*args: Any, **how: Any) -> Any:
        yield next(real(*args, **how))
        raise KeyboardInterrupt

    def at_once(*args: Any, **how: Any) -> Any:
        raise KeyboardInterrupt

    command = ["steer", "default", str(mask), "--out", str(tmp_path / "out"), "--candidates", "1", "--seconds", "3"]
    monkeypatch.setattr(steering, "steer", at_once)
    assert main(command) == 130
    assert "before there was a candidate" in capsys.readouterr().err
    monkeypatch.setattr(steering, "steer", interrupted)
    assert main(command) == 130
    assert "best candidates are in" in capsys.readouterr().err
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert kept["stopped"] is True
    assert (tmp_path / "out" / "candidate-1_t1.nii.gz").is_file()
    monkeypatch.setattr(steering, "steer", real)
    assert main(command) == 0
    again = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "stopped" not in again
    assert again["steps"] > kept["steps"]


def test_an_empty_mask_or_a_mask_outside_the_head_is_used_with_a_warning(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = nib.load(mask)
    for name, data, said in (
        ("empty", np.zeros((64, 64, 1), np.uint8), "No label is drawn"),
        ("air", np.pad(np.full((4, 4, 1), 2, np.uint8), ((0, 60), (0, 60), (0, 0))), "are empty"),
    ):
        nib.save(nib.Nifti1Image(data, grid.affine), tmp_path / f"{name}.nii.gz")
        command = ["steer", "default", str(tmp_path / f"{name}.nii.gz"), "--out", str(tmp_path / name)]
        assert main([*command, "--candidates", "1", "--seconds", "0.1", "--json"]) == 0
        assert any(said in sentence for sentence in json.loads(capsys.readouterr().out)["told"])


def test_every_usable_mask_of_a_folder_is_used(mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "masks", tmp_path / "out"
    folder.mkdir()
    (folder / "good.nii.gz").write_bytes(mask.read_bytes())
    (folder / "torn.nii.gz").write_bytes(mask.read_bytes()[:50])
    strange = nib.load(mask)
    nib.save(nib.Nifti1Image(np.asarray(strange.dataobj) + np.uint8(7), strange.affine), folder / "strange.nii.gz")
    command = ["steer", "default", str(folder), "--out", str(out), "--candidates", "1", "--seconds", "0.2", "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    reports = {report["name"]: report for report in json.loads(said.out)}
    assert sorted(path.name for path in out.iterdir()) == ["good"]
    assert "candidates" in reports["good.nii.gz"]
    assert "does not know" in reports["strange.nii.gz"]["problem"]
    assert "problem" in reports["torn.nii.gz"]
    assert "1 of 3 masks were used" in said.err
    for name in ("torn", "strange"):
        (folder / f"{name}.nii.gz").unlink()
    assert main(command) == 0
    said = capsys.readouterr()
    assert [report["name"] for report in json.loads(said.out)] == ["good.nii.gz"]  # a list however many there are
    assert "1 of 1 masks were used" in said.err
    (folder / "good.nii.gz").write_bytes(mask.read_bytes()[:50])
    assert main(command) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--ask"),
        (["--ask", "tumour=3"], "there are lesion, side"),
        (["--ask", "lesion"], "name=value"),
        (["--ask", "lesion=300", "--ask", "lesion=900"], "--ask lesion is given twice"),
        (["--ask", "lesion=300", "--seconds", "inf"], "--seconds is inf; give a finite number"),
        (["--ask", "lesion=much"], "give a number"),
        (["--ask", "side=up"], "left or right"),
        (["no/such/mask.nii.gz"], "no/such/mask.nii.gz"),
        (["no/such/mask.nii.gz", "--ask", "lesion=3"], "--ask"),
    ],
)
def test_bad_input_is_reported_in_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["steer", "default", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert not (tmp_path / "out").exists()
