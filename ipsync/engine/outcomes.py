"""What became of each resource's work, put into the plan that people read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ipsync.core.diff import entry_key
from ipsync.core.judgement import waiting
from ipsync.core.model import Held, Status, Step, Verdict, Violation
from ipsync.core.operations import closes, opens
from ipsync.core.plan import Element, Plan
from ipsync.core.shown import list_changes


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one resource's work; `done` are the steps that were applied before one wasn't.

    `intents` are the numbers of all steps' intents, where all were applied.
    """

    resource: str
    status: Status
    error: str | None = None
    stale: bool = False
    done: tuple[Step, ...] = ()
    intents: tuple[int, ...] = ()


def second_try(first: Plan, second: Plan, results: Sequence[Result]) -> Plan:
    """Say of what was stale how its second try ended, and what its first try had written before."""
    stale = {r.resource: r.done for r in results if r.stale}
    again = {(e.target, e.resource): e for e in second.elements}
    unread = {e.target: e.error for e in second.elements if e.status is Status.ERROR}
    elements = [
        _after_two(e, again.get((e.target, e.resource)) or _lost(e, unread), stale[e.resource])
        if e.resource in stale
        else e
        for e in first.elements
    ]
    return replace(first, elements=tuple(elements))


def _lost(first: Element, unread: Mapping[str, str | None]) -> Element:
    """Say of a resource that isn't in the second plan why not: else it would be missing from the report."""
    why = unread.get(first.target) or "no target names it any more"
    blank = Element(first.target, first.kind, first.resource, Status.ERROR, held=first.held)
    return replace(blank, error=f"it changed since it was read, and then: {why}")


def _after_two(first: Element, second: Element, done: Sequence[Step]) -> Element:
    if first.status is not Status.PARTIAL:
        return second
    opened, closed = ({e for step in done for e in of(step)} for of in (opens, closes))
    parts = {step.part.name: step for step in done if step.part}
    ended = {Status.IN_SYNC: Status.APPLIED, Status.ERROR: Status.PARTIAL, Status.BLOCKED: Status.PARTIAL}
    return replace(
        second,
        status=ended.get(second.status, second.status),
        add=tuple(sorted({*second.add, *(e for e in first.add if e in opened)}, key=entry_key)),
        remove=tuple(sorted({*second.remove, *(e for e in first.remove if e in closed)}, key=entry_key)),
        settings=tuple(dict.fromkeys([*(s for s in first.settings if s[0] in parts), *second.settings])),
        deletes=tuple(dict.fromkeys([*(n for n in first.deletes if n in parts), *second.deletes])),
    )


def with_results(made: Plan, results: Sequence[Result], *, approved: frozenset[str]) -> Plan:
    """Put each result into the elements that it concerns; what still waits stays said, and isn't counted as done."""
    by_resource = {r.resource: r for r in results}
    works = {w.state.resource: w for w in made.work}
    elements = []
    for element in made.elements:
        result = by_resource.get(element.resource)
        still = waiting(element.waiting, approved)
        concerned = element.status is Status.CHANGE or (element.status is Status.BLOCKED and still != element.waiting)
        if result and concerned:
            lists = list_changes(works[element.resource].allowed(approved))
            gone = replace(element, settings=lists.settings, deletes=lists.deletes)
            elements.append(_with_result(gone, result, still))
        else:
            elements.append(element)
    return replace(made, elements=tuple(elements))


def _with_result(element: Element, result: Result, still: tuple[Held, ...]) -> Element:
    """Say how it ended. What moved before anything was written there is the guard `drift`'s word, not a failure."""
    if result.stale and result.status is Status.ERROR:
        drift = Violation("drift", Verdict.REFUSE, str(result.error))
        return replace(element, status=Status.BLOCKED, violations=(*element.violations, drift))
    back = {(h.action, e) for h in still for e in h.entries}
    opened, closed = ({e for step in result.done for e in of(step)} for of in (opens, closes))
    sure = result.status is Status.APPLIED
    return replace(
        element,
        status=result.status,
        error=result.error,
        waiting=still,
        violations=tuple(v for v in element.violations if not v.change or v.change in {h.id for h in still}),
        add=tuple(e for e in element.add if ("add", e) not in back and (not sure or e in opened)),
        remove=tuple(e for e in element.remove if ("remove", e) not in back and (not sure or e in closed)),
    )
