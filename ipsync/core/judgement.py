"""What the guards say of one resource's diff, and which of its changes they hold back.

A held change waits alone: removals that wait keep no addition out, and the other way round (contract, section 4).
Each has an id of its own, made of the resource, the action and the entries: an approval names it, and it doesn't move
because something else did. What feeds dropped is held by the time it began to leave, what is added by its feed, so
that tomorrow's news doesn't change what a human looked at today.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from ipsync.core import guards
from ipsync.core.addresses import entry_key
from ipsync.core.configured import Limits, Target
from ipsync.core.coverage import service_covers
from ipsync.core.diff import Diff
from ipsync.core.marking import Marked
from ipsync.core.marks import STATIC
from ipsync.core.model import Entry, Held, Network, Service, State, Verdict, Violation
from ipsync.core.operations import entry_text
from ipsync.core.spans import Covered

DIGITS = 20
"""Hexadecimal digits of a held change's id: 80 bits, so that no feed can be made to have the id of another change."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All violations, and the changes that wait. `stops` says that a refusal concerns everything: nothing is written."""

    violations: tuple[Violation, ...] = ()
    held: tuple[Held, ...] = ()
    stops: bool = False


def judge(
    state: State, change: Diff, targets: Sequence[Target], *, now: datetime, grace: timedelta | None
) -> Judgement:
    """Judge one resource's diff under the limits of every target that names it, selected or not, healthy or not."""
    if not (change.add or change.remove or change.leaving):
        return Judgement()
    capacity = _capacity(state, change, targets) if state.complete else []
    additions = _Judged(state, change, targets, impact(change, now=now, grace=grace)).additions()
    # What waits itself covers nothing yet: what it would cover is lost until it is let in.
    sure = change.without(frozenset(e for _, held in additions for e in held.entries))
    removals = _Judged(state, sure, targets, impact(sure, now=now, grace=grace)).removals()
    found = [*removals, *additions, *([] if capacity else _crowded_out(state, sure, [h for _, h in removals if h]))]
    violations, held = [v for v, _ in found], [h for _, h in found if h]
    if not capacity or not any(t.remove_first for t in targets):
        return Judgement((*capacity, *violations), _each(held), stops=bool(capacity))
    if grace is not None and change.leaving:
        capacity = [replace(v, detail=f"{v.detail}; or wait: what is leaving makes room") for v in capacity]
    return Judgement((*capacity, *violations), _each([*held, *_all_but_marks(state, change)]))


def _each(held: Iterable[Held]) -> tuple[Held, ...]:
    return tuple({(h.id, h.action): h for h in held}.values())


def _all_but_marks(state: State, change: Diff) -> list[Held]:
    """Return what a full resource refuses where removing may come first: all that comes and goes, and no mark.

    What is marked as leaving is what makes room once its grace is over; else there would never be any.
    """
    moves: tuple[tuple[Literal["add", "remove"], tuple[Entry, ...]], ...] = (
        ("add", tuple(m.entry for m in change.add)),
        ("remove", tuple(m.entry for m in change.remove)),
    )
    return [
        Held(change_id(state.resource, action, entries), action, entries, Verdict.REFUSE)
        for action, entries in moves
        if entries
    ]


def _crowded_out(state: State, change: Diff, held: Sequence[Held]) -> list[tuple[Violation, Held]]:
    """Return what is let in only once what waits has made room for it, by the ids of what waits: both go together."""
    going = change.without(frozenset(e for h in held for e in h.entries)).remove
    tight = guards.no_room_yet(
        state.capacity if state.complete and held else (),
        added=[m.entry.network for m in change.add],
        removed=[m.entry.network for m in going],
    )
    found = []
    for family, why in tight.items():
        entries = tuple(m.entry for m in change.add if m.entry.network.version == family)
        for waits in held:
            text = f"{why}; approve what waits, and both go"
            found.append(
                (Violation("capacity", waits.verdict, text, waits.id), replace(waits, action="add", entries=entries))
            )
    return found


