"""One pass, top to bottom: fetch, read, plan, guard, record, apply, verify.

1. Fetch every feed and survey every scope at once; a failure becomes a value, never an empty list.
2. Settle what an earlier run left open: an intent without an outcome is answered by what is really there.
3. Plan. Where something is to be added, read those resources whole (foreign entries, quotas) and plan again.
4. For a plan, stop here: no object that can write has been made.
5. Apply resource by resource: intent on disk, write, outcome on disk. A lost reply is read back.
6. Read each scope again and compare with what was intended. What changed under our feet is planned once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Protocol

from ipsync.contested import contested
from ipsync.diff import entry_key
from ipsync.errors import CloudError, Denied, FeedError, IpsyncError, JournalError, PlanFileError, Stale, Uncertain
from ipsync.layout import base_name, belongs
from ipsync.model import (
    Config,
    Feed,
    GcpRule,
    ReadFailure,
    Snapshot,
    State,
    Status,
    Step,
    Target,
    Verdict,
    Violation,
)
from ipsync.plan import Element, FeedResult, Plan, Work, World, make_plan
from ipsync.planfile import SavedPlan, moved
from ipsync.providers.base import Reader, Writer
from ipsync.report import Report
from ipsync.steps import closes, observed, opens, part_texts

log = logging.getLogger(__name__)

READ_BACK_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each attempt to see a write: EC2's API is eventually consistent (AWS docs)."""
READ_ONCE = (0.0,)
"""After a refusal: the cloud has said that it did nothing, so there is nothing to wait for."""
THREADS = 8


class Recorder(Protocol):
    """The audit log as the engine sees it: append a record, durably, and say which one it was."""

    def record(self, event: str, **fields: object) -> Recorded:
        """Append one record and return its place; on disk when this returns."""
        ...


class Recorded(Protocol):
    """A record's place in the chain."""

    @property
    def seq(self) -> int:
        """Its number, from 1; 0 where nothing is recorded."""
        ...

    @property
    def hash(self) -> str:
        """Its hash, in hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Clouds:
    """How to reach the world; tests and the demo pass the real ones too, only with other endpoints."""

    fetch: Callable[[Feed], Snapshot]
    reader: Callable[[Target], Reader]
    writer: Callable[[Target], Writer]
    pause: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Run:
    """One run's surroundings. `stopping` tells that a signal asked for an end after the write in flight."""

    id: str
    config: Config
    clouds: Clouds
    recorder: Recorder
    clock: Callable[[], datetime]
    selected: frozenset[str]
    open_intents: Sequence[Mapping[str, object]] = ()
    earlier: Sequence[Sequence[Mapping[str, object]]] = ()
    """The audit log's records of the last runs, newest first."""
    stopping: Callable[[], bool] = lambda: False
    readers: dict[tuple[object, ...], Reader] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    wrote: bool = False

    def record(self, event: str, **fields: object) -> Recorded:
        """Append to the audit log from any thread. A JournalError says whether this run had begun to write."""
        with self.lock:
            try:
                recorded = self.recorder.record(event, **fields)
            except JournalError as error:
                error.wrote = self.wrote
                raise
            self.wrote = self.wrote or event == "intent"
            return recorded


def plan(run: Run) -> Report:
    """Read feeds and clouds and say what a sync would change. Makes nothing that can write."""
    run.record("run-started", mode="plan")
    now = run.clock()
    made, _ = _observe(run, now)
    return _ended(run, Report(run.id, "plan", now, made, notices=tuple(contested(made, run.earlier).values())))


def sync(run: Run, *, approve: str | None = None) -> Report:
    """Plan, then apply what the guards allow; what changed meanwhile is planned and applied once more."""
    run.record("run-started", mode="sync")
    now = run.clock()
    made, world = _observe(run, now)
    undone = contested(made, run.earlier)
    if approve:
        run.record("approval", plan=approve, current=made.id, holds=approve == made.id)
    results = _apply(run, made, approved=approve == made.id)
    done = _with_results(made, results, approved=approve == made.id)
    stale = {r.resource for r in results if r.stale}
    if stale and not run.stopping():
        again = _plan_again(run, world, run.clock())
        retried = _apply(run, again, approved=approve == again.id, only=stale)
        done = _second_try(done, _with_results(again, retried, approved=approve == again.id), results)
    notices = (*_approval_notices(approve, made), *undone.values())
    return _ended(run, Report(run.id, "sync", now, done, notices=notices))


