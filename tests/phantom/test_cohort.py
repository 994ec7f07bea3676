"""Facts about phantom cohorts on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.phantom import cohort, make_subject, write_cohort
from napari_pgan.phantom.cohort import subject_seed

SIZE = 32


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of three."""
    out = tmp_path_factory.mktemp("cohort") / "c"
    write_cohort(out, 3, seed=4, size=SIZE)
    return out


def test_the_layout_follows_brats(written: Path) -> None:
    for number in (1, 2, 3):
        name = f"phantom_{number:04d}"
        kinds = ("flair", "seg", "t1", "t1ce", "t2")
        assert sorted(p.name for p in (written / name).iterdir()) == [f"{name}_{k}.nii.gz" for k in kinds]
    assert sorted(p.name for p in written.iterdir()) == ["cohort.json", *(f"phantom_{n:04d}" for n in (1, 2, 3))]


def test_files_contain_the_subject_and_its_geometry(written: Path) -> None:
    subject = make_subject(subject_seed(4, 2), SIZE)
    for kind in ("t1", "t1ce", "t2", "flair", "seg"):
        image = nib.load(written / "phantom_0002" / f"phantom_0002_{kind}.nii.gz")
        truth = subject.labels if kind == "seg" else np.rint(subject.images[kind])
        assert image.get_data_dtype() == (np.uint8 if kind == "seg" else np.int16)
        np.testing.assert_array_equal(np.asarray(image.dataobj), truth.transpose())
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        np.testing.assert_allclose(image.header.get_zooms(), 216 / SIZE)
    record = json.loads((written / "cohort.json").read_text())
    truth = record["subjects"]["phantom_0002"]
    assert truth["seed"] == subject_seed(4, 2)
    # The tumour seed, mapped by the affine, equals the ground truth in mm (S, P, L; RAS flips two axes).
    position = image.affine @ [*truth["tumour_seed_index"][::-1], 1]
    expected = np.array(truth["tumour_seed_mm"])[::-1] * [-1, -1, 1]
    np.testing.assert_allclose(position[:3], expected, atol=216 / SIZE / 2 + 0.01)


def test_processes_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    write_cohort(tmp_path / "c", 3, seed=4, size=SIZE, workers=2, progress=lambda done, _: seen.append(done))
    assert _hashes(tmp_path / "c") == _hashes(written)
    assert seen == [0, 1, 2, 3]


def test_only_missing_subjects_are_written_and_more_can_be_added(written: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    write_cohort(out, 2, seed=4, size=SIZE)
    kept = (out / "phantom_0001" / "phantom_0001_t1.nii.gz").stat()
    (out / "phantom_0002" / "phantom_0002_t2.nii.gz").unlink()
    (out / ".phantom_0003.beef").mkdir()  # left by a killed run
    write_cohort(out, 3, seed=4, size=SIZE)
    assert _hashes(out) == _hashes(written)
    assert (out / "phantom_0001" / "phantom_0001_t1.nii.gz").stat().st_mtime_ns == kept.st_mtime_ns
    assert not (out / ".phantom_0003.beef").exists()


def test_an_interrupted_run_leaves_only_complete_subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    write = cohort._write

    def fails_on_the_eighth(*arguments: object) -> None:
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cohort, "_write", fails_on_the_eighth)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path, 3, seed=4, size=SIZE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort.json", "phantom_0001"]
    assert list(json.loads((tmp_path / "cohort.json").read_text())["subjects"]) == ["phantom_0001"]


@pytest.mark.parametrize("other", [{"seed": 5}, {"size": 48}, {"skull": True}])
def test_a_folder_with_another_cohort_is_rejected(written: Path, other: dict[str, int]) -> None:
    before = _hashes(written)
    with pytest.raises(InputError, match="already contains a cohort"):
        write_cohort(written, **({"subjects": 3, "seed": 4, "size": SIZE} | other))
    assert _hashes(written) == before


def test_a_folder_with_other_files_or_a_damaged_record_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        write_cohort(tmp_path, 1, seed=0, size=SIZE)
    (tmp_path / "cohort.json").write_text("{")
    with pytest.raises(InputError, match=r"cohort\.json"):
        write_cohort(tmp_path, 1, seed=0, size=SIZE)
    with pytest.raises(InputError, match="is a file"):
        write_cohort(tmp_path / "thesis.txt", 1, seed=0, size=SIZE)


@pytest.mark.parametrize("arguments", [{"subjects": 0}, {"seed": -1}, {"size": 4}, {"workers": 0}])
def test_invalid_numbers_are_rejected_before_writing(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(InputError):
        write_cohort(tmp_path / "c", **({"subjects": 1, "seed": 0, "size": SIZE} | arguments))
    assert not (tmp_path / "c").exists()
