"""The plans in docs/prepare.md find the real cohorts that they describe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.cohorts.plan import read_plan
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.store import open_store

PAGE = Path(__file__).parents[3] / "docs" / "prepare.md"


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        name = re.match(r"# (\S+\.yaml)\n", block)
        assert name is not None
        (tmp_path / name[1]).write_text(block)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "source", "subjects", "pictures"),
    [
        ("openms", "openms_patient19", 1, 0),
        ("clinical", "clinical_FG6692", 1, 0),
        ("brats2013-2d", "brats2013_2d", 8, 0),
        ("drive", "fundus/drive", 20, 1),
        ("chase", "fundus/chase", 14, 2),
    ],
)
def test_a_documented_plan_finds_its_cohort(
    plans: Path, shared_data: Path, name: str, source: str, subjects: int, pictures: int
) -> None:
    cohort = find_cohort(shared_data / source, read_plan(plans / f"{name}.yaml"))
    assert len(cohort.subjects) == subjects
    assert all(subject.problem is None for subject in cohort.subjects)
    if pictures:
        assert {len(subject.files["photograph"]) for subject in cohort.subjects} == {pictures}  # type: ignore[arg-type]


def test_slices_of_several_shapes_become_a_store(plans: Path, shared_data: Path, tmp_path: Path) -> None:
    report = prepare(
        str(shared_data / "brats2013_2d"), tmp_path / "a.zarr", Options(32, plan=read_plan(plans / "brats2013-2d.yaml"))
    )
    assert not report.rejected
    store = open_store(tmp_path / "a.zarr")
    assert [label.value for label in store.channels.labels] == [4, 5, 6, 7]
    assert len(store.load_slices(None)) == 8
    assert store.load_slices(None).labels.sum() > 0
