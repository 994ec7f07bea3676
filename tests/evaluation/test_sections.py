"""Ratings and sentences of the report for known results."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pgan.evaluation.memorisation.copies import CANNOT_TELL, MANY, NONE, SOME, Memorisation
from napari_pgan.evaluation.report.consistency import consistency_section
from napari_pgan.evaluation.report.memorisation import memorisation_section
from napari_pgan.evaluation.report.use import use_section

NAMES = ("core", "oedema", "all labels")


def _use(
    ratio: tuple[float, float] = (0.95, 0.9), whole: float = 0.95, off: float = 1.0, real: float = 0.8
) -> dict[str, Any]:
    """Results with the Hausdorff distance of one label multiplied by `off`."""
    dices = {"real": dict.fromkeys(NAMES, real), "both": dict.fromkeys(NAMES, real)}
    dices["synthetic"] = {"core": ratio[0] * real, "oedema": ratio[0] * real, "all labels": whole * real}
    scores = [
        {"subjects": 18, "source": source, "label": name, "dice": dice, "low": dice - 0.1, "high": dice + 0.1,
         "hausdorff": 14.0 * (off if (source, name) == ("synthetic", "core") else 1), "missed": 0.0, "tested": 6}
        for source, its in dices.items() for name, dice in its.items()
    ]  # fmt: skip
    ratios = [
        {"subjects": 18, "source": source, "value": value, "low": low, "high": value + 0.05}
        for source, (value, low) in {"synthetic": ratio, "both": (1.0, 0.97)}.items()
    ]
    return {"scores": scores, "ratios": ratios, "tested": 6, "seeds": [0, 1, 2], "steps": 3000, "unit": "mm"}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "Good"),
        ({"ratio": (0.95, 0.8)}, "Middling"),  # uncertain with few subjects
        ({"whole": 0.84}, "Middling"),
        ({"off": 3.4}, "Middling"),  # false lesions
        ({"ratio": (0.7, 0.65)}, "Middling"),
        ({"whole": 0.5}, "Poor"),
        ({"ratio": (0.5, 0.4)}, "Poor"),
        ({"real": 0.2}, "Cannot tell"),
    ],
)
def test_use(changed: dict[str, Any], verdict: str) -> None:
    section = use_section(_use(**changed), {})
    assert section.verdict == verdict
    if "off" in changed:
        assert "(core) are off by 47.6 mm, compared with 14.0 mm" in section.sentence
        assert not next(table for table in section.tables if "Hausdorff" in table.title).folded
    if "whole" in changed:
        assert f"{100 * changed['whole']:.0f} % for all labels together" in section.sentence


def _consistency(dice: float = 0.8, baseline: float = 0.8, rims: tuple[float, ...] = (1.3, 0.8)) -> dict[str, Any]:
    agreements = [
        {"label": name, "dice": dice, "low": dice, "high": dice, "images": 500, "floor": baseline,
         "floor_low": baseline, "floor_high": baseline, "floor_images": 200}
        for name in NAMES
    ]  # fmt: skip
    sharp = [{"modality": m, "generated": g, "real": 1.0} for m, g in zip(("t1", "flair"), rims, strict=True)]
    return {"agreements": agreements, "rims": sharp}


@pytest.mark.parametrize(
    ("changed", "verdict", "text"),
    [
        ({}, "Good", "about as well as in real images"),
        ({"dice": 0.6}, "Middling", "disagree more"),
        ({"dice": 0.3}, "Poor", "disagree more"),
        ({"dice": 0.73, "baseline": 0.55}, "Middling", "easier than real ones"),  # above the baseline is not better
        ({"dice": 0.95, "baseline": 0.5}, "Poor", "easier than real ones"),
        ({"rims": (1.0, 2.0)}, "Middling", "rings in flair: 2.00 times"),
        ({"rims": (0.4, 1.0)}, "Middling", "too soft in t1: 0.40 times"),
        ({"rims": (1.0, 5.0)}, "Poor", "rings in flair"),
        ({"baseline": 0.3}, "Cannot tell", "easier than real ones"),
    ],
)
def test_consistency(changed: dict[str, Any], verdict: str, text: str) -> None:
    section = consistency_section(_consistency(**changed), {})
    assert section.verdict == verdict
    assert text in section.sentence


def _memorisation(verdict: str, copies: int = 0, alarms: tuple[int, int] = (0, 1000)) -> dict[str, Any]:
    return Memorisation(
        verdict=verdict, sentence="It says.", samples=2000, copies=copies, flagged=tuple(range(copies)),
        training_images=2000, training_subjects=18, held_out_images=1000, held_out_subjects=6, rules=(),
        false_alarms=alarms, found={}, nearer=0.5, nearer_low=0.4, nearer_high=0.6, pairs=(), notes=(),
    ).to_dict()  # fmt: skip


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((NONE,), "Good"),
        ((SOME, 14), "Poor"),
        ((SOME, 14, (10, 1000)), "Middling"),  # 20 false alarms are expected
        ((SOME, 40, (10, 1000)), "Poor"),
        ((SOME, 1, (0, 0)), "Poor"),  # the false alarm rate is unknown
        ((MANY, 400), "Poor"),
        ((CANNOT_TELL,), "Cannot tell"),
    ],
)
def test_memorisation(found: tuple[Any, ...], verdict: str) -> None:
    assert memorisation_section(_memorisation(*found), {}).verdict == verdict


def test_sections_do_not_assume_patients() -> None:
    """A cohort may consist of phantoms, without patients and without masks drawn by people."""
    sections = [
        use_section(_use(), {}), consistency_section(_consistency(), {}),
        memorisation_section(_memorisation(NONE), {}),
    ]  # fmt: skip
    for section in sections:
        shown = [chart.alt for chart in section.charts] + [chart.svg for chart in section.charts]
        text = " ".join([str(section.to_dict()), *shown])
        assert "patient" not in text
        assert "people" not in text
