"""What sets a subject aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_pgan.errors import InputError


class SubjectRejected(InputError):
    """A subject that cannot be used.

    Attributes
    ----------
    problem
        The reason, without any name or path of the user's, so that it may be stored.
    figures
        Of the registration that failed, for the quality page (see `Alignment.to_dict`); or None.
    """

    def __init__(self, problem: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.figures = figures
