"""Brain extraction from heads with skull."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from displaced import motion, move

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.registration.brain_mask import Brain, find_brain, most_certain_brain
from napari_pgan.imaging.registration.head_template import shipped_template
from napari_pgan.imaging.registration.register import Registered
from napari_pgan.phantom import make_subject

EXAM = {"t1": "*_t1.nii.gz", "t1ce": "*_t1c.nii.gz", "t2": "*_t2.nii.gz", "flair": "*_fla.nii.gz"}


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(
    ("contrast", "seed"),
    [("T1", None), ("T2", 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("T1", 1), ("PD", None)))],
)
def test_the_brain_of_an_average_head(shared_data: Path, contrast: str, seed: int | None) -> None:
    folder = shared_data / "templates_2mm"
    head = read_volume(folder / f"avg152{contrast}.nii.gz")
    maps = sum(read_volume(folder / f"{tissue}.nii.gz").array for tissue in ("grey", "white", "csf"))
    truth = np.asarray(maps) > 0.5
    if seed is not None:
        moved = motion(np.random.default_rng(seed), 20, 20, np.zeros(3))
        head = move(head, moved, float(head.array.min()))
        truth = move(Volume(truth.astype(np.float32), head.affine), moved).array > 0.5
    found = find_brain(head)
    assert _dice(found.mask, truth) > 0.93
    assert found.problem() is None


@pytest.mark.slow
def test_the_brain_of_a_phantom_in_its_most_reliable_modality() -> None:
    subject = make_subject(4, 80, skull=True)
    spacing = subject.grid.spacing
    assert spacing is not None
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    ball = Volume(_ball(subject.brain.shape), affine)
    volumes = {"t1": ball, "t2": Volume(subject.images["t2"], affine)}
    heads = {part: find_foreground(volume.array) for part, volume in volumes.items()}
    part, found = most_certain_brain(volumes, heads, "t1")
    assert part == "t2"
    assert _dice(found.mask, subject.brain) > 0.93
    with pytest.raises(InputError, match=r"no brain was found .* in t1, nor in any other modality"):
        most_certain_brain({"t1": ball}, heads, "t1")


def test_the_search_announces_each_modality_and_can_be_cancelled() -> None:
    """Volumes of two slices fail at once; the reference comes first at any position."""
    thin = Volume(np.zeros((2, 8, 8), np.float32), np.diag([-2.0, -2.0, 2.0, 1.0]))
    volumes = dict.fromkeys(("t1", "t2", "flair"), thin)
    heads = dict.fromkeys(volumes, Foreground(np.ones((2, 8, 8), bool), 0.0, False))
    announced: list[str] = []
    with pytest.raises(InputError, match=r"^t2 "):
        most_certain_brain(volumes, heads, "t2", announced.append)
    assert announced == ["t2", "t1", "flair"]

    def end(part: str) -> None:
        if part == "t1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        most_certain_brain(volumes, heads, "t2", end)


def _ball(shape: tuple[int, ...]) -> np.ndarray:
    z, y, x = np.meshgrid(*[np.arange(n) - n / 2 for n in shape], indexing="ij")
    noise = np.random.default_rng(0).uniform(50, 100, shape)
    return np.where(z**2 + y**2 + x**2 < (0.18 * shape[0]) ** 2, noise, noise / 50).astype(np.float32)


@pytest.mark.slow
def test_the_brains_of_a_clinical_exam_agree(shared_data: Path) -> None:
    folder = shared_data / "clinical_FG6692"
    found: dict[str, Brain] = {}
    for part, name in EXAM.items():
        found[part] = find_brain(orient(read_volume(next(folder.glob(name)))))
        assert found[part].problem() is None, part
    sizes = [brain.millilitres for brain in found.values()]
    assert min(sizes) > 1300
    assert max(sizes) / min(sizes) < 1.15  # one brain, sought four times


def test_implausible_brains_are_reported() -> None:
    mask = np.ones((2, 2, 2), bool)
    apart, sure = Registered(np.eye(4), 0.1, 0.2, 25.0), Registered(np.eye(4), 0.1, 0.2, 1.0)
    assert "25.0 mm" in str(Brain(mask, apart, 1500.0).problem())
    assert "3000 ml" in str(Brain(mask, sure, 3000.0).problem())
    assert Brain(mask, sure, 1500.0).problem() is None


def test_the_shipped_brain_has_no_holes() -> None:
    template = shipped_template()
    millilitres = template.brain.sum() * np.prod(template.image.spacing) / 1000
    assert 1700 < millilitres < 2100  # with its ventricles and the fluid in its sulci, as averages are large
    assert (template.brain & ~template.head).sum() == 0
    ring = template.head & ~template.brain
    assert template.image.array[ring].mean() < 0.6 * template.image.array[template.brain].mean()
