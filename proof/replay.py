"""Published lists, version by version, through the real engine under the default config on a virtual clock.

A pass runs at each version and whenever the report's own words make one matter: when an address is due, and when
a human, 24 h after a guard asked for a change, approves that change. Passes in between would change nothing.
Beside it stands a mirror, which makes the door equal the list at once. In production each time gets up to
`schedule.every` (15 minutes) added, for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

from factory import GROUP, Stage, aws_target, config

from ipsync.core.addresses import canonical
from ipsync.core.configured import Limits
from ipsync.core.model import Held, Verdict
from ipsync.core.plan import TargetChange
from ipsync.core.report import Report
from ipsync.core.spans import Covered
from ipsync.testing.memory import MemoryCloud
from proof import ROOT
from proof.history import Door, Version, load, mirror, parsed
from proof.table import Row

FIXTURE = ROOT / "tests" / "proof_data"
GRACE = timedelta(hours=72)
HUMAN = timedelta(hours=24)
"""How long a human takes to look at a plan that needs approval."""
QUOTA = 10_000
FEWER, FEWER_OF_THE_REST = 0.90, 0.64
EASED = Limits(min_prefix_v4=8, max_addresses=10_000, max_coverage_v4=2**28)
"""What an operator has to write into the config to use a list that lists whole providers."""
HOW_EASED = f"min-prefix /{EASED.min_prefix_v4}, max-addresses {EASED.max_addresses}, max-coverage /4"


@dataclass(slots=True)
class Replayed:
    """One list's replay.

    `refused` counts versions that a feed guard refused whole, `asked` the changes that a human was asked to approve.
    """

    name: str
    versions: list[Version]
    door: Door
    naive: Door
    grace: timedelta = GRACE
    passes: int = 0
    refused: int = 0
    asked: int = 0
    shut_by_a_removal: int = 0
    """Passes after which a listed address stood outside though only removals waited."""
    notes: list[str] = field(default_factory=list)


def replay(path: Path, limits: Limits | None = None, grace: timedelta = GRACE) -> Replayed:
    """Replay one file; `limits` None means the default config's."""
    versions = _versions(path)
    result = Replayed(path.stem, versions, Door(versions), mirror(versions), grace)
    target = aws_target(limits=(("qatech", limits or Limits()),))
    stage = Stage(config(target, grace=grace), cloud=MemoryCloud(groups={GROUP: {}}, quota=QUOTA))
    _Clock(stage, result).run()
    return result


def _versions(path: Path) -> list[Version]:
    return [replace(v, listed=frozenset(canonical(parsed(text)) for text in v.listed)) for v in load(path)]


def mirrored(path: Path) -> Door:
    """Return what a mirror makes of a list."""
    return mirror(_versions(path))


def as_used(path: Path, grace: timedelta = GRACE) -> list[Replayed]:
    """Replay a list under the default config, and again as it would be used where that lets next to nothing in.

    Where nothing was let in nothing could go wrong: the figures would flatter. The last one is what counts.
    """
    made = replay(path, grace=grace)
    return [made, replay(path, EASED, grace)] if made.refused > len(made.versions) / 2 else [made]


class _Clock:
    """Moves the stage from one moment that matters to the next."""

    def __init__(self, stage: Stage, result: Replayed) -> None:
        self.stage, self.result = stage, result
        self.listed: frozenset[str] = frozenset()
        self.due: set[datetime] = set()
        self.asked: dict[str, datetime] = {}
        """Since when each change waits, by the id that approves it."""
        self.waiting: frozenset[str] = frozenset()

    def run(self) -> None:
        for version, until in self._spans():
            self.listed = version.listed
            self.stage.lists["qatech"] = sorted(version.listed)
            report = self._pass(version.at)
            self.result.refused += _refused(report)
            while (moment := self._next()) and moment < until:
                self._pass(moment)
        self.result.door.end(self.stage.now)

    def _spans(self) -> Iterator[tuple[Version, datetime]]:
        versions = self.result.versions
        ends = [v.at for v in versions[1:]] + [versions[-1].at + self.result.grace + 2 * HUMAN]
        return zip(versions, ends, strict=True)

    def _next(self) -> datetime | None:
        moments = [m for m in self.due if m > self.stage.now]
        if self.waiting:
            first = min(self.asked[change] for change in self.waiting)
            moments.append(max(first + HUMAN, self.stage.now + timedelta(minutes=15)))
        return min(moments, default=None)

    def _pass(self, at: datetime) -> Report:
        self.stage.now = at
        self.result.passes += 1
        report = self.stage.sync(approve=[i for i, since in self.asked.items() if at >= since + HUMAN])
        self.waiting = frozenset(h.id for e in report.plan.target_changes for h in _to_approve(e))
        for change in self.waiting:
            self.asked.setdefault(change, at)
        self.result.asked = len(self.asked)
        self.result.shut_by_a_removal += self._shut_by_a_removal(report)
        self.due = {leaving.until for leaving in report.plan.target_changes[0].leaving if leaving.until}
        self.result.door.set(self.stage.held(), at=at, listed=self.listed)
        return report

    def _shut_by_a_removal(self, report: Report) -> bool:
        actions = {h.action for e in report.plan.target_changes for h in e.waiting}
        inside = Covered(map(parsed, self.stage.held()))
        outside = any(parsed(text) not in inside for text in self.listed)
        return not _refused(report) and "add" not in actions and outside


