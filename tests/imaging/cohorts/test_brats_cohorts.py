"""Subjects are found in every layout of BraTS."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.brats import group_files
from napari_pgan.imaging.cohorts.brats_labels import brats_channels
from napari_pgan.imaging.cohorts.brats_names import parse_name
from napari_pgan.imaging.cohorts.discover import find_cohort

YEARS = {
    2012: ("HG/BRATS_HG0001/BRATS_HG0001_{}.mha", ("T1", "T1C", "T2", "FLAIR", "truth")),
    2013: (
        "HG/0001/VSD.Brain.XX.O.{0}/VSD.Brain.XX.O.{0}.684.mha",
        ("MR_T1", "MR_T1c", "MR_T2", "MR_Flair", "OT"),
    ),
    2015: (
        "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.{0}.54513/VSD.Brain.XX.O.{0}.54513.mha",
        ("MR_T1", "MR_T1c", "MR_T2", "MR_Flair", "OT"),
    ),
    2018: ("HGG/Brats18_TCIA10_637_1/Brats18_TCIA10_637_1_{}.nii.gz", ("t1", "t1ce", "t2", "flair", "seg")),
    2020: ("BraTS20_Training_001/BraTS20_Training_001_{}.nii", ("t1", "t1ce", "t2", "flair", "seg")),
    2021: ("BraTS2021_00000/BraTS2021_00000_{}.nii.gz", ("t1", "t1ce", "t2", "flair", "seg")),
    2023: ("BraTS-GLI-00000-000/BraTS-GLI-00000-000-{}.nii.gz", ("t1n", "t1c", "t2w", "t2f", "seg")),
}
NAMES = {
    2012: "BRATS_HG0001", 2013: "HG/0001", 2015: "brats_2013_pat0001_1", 2018: "Brats18_TCIA10_637_1",
    2020: "BraTS20_Training_001", 2021: "BraTS2021_00000", 2023: "BraTS-GLI-00000-000",
}  # fmt: skip
CANONICAL = ("t1", "t1ce", "t2", "flair", "seg")


@pytest.mark.parametrize("year", YEARS)
def test_the_layout_of_every_year(year: int) -> None:
    pattern, parts = YEARS[year]
    paths = {canonical: pattern.format(part) for canonical, part in zip(CANONICAL, parts, strict=True)}
    (subject,) = group_files(PurePosixPath(path) for path in paths.values())
    assert subject.name == NAMES[year]
    assert subject.problem is None
    assert {part: path.as_posix() for part, path in subject.files.items()} == paths


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.\-]{0,20}", fullmatch=True)


@given(names, st.sampled_from(CANONICAL), st.sampled_from([".nii.gz", ".nii", ".mha", ".NII.GZ"]))
def test_underscored_names(subject: str, part: str, suffix: str) -> None:
    found = parse_name(f"{subject}_{part}{suffix}")
    assert found is not None
    assert (found.subject, found.part, found.style) == (subject, part, "underscore")


@given(names, st.sampled_from(list(zip(YEARS[2023][1], CANONICAL, strict=True))))
def test_hyphened_names(subject: str, part: tuple[str, str]) -> None:
    found = parse_name(f"{subject}-{part[0]}.nii.gz")
    assert found is not None
    assert (found.subject, found.part, found.style) == (subject, part[1], "hyphen")


@given(st.text(max_size=40))
def test_any_name_is_parsed_or_ignored(name: str) -> None:
    found = parse_name(name)
    assert found is None or found.part in CANONICAL


@pytest.mark.parametrize(
    "name", ["notes.txt", "a_t1.nii.gz.part", "._a_t1.nii.gz", ".a_t1.nii", "t1.nii.gz", "a_adc.nii.gz", "a_t1.nrrd"]
)
def test_other_files_are_ignored(name: str) -> None:
    assert parse_name(name) is None


@given(st.sets(names, min_size=1, max_size=6), st.randoms())
def test_the_order_of_files_does_not_matter(subjects: set[str], random: object) -> None:
    paths = [PurePosixPath(f"{s}/{s}_{part}.nii.gz") for s in subjects for part in CANONICAL]
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group_files(shuffled) == group_files(paths)
    assert [s.name for s in group_files(paths)] == sorted(subjects)


@given(st.sets(st.sampled_from(CANONICAL), min_size=1))
def test_missing_parts_are_named(present: set[str]) -> None:
    (subject,) = group_files([PurePosixPath(f"a/a_{part}.nii.gz") for part in present])
    if present == set(CANONICAL):
        assert subject.problem is None
    else:
        assert subject.problem is not None
        for part in CANONICAL:
            label = "the segmentation" if part == "seg" else part
            words = subject.problem.replace(" and ", ", ").removesuffix(" are missing").removesuffix(" is missing")
            assert (label in words.split(", ")) == (part not in present)


def test_a_lone_segmentation_with_another_name_belongs_to_the_subject() -> None:
    paths = [f"BraTS20_Training_355/BraTS20_Training_355_{part}.nii" for part in CANONICAL[:4]]
    paths.append("BraTS20_Training_355/W39_1998.09.19_Segm.nii")
    (subject,) = group_files(map(PurePosixPath, paths))
    assert (subject.name, subject.problem) == ("BraTS20_Training_355", None)


def test_several_subjects_in_one_folder() -> None:
    found = group_files([PurePosixPath(f"{s}_{part}.nii.gz") for s in ("a", "b") for part in CANONICAL])
    assert [(s.name, s.problem) for s in found] == [("a", None), ("b", None)]


def test_a_duplicate_part_is_the_subjects_problem() -> None:
    paths = [f"a/a_{part}.nii.gz" for part in CANONICAL] + ["a/a_t2.nii"]
    (subject,) = group_files(map(PurePosixPath, paths))
    assert subject.problem is not None
    assert "t2 has several files" in subject.problem


def test_one_name_in_two_folders_is_ambiguous() -> None:
    paths = [f"{folder}/a/a_{part}.nii.gz" for folder in ("HGG", "LGG") for part in CANONICAL]
    assert all(s.problem and "several folders" in s.problem for s in group_files(map(PurePosixPath, paths)))
    numbers = [p.format(part) for p in ("HG/0001/VSD.Brain.XX.O.{}.1.mha", "LG/0001/VSD.Brain.XX.O.{}.1.mha")
               for part in YEARS[2013][1]]  # fmt: skip
    assert [(s.name, s.problem) for s in group_files(map(PurePosixPath, numbers))] == [
        ("HG/0001", None),
        ("LG/0001", None),
    ]


def test_the_real_cohort(shared_data: Path) -> None:
    found = find_cohort(shared_data / "brats18").subjects
    assert len(found) == 24
    assert all(s.problem is None and set(s.files) == set(CANONICAL) for s in found)
    assert all(path.is_file() for s in found for path in s.files.values())


def test_folders_without_subjects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        find_cohort(tmp_path / "nothing")
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(InputError, match="no subject found"):
        find_cohort(tmp_path)


def test_circular_links_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for part in CANONICAL:
        (tmp_path / "a" / f"a_{part}.nii").write_bytes(b"")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [s.name for s in find_cohort(tmp_path).subjects] == ["a"]


@pytest.mark.parametrize(
    ("values", "styles", "expected"),
    [
        ([{1, 2, 4}, {1, 2}], {"underscore"}, {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
        ([{1, 2, 3}, {2}], {"hyphen"}, {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}),
        ([{1, 2, 3}, {2}], {"underscore"}, {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}),
        (
            [{1, 2, 3, 4}, {2, 3}],
            {"vsd"},
            {1: "necrotic core", 2: "oedema", 3: "non-enhancing tumour", 4: "enhancing tumour"},
        ),
        ([{1, 2, 4}, {1, 2, 4}, {1, 2, 3}], {"underscore"}, {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
        ([{1, 2, 3, 4}], {"hyphen"}, {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}),
        ([{1, 2}], {"underscore"}, {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
        ([], {"underscore"}, {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
    ],
)
def test_label_values_of_every_year(values: list[set[int]], styles: set[str], expected: dict[int, str]) -> None:
    channels = brats_channels({str(i): found for i, found in enumerate(values)}, styles)
    assert {label.value: label.name for label in channels.labels} == expected
    assert channels.modalities == ("t1", "t1ce", "t2", "flair")