def apply(run: Run, saved: SavedPlan, *, approve: str | None = None) -> Report:
    """Apply a saved plan and only that: refused with PlanFileError, before any write, if what it rests on has moved.

    The plan is a pure function of its inputs, so it is derived again from the saved feeds, the saved time and
    the clouds as they are now: the same id means the same writes, and the guards have looked at them again.
    """
    run.record("run-started", mode="apply", plan=saved.id)
    world = _world(saved.feeds, _survey_all(run), saved.created_at)
    _settle_open_intents(run, world)
    made, _ = _planned(run, world)
    if made.id != saved.id:
        run.record("run-ended", mode="apply", targets=[], refused="the world has moved since the plan was made")
        raise PlanFileError(moved(saved, made))
    if approve:
        run.record("approval", plan=approve, current=made.id, holds=approve == made.id)
    results = _apply(run, made, approved=approve == made.id)
    done = _with_results(made, results, approved=approve == made.id)
    return _ended(run, Report(run.id, "apply", saved.created_at, done, notices=_approval_notices(approve, made)))


def _ended(run: Run, report: Report) -> Report:
    statuses = [{"target": e.target, "resource": e.resource, "status": e.status.value} for e in report.plan.elements]
    said = {"notices": list(report.notices)} if report.notices else {}
    head = run.record("run-ended", mode=report.mode, targets=statuses, interrupted=run.stopping(), **said)
    return replace(report, checkpoint=f"{head.seq}:{head.hash}" if head.seq else "")


# ── observe ──────────────────────────────────────────────────────────────────


def _observe(run: Run, now: datetime) -> tuple[Plan, World]:
    chosen = [t for t in run.config.targets if t.name in run.selected]
    scopes = _scopes(run.config.targets, {t.scope for t in chosen})
    names = {f for t in chosen for f in t.feeds}
    feeds = [f for f in run.config.feeds if f.name in names]
    with ThreadPoolExecutor(THREADS) as pool:
        fetching = [pool.submit(_fetch, run, f) for f in feeds]
        reading = [pool.submit(_survey, run, targets) for targets in scopes.values()]
        results = {r.name: r for r in (f.result() for f in fetching)}
        found = [item for r in reading for item in r.result()]
    for result in results.values():
        _record_feed(run, result)
    world = _world(results, found, now)
    _settle_open_intents(run, world)
    return _planned(run, world)


def _planned(run: Run, world: World) -> tuple[Plan, World]:
    draft = make_plan(run.config, world, selected=run.selected)
    vague = {w.state.resource for w in draft.work if not w.state.complete and any(s.kind == "add" for s in w.steps)}
    if vague:
        world = _completed(run, world, vague)
        draft = make_plan(run.config, world, selected=run.selected)
    _record_plan(run, draft)
    return draft, world


def _plan_again(run: Run, world: World, now: datetime) -> Plan:
    return _planned(run, _world(world.feeds, _survey_all(run), now))[0]


def _survey_all(run: Run) -> list[State | ReadFailure]:
    chosen = {t.scope for t in run.config.targets if t.name in run.selected}
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(_survey, run, targets) for targets in _scopes(run.config.targets, chosen).values()]
        return [item for job in jobs for item in job.result()]


def _world(feeds: Mapping[str, FeedResult], found: Iterable[State | ReadFailure], now: datetime) -> World:
    items = list(found)
    states = [i for i in items if isinstance(i, State)]
    return World(feeds, states, [i for i in items if isinstance(i, ReadFailure)], now)


def _scopes(targets: Iterable[Target], chosen: set[tuple[object, ...]]) -> dict[tuple[object, ...], list[Target]]:
    scopes: dict[tuple[object, ...], list[Target]] = {}
    for target in targets:
        if target.scope in chosen:
            scopes.setdefault(target.scope, []).append(target)
    return scopes


def _fetch(run: Run, feed: Feed) -> FeedResult:
    try:
        return FeedResult(feed.name, feed.url, run.clouds.fetch(feed), insecure=feed.insecure)
    except FeedError as error:
        return FeedResult(feed.name, feed.url, None, str(error), insecure=feed.insecure)
    except Exception as error:
        log.exception("feed %s: a fault in ipsync", feed.name)
        return FeedResult(feed.name, feed.url, None, f"feed {feed.name}: a fault in ipsync: {error!r}")


