"""Insert the benchmarks' tables into docs/performance.md between their markers; the other text is not changed.

    python benchmarks/tables.py

The table between ``<!-- table: NAME -->`` and ``<!-- end -->`` comes from ``results/NAME.md``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the tables")
    parser.add_argument("--docs", type=Path, default=DOCS, help="page to update")
    arguments = parser.parse_args(argv)
    arguments.docs.write_text(filled(arguments.docs.read_text("utf-8"), arguments.results), "utf-8")


def filled(page: str, results: Path) -> str:
    """The page with its tables replaced; a table without a results file is not changed."""

    def put(match: re.Match[str]) -> str:
        file = results / f"{match[2]}.md"
        return match[0] if not file.is_file() else f"{match[1]}{file.read_text('utf-8').rstrip()}\n{match[3]}"

    return _BLOCK.sub(put, page)


if __name__ == "__main__":
    main()
