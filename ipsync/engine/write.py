"""Carry out a plan's steps, resource by resource: intent, write, outcome; then read everything back.

Workers return results and raise nothing but a JournalError, which ends the run: no audit, no write.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ipsync.engine.observe import complete
from ipsync.engine.results import Result
from ipsync.engine.run import Recorded, Run, pool
from ipsync.engine.settle import compared, lines_now
from ipsync.errors import CloudError, Denied, IpsyncError, JournalError, Stale, Uncertain
from ipsync.model import ReadFailure, State, Status, Step, Target, Verdict
from ipsync.plan import Plan, Work
from ipsync.providers.base import Writer

log = logging.getLogger(__name__)

READ_BACK_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each attempt to see a write: EC2's API is eventually consistent (AWS docs)."""
READ_ONCE = (0.0,)
"""After a refusal: the cloud has said that it did nothing, so there is nothing to wait for."""


def carry_out(run: Run, made: Plan, *, approved: bool, only: set[str] | None = None) -> list[Result]:
    """Carry out what no guard holds back (or what was approved), a scope a thread; `only` names some resources."""
    todo = [w for w in made.work if _may_go(w, approved=approved) and (only is None or w.state.resource in only)]
    by_scope: dict[tuple[object, ...], list[Work]] = {}
    targets = {t.name: t for t in run.config.targets}
    for work in todo:
        by_scope.setdefault(targets[work.state.targets[0]].scope, []).append(work)
    with pool() as threads:
        jobs = [threads.submit(_apply_scope, run, works) for works in by_scope.values()]
        return [result for job in jobs for result in job.result()]


def _may_go(work: Work, *, approved: bool) -> bool:
    return work.verdict is Verdict.ALLOW or (approved and work.verdict is Verdict.NEEDS_APPROVAL)


def _apply_scope(run: Run, works: Sequence[Work]) -> list[Result]:
    target = next(t for t in run.config.targets if t.name == works[0].state.targets[0])
    try:
        writer = run.clouds.writer(target)
    except IpsyncError as error:
        return [Result(w.state.resource, Status.ERROR, str(error)) for w in works]
    results = [_apply_work(run, writer, target, work) for work in works]
    return _verified(run, target, works, results)


def _apply_work(run: Run, writer: Writer, target: Target, work: Work) -> Result:
    """Carry out one resource's steps in order; the first that doesn't succeed ends it."""
    resource, intents = work.state.resource, []
    for done, step in enumerate(work.steps):
        if run.stopping():
            return _ended_early(resource, done, "stopped by a signal before this write")
        told = _execute(run, writer, target, work, step)
        intents.append(told.intent)
        if told.outcome == "unknown":
            return Result(resource, Status.UNKNOWN, told.error)
        if told.outcome != "applied":
            status = Status.PARTIAL if told.touched or done else Status.ERROR
            return Result(resource, status, told.error, stale=told.outcome == "stale", done=work.steps[:done])
    return Result(resource, Status.APPLIED, intents=tuple(intents))


def _ended_early(resource: str, done: int, why: str) -> Result:
    return Result(resource, Status.PARTIAL if done else Status.ERROR, why)


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one write, what to tell people, and whether the resource isn't as it was before."""

    intent: int
    outcome: str
    error: str | None = None
    touched: bool = True


