"""One row a promise: what was done, how often, what was reached, what is to be reached."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ok` is None for a figure that stands beside the promises for comparison."""

    what: str
    runs: int
    reached: str
    to_reach: str = ""
    ok: bool | None = None


HEAD = ("what", "runs", "reached", "to reach", "")
WIDTH = 130


def text(rows: Iterable[Row]) -> str:
    """Return the promises as a table with aligned columns; what stands beside them goes below each as a note."""
    rows = list(rows)
    lines = [HEAD, *(_cells(r) for r in rows if r.ok is not None)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    aligned = iter("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([next(aligned), *(_note(r) if r.ok is None else next(aligned) for r in rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return row.what, f"{row.runs:,}", row.reached, row.to_reach, "ok" if row.ok else "BROKEN"


def _note(row: Row) -> str:
    return textwrap.fill(f"{row.what.strip()}: {row.reached}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def broken(rows: Iterable[Row]) -> list[Row]:
    """Return the promises that were not kept."""
    return [r for r in rows if r.ok is False]
