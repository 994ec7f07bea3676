"""Which steps a cohort needs before its volumes can be scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Steps:
    """What is done to each subject after it is read.

    Parameters
    ----------
    reference
        The modality that the others are registered to; None: all must lie on one grid already.
    bias
        Correct the coil's shading.
    strip
        Take the brain out of heads with skull.
    """

    reference: str | None = None
    bias: bool = False
    strip: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Steps:
        """From what `to_dict` gave."""
        return cls(data.get("reference"), bool(data.get("bias")), bool(data.get("strip")))


NONE = Steps()
