"""What became of each resource's work, put into the plan that people read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ipsync.core.addresses import entry_key
from ipsync.core.judgement import waiting
from ipsync.core.model import Held, Operation, Status, Verdict, Violation
from ipsync.core.operations import closes, opens
from ipsync.core.plan import Plan, TargetChange
from ipsync.core.shown import list_changes

TOUCHED = {Status.APPLIED, Status.PARTIAL, Status.UNKNOWN}
"""What says that something was, or may have been, written."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one resource's work; `done` are the steps that were applied before one wasn't.

    `intents` are the numbers of all steps' intents, where all were applied.
    """

    resource: str
    status: Status
    error: str | None = None
    stale: bool = False
    done: tuple[Operation, ...] = ()
    intents: tuple[int, ...] = ()


def second_try(first: Plan, second: Plan, results: Sequence[Result]) -> Plan:
    """Say of what was stale how its second try ended, and what its first try had written before."""
    stale = {r.resource: r.done for r in results if r.stale}
    again = {(e.target, e.resource): e for e in second.target_changes}
    unread = {e.target: e.error for e in second.target_changes if e.status is Status.ERROR}
    target_changes = [
        _after_two(e, again.get((e.target, e.resource)) or _lost(e, unread), stale[e.resource])
        if e.resource in stale
        else e
        for e in first.target_changes
    ]
    return replace(first, target_changes=tuple(target_changes))


def _lost(first: TargetChange, unread: Mapping[str, str | None]) -> TargetChange:
    """Say of a resource that isn't in the second plan why not: else it would be missing from the report."""
    why = unread.get(first.target) or "no target names it any more"
    blank = TargetChange(first.target, first.kind, first.resource, Status.ERROR, held=first.held)
    return replace(blank, error=f"it changed since it was read, and then: {why}")


def _after_two(first: TargetChange, second: TargetChange, done: Sequence[Operation]) -> TargetChange:
    if first.status is not Status.PARTIAL:
        return second
    opened, closed = ({e for operation in done for e in of(operation)} for of in (opens, closes))
    managed_lists = {operation.managed.name: operation for operation in done if operation.managed}
    ended = {Status.IN_SYNC: Status.APPLIED, Status.ERROR: Status.PARTIAL, Status.BLOCKED: Status.PARTIAL}
    return replace(
        second,
        status=ended.get(second.status, second.status),
        add=tuple(sorted({*second.add, *(e for e in first.add if e in opened)}, key=entry_key)),
        remove=tuple(sorted({*second.remove, *(e for e in first.remove if e in closed)}, key=entry_key)),
        settings=tuple(dict.fromkeys([*(s for s in first.settings if s[0] in managed_lists), *second.settings])),
        deletes=tuple(dict.fromkeys([*(n for n in first.deletes if n in managed_lists), *second.deletes])),
    )


def planned_anew(first: Plan, second: Plan) -> Plan:
    """Return the second plan, with what had been written by the first one before others made it old."""
    written = {(e.target, e.resource): e for e in first.target_changes if e.status in TOUCHED}
    after = [_after_both(written.pop((e.target, e.resource), None), e) for e in second.target_changes]
    return replace(second, target_changes=(*after, *written.values()))


def _after_both(first: TargetChange | None, second: TargetChange) -> TargetChange:
    if first is None:
        return second
    ended = {Status.IN_SYNC: Status.APPLIED} | dict.fromkeys(
        (Status.ERROR, Status.BLOCKED, Status.HELD), Status.PARTIAL
    )
    return replace(
        second,
        status=ended.get(second.status, second.status),
        add=tuple(sorted({*first.add, *second.add}, key=entry_key)),
        remove=tuple(sorted({*first.remove, *second.remove}, key=entry_key)),
        settings=tuple(dict.fromkeys([*first.settings, *second.settings])),
        deletes=tuple(dict.fromkeys([*first.deletes, *second.deletes])),
    )


def with_results(made: Plan, results: Sequence[Result], *, approved: frozenset[str]) -> Plan:
    """Put each result into the elements that it concerns; what still waits stays said, and isn't counted as done."""
    by_resource = {r.resource: r for r in results}
    works = {w.state.resource: w for w in made.changes}
    target_changes = []
    for target_change in made.target_changes:
        result = by_resource.get(target_change.resource)
        still = waiting(target_change.waiting, approved)
        concerned = target_change.status is Status.CHANGE or (
            target_change.status is Status.BLOCKED and still != target_change.waiting
        )
        if result and concerned:
            lists = list_changes(works[target_change.resource].allowed(approved))
            gone = replace(target_change, settings=lists.settings, deletes=lists.deletes)
            target_changes.append(_with_result(gone, result, still))
        else:
            target_changes.append(target_change)
    return replace(made, target_changes=tuple(target_changes))


def _with_result(target_change: TargetChange, result: Result, still: tuple[Held, ...]) -> TargetChange:
    """Say how it ended. What moved before anything was written there is the guard `drift`'s word, not a failure."""
    if result.stale and result.status is Status.ERROR:
        drift = Violation("drift", Verdict.REFUSE, f"{result.error}; nothing was written to it: plan again")
        return replace(target_change, status=Status.BLOCKED, violations=(*target_change.violations, drift))
    back = {(h.action, e) for h in still for e in h.entries}
    opened, closed = ({e for operation in result.done for e in of(operation)} for of in (opens, closes))
    sure = result.status is Status.APPLIED
    return replace(
        target_change,
        status=result.status,
        error=result.error,
        waiting=still,
        violations=tuple(v for v in target_change.violations if not v.change or v.change in {h.id for h in still}),
        add=tuple(e for e in target_change.add if ("add", e) not in back and (not sure or e in opened)),
        remove=tuple(e for e in target_change.remove if ("remove", e) not in back and (not sure or e in closed)),
    )
