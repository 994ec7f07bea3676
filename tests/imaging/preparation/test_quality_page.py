"""The quality page: order of subjects, and missing values and pictures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_pgan.imaging.preparation.quality_page import count_without_pictures, write_page
from napari_pgan.imaging.preparation.report import PreparationReport
from napari_pgan.imaging.registration.align import describe
from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, Limits, Quality

SOUND = Quality(0.3, 0.5, 4.0, 2.0, 0.2, 0.95, 1.0, 0.7)


def _report(**quality: Quality) -> PreparationReport:
    subjects = {
        f"key-{name}": {
            "slices": [],
            "spacing": (1.0, 1, 1),
            "cut": 0.0,
            "split": "train",
            "registration": describe("t1", {}, {"t2": figures}, {"t2": ((1, 1, 1), np.eye(4))}),
        }
        for name, figures in quality.items()
    }
    names = {key: key.removeprefix("key-") for key in subjects}
    return PreparationReport("cohort", len(names), len(names), (), subjects, names, 192.0, 16, "axial", 1.0)


def test_subjects_are_sorted_by_registration_quality_not_symmetry(tmp_path: Path) -> None:
    report = _report(
        alike=replace(SOUND, mirrored=0.96),
        apart=replace(SOUND, disagreement=1.5, mirrored=0.65),
        loose=replace(SOUND, overlap=0.84, mirrored=0.65),
        sound=SOUND,
    )
    page = write_page(tmp_path, report).read_text(encoding="utf-8")
    assert re.findall(r"<section.*?<h2>(\w+)</h2>", page) == ["loose", "apart", "alike", "sound"]


@pytest.mark.parametrize("mirrored", [0.0, 0.65, 0.99])
def test_mirror_similarity_counts_only_near_its_limit(mirrored: float) -> None:
    limits = Limits()
    assert replace(SOUND, mirrored=mirrored).severity(limits) == SOUND.severity(limits)
    assert replace(SOUND, mirrored=limits.mirrored).severity(limits) == pytest.approx(1)
    assert replace(SOUND, mirrored=1.5).severity(ATLAS_LIMITS) == SOUND.severity(ATLAS_LIMITS)


def test_unmeasured_values_are_shown_as_a_dash(tmp_path: Path) -> None:
    page = write_page(tmp_path, _report(a=replace(SOUND, mirrored=0.0))).read_text(encoding="utf-8")
    assert "<td>–</td>" in page
    assert "0.00" not in page


def test_missing_pictures_are_mentioned_on_the_page_and_in_the_report(tmp_path: Path) -> None:
    report = _report(drawn=SOUND, early=SOUND)
    (tmp_path / "key-drawn").mkdir()
    (tmp_path / "key-drawn" / "t2.png").touch()
    page = write_page(tmp_path, report).read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert page.count("No picture: an earlier run") == 1
    assert "<p>1 subject without pictures and transforms" in page
    assert count_without_pictures(tmp_path, report) == 1
    assert any("1 subject without pictures" in line for line in replace(report, without_pictures=1).lines())


def test_brain_outlines_are_on_the_page(tmp_path: Path) -> None:
    """For a skull-stripped subject without registration."""
    report = _report(a=SOUND)
    (about,) = report.subjects.values()
    mask = {"given": False, "modality": "t2", "disagreement": 1.0, "millilitres": 1432.4}
    stripped = {k: v for k, v in about.items() if k != "registration"} | {"brain_mask": mask}
    report = replace(report, subjects={"key-a": stripped})
    assert "No picture" in write_page(tmp_path, report).read_text(encoding="utf-8")
    (tmp_path / "key-a").mkdir()
    (tmp_path / "key-a" / "brain.png").touch()
    page = write_page(tmp_path, report).read_text(encoding="utf-8")
    assert "brain, found in t2 (forward and backward differ by 1.0 mm), 1432 ml" in page
    assert "at most 6 mm, and the brain has 600 to 2400 ml" in page
    assert "own grid, 90% must lie in the head" in page
    assert 'src="key-a/brain.png"' in page
    assert count_without_pictures(tmp_path, report) == 0
    assert "<table>" not in page  # no registration, no figures of one
    stripped["brain_mask"] = {"given": False, "stripped": True, "modality": "t2", "millilitres": 1432.4}
    page = write_page(tmp_path, report).read_text(encoding="utf-8")
    assert "brain, t2 came without a skull, 1432 ml" in page
