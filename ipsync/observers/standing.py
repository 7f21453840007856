"""From a report to what the page shows of targets: equal resources once, and only as much as a page can hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ipsync.core.addresses import canonical
from ipsync.core.configured import Config, Target
from ipsync.core.model import Entry, Held, Status, Verdict, Violation
from ipsync.core.plan import TargetChange
from ipsync.core.report import Report, approvable, waiting
from ipsync.core.rollout import named
from ipsync.core.waves import GUARD as MAX_CHANGED_TARGETS
from ipsync.core.words import few
from ipsync.observers.ledger import Allowed, Holding
from ipsync.observers.status import Approval, CheckStatus, Place, Row, Said, TargetStatus, WaveStatus
from ipsync.render.groups import NAMED, counted, grouped
from ipsync.render.rules import AT_ONCE, approval, approve

ROWS, ROWS_OF_A_PLACE = 1500, 200
PLACES = 40
NAMES = 20
APPROVALS = 40
"""So much is shown; what is more is counted, and `ipsync plan -v` lists it."""
UNREAD, ELSEWHERE, UNSELECTED = "not read yet", "in another shard", "not selected"
WORST = (
    "failed",
    "half done",
    "unknown",
    "blocked",
    "held",
    "waiting",
    "pending",
    "in sync",
    UNREAD,
    ELSEWHERE,
    UNSELECTED,
)
WORDS = {
    Status.IN_SYNC: "in sync",
    Status.APPLIED: "in sync",
    Status.CHANGE: "pending",
    Status.BLOCKED: "blocked",
    Status.ERROR: "failed",
    Status.PARTIAL: "half done",
    Status.UNKNOWN: "unknown",
    Status.HELD: "held",
}


@dataclass(slots=True)
class Standing:
    """Makes the page's view of one report. `again` is the command that an approval is added to.

    `only` names the targets that the worker acts for; none: all.
    """

    config: Config
    report: Report
    holdings: Mapping[str, Mapping[str, Holding]]
    contested: Mapping[str, str]
    again: str
    only: Sequence[str] = ()
    rows_left: int = field(default=ROWS)

    def targets(self) -> tuple[TargetStatus, ...]:
        """Return the configured targets, in the config's order."""
        changes: dict[str, list[TargetChange]] = {}
        for change in self.report.plan.target_changes:
            changes.setdefault(change.target, []).append(change)
        named = {t.name: t for t in self.config.targets}
        return tuple(self._target(target, changes.get(name, [])) for name, target in named.items())

    def approvals(self) -> list[Approval]:
        """Return what waits for an approval; the same change on several resources once."""
        found: dict[tuple[str, Held], list[tuple[TargetChange, str]]] = {}
        for change in self.report.plan.target_changes:
            for held in change.waiting:
                if held.verdict is Verdict.NEEDS_APPROVAL:
                    found.setdefault((change.target, replace(held, id="")), []).append((change, held.id))
        changes = [self._approval(target, held, places) for (target, held), places in found.items()]
        return [*map(self._large, self._too_large().values()), *changes]

    def _too_large(self) -> dict[str, tuple[str, Violation]]:
        """Return the waves that change more targets than they may, each with what the guard said, by the ids of that."""
        changes = self.report.plan.target_changes
        return {v.change: (c.wave, v) for c in changes for v in c.violations if v.guard == MAX_CHANGED_TARGETS}

    def _large(self, wave: tuple[str, Violation]) -> Approval:
        name, said = wave
        return Approval(named(name), said.detail, (), self._approving(said.change))

    def waves(self) -> tuple[WaveStatus, ...]:
        """Return how the waves stand, and of one that holds others back the command that lets them go all the same."""
        return tuple(
            WaveStatus(
                named(wave.name),
                wave.state.value,
                wave.changed,
                wave.detail,
                tuple(CheckStatus(p.check, p.state, p.run_id, p.url, p.failed, p.detail) for p in wave.proofs),
                self._approving(wave.approve) if wave.approve else "",
            )
            for wave in self.report.waves
            if wave.name or not all(t.wave for t in self.config.targets)
        )

    def approve_all(self) -> tuple[str, str]:
        """Return the command that approves all of it, or how that is done where no command can; blanks where nothing waits.

        Changes by their ids, as far as a command can name them: they stay when something else is written, while the
        plan's id is another at once.
        """
        ids = waiting(self.report)
        if approvable(self.report) and 0 < len(ids) <= AT_ONCE:
            return self._approving(*ids), ""
        told, command = approval(self.report, self.again)
        return (command, "") if command else ("", told)

    def _approval(self, target: str, held: Held, places: Sequence[tuple[TargetChange, str]]) -> Approval:
        first, several = places[0][0], len(places) > 1
        resources = [change.resource for change, _ in places]
        named = f"; the command names the first {AT_ONCE} of {len(places)} resources" if len(places) > AT_ONCE else ""
        return Approval(
            f"{target} · {counted([(first, resources)]) if several else first.resource}",
            f"{says(held)}{named}",
            tuple(map(_text, held.entries)),
            self._approving(*(id_ for _, id_ in places[:AT_ONCE])),
            tuple((change.resource, self._approving(id_)) for change, id_ in places[:AT_ONCE]) if several else (),
        )

    def _approving(self, *ids: str) -> str:
        return approve(self.again, *ids)

    def _target(self, target: Target, changes: Sequence[TargetChange]) -> TargetStatus:
        held = self.holdings.get(target.name, {})
        places = sorted(self._places(changes, held), key=lambda p: WORST.index(p.status))
        return TargetStatus(
            target.name,
            target.kind,
            (*target.feeds, *(("static",) if target.static else ())),
            min((p.status for p in places), key=WORST.index, default=unread(self.config, target.name, self.only)),
            resources=len(held),
            allowed=sum(len(h.allowed) for h in held.values()),
            leaving=sum(a.leaving for h in held.values() for a in h.allowed),
            by_others=sum(len(h.by_others) for h in held.values()),
            waiting=sum(len(h.entries) for c in changes for h in c.waiting),
            places=tuple(self._filled(place, held) for place in places[:PLACES]),
            not_shown=sum(p.number for p in places[PLACES:]),
        )

    # ── places ───────────────────────────────────────────────────────────────

    def _places(self, changes: Sequence[TargetChange], held: Mapping[str, Holding]) -> Iterator[Place]:
        by_content: dict[object, list[TargetChange]] = {}
        for change in changes:
            holding = held.get(change.resource)
            content = (holding.allowed, holding.sure, holding.by_others) if holding else None
            by_content.setdefault((content, self.contested.get(change.resource)), []).append(change)
        for same in by_content.values():
            for group in grouped(same):
                yield self._place(group.change, group.resources)
        told = {c.resource for c in changes}
        for resource in held:
            if resource not in told:
                yield Place(resource, (resource,), 1, "unknown", now=False)

    def _place(self, change: TargetChange, resources: tuple[str, ...]) -> Place:
        status = WORDS[change.status]
        return Place(
            resources[0] if len(resources) == 1 else counted([(change, resources)]),
            resources[:NAMES],
            len(resources),
            "waiting" if change.waiting and status == "in sync" else status,
            undone=tuple(_undone(change)),
            held_back=tuple(map(says, change.waiting)),
            guards=tuple(Said(v.guard, v.verdict.value, v.detail) for v in change.violations),
            error=change.error,
            contested=self.contested.get(change.resource),
        )

    def _filled(self, place: Place, held: Mapping[str, Holding]) -> Place:
        """Put in what is let in there, as far as there is room."""
        holding = held.get(place.resources[0])
        if holding is None:
            return replace(place, now=False)
        room = max(0, min(ROWS_OF_A_PLACE, self.rows_left))
        shown = [_row(a, holding.ports) for a in holding.allowed[:room]]
        self.rows_left -= len(shown)
        return replace(
            place,
            allowed=len(holding.allowed),
            rows=tuple(shown),
            leaving=tuple(row for row in shown if row.leaving),
            by_others=tuple(map(_text, holding.by_others)),
            read_at=holding.read_at,
            sure=holding.sure,
        )


