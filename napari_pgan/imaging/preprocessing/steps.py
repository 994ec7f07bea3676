"""Which steps a cohort needs before its volumes can be scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LABEL_INTERPOLATIONS = ("nearest", "gaussian")  # how label maps come onto another grid


@dataclass(frozen=True, kw_only=True)
class PreprocessingSteps:
    """What is done to each subject after it is read.

    Parameters
    ----------
    reference
        The modality that the steps below begin with; None where there are none that need one.
    register
        Register the others to it; otherwise all must lie on one grid already.
    bias
        Correct the coil's shading.
    strip
        Take the brain out of heads with skull.
    atlas
        Identity of the atlas that the reference is fitted to (see `Atlas`), or None.
    labels
        One of `LABEL_INTERPOLATIONS`.
    """

    reference: str | None = None
    register: bool = False
    bias: bool = False
    strip: bool = False
    atlas: str | None = None
    labels: str = LABEL_INTERPOLATIONS[0]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PreprocessingSteps:
        """From what `to_dict` gave."""
        return cls(**data)


NO_STEPS = PreprocessingSteps()
