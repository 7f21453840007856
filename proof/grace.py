"""What the grace costs and buys: the published lists replayed with many of them, drawn as one picture.

The grace's default is argued from it (docs/proof.md). matplotlib is only imported here, when a picture is asked for.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any

from proof import replay
from proof.table import Row

DAYS = (0, 1, 2, 3, 5, 7, 14, 30)
DEFAULT = replay.GRACE.days
PROCESSES = 2
HOURS = 24
LOOK = {"svg.hashsalt": "ipsync", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
"""What makes two drawings of the same figures the same file."""
CROWDED = {1, 2}
"""Days whose labels would run into each other."""
ONE_CURVE = 2
"""So many lines a panel has with one curve: the curve, and the default's mark."""
BLUE, GREY = "#1f5fa8", "#8a8f98"


@dataclass(frozen=True, slots=True)
class Point:
    """All lists together under one grace; exposure in hours."""

    days: int
    lost: int
    lost_by_a_mirror: int
    entries: int
    entries_by_a_mirror: int
    exposed: float
    exposed_mean: float
    asked: int


def rows(folder: Path, picture: Path | None) -> list[Row]:
    """Replay with each grace and draw it; nothing where no picture is asked for."""
    if picture is None:
        return []
    points = measured(folder)
    draw(points, picture)
    return [_row(p) for p in points]


def measured(folder: Path, days: tuple[int, ...] = DAYS) -> list[Point]:
    """Replay the lists with each grace, without the one that is most of a mirror's mistakes."""
    paths = _without_the_largest(sorted(folder.glob("*.jsonl")))
    tasks = [(path, timedelta(days=number)) for number in days for path in paths]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(_replayed, *zip(*tasks, strict=True)))
    return [_point(number, [m for m in made if m.grace == timedelta(days=number)]) for number in days]


def _without_the_largest(paths: list[Path]) -> list[Path]:
    early = {path: replay.mirrored(path).premature for path in paths}
    return [path for path in paths if len(paths) == 1 or 2 * early[path] <= sum(early.values())]


def _replayed(path: Path, grace: timedelta) -> replay.Replayed:
    return replay.as_used(path, grace)[-1]


def _point(days: int, made: list[replay.Replayed]) -> Point:
    lost, mirror_lost, _ = replay.fewer(made, lambda door: door.lost)
    entries, mirror_entries, _ = replay.fewer(made, lambda door: door.premature)
    exposed = [h for m in made for h in m.door.exposed] or [0.0]
    asked = sum(m.asked for m in made)
    return Point(days, lost, mirror_lost, entries, mirror_entries, median(exposed), mean(exposed), asked)


def _row(point: Point) -> Row:
    text = (
        f"lost too early {point.lost} (mirror {point.lost_by_a_mirror}), in entries {point.entries} "
        f"({point.entries_by_a_mirror}); exposed median {point.exposed:.0f} h, mean {point.exposed_mean:.0f} h; "
        f"asked for {point.asked} approvals"
    )
    return Row(f"grace of {point.days} days", 1, text)


# ── the picture ──────────────────────────────────────────────────────────────


def draw(points: list[Point], picture: Path) -> None:
    """Draw three panels over the same days, the default marked: what is lost too early, what stays open, who is asked."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    days = [p.days for p in points]
    with rc_context(LOOK):
        figure = Figure(figsize=(7, 7.5), layout="constrained")
        early, left, asked = figure.subplots(3, 1, sharex=True)
        _line(early, days, [_percent(p.lost, p.lost_by_a_mirror) for p in points], BLUE, "addresses lost")
        _line(
            early, days, [_percent(p.entries, p.entries_by_a_mirror) for p in points], GREY, "entries, covered or not"
        )
        _titled(early, "Removed, and listed again later", "% of a mirror's")
        _line(left, days, [p.exposed / HOURS for p in points], BLUE, "median")
        _line(left, days, [p.exposed_mean / HOURS for p in points], GREY, "mean")
        _titled(left, "Open after the last listing", "days")
        _line(asked, days, [float(p.asked) for p in points], BLUE, "all lists")
        _titled(asked, "Approvals asked of people", "number")
        asked.set_xlabel("removal.grace, in days (dashed: the default)")
        asked.set_xticks([d for d in days if d not in CROWDED])
        figure.savefig(picture, format="svg", metadata={"Date": None})


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _line(axes: Any, days: list[int], values: list[float], colour: str, label: str) -> None:
    axes.plot(days, values, color=colour, marker="o", markersize=4, linewidth=1.8, label=label)


def _titled(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.axvline(DEFAULT, color="black", linewidth=1, linestyle="--")
    axes.grid(axis="y", color="#e3e5e8", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if len(axes.lines) > ONE_CURVE:
        axes.legend(frameon=False)
