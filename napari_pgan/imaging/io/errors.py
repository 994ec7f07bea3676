"""Errors about volumes and subjects, with text that may be stored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from napari_pgan.errors import InputError


class VolumeError(InputError):
    """A file that cannot be used as a volume.

    Attributes
    ----------
    path
        The file.
    problem
        What is wrong and what to do, without the file's name: ``"is truncated; fetch it again"``.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(f"{os.fspath(path)} {problem}")
        self.path = path
        self.problem = problem


class SubjectRejected(InputError):
    """A subject that cannot be used.

    Attributes
    ----------
    problem
        The reason, without names or paths, so that it may be stored.
    figures
        Figures of the failed registration for the quality page (see `Alignment.to_dict`), or None.
    """

    def __init__(self, problem: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.figures = figures


@contextlib.contextmanager
def naming(part: str) -> Iterator[None]:
    """Context manager that turns an `InputError` into `SubjectRejected` with the part's name in front."""
    try:
        yield
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error
