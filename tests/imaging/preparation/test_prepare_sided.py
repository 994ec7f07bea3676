"""`prepare --sided`: recording whether left and right differ."""

from __future__ import annotations

from pathlib import Path

from small_cohort import write_cohort

from napari_pgan.cli.app import main
from napari_pgan.store import open_store


def test_sided_is_recorded_preserved_and_can_be_set_later(tmp_path: Path) -> None:
    write_cohort(tmp_path / "cohort", 3)
    store = tmp_path / "a.zarr"
    words = ["prepare", str(tmp_path / "cohort"), str(store), "--size", "16", "--workers", "1"]
    assert main(words) == 0
    unsaid = open_store(store)
    assert unsaid.grid.sided is None
    for more, sided in ((["--sided"], True), ([], True), (["--no-sided"], False), ([], False)):
        assert main([*words, *more]) == 0
        said = open_store(store)
        assert said.grid.sided is sided
        assert said.grid.spacing == unsaid.grid.spacing
        assert said.fingerprint == unsaid.fingerprint
    assert main([*words[:2], str(tmp_path / "b.zarr"), *words[3:], "--sided"]) == 0
    assert open_store(tmp_path / "b.zarr").grid.sided is True


def test_the_lateral_axis_follows_the_slice_direction(tmp_path: Path) -> None:
    write_cohort(tmp_path / "cohort", 2)
    found = {}
    for axis in ("axial", "coronal", "sagittal"):
        words = ["prepare", str(tmp_path / "cohort"), str(tmp_path / f"{axis}.zarr"), "--size", "16", "--workers", "1"]
        assert main([*words, "--axis", axis]) == 0
        found[axis] = open_store(tmp_path / f"{axis}.zarr").grid.lateral_axis
    assert found == {"axial": -1, "coronal": -1, "sagittal": None}