def change_id(resource: str, action: str, entries: Iterable[Entry]) -> str:
    """Return the id of a held change."""
    text = json.dumps([resource, action, sorted(entry_text(e) for e in entries)])
    return "change:" + hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def impact(change: Diff, *, now: datetime, grace: timedelta | None) -> guards.Impact:
    """Return what a diff would really take away and let in, whatever waits for whom."""
    leaving = [marked for marked, _ in change.leaving]
    going = {m.entry for m in leaving}
    orphans = {m.entry for m in change.keep if m.found and m.entry in change.still}  # but for who can't be asked now
    kept = [m for m in (*change.keep, *change.remark) if m.entry not in going | orphans]
    staying = [*kept, *change.add]
    dropped = [m for m in change.remove if m.entry not in change.taken_out] + leaving
    held = [*kept, *leaving, *change.remove]
    before = frozenset(m.entry.network for m in held if not m.found) or frozenset(m.entry.network for m in held)
    gone = {m.entry.network for m in change.remove} - {m.entry.network for m in (*staying, *leaving)}
    stays = frozenset(m.entry.network for m in staying)
    covered, there = Covered(stays), Covered(m.entry.network for m in held)
    return guards.Impact(
        before=before,
        lately=_lately(held, dropped, now=now, grace=grace),
        staying=stays,
        lost=_uncovered(dropped, staying),
        taken=frozenset(n for n in gone if n not in covered) if change.taken_out else frozenset(),
        new=frozenset(m.entry.network for m in change.add if m.entry.network not in there),
    )


def _lately(
    held: Sequence[Marked], dropped: Sequence[Marked], *, now: datetime, grace: timedelta | None
) -> frozenset[Network]:
    """Return what was added less than a grace before the first of the dropped began to leave; unknown counts as old."""
    first = min((m.mark.since or now for m in dropped), default=None)
    if first is None or not grace:
        return frozenset()
    old = {m.entry.network for m in held if m.mark.added is None or m.mark.added <= first - grace}
    return frozenset(m.entry.network for m in held) - old


def _uncovered(dropped: Sequence[Marked], staying: Sequence[Marked]) -> frozenset[Network]:
    """Return the networks of which some service really loses addresses."""
    by_service: dict[Service | None, Covered] = {}
    found = set()
    for item in dropped:
        service = item.entry.service
        if service not in by_service:
            wide = (m.entry.network for m in staying if service_covers(m.entry.service, service))
            by_service[service] = Covered(wide)
        if item.entry.network not in by_service[service]:
            found.add(item.entry.network)
    return frozenset(found)


