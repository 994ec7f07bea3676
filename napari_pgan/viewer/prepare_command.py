"""What the dock asks of the command `prepare`, and what it says; the command runs as a process of its own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.errors import InputError

_WAY = re.compile(r"(?P<what>[^:]+): (?P<done>[\d,]+)/(?P<all>[\d,]+) subjects? \(\d+%\)(?P<more>.*)")


@dataclass(frozen=True)
class PreparationRequest:
    """A cohort, where it goes and how; empty texts and None leave it to the plan or the command.

    Parameters
    ----------
    source, plan, store
        The cohort's folder, its plan file, the store.
    size, field_of_view, axis
        Of the slices.
    register, bias, strip
        The steps.
    reference
        That is registered to, that the brain is sought in and that is fitted to the atlas; without any of these steps
        it is not asked for.
    atlas
        A file, or ``"template"``; None: none.
    labels
        How they come onto another grid.
    scheduler
        Address of a cluster.
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
    def _moved(self) -> bool:
        return self.register or self.atlas is not None

    @property
    def cohort(self) -> tuple[str, str]:
        """What the subjects that are found depend on: the folder and its plan."""
        return self.source, self.plan

    def page(self) -> Path | None:
        """Where the quality page will be, if there will be one: beside the store, as it shows and names the subjects.

        Raises
        ------
        InputError
            The plan, which may name brain masks, cannot be read.
        """
        if not self.store or "://" in self.store or not (self._moved or self.strip or self._plan_strips()):
            return None
        from napari_pgan.imaging.preparation.quality_page import PAGE

        place = Path(self.store)
        return place.with_name(place.name.removesuffix(".zarr") + "-quality") / PAGE

    def listing(self) -> list[str]:
        """Program and arguments that list what is found."""
        return [*self._begin(self.store or "store.zarr"), "--dry-run", "--json"]

    def preparing(self) -> list[str]:
        """Program and arguments that prepare the store.

        Raises
        ------
        InputError
            No store is named, or the plan cannot be read.
        """
        if not self.store:
            raise InputError("name the store that the cohort goes to, such as cohort.zarr")
        given: dict[str, Any] = {"--size": self.size, "--fov": self.field_of_view, "--axis": self.axis}
        given |= {"--scheduler": self.scheduler or None}
        if self._moved or self.strip:  # they begin with it
            given |= {"--reference": self.reference or None}
        page = self.page()
        given |= {"--quality": None if page is None else page.parent}
        if self._moved:
            given |= {"--atlas": self.atlas, "--labels": self.labels}
        said = [x for option, value in given.items() if value is not None for x in (option, f"{value}")]
        steps = {"--register": self.register, "--bias": self.bias, "--strip": self.strip}
        return [*self._begin(self.store), *said, *(option for option, on in steps.items() if on), "--json"]

    def _plan_strips(self) -> bool:
        """Whether the plan names brain masks, with which skulls are taken off unasked."""
        from napari_pgan.imaging.cohorts.plan import read_plan

        return bool(self.plan) and read_plan(self.plan).brain_mask is not None

    def _begin(self, store: str) -> list[str]:
        if not self.source:
            raise InputError("choose the folder that holds the cohort")
        plan = ["--plan", self.plan] if self.plan else []
        # `--` would end the options, so a folder that begins with a dash is given as a path
        places = [str(Path(self.source).absolute()), store if "://" in store else str(Path(store).absolute())]
        return [sys.executable, "-m", "napari_pgan", "prepare", *places, *plan]


@dataclass(frozen=True)
class SubjectRow:
    """A subject in the table: what was found of it, and what is wrong or became of it."""

    name: str
    found: str
    said: str = ""


def rows_of(listed: str) -> list[SubjectRow]:
    """The subjects that a dry run listed."""
    return [SubjectRow(x["name"], ", ".join(sorted(x["files"])), x["problem"] or "") for x in json.loads(listed)]


def way_said(line: str) -> tuple[str, int, int] | None:
    """(what, done, all) of a line that tells progress; None for any other."""
    match = _WAY.fullmatch(line.strip())
    if match is None:
        return None
    done, every = (int(match[name].replace(",", "")) for name in ("done", "all"))
    return match["what"] + match["more"], done, every


def outcome(report: str, rows: list[SubjectRow]) -> tuple[str, list[SubjectRow]]:
    """One sentence of what a preparation took and set aside, and a row with what became of each subject.

    Parameters
    ----------
    report
        As the command prints it.
    rows
        What was listed of the same cohort before, if anything was.
    """
    data: Mapping[str, Any] = json.loads(report)
    aside = {x["name"]: x["reason"] for x in data["set_aside"]}
    found = {row.name: row.found for row in rows}
    became = dict.fromkeys(data["subjects"], "taken") | {name: f"set aside: {why}" for name, why in aside.items()}
    shown = [SubjectRow(name, found.get(name, ""), said) for name, said in sorted(became.items())]
    splits = ", ".join(f"{split} {n}" for split, n in data["splits"].items())
    text = f"{data['taken']} of {data['found']} subjects are in the store ({splits}), {data['new']} of them new"
    return f"{text}; {len(aside)} set aside" + (", for the reasons in the table." if aside else "."), shown


def last_sentence(said: str) -> str:
    """What a command that failed ended with."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ").removeprefix("error: ") if lines else "the command ended without a word"
