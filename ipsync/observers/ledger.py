"""What each target is known to let in: from what was read before the writes, and from what the writes did.

A target that can't be read keeps what was known of it: its doors stand as they stood, and a count of 0 would say that
they were closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ipsync.core.addresses import entry_key
from ipsync.core.configured import Config
from ipsync.core.marks import owned_marks
from ipsync.core.model import Entry, State, Status
from ipsync.core.plan import TargetChange
from ipsync.core.report import Report
from ipsync.core.signals import ConfigRead, Event, PassEnded, PlanMade, Recorded
from ipsync.core.traits import Mark

UNSURE = {Status.PARTIAL, Status.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry that is let in. `until` is when it goes at the earliest; None with `leaving`: never."""

    entry: Entry
    origin: str
    leaving: bool = False
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one target has on one resource; `sure` tells that the last writes' outcome is known.

    `by_others` is what it wants and others' entries let in.
    """

    allowed: tuple[Allowed, ...]
    ports: str
    read_at: datetime
    sure: bool = True
    by_others: tuple[Entry, ...] = ()


@dataclass(slots=True)
class Ledger:
    """Hears plans and the ends of passes. Who reads it at the end of a pass must hear that end after it."""

    config: Config
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    holdings: dict[str, dict[str, Holding]] = field(default_factory=dict)
    """By target and resource."""
    _states: dict[str, State] = field(default_factory=dict)

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Take note of an event."""
        if isinstance(event, PlanMade):
            self._states |= {state.resource: state for state in event.observed.states}
        elif isinstance(event, PassEnded):
            if event.report:
                self._settle(event.report)
            self._states.clear()
        elif isinstance(event, ConfigRead):
            self.config = event.config

    def _settle(self, report: Report) -> None:
        changes = report.plan.target_changes
        lost = {c.target for c in changes if c.resource not in self._states}  # a scope of it, or a resource
        known = {t.name for t in self.config.targets} - ({c.target for c in changes} - lost)
        held = {name: dict(places) for name, places in self.holdings.items() if name in known}
        for name, resource, holding in self._held(changes, _orphans(report)):
            held.setdefault(name, {})[resource] = holding
        self.holdings = held

    def _held(
        self, changes: tuple[TargetChange, ...], orphans: Mapping[str, set[Entry]]
    ) -> Iterator[tuple[str, str, Holding]]:
        calm: dict[tuple[int, str, tuple[str, ...]], tuple[Allowed, ...]] = {}
        for change in changes:
            if state := self._states.get(change.resource):
                key = (id(state.entries), change.target, state.targets)  # what is at rest shares its entries
                found = calm.get(key) if change.status is Status.IN_SYNC else None
                if found is None:
                    found = _allowed(change, state, self.config, orphans.get(change.resource, set()))
                if change.status is Status.IN_SYNC:
                    calm[key] = found
                ports = dict(state.wanted_settings).get("ports", "")
                sure, by_others = change.status not in UNSURE, self._by_others(change)
                yield change.target, change.resource, Holding(found, ports, self.clock(), sure, by_others)

    def _by_others(self, change: TargetChange) -> tuple[Entry, ...]:
        """Return what others let in; of a frozen target, for which nothing was compared, what was known before."""
        compared = change.status is not Status.ERROR or change.add or change.remove or change.leaving
        before = self.holdings.get(change.target, {}).get(change.resource)
        return change.satisfied if compared or change.satisfied or before is None else before.by_others


def _orphans(report: Report) -> dict[str, set[Entry]]:
    """Return by resource what is no target's; it is told by itself."""
    found: dict[str, set[Entry]] = {}
    for orphan in report.plan.orphaned:
        found.setdefault(orphan.resource, set()).add(orphan.entry)
    return found


def _allowed(change: TargetChange, state: State, config: Config, orphans: set[Entry]) -> tuple[Allowed, ...]:
    """Return what is let in after the writes, sorted; where their outcome isn't known, what may be let in."""
    marks = {e: mark for e, mark in owned_marks(state, owner=config.owner).items() if e not in orphans}
    found = {e: _marked(e, mark, config.grace) for e, mark in marks.items() if change.target in _owners(mark, state)}
    why = dict(change.sources)
    if change.status in {Status.APPLIED, *UNSURE}:
        found |= {e: Allowed(e, why.get(e, "")) for e in change.add}
        found |= {e: Allowed(e, found[e].origin) for e in change.returns if e in found}
        found |= {x.entry: _leaves(found[x.entry], x.until) for x in change.leaving if x.entry in found}
    if change.status is Status.APPLIED:
        for entry in change.remove:
            found.pop(entry, None)
    return tuple(found[e] for e in sorted(found, key=entry_key))


def _owners(mark: Mark, state: State) -> tuple[str, ...]:
    """Return in whose name an entry is there: what nobody is known for is the first target's."""
    return tuple(t for t in mark.targets if t in state.targets) or state.targets[:1]


def _marked(entry: Entry, mark: Mark, grace: timedelta | None) -> Allowed:
    until = mark.since + grace if mark.since and grace is not None else None
    return Allowed(entry, mark.origin, leaving=mark.since is not None, until=until)


def _leaves(known: Allowed, until: datetime | None) -> Allowed:
    return Allowed(known.entry, known.origin, leaving=True, until=until)
