"""Options that all benchmarks share, and how they leave their figures: one JSON file, and tables for the docs."""

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
    """A parser with ``--threads``, ``--device``, ``--out``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="of torch; its own choice if left out")
    parser.add_argument("--processor-time", action="store_true", help="not the wall clock's: for a machine in use")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of figures and tables")
    return parser


def begin(arguments: argparse.Namespace) -> torch.device:
    """Take up the shared options; returns the device."""
    if arguments.processor_time:
        if arguments.threads != 1:
            raise SystemExit("--processor-time is for --threads 1: of several threads it counts the waiting, too")
        use_processor_time()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        return choose_device(arguments.device)
    except InputError as error:
        raise SystemExit(str(error)) from None


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
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
    """Write ``name.json`` and one ``name-*.md`` a table, and print the tables.

    The JSON holds the machine and the command beside the figures; the foot of each table says both.
    """
    facts = machine.describe(device)
    argv = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", f"benchmarks/{name}.py", *argv])
    out.mkdir(parents=True, exist_ok=True)
    whole = {"command": command, "machine": facts, **figures}
    (out / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    for part, text in tables.items():
        foot = f"`{command}` · {machine.sentence(facts)}"
        (out / f"{name}-{part}.md").write_text(f"{text}\n\n{foot}\n")
        print(f"\n{text}\n\n{foot}", flush=True)
