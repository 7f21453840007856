"""Run every proof and print one table; exit 1 if a promise was broken.

Each part's rows go to stderr as soon as it ends, so that a run of hours that is cut off leaves what it found.
`--quick` does little of each: minutes become seconds, and what is reached says so. A part can be named.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from proof import (
    breaks,
    calls,
    feeds,
    fleet,
    fuzz,
    grace,
    kills,
    logs,
    mutants,
    processes,
    replay,
    stateful,
    surroundings,
    vendor,
)
from proof.table import Row, broken, text

Part = Callable[[argparse.Namespace], list[Row]]


PARTS: dict[str, Part] = {
    "kills": lambda asked: kills.rows(100 if asked.quick else kills.TO_REACH),
    "fleet": lambda asked: fleet.rows(3, scopes=20) if asked.quick else fleet.rows(fleet.TO_REACH),
    "processes": lambda asked: (
        processes.rows(8, 1) if asked.quick else processes.rows(processes.TO_REACH, 40, parts=processes.PARTS)
    ),
    "calls": lambda asked: calls.rows(quick=asked.quick),
    "vendor": lambda asked: vendor.rows(quick=asked.quick),
    "surroundings": lambda asked: surroundings.rows(quick=asked.quick),
    "logs": lambda asked: logs.rows(6, stride=17) if asked.quick else logs.rows(36),
    "feeds": lambda asked: feeds.rows(quick=asked.quick),
    "breaks": lambda asked: breaks.rows(quick=asked.quick),
    "mutants": lambda asked: [] if asked.quick else mutants.rows(),
    "fuzz": lambda asked: [] if asked.quick else fuzz.rows(fuzz.TO_REACH),
    "stateful": lambda asked: stateful.rows(2_000 if asked.quick else stateful.TO_REACH),
    "replay": lambda asked: replay.rows(asked.history) + grace.rows(asked.history, asked.plot),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that were named, or all."""
    parser = argparse.ArgumentParser(prog="proof", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="little of each")
    parser.add_argument("--history", type=Path, default=replay.FIXTURE, help="a folder of published lists' histories")
    parser.add_argument("--plot", type=Path, help="with replay: draw many graces into this SVG file")
    asked = parser.parse_args(argv)
    if unknown := [name for name in asked.parts if name not in PARTS]:
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    rows: list[Row] = []
    for name in asked.parts or PARTS:
        started = time.monotonic()
        found = PARTS[name](asked)
        rows += found
        print(f"{name}: {time.monotonic() - started:.0f} s\n{text(found)}", file=sys.stderr, flush=True)
    print(text(rows))
    return 1 if broken(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