def unread(config: Config, name: str, only: Collection[str]) -> str:
    """Say why nothing is known of a target."""
    if name not in config.selected(only):
        return UNSELECTED
    return ELSEWHERE if config.shard else UNREAD


def _row(allowed: Allowed, ports: str) -> Row:
    entry = allowed.entry
    return Row(
        canonical(entry.network),
        str(entry.service) if entry.service else ports,
        allowed.origin,
        allowed.leaving,
        allowed.until,
    )


def says(held: Held) -> str:
    """Return a sentence on what is held back."""
    action = {"add": "Adding", "remove": "Removing"}[held.action]
    word = "needs approval" if held.verdict is Verdict.NEEDS_APPROVAL else "is refused"
    return f"{action} {few([_text(e) for e in held.entries], NAMED)} {word}"


def _text(entry: Entry) -> str:
    return f"{canonical(entry.network)} {entry.service or ''}".rstrip()


def _undone(change: TargetChange) -> Iterator[str]:
    """Yield what the pass meant to do and surely didn't, without what waits, which is told by itself."""
    if change.status in {Status.APPLIED, Status.IN_SYNC}:
        return
    waiting = {(h.action, e) for h in change.waiting for e in h.entries}
    yield from (f"add {_text(e)}" for e in change.add if ("add", e) not in waiting)
    yield from (f"remove {_text(e)}" for e in change.remove if ("remove", e) not in waiting)
