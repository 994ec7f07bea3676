"""Files of samples: other programs read them, and equal samples give equal bytes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Batch, Card, Generator, Model
from napari_pgan.samples import sample_files, write_npz, write_sample
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label

BRATS = Channels(
    ("t1", "t1ce", "t2", "flair"),
    (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "enhancing tumour", "#e41a1c")),
)
PHOTO = Channels(("red", "green", "blue"), (), (DisplayGroup("fundus", ("red", "green", "blue")),))


def _sample(grid: Grid, channels: Channels) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (len(channels.modalities), *grid.shape)).astype(np.float32)
    return images, rng.choice(np.array([0, 1, 2, 4], np.uint8), grid.shape)


def _batch() -> Batch:
    images, labels = _sample(Grid((8, 12)), BRATS)
    return Batch(images[None], labels[None], np.zeros((1, 3, 8, 12), np.float32), np.ones((1, 5), np.float32), {},
                 Grid((8, 12)))  # fmt: skip


def _model() -> Model:
    architecture = Architecture((4, 6), (4, 4), 7, latent=5)
    return Model(Card("small", architecture, BRATS, Grid((8, 12))), Generator(architecture))


def test_an_archive_holds_exactly_the_named_arrays(tmp_path: Path) -> None:
    batch, model = _batch(), _model()
    write_npz(tmp_path / "a.npz", batch, model)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert sorted(archive) == ["images", "labels", "latents", "modalities", "model_identity"]
        assert str(archive["model_identity"]) == model.identity
        assert archive["modalities"].tolist() == ["t1", "t1ce", "t2", "flair"]
        assert archive["images"].dtype == np.float32
        assert archive["labels"].dtype == np.uint8
        for name in ("images", "labels", "latents"):
            np.testing.assert_array_equal(archive[name], getattr(batch, name))


def test_equal_samples_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, model = Grid((8, 12), (2.0, 2.0), "PL", 3.0), _model()
    for name, now in (("a", 1e9), ("b", 1.7e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        write_npz(tmp_path / name / "x.npz", _batch(), model)
        write_sample(tmp_path / name, "s", *_sample(grid, BRATS), grid, BRATS, {"seed": 1})
    first = sorted((tmp_path / "a").iterdir())
    assert len(first) == 7
    for path in first:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("grid", "codes", "zooms"),
    [
        (Grid((8, 12), (2.0, 2.5), "PL", 3.0), ("L", "P", "S"), (2.5, 2.0, 3.0)),
        (Grid((4, 8, 12), (3.0, 2.0, 2.5), "SPL"), ("L", "P", "S"), (2.5, 2.0, 3.0)),
        (Grid((4, 8, 12), (3.0, 2.0, 2.5), "IAR"), ("R", "A", "I"), (2.5, 2.0, 3.0)),
    ],
)
def test_nibabel_finds_the_pixels_in_patient_space(
    tmp_path: Path, grid: Grid, codes: tuple[str, ...], zooms: tuple[float, ...]
) -> None:
    images, labels = _sample(grid, BRATS)
    files = write_sample(tmp_path, "s", images, labels, grid, BRATS, {})
    assert [f.name for f in files] == [
        "s_t1.nii.gz", "s_t1ce.nii.gz", "s_t2.nii.gz", "s_flair.nii.gz", "s_seg.nii.gz", "s.json",
    ]  # fmt: skip
    flair, seg = nib.load(files[3]), nib.load(files[4])
    assert aff2axcodes(flair.affine) == codes
    assert flair.header.get_zooms() == pytest.approx(zooms)
    assert flair.header.get_xyzt_units()[0] == "mm"
    assert seg.get_data_dtype() == np.uint8
    np.testing.assert_allclose(flair.header.get_qform(), flair.header.get_sform(), atol=1e-5)
    shape = grid.shape if len(grid.shape) == 3 else (1, *grid.shape)
    np.testing.assert_array_equal(np.asarray(flair.dataobj), images[3].reshape(shape).T)
    np.testing.assert_array_equal(np.asarray(seg.dataobj), labels.reshape(shape).T)


def test_simpleitk_reads_the_same_array(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    grid = Grid((4, 8, 12), (3.0, 2.0, 2.5), "SPL")
    images, labels = _sample(grid, BRATS)
    files = write_sample(tmp_path, "s", images, labels, grid, BRATS, {})
    read = sitk.ReadImage(str(files[0]))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), images[0])
    assert read.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))  # LPS: index order is patient order
    assert read.GetSpacing() == pytest.approx((2.5, 2.0, 3.0))


def test_the_sidecar_describes_the_files(tmp_path: Path) -> None:
    grid = Grid((8, 12), (2.0, 2.0), "PL", 3.0)
    meaning = {"t1": {"-1": "air", "+1": "fat"}}
    *_, sidecar = write_sample(tmp_path, "s", *_sample(grid, BRATS), grid, BRATS, {"seed": 7}, meaning)
    read = json.loads(sidecar.read_text(encoding="utf-8"))
    assert read["limits"] == "Synthetic images, not for diagnosis."
    assert read["files"]["t1ce"] == "s_t1ce.nii.gz"
    assert read["segmentation"] == "s_seg.nii.gz"
    assert Channels.from_dict(read["channels"]) == BRATS
    assert Grid.from_dict(read["grid"]) == grid
    assert read["intensity"] == meaning
    assert read["provenance"] == {"seed": 7}


def test_photographs_have_neither_millimetres_nor_a_segmentation(tmp_path: Path) -> None:
    grid = Grid((6, 10))
    files = write_sample(tmp_path, "p", _sample(grid, PHOTO)[0], None, grid, PHOTO, {})
    assert [f.name for f in files] == ["p_red.nii.gz", "p_green.nii.gz", "p_blue.nii.gz", "p.json"]
    assert nib.load(files[0]).header.get_xyzt_units()[0] == "unknown"
    assert json.loads(files[-1].read_text())["segmentation"] is None


def test_modalities_whose_files_would_overwrite_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="identical file names"):
        sample_files(tmp_path, "s", Channels(("t1 a", "t1/a")))
    with pytest.raises(InputError, match="identical file names"):
        sample_files(tmp_path, "s", Channels(("seg",)))


def test_nrrd_has_the_geometry_of_nifti_and_names_its_segments(tmp_path: Path) -> None:
    from napari_pgan.imaging.io.segmentation import read_segmentation
    from napari_pgan.imaging.io.volume import read_volume

    grid = Grid((3, 8, 12), (4.0, 2.0, 1.5), "SPL")
    images, labels = _sample(grid, BRATS)
    written = write_sample(tmp_path, "a", images, labels, grid, BRATS, {}, suffix=".nrrd")
    assert written == sample_files(tmp_path, "a", BRATS, suffix=".nrrd")
    assert [path.name for path in written[-2:]] == ["a_seg.seg.nrrd", "a.json"]
    write_sample(tmp_path, "b", images, labels, grid, BRATS, {})
    for part in BRATS.modalities:
        ours, theirs = read_volume(tmp_path / f"a_{part}.nrrd"), read_volume(tmp_path / f"b_{part}.nii.gz")
        np.testing.assert_array_equal(ours.array, theirs.array)
        assert ours.same_grid(theirs, 1e-4)
    segmentation, segments = read_segmentation(written[-2])
    np.testing.assert_array_equal(segmentation.array, labels)
    assert segments == BRATS.labels