def _survey(run: Run, targets: Sequence[Target]) -> Sequence[State | ReadFailure]:
    return _reading(targets, lambda: _reader(run, targets[0]).survey(targets, owner=run.config.owner))


def _completed(run: Run, world: World, vague: set[str]) -> World:
    found: list[State | ReadFailure] = [s for s in world.states if s.resource not in vague]
    for targets in _scopes(run.config.targets, {t.scope for t in run.config.targets}).values():
        names = {t.name for t in targets}
        states = [s for s in world.states if s.resource in vague and names & set(s.targets)]
        if states:
            found += _complete(run, targets, states)
    made = _world(world.feeds, found, world.now)
    return replace(made, failures=[*world.failures, *made.failures])


def _complete(run: Run, targets: Sequence[Target], states: Sequence[State]) -> Sequence[State | ReadFailure]:
    return _reading(targets, lambda: _reader(run, targets[0]).complete(states, owner=run.config.owner))


def _reading(
    targets: Sequence[Target], read: Callable[[], Sequence[State | ReadFailure]]
) -> Sequence[State | ReadFailure]:
    """Turn every failure to read into a value that names the targets: it must never look like an empty state."""
    names = tuple(t.name for t in targets)
    try:
        return read()
    except IpsyncError as error:
        return [ReadFailure((t.name,), _scope_text(t), str(error)) for t in targets]
    except Exception as error:
        log.exception("reading %s: a fault in ipsync", ", ".join(names))
        return [ReadFailure((t.name,), _scope_text(t), f"a fault in ipsync: {error!r}") for t in targets]


def _scope_text(target: Target) -> str:
    where = target.where
    return f"gcp/{where.project}/{where.rule}" if isinstance(where, GcpRule) else f"aws/-/{where.region}"


def _reader(run: Run, target: Target) -> Reader:
    with run.lock:
        known = run.readers.get(target.scope)
    if known is None:
        known = run.clouds.reader(target)
        with run.lock:
            known = run.readers.setdefault(target.scope, known)
    return known


# ── record ───────────────────────────────────────────────────────────────────


def _record_feed(run: Run, result: FeedResult) -> None:
    if result.snapshot:
        count = len(result.snapshot.networks)
        run.record("feed", feed=result.name, url=result.url, digest=result.snapshot.digest, count=count)
    else:
        run.record("feed", feed=result.name, url=result.url, rejected=result.error)


def _record_plan(run: Run, made: Plan) -> None:
    verdicts = [
        {"target": e.target, "resource": e.resource, "guard": v.guard, "verdict": v.verdict.value, "detail": v.detail}
        for e in made.elements
        for v in e.violations
    ]
    counts = {"add": sum(len(e.add) for e in made.elements), "remove": sum(len(e.remove) for e in made.elements)}
    run.record("plan", id=made.id, summary=counts, verdicts=verdicts)


# ── settle what an earlier run left open ─────────────────────────────────────


def _settle_open_intents(run: Run, world: World) -> None:
    configured = {t.name for t in run.config.targets}
    for intent in run.open_intents:
        resource = str(intent["resource"])
        now = _lines_now(resource, world.states, run.config.owner)
        if now is not None:
            run.record(
                "recovered", intent=intent["seq"], resource=resource, result=_compared(now, intent), now=list(now)
            )
        elif intent.get("target") not in configured:
            reason = "its target is no longer in the config; look at the resource by hand"
            run.record("recovered", intent=intent["seq"], resource=resource, result="unknown", reason=reason)
    run.open_intents = ()


def _compared(now: Sequence[str], intent: Mapping[str, object]) -> str:
    if list(now) == intent.get("after"):
        return "applied"
    return "failed" if list(now) == intent.get("before") else "partial"


def _lines_now(resource: str, states: Iterable[State], owner: str) -> tuple[str, ...] | None:
    for state in states:
        if state.resource == resource and not state.listed:
            return observed(state, owner=owner)
        folder, _, name = resource.rpartition("/")
        if state.listed and state.resource.rpartition("/")[0] == folder and belongs(name, base_name(state)):
            part = next((p for p in state.parts if p.name == name), None)
            return part_texts(part, owner=owner)
    return None


# ── apply ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one resource's work; `done` are the steps that were applied before one wasn't."""

    resource: str
    status: Status
    error: str | None = None
    stale: bool = False
    done: tuple[Step, ...] = ()


