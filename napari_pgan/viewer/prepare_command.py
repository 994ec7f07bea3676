"""Command lines of `prepare` for the Prepare dock, and parsers of what the command prints."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.errors import InputError

_PROGRESS = re.compile(r"(?P<task>[^:]+): (?P<done>[\d,]+)/(?P<total>[\d,]+) subjects? \(\d+%\)(?P<details>.*)")
INCLUDED = "prepared"  # the result of a subject that is in the store


@dataclass(frozen=True)
class PreparationRequest:
    """A cohort and how to prepare it.

    Parameters
    ----------
    source, store, plan
        The cohort's folder, the store, the plan file; an empty text leaves the store or the plan out.
    size, field_of_view, axis
        Pixels and millimetres along each side of a slice, and the slice direction; None: the plan's or the command's
        default.
    register, bias, strip
        Whether to register, to correct the bias field, and to strip the skull.
    reference
        The modality that the registration and the brain extraction start from; used only if one of them runs.
    atlas
        A file or ``"template"``; None: no atlas.
    labels
        Interpolation of label maps; None: the plan's or the command's default.
    scheduler
        Address of a dask.distributed scheduler; empty: this machine.
    """

    source: str
    store: str = ""
    plan: str = ""
    size: int | None = None
    field_of_view: float | None = None
    axis: str | None = None
    register: bool = False
    reference: str | None = None
    bias: bool = False
    strip: bool = False
    atlas: str | None = None
    labels: str | None = None
    scheduler: str = ""

    @property
    def cohort(self) -> tuple[str, str]:
        """The folder and the plan, which together determine the subjects."""
        return self.source, self.plan

    @property
    def _resamples(self) -> bool:
        return self.register or self.atlas is not None

    def quality_page(self) -> Path | None:
        """Path of the quality page; None if there will be none.

        The page lies next to the store, not in it, because it shows and names the subjects.

        Raises
        ------
        InputError
            The plan, which may name brain masks, cannot be read.
        """
        if not self.store or "://" in self.store or not (self._resamples or self.strip or self._plan_strips()):
            return None
        from napari_pgan.imaging.preparation.quality_page import PAGE

        store = Path(self.store)
        return store.with_name(store.name.removesuffix(".zarr") + "-quality") / PAGE

    def list_command(self) -> list[str]:
        """Program and arguments that list the subjects.

        Raises
        ------
        InputError
            No cohort is given.
        """
        return [*self._command(self.store or "store.zarr"), "--dry-run", "--json"]

    def prepare_command(self) -> list[str]:
        """Program and arguments that prepare the store.

        Raises
        ------
        InputError
            No cohort or no store is given, or the plan cannot be read.
        """
        if not self.store:
            raise InputError("name the store to prepare, such as cohort.zarr")
        options: dict[str, Any] = {"--size": self.size, "--fov": self.field_of_view, "--axis": self.axis}
        options["--scheduler"] = self.scheduler or None
        if self._resamples or self.strip:
            options["--reference"] = self.reference or None
        page = self.quality_page()
        options["--quality"] = None if page is None else page.parent
        if self._resamples:
            options |= {"--atlas": self.atlas, "--labels": self.labels}
        flags = {"--register": self.register, "--bias": self.bias, "--strip": self.strip}
        return [
            *self._command(self.store),
            *(word for option, value in options.items() if value is not None for word in (option, str(value))),
            *(flag for flag, on in flags.items() if on),
            "--json",
        ]

    def _plan_strips(self) -> bool:
        """Whether the plan names brain masks, which strip the skull without ``--strip``."""
        from napari_pgan.imaging.cohorts.plan import read_plan

        return bool(self.plan) and read_plan(self.plan).brain_mask is not None

    def _command(self, store: str) -> list[str]:
        if not self.source:
            raise InputError("choose the folder that contains the cohort")
        plan = ["--plan", self.plan] if self.plan else []
        # absolute paths: a name that begins with a dash would be taken for an option
        paths = [str(Path(self.source).absolute()), store if "://" in store else str(Path(store).absolute())]
        return [sys.executable, "-m", "napari_pgan", "prepare", *paths, *plan]


@dataclass(frozen=True)
class SubjectRow:
    """A subject in the table: its files, and its problem or its result."""

    name: str
    files: str
    result: str = ""


def parse_listing(listing: str) -> list[SubjectRow]:
    """The subjects that a dry run printed."""
    return [SubjectRow(x["name"], ", ".join(sorted(x["files"])), x["problem"] or "") for x in json.loads(listing)]


def parse_progress(line: str) -> tuple[str, int, int] | None:
    """(task, done, total) of a progress line; None for any other line."""
    match = _PROGRESS.fullmatch(line.strip())
    if match is None:
        return None
    done, total = (int(match[name].replace(",", "")) for name in ("done", "total"))
    return match["task"] + match["details"], done, total


def parse_report(report: str, listed: list[SubjectRow]) -> tuple[str, list[SubjectRow]]:
    """A one-sentence summary of a preparation, and a row for each subject.

    Parameters
    ----------
    report
        The JSON that the command printed.
    listed
        Rows of the same cohort from an earlier listing, which name the files; may be empty.
    """
    data: dict[str, Any] = json.loads(report)
    reasons = {x["name"]: x["reason"] for x in data["set_aside"]}
    files = {row.name: row.files for row in listed}
    results = dict.fromkeys(data["subjects"], INCLUDED) | {name: f"rejected: {why}" for name, why in reasons.items()}
    rows = [SubjectRow(name, files.get(name, ""), result) for name, result in sorted(results.items())]
    splits = ", ".join(f"{split} {n}" for split, n in data["splits"].items())
    summary = f"{data['taken']} of {data['found']} subjects are in the store ({splits}), {data['new']} of them new; "
    return summary + (f"{len(reasons)} rejected, see the table." if reasons else "none rejected."), rows


def last_message(stderr: str) -> str:
    """The last line that a failed command printed, without ``Error:``."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return (
        lines[-1].removeprefix("Error: ").removeprefix("error: ") if lines else "the command failed without a message"
    )
