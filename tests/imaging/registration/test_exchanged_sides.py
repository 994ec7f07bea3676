"""Detection of headers with exchanged left and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.imaging.registration.align import align
from napari_pgan.imaging.registration.mirror import Mirror
from napari_pgan.imaging.registration.register import Pyramid, refine_header_pose
from napari_pgan.phantom import make_subject


@pytest.fixture(scope="module")
def head() -> dict[str, Volume]:
    subject = make_subject(5, 64)
    spacing = subject.grid.spacing
    assert spacing is not None
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    return {part: Volume(subject.images[part], affine) for part in ("t1", "t2", "flair")}


def _exchanged(volume: Volume) -> Volume:
    return Volume(np.ascontiguousarray(volume.array[:, :, ::-1]), volume.affine)


def test_a_modality_with_exchanged_sides_rejects_the_subject(head: dict[str, Volume]) -> None:
    heads = {part: find_foreground(volume.array) for part, volume in head.items()}
    right = align(head, heads, "t1")
    assert all(0 < quality.mirrored < 0.95 for quality in right.quality.values())
    given = {**head, "flair": _exchanged(head["flair"])}
    with pytest.raises(SubjectRejected, match="flair has left and right exchanged against the reference") as caught:
        align(given, {**heads, "flair": find_foreground(given["flair"].array)}, "t1")
    assert caught.value.figures is not None
    assert caught.value.figures["parts"]["t2"]["quality"]["mirrored"] < 0.95


def test_exchanged_sides_in_all_modalities_are_undetectable(head: dict[str, Volume]) -> None:
    given = {part: _exchanged(volume) for part, volume in head.items()}
    made = align(given, {part: find_foreground(volume.array) for part, volume in given.items()}, "t1")
    assert all(quality.mirrored < 0.95 for quality in made.quality.values())


def test_exchanged_sides_raise_the_similarity_to_the_mirror_image(head: dict[str, Volume]) -> None:
    still = Pyramid(head["t1"])
    mirror = Mirror(still)
    straight, other = Pyramid(head["t2"]), Pyramid(_exchanged(head["t2"]))
    assert mirror.similarity_ratio(straight, refine_header_pose(still, straight)) < 0.9
    assert mirror.similarity_ratio(other, refine_header_pose(still, other)) > 1.1


def test_real_brains_are_asymmetric(shared_data: Path) -> None:
    folder = shared_data / "brats18" / "Brats18_TCIA02_135_1"
    t1, t2 = (orient(read_volume(folder / f"{folder.name}_{part}.nii.gz")) for part in ("t1", "t2"))
    still = Pyramid(t1)
    mirror = Mirror(still)
    assert mirror.similarity_ratio(Pyramid(t2), np.eye(4)) < 0.9
    other = Pyramid(_exchanged(t2))
    assert mirror.similarity_ratio(other, refine_header_pose(still, other)) > 1.1