def _to_approve(change: TargetChange) -> list[Held]:
    return [held for held in change.waiting if held.verdict is Verdict.NEEDS_APPROVAL]


def _refused(report: Report) -> bool:
    guards = {v.guard for e in report.plan.target_changes for v in e.violations if v.verdict is Verdict.REFUSE}
    return bool(guards & {"feed", "empty", "min-prefix", "max-addresses", "special-use", "max-coverage"})


# ── the table ────────────────────────────────────────────────────────────────


def rows(folder: Path) -> list[Row]:
    """Replay every list of a folder and judge them together."""
    found, judged = [], []
    for path in sorted(folder.glob("*.jsonl")):
        made = as_used(path)
        found += [_row(m, how) for m, how in zip(made, ("default config", HOW_EASED), strict=False)]
        judged.append(made[-1])
    return [*found, *_judged(judged)]


def _row(made: Replayed, how: str) -> Row:
    door, naive = made.door, made.naive
    text = (
        f"refused {made.refused} of {len(made.versions)}, asked for {made.asked} approvals; "
        f"premature {door.premature} (mirror {naive.premature}), of them lost {door.lost} ({naive.lost}), wipes {door.wipes} ({naive.wipes}), "
        f"exposed {_spread(door.exposed)}, late {len(door.shut_out)} × {_spread(door.shut_out)}"
    )
    return Row(f"replay {made.name}, {how}", made.passes, text)


def _judged(all_made: list[Replayed]) -> list[Row]:
    passes = sum(m.passes for m in all_made)
    wipes, mirrored = (sum(d.wipes for d in doors) for doors in _doors(all_made))
    exposed = [h for m in all_made for h in m.door.exposed]
    shut = sum(m.shut_by_a_removal for m in all_made)
    rest = without_the_largest(all_made)
    return [
        Row("replay: wipes", passes, f"{wipes} (mirror {mirrored})", "0", wipes == 0),
        _premature("replay: premature removals", all_made, FEWER),
        *([_premature("replay: premature, without the largest", rest, FEWER_OF_THE_REST)] if rest else []),
        Row("replay: exposure", passes, _spread(exposed), "median ≤ 120 h", not exposed or median(exposed) <= 120),
        Row("replay: a listed address outside for a removal's sake", passes, f"{shut}", "0", shut == 0),
    ]


def without_the_largest(all_made: list[Replayed]) -> list[Replayed]:
    """Return all but the list that makes up most of what a mirror removes too early: it would hide the others."""
    whole = sum(m.naive.premature for m in all_made)
    return [m for m in all_made if 2 * m.naive.premature <= whole]


def fewer(made: Iterable[Replayed], count: Callable[[Door], int]) -> tuple[int, int, float]:
    """Return our number, the mirror's, and by which share ours is smaller."""
    doors = [(count(m.door), count(m.naive)) for m in made]
    ours, theirs = sum(o for o, _ in doors), sum(t for _, t in doors)
    return ours, theirs, 1 - ours / theirs if theirs else 1.0


def _premature(what: str, made: list[Replayed], to_reach: float) -> Row:
    """Judge by addresses that were lost (contract, section 4); beside it stands the count of entries, covered or not."""
    ours, theirs, share = fewer(made, lambda door: door.lost)
    entries = fewer(made, lambda door: door.premature)
    reached = f"{ours} (mirror {theirs}): {share:.1%} fewer; in entries {entries[0]} ({entries[1]}): {entries[2]:.1%}"
    return Row(what, sum(m.passes for m in made), reached, f"≥ {to_reach:.0%} fewer", share >= to_reach)


def _doors(all_made: list[Replayed]) -> tuple[list[Door], list[Door]]:
    return [m.door for m in all_made], [m.naive for m in all_made]


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    ninetieth = quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    return f"median {median(values):.0f} h, p90 {ninetieth:.0f} h"