def _apply(run: Run, made: Plan, *, approved: bool, only: set[str] | None = None) -> list[Result]:
    todo = [w for w in made.work if _may_go(w, approved=approved) and (only is None or w.state.resource in only)]
    by_scope: dict[tuple[object, ...], list[Work]] = {}
    targets = {t.name: t for t in run.config.targets}
    for work in todo:
        by_scope.setdefault(targets[work.state.targets[0]].scope, []).append(work)
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(_apply_scope, run, works) for works in by_scope.values()]
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
    resource = work.state.resource
    for done, step in enumerate(work.steps):
        if run.stopping():
            return _ended_early(resource, done, "stopped by a signal before this write")
        told = _execute(run, writer, target, work, step)
        if told.outcome == "unknown":
            return Result(resource, Status.UNKNOWN, told.error)
        if told.outcome != "applied":
            status = Status.PARTIAL if told.touched or done else Status.ERROR
            return Result(resource, status, told.error, stale=told.outcome == "stale", done=work.steps[:done])
    return Result(resource, Status.APPLIED)


def _ended_early(resource: str, done: int, why: str) -> Result:
    return Result(resource, Status.PARTIAL if done else Status.ERROR, why)


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one write, what to tell people, and whether the resource isn't as it was before."""

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
        return _Told(result, text, touched=result != "failed")
    except CloudError as error:
        result = "stale" if isinstance(error, Stale) else "denied" if isinstance(error, Denied) else "failed"
        seen, now = _read_back(run, target, work, step, delays=READ_ONCE)
        _outcome(run, intent, step, result, error=error, now=now)
        return _Told(result, str(error), touched=seen in {"applied", "partial"})
    except JournalError:
        raise
    except Exception as error:
        log.exception("writing to %s: a fault in ipsync", step.resource)
        result, now = _read_back(run, target, work, step)
        _outcome(run, intent, step, result, error=CloudError(repr(error)), now=now)
        return _Told(result, f"a fault in ipsync while writing: {error!r}", touched=result != "failed")
    run.record("outcome", intent=intent.seq, resource=step.resource, result="applied", request_id=receipt.request_id)
    return _Told("applied")


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
        states = [s for s in _complete(run, [target], [work.state]) if isinstance(s, State)]
        now = _lines_now(step.resource, states, run.config.owner) if states else None
        if now is None:
            continue
        result = _compared(now, {"before": list(step.before), "after": list(step.after)})
        if result == "applied":
            break
    return result, now


def _verified(run: Run, target: Target, works: Sequence[Work], results: list[Result]) -> list[Result]:
    """Read what was written, once for the scope, again while the cloud still shows the past."""
    pending = {w.state.resource: w for w, r in zip(works, results, strict=True) if r.status is Status.APPLIED}
    why: dict[str, str] = {}
    for delay in READ_BACK_DELAYS:
        if not pending:
            break
        run.clouds.pause(delay)
        why = {}
        for item in _complete(run, [target], [w.state for w in pending.values()]):
            if isinstance(item, ReadFailure):
                why |= dict.fromkeys(pending, f"written, but it could not be read back: {item.message}")
            elif item.resource in pending and _as_intended(item, pending[item.resource], run.config.owner):
                del pending[item.resource]
    return [_after_reading(r, pending, why) for r in results]


def _as_intended(state: State, work: Work, owner: str) -> bool:
    if not state.listed:
        return observed(state, owner=owner) == work.steps[-1].after
    now = {p.name: part_texts(p, owner=owner) for p in state.parts}
    return all(now.get(s.resource.rpartition("/")[2], ()) == s.after for s in work.steps)


def _after_reading(result: Result, pending: Mapping[str, Work], why: Mapping[str, str]) -> Result:
    if result.resource not in pending:
        return result
    if result.resource in why:
        return Result(result.resource, Status.UNKNOWN, why[result.resource])
    text = "written, but reading it back shows something else: someone changes it at the same time; run again"
    return Result(result.resource, Status.PARTIAL, text)


# ── report ───────────────────────────────────────────────────────────────────


def _second_try(first: Plan, second: Plan, results: Sequence[Result]) -> Plan:
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


def _with_results(made: Plan, results: Sequence[Result], *, approved: bool) -> Plan:
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


def _approval_notices(approve: str | None, made: Plan) -> tuple[str, ...]:
    if not approve or approve == made.id:
        return ()
    return (f"the approval names plan {approve}, but the plan is now {made.id}: look at it again, then approve that",)