def _capacity(state: State, change: Diff, targets: Sequence[Target]) -> list[Violation]:
    return guards.check_capacity(
        state.capacity,
        added=[m.entry.network for m in change.add],
        removed=[m.entry.network for m in change.remove],
        remove_first=any(t.remove_first for t in targets),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    state: State
    change: Diff
    targets: Sequence[Target]
    move: guards.Impact

    def removals(self) -> list[tuple[Violation, Held | None]]:
        """Judge what feeds dropped, all that is leaving together, and apart from it what the operator took out."""
        taken_out = [m for m in self.change.remove if m.entry in self.change.taken_out]
        due = [m for m in self.change.remove if m.entry not in self.change.taken_out]
        leaving = [marked for marked, _ in self.change.leaving]
        if self._emptied():
            return [self._held("empty", Verdict.REFUSE, "remove", self.change.remove, self._all_of_them())]
        dropped = self._dropped(due, leaving)
        return [*dropped, *self._taken(taken_out, alone=any(held for _, held in dropped))]

    def _emptied(self) -> bool:
        return bool(self.change.remove) and not (self.change.keep or self.change.remark or self.change.add)

    def _all_of_them(self) -> str:
        number = len({m.entry.network for m in self.change.remove})
        what = "its only address" if number == 1 else f"all {number} addresses"
        return f"this would remove {what}; a target is never emptied"

    def _dropped(self, due: Sequence[Marked], leaving: Sequence[Marked]) -> list[tuple[Violation, Held | None]]:
        reason = guards.too_many_leave(self.move, self.move.lost, self._limits([*due, *leaving]))
        if not reason:
            return []
        if not due:
            text = (
                f"{reason}, are leaving: {guards.some(self.move.lost)}; their removal will need approval when it is due"
            )
            return [(Violation("max-removals", Verdict.ALLOW, f"{text}; {guards.raise_limit('max-removals')}"), None)]
        whole = f"with all that is leaving, removes {reason}"
        if {m.entry.network for m in due} == self.move.lost and len(_by_time(due)) == 1:
            whole = f"removes {reason}"
        return [self._held("max-removals", Verdict.NEEDS_APPROVAL, "remove", b, whole) for b in _by_time(due)]

    def _taken(self, taken_out: Sequence[Marked], *, alone: bool) -> list[tuple[Violation, Held | None]]:
        """Judge what the operator took out with what feeds dropped and is due in this run; `alone` where that waits."""
        own = {m.entry.network for m in taken_out}
        gone = self.move.taken & own if alone else self.move.taken
        reason = guards.too_many_go(self.move, gone, self._limits(taken_out)) if taken_out else None
        if not reason:
            return []
        text = f"taken out of the config: {'' if gone <= own else 'with what feeds dropped, '}removes {reason}"
        return [self._held("max-removals", Verdict.NEEDS_APPROVAL, "remove", taken_out, text)]

    def additions(self) -> list[tuple[Violation, Held]]:
        """Judge what is let in, in entries and in addresses covered."""
        new = [m for m in self.change.add if m.entry.network in self.move.new]
        reasons = guards.too_many_come(self.move, self._limits(new)) if new else []
        groups = _by_origin(new)
        return [self._held(g, Verdict.NEEDS_APPROVAL, "add", group, why) for g, why in reasons for group in groups]

    def _held(
        self, guard: str, verdict: Verdict, action: Literal["add", "remove"], items: Sequence[Marked], why: str
    ) -> tuple[Violation, Held]:
        entries = tuple(sorted((m.entry for m in items), key=entry_key))
        made = Held(change_id(self.state.resource, action, entries), action, entries, verdict)
        listed = guards.some({e.network for e in entries})
        key = "" if guard == "empty" else f"; {guards.raise_limit(guard)}"
        text = f"{why}: {listed}{key}"
        return Violation(guard, verdict, text, made.id), made

    def _limits(self, items: Iterable[Marked]) -> list[Limits]:
        """Return each target's limits for the feeds that these came from; all of its, where it knows none of them."""
        origins = {o for m in items for o in m.mark.origin.split(",")}
        found = []
        for target in self.targets:
            concerned = [limit for name, limit in target.limits if name in origins]
            found += concerned or [limit for _, limit in target.limits] or [Limits()]
        return found or [Limits()]


def _by_time(items: Sequence[Marked]) -> list[list[Marked]]:
    groups: dict[datetime | None, list[Marked]] = {}
    for item in items:
        groups.setdefault(item.mark.since, []).append(item)
    return list(groups.values())


def _by_origin(items: Sequence[Marked]) -> list[list[Marked]]:
    groups: dict[str, list[Marked]] = {}
    for item in items:
        origin = item.why.partition(";")[0] or STATIC
        groups.setdefault(origin, []).append(item)
    return list(groups.values())


def approvable(held: Iterable[Held]) -> frozenset[str]:
    """Return the ids of the changes that an approval can let go; what is refused can't be approved."""
    return frozenset(h.id for h in held if h.verdict is Verdict.NEEDS_APPROVAL)


def waiting(held: Iterable[Held], approved: frozenset[str]) -> tuple[Held, ...]:
    """Return the changes that still wait."""
    return tuple(h for h in held if h.id not in approved or h.verdict is not Verdict.NEEDS_APPROVAL)


def released(change: Diff, held: Iterable[Held], approved: frozenset[str]) -> Diff:
    """Return the diff without what still waits. Never takes the last entry while its successors wait for approval."""
    back = frozenset(e for h in waiting(held, approved) for e in h.entries)
    freed = change.without(back)
    if freed.remove and not (freed.keep or freed.remark or freed.add):
        return freed.without(frozenset(m.entry for m in freed.remove))
    return freed
