"""Shared options of the benchmarks, and their output: one JSON file, and tables for the docs."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import machine
import torch
from stopwatch import use_processor_time

from napari_pgan.errors import InputError
from napari_pgan.training.device import choose_device

RESULTS = Path(__file__).parent / "results"


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the shared options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of torch threads; default: torch's choice")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="processor instead of wall-clock time",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON file and the tables")
    return parser


def begin(arguments: argparse.Namespace) -> torch.device:
    """Apply the shared options and return the device."""
    if arguments.processor_time:
        if arguments.threads != 1:
            raise SystemExit("--processor-time needs --threads 1: it also counts the time that threads wait")
        use_processor_time()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        return choose_device(arguments.device)
    except InputError as error:
        raise SystemExit(str(error)) from None


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write(
    out: Path,
    name: str,
    figures: dict[str, object],
    tables: dict[str, str],
    device: torch.device | str = "cpu",
    argv: Sequence[str] | None = None,
) -> None:
    """Write ``name.json`` and one ``name-*.md`` per table, and print the tables.

    The JSON file and the footer of each table name the machine and the command.
    """
    facts = machine.describe(device)
    argv = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", f"benchmarks/{name}.py", *argv])
    out.mkdir(parents=True, exist_ok=True)
    content = {"command": command, "machine": facts, **figures}
    (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    for part, text in tables.items():
        footer = f"`{command}` · {machine.sentence(facts)}"
        (out / f"{name}-{part}.md").write_text(f"{text}\n\n{footer}\n")
        print(f"\n{text}\n\n{footer}", flush=True)
