"""Lights and words of the report, from figures of which is known what they must say."""

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
    """A segmenter of samples whose outlines of one label are so many times as far off as those of real images."""
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
        ({"ratio": (0.95, 0.8)}, "Middling"),  # of few subjects nobody knows
        ({"whole": 0.84}, "Middling"),
        ({"off": 3.4}, "Middling"),  # lesions where there are none
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
        assert "core), they are 47.6 mm off, beside 14.0 mm" in section.sentence
        assert not next(table for table in section.tables if "Hausdorff" in table.title).folded
    if "whole" in changed:
        assert f"{100 * changed['whole']:.0f} % for all labels together" in section.sentence


def _consistency(dice: float = 0.8, floor: float = 0.8, rims: tuple[float, ...] = (1.3, 0.8)) -> dict[str, Any]:
    agreements = [
        {"label": name, "dice": dice, "low": dice, "high": dice, "images": 500, "floor": floor, "floor_low": floor,
         "floor_high": floor, "floor_images": 200}
        for name in NAMES
    ]  # fmt: skip
    sharp = [{"modality": m, "generated": g, "real": 1.0} for m, g in zip(("t1", "flair"), rims, strict=True)]
    return {"agreements": agreements, "rims": sharp}


@pytest.mark.parametrize(
    ("changed", "verdict", "told"),
    [
        ({}, "Good", "about as well as real ones"),
        ({"dice": 0.6}, "Middling", "disagree more"),
        ({"dice": 0.3}, "Poor", "disagree more"),
        ({"dice": 0.73, "floor": 0.55}, "Middling", "easier than real ones"),  # above the floor is not better
        ({"dice": 0.95, "floor": 0.5}, "Poor", "easier than real ones"),
        ({"rims": (1.0, 2.0)}, "Middling", "as rings in flair: 2.00 times"),
        ({"rims": (0.4, 1.0)}, "Middling", "too little in t1: 0.40 times"),
        ({"rims": (1.0, 5.0)}, "Poor", "as rings in flair"),
        ({"floor": 0.3}, "Cannot tell", "easier than real ones"),
    ],
)
def test_consistency(changed: dict[str, Any], verdict: str, told: str) -> None:
    section = consistency_section(_consistency(**changed), {})
    assert section.verdict == verdict
    assert told in section.sentence


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
        ((SOME, 14, (10, 1000)), "Middling"),  # of as many new subjects' images the search would take 20
        ((SOME, 40, (10, 1000)), "Poor"),
        ((SOME, 1, (0, 0)), "Poor"),  # where nobody knows how often it is mistaken
        ((MANY, 400), "Poor"),
        ((CANNOT_TELL,), "Cannot tell"),
    ],
)
def test_memorisation(found: tuple[Any, ...], verdict: str) -> None:
    assert memorisation_section(_memorisation(*found), {}).verdict == verdict


def test_sections_speak_of_any_cohort() -> None:
    """Most stores that a newcomer has are of phantoms, in which there are no patients and nobody drew."""
    sections = [
        use_section(_use(), {}), consistency_section(_consistency(), {}),
        memorisation_section(_memorisation(NONE), {}),
    ]  # fmt: skip
    for section in sections:
        shown = [chart.alt for chart in section.charts] + [chart.svg for chart in section.charts]
        text = " ".join([str(section.to_dict()), *shown])
        assert "patient" not in text
        assert "people" not in text
