"""What became of each resource's work, put into the plan that people read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipsync.diff import entry_key
from ipsync.model import Status, Step, Verdict, Violation
from ipsync.plan import Element, Plan
from ipsync.steps import closes, opens


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
    stale = {r.resource: r for r in results if r.stale}
    before = {(e.target, e.resource): e for e in first.elements}
    fresh = [
        _after_two(before.get((e.target, e.resource)), e, stale[e.resource].done)
        for e in second.elements
        if e.resource in stale
    ]
    return replace(first, elements=tuple([e for e in first.elements if e.resource not in stale] + fresh))


def _after_two(first: Element | None, second: Element, done: Sequence[Step]) -> Element:
    if first is None or first.status is not Status.PARTIAL:
        return second
    opened, closed = ({e for step in done for e in of(step)} for of in (opens, closes))
    ended = {Status.IN_SYNC: Status.APPLIED, Status.ERROR: Status.PARTIAL, Status.BLOCKED: Status.PARTIAL}
    return replace(
        second,
        status=ended.get(second.status, second.status),
        add=tuple(sorted({*second.add, *(e for e in first.add if e in opened)}, key=entry_key)),
        remove=tuple(sorted({*second.remove, *(e for e in first.remove if e in closed)}, key=entry_key)),
    )


def with_results(made: Plan, results: Sequence[Result], *, approved: bool) -> Plan:
    """Put each result into the elements that it concerns."""
    by_resource = {r.resource: r for r in results}
    elements = []
    for element in made.elements:
        result = by_resource.get(element.resource)
        concerned = element.status is Status.CHANGE or (element.status is Status.BLOCKED and approved)
        elements.append(_with_result(element, result) if result and concerned else element)
    return replace(made, elements=tuple(elements))


def _with_result(element: Element, result: Result) -> Element:
    """Say how it ended. What moved before anything was written there is the guard `drift`'s word, not a failure."""
    if result.stale and result.status is Status.ERROR:
        drift = Violation("drift", Verdict.REFUSE, str(result.error))
        return replace(element, status=Status.BLOCKED, violations=(*element.violations, drift))
    return replace(element, status=result.status, error=result.error)
