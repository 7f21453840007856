"""One row a figure: what was done, what was reached beside its floor, what is to be reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MARKS = {True: "ok", False: "MISSED", None: ""}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ok` is None where nothing was promised."""

    what: str
    reached: str
    to_reach: str = "–"
    ok: bool | None = None


def line(row: Row) -> str:
    """Return a row for a terminal, as soon as it is known."""
    return f"{row.what:<64} {row.reached:<44} {row.to_reach:<16} {MARKS[row.ok]}".rstrip()


def ratio(what: str, ours: float, floor: float, *, most: float | None, unit: str = "s") -> Row:
    """Return how many times the floor ours is, of what should be small."""
    found = ours / floor
    shown = f"{found:.2f} × ({_number(ours)} {unit} / {_number(floor)} {unit})"
    return Row(what, shown, f"≤ {most} ×" if most else "–", found <= most if most else None)


def at_most(what: str, value: float, most: float, *, unit: str, note: str = "") -> Row:
    """Return a figure that has no floor of its own."""
    return Row(what, f"{_number(value)} {unit}{note}", f"≤ {_number(most)} {unit}", value <= most)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def markdown(rows: Iterable[Row]) -> str:
    """Return the table as a page shows it."""
    lines = [f"| {r.what} | {r.reached} | {r.to_reach} | {MARKS[r.ok]} |" for r in rows]
    return "\n".join(["| what | reached | to reach | |", "|---|---|---|---|", *lines])
