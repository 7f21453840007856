"""Measure what ipsync costs beside the least that any tool must do, and print one table; exit 1 if a promise was missed.

`--quick` does little of each, to see that it runs: its figures are no measurement. A part can be named.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from bench import changes, operate, page, planning, projects, scale, start
from bench.table import Row, line


class Part(Protocol):
    """Measures one theme, and yields each row as soon as it is known."""

    def __call__(self, *, quick: bool) -> Iterable[Row]: ...


PARTS: dict[str, Part] = {
    "start": start.rows,
    "scale": scale.rows,
    "projects": projects.rows,
    "planning": planning.rows,
    "changes": changes.rows,
    "operate": operate.rows,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that were named, or all."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="little of each: no measurement")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the figures and the plot into this page as well"
    )
    asked = parser.parse_args(argv)
    if unknown := [name for name in asked.parts if name not in PARTS]:
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if asked.write and asked.quick:
        parser.error("--quick measures nothing that a page may quote")
    found = {name: list(measured(name, quick=asked.quick)) for name in asked.parts or PARTS}
    if asked.write:
        page.write(asked.write, found)
    return 1 if any(row.ok is False for rows in found.values() for row in rows) else 0


def measured(name: str, *, quick: bool) -> Iterable[Row]:
    """Measure one part, and print each row as soon as it is known."""
    began = time.monotonic()
    for row in PARTS[name](quick=quick):
        print(line(row), flush=True)
        yield row
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
