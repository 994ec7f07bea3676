"""Quality measures that detect failed registrations without ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from napari_pgan.imaging.io.itk import limit_threads, sitk, to_array, to_transform
from napari_pgan.imaging.registration.mirror import Mirror
from napari_pgan.imaging.registration.register import Pyramid, Registered, distance, nearest_rotation


@dataclass(frozen=True)
class Limits:
    """Limits of `Quality`; a subject beyond one of them is rejected.

    Parameters
    ----------
    disagreement
        Maximum difference between forward and backward registration in mm.
    overlap
        Minimum Dice overlap of the heads.
    covered
        Minimum fraction of the reference's head that the moving volume covers.
    mirrored
        Maximum ratio of the similarities to the mirrored and the original reference. Correct pairs have at most 0.96,
        pairs with exchanged sides the inverse.
    kept
        Minimum ratio of the similarities after and before. Slightly below 1, because the optimisation ends at 2 mm and
        the similarity is measured at 4 mm: a correct pose may score a little lower than a correct header.
    """

    disagreement: float = 2.5
    overlap: float = 0.75
    covered: float = 0.5
    mirrored: float = 1.02
    kept: float = 0.97


LIMITS = Limits()
# Another person's head fits only roughly and necks differ; the report marks exchanged sides.
ATLAS_LIMITS = Limits(disagreement=6.0, overlap=0.6, mirrored=float("inf"))


@dataclass(frozen=True)
class Quality:
    """Quality measures of one registration.

    Parameters
    ----------
    before, after
        Mutual information (nats) with the header pose and after registration.
    moved
        Mean displacement of the head in mm.
    turned
        Rotation in degrees.
    disagreement
        Mean difference between forward and backward registration over the head in mm.
    overlap
        Dice overlap of the heads in the common field of view.
    covered
        Fraction of the reference's head that the moving volume covers.
    mirrored
        Ratio of the similarities to the mirrored and the original reference; 0 if not measured.
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
        """Return what is wrong, or None."""
        if self.covered < limits.covered:
            return f"covers only {self.covered:.0%} of the reference's head"
        if self.disagreement > limits.disagreement:
            return f"could not be registered reliably (forward and backward differ by {self.disagreement:.1f} mm)"
        if self.overlap < limits.overlap:
            return f"could not be registered (its head overlaps the reference's with a Dice of only {self.overlap:.2f})"
        if self.after < limits.kept * self.before:
            return "could not be registered (the similarity decreased)"
        if self.mirrored > limits.mirrored:
            return (
                f"has left and right exchanged against the reference (its mirror image is {self.mirrored:.2f} times as "
                "similar); find out which of the two is correct, and repair the header of the other"
            )
        return None

    def severity(self, limits: Limits) -> float:
        """Return a sort key: at least 1 beyond a limit."""
        return max(
            self.disagreement / limits.disagreement,
            (1 - self.overlap) / (1 - limits.overlap),
            (1 - self.covered) / (1 - limits.covered),
            1.0 if self.after < limits.kept * self.before else 0.0,
            (self.mirrored - 1) / (limits.mirrored - 1),  # below 1 this only reflects symmetry
        )

    def to_dict(self) -> dict[str, float]:
        """Convert to a JSON-serialisable dict."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Quality:
        """Create from the output of `to_dict`."""
        return cls(**{field.name: float(data.get(field.name, 0.0)) for field in fields(cls)})


def judge(
    reference: Pyramid, moving: Pyramid, result: Registered, mirror: Mirror | None = None, *, affine: bool = False
) -> Quality:
    """Measure the quality of a registration; exchanged sides are detected only if `mirror` is given."""
    overlap, covered = _overlap(reference, moving, result.matrix)
    cosine = (np.trace(nearest_rotation(result.matrix)) - 1) / 2
    return Quality(
        result.before,
        result.after,
        distance(result.matrix, np.eye(4), reference.points),
        float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        result.disagreement,
        overlap,
        covered,
        mirror.similarity_ratio(moving, result.matrix, affine=affine) if mirror is not None else 0.0,
    )


def _overlap(reference: Pyramid, moving: Pyramid, matrix: np.ndarray) -> tuple[float, float]:
    """Dice of the heads in the common field of view, and fraction of the reference's head covered by it."""
    head = moving.head
    everywhere = sitk.Image(head.GetSize(), sitk.sitkUInt8) + 1
    everywhere.CopyInformation(head)
    with limit_threads():
        other, reached = (
            to_array(sitk.Resample(image, reference.head, to_transform(matrix), sitk.sitkNearestNeighbor)) > 0
            for image in (head, everywhere)
        )
    own = to_array(reference.head) > 0
    both = (own & reached).sum() + (other & reached).sum()
    dice = 2 * (own & other & reached).sum() / both if both else 0.0
    return float(dice), float((own & reached).sum() / max(own.sum(), 1))
