"""Preprocessing steps of a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LABEL_INTERPOLATIONS = ("nearest", "gaussian")


@dataclass(frozen=True, kw_only=True)
class PreprocessingSteps:
    """What is done to each subject after reading.

    Parameters
    ----------
    reference
        The modality that the others are registered to; None: the first.
    register
        Register the other modalities to it; otherwise all must share one grid.
    bias
        Correct the bias field.
    strip
        Strip the skull.
    atlas
        Identity of the atlas that the reference is registered to (see `Atlas`), or None.
    labels
        Interpolation of label maps, one of `LABEL_INTERPOLATIONS`.
    """

    reference: str | None = None
    register: bool = False
    bias: bool = False
    strip: bool = False
    atlas: str | None = None
    labels: str = LABEL_INTERPOLATIONS[0]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PreprocessingSteps:
        """Restore from `to_dict`."""
        return cls(**data)


NO_STEPS = PreprocessingSteps()