def _execute(run: Run, writer: Writer, target: Target, work: Work, step: Step) -> _Told:
    """Record the intent, write, record the outcome: what was seen there afterwards, whatever the cloud answered."""
    intent = run.record(
        "intent",
        resource=step.resource,
        kind=step.kind,
        target=work.state.targets[0],
        before=list(step.before),
        after=list(step.after),
    )
    try:
        receipt = writer.execute(step)
    except Uncertain as error:
        result, now = _read_back(run, target, work, step)
        _outcome(run, intent, step, result, error=error, now=now)
        text = None if result == "applied" else f"{error} Read back since: {result}."
        return _Told(intent.seq, result, text, touched=result != "failed")
    except CloudError as error:
        result = "stale" if isinstance(error, Stale) else "denied" if isinstance(error, Denied) else "failed"
        seen, now = _read_back(run, target, work, step, delays=READ_ONCE)
        _outcome(run, intent, step, result, error=error, now=now)
        return _Told(intent.seq, result, str(error), touched=seen in {"applied", "partial"})
    except JournalError:
        raise
    except Exception as error:
        log.exception("writing to %s: a fault in ipsync", step.resource)
        result, now = _read_back(run, target, work, step)
        _outcome(run, intent, step, result, error=CloudError(repr(error)), now=now)
        return _Told(intent.seq, result, f"a fault in ipsync while writing: {error!r}", touched=result != "failed")
    run.record("outcome", intent=intent.seq, resource=step.resource, result="applied", request_id=receipt.request_id)
    return _Told(intent.seq, "applied")


def _outcome(
    run: Run, intent: Recorded, step: Step, result: str, *, error: CloudError, now: Sequence[str] | None = None
) -> None:
    details: dict[str, object] = {"error": str(error), "code": error.code, "request_id": error.request_id}
    if now is not None:
        details["now"] = list(now)
    run.record("outcome", intent=intent.seq, resource=step.resource, result=result, **details)


# ── read back ────────────────────────────────────────────────────────────────


def _read_back(
    run: Run, target: Target, work: Work, step: Step, *, delays: Sequence[float] = READ_BACK_DELAYS
) -> tuple[str, tuple[str, ...] | None]:
    """Find out what a write really did, and what is there now: applied, failed, partial, or still unknown."""
    result, now = "unknown", None
    for delay in delays:
        run.clouds.pause(delay)
        states = [s for s in complete(run, [target], [work.state]) if isinstance(s, State)]
        read = lines_now(step.resource, states, run.config.owner) if states else None
        if read is None:
            continue
        now = read
        result = compared(now, {"before": list(step.before), "after": list(step.after)})
        if result == "applied":
            break
    return result, now


def _verified(run: Run, target: Target, works: Sequence[Work], results: list[Result]) -> list[Result]:
    """Read what was written, once for the scope, again while the cloud still shows the past."""
    pending = {w.state.resource: w for w, r in zip(works, results, strict=True) if r.status is Status.APPLIED}
    seen: dict[str, State | ReadFailure] = {}
    for delay in READ_BACK_DELAYS:
        if not pending:
            break
        run.clouds.pause(delay)
        for item in complete(run, [target], [w.state for w in pending.values()]):
            seen |= dict.fromkeys([item.resource] if item.resource in pending else pending, item)
            if isinstance(item, State) and not _differing(item, pending[item.resource], run.config.owner):
                del pending[item.resource]
    return [
        _after_reading(run, r, pending[r.resource], seen[r.resource]) if r.resource in pending else r for r in results
    ]


def _differing(state: State, work: Work, owner: str) -> list[int]:
    """Return which of the steps left something else there than they were to; of a group's, the last speaks for all."""
    steps = list(enumerate(work.steps))
    return [n for n, s in (steps if state.listed else steps[-1:]) if lines_now(s.resource, [state], owner) != s.after]


def _after_reading(run: Run, result: Result, work: Work, seen: State | ReadFailure) -> Result:
    """Say, and record, that what was written could not be read back, or isn't what is there."""
    if isinstance(seen, ReadFailure):
        return Result(result.resource, Status.UNKNOWN, f"written, but it could not be read back: {seen.message}")
    text = "written, but reading it back shows something else: someone changes it at the same time; run again"
    for number in _differing(seen, work, run.config.owner):
        step, intent = work.steps[number], result.intents[number]
        now = lines_now(step.resource, [seen], run.config.owner) or ()
        run.record("outcome", intent=intent, resource=step.resource, result="partial", error=text, now=list(now))
    return Result(result.resource, Status.PARTIAL, text)
