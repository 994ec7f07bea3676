"""How well a registration went: figures that tell a failure without knowing the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from napari_pgan.imaging.io.itk import limit_threads, to_array, to_transform
from napari_pgan.imaging.registration.mirror import Mirror
from napari_pgan.imaging.registration.register import Pyramid, Registered, distance, nearest_rotation


@dataclass(frozen=True)
class Limits:
    """What sets a subject aside.

    Parameters
    ----------
    disagreement
        Millimetres; searches from either side that end further apart cannot both be right.
    overlap
        Dice of the two heads, where both volumes reach.
    covered
        Share of the reference's head that the moving volume reaches.
    mirrored
        Similarity to the mirror image of the reference over that to the reference itself: right ones have 0.96 and
        less, and as much above 1 when one of the two has left and right exchanged.
    kept
        Share of the similarity before that is there after: the search ends at 2 mm and both are measured at 4 mm, so a
        right pose may show a little less than the header's that was right as well.
    """

    disagreement: float = 2.5
    overlap: float = 0.75
    covered: float = 0.5
    mirrored: float = 1.02
    kept: float = 0.97


# Another person's head fits loosely, and the neck is no match; sides are pointed out in the report.
ATLAS_LIMITS = Limits(disagreement=6.0, overlap=0.6, mirrored=float("inf"))


@dataclass(frozen=True)
class Quality:
    """Figures of one registration.

    Parameters
    ----------
    before, after
        Mutual information (nats) with the headers as they are, and registered.
    moved
        Millimetres, mean over the head.
    turned
        Degrees.
    disagreement
        Millimetres, mean over the head, between the searches from either side.
    overlap
        Dice of the two heads where both volumes reach.
    covered
        Share of the reference's head that the moving volume reaches.
    mirrored
        Similarity to the mirror image of the reference, left for right, over that to the reference itself; 0 where it
        was not measured.
    """

    before: float
    after: float
    moved: float
    turned: float
    disagreement: float
    overlap: float
    covered: float
    mirrored: float = 0.0

    def problem(self, limits: Limits) -> str | None:
        """What is wrong, or None."""
        if self.covered < limits.covered:
            return f"covers only {self.covered:.0%} of the reference's head"
        if self.disagreement > limits.disagreement:
            return f"could not be registered surely (two searches end {self.disagreement:.1f} mm apart)"
        if self.overlap < limits.overlap:
            return f"could not be registered (its head overlaps with the reference's by {self.overlap:.2f} Dice)"
        if self.after < limits.kept * self.before:
            return "could not be registered (it is less alike than before)"
        if self.mirrored > limits.mirrored:
            return (
                f"has left and right exchanged against the reference (mirrored it is {self.mirrored:.2f} times as "
                "alike); find out which of the two is right, and repair the other's header"
            )
        return None

    def severity(self, limits: Limits) -> float:
        """For sorting: 1 and more where a limit is passed."""
        return max(
            self.disagreement / limits.disagreement,
            (1 - self.overlap) / (1 - limits.overlap),
            (1 - self.covered) / (1 - limits.covered),
            1.0 if self.after < limits.kept * self.before else 0.0,
            (self.mirrored - 1) / (limits.mirrored - 1),  # below 1 it tells how alike two halves are, and nothing else
        )

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Quality:
        """From what `to_dict` gave."""
        return cls(**{field.name: float(data.get(field.name, 0.0)) for field in fields(cls)})


def judge(
    reference: Pyramid, moving: Pyramid, found: Registered, mirror: Mirror | None = None, *, affine: bool = False
) -> Quality:
    """The figures of a registration; whether sides are exchanged only with the mirror image of the reference."""
    overlap, covered = _overlap(reference, moving, found.matrix)
    cosine = (np.trace(nearest_rotation(found.matrix)) - 1) / 2
    return Quality(
        found.before,
        found.after,
        distance(found.matrix, np.eye(4), reference.points),
        float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        found.disagreement,
        overlap,
        covered,
        mirror.similarity_ratio(moving, found.matrix, affine=affine) if mirror is not None else 0.0,
    )


def _overlap(reference: Pyramid, moving: Pyramid, matrix: np.ndarray) -> tuple[float, float]:
    """Dice of the heads where both volumes reach, and the share of the reference's head that the other reaches."""
    import SimpleITK as sitk

    head = moving.head
    everywhere = sitk.Image(head.GetSize(), sitk.sitkUInt8) + 1
    everywhere.CopyInformation(head)
    with limit_threads(1):
        masks = [
            to_array(sitk.Resample(image, reference.head, to_transform(matrix), sitk.sitkNearestNeighbor)) > 0
            for image in (head, everywhere)
        ]
    other, reached = masks
    own = to_array(reference.head) > 0
    both = (own & reached).sum() + (other & reached).sum()
    dice = 2 * (own & other & reached).sum() / both if both else 0.0
    return float(dice), float((own & reached).sum() / max(own.sum(), 1))
