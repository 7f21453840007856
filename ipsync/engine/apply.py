"""Carry out a plan's steps, resource by resource: intent, write, outcome; then read everything back.

Workers return results and raise nothing but a AuditLogError, which ends the run: no audit, no write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from threading import Lock

from ipsync.core.configured import Target
from ipsync.core.contents import Contents
from ipsync.core.errors import AuditLogError, CloudError, Denied, IpsyncError, Stale, Uncertain
from ipsync.core.events import Intent, Outcome
from ipsync.core.model import Operation, ReadFailure, Receipt, State, Status
from ipsync.core.operations import closes, opens
from ipsync.core.plan import Plan, ResourceChange
from ipsync.core.signals import CloudCalled, Recorded, StageBegan
from ipsync.engine.outcomes import Result
from ipsync.engine.read import read_full
from ipsync.engine.read_back import FOUND, READ_BACK_DELAYS, READ_ONCE, read_back
from ipsync.engine.recover import held_now
from ipsync.engine.run import Run, pool, provider
from ipsync.targets.base import Writer

log = logging.getLogger(__name__)


def carry_out(run: Run, made: Plan, *, approved: frozenset[str], only: set[str] | None = None) -> list[Result]:
    """Carry out what no guard holds back and what was approved, scopes and resources at once; `only` names some.

    Everything that opens is opened first, in all scopes; then what closes is closed, where all had been opened.
    """
    todo = [w for w in made.changes if only is None or w.state.resource in only]
    by_scope: dict[tuple[object, ...], _Scope] = {}
    for resource_change in todo:
        if operations := resource_change.allowed(approved):
            target = run.progress.reached[resource_change.leader, resource_change.state.resource]
            by_scope.setdefault(target.scope, _Scope(run, target)).tasks.append(_Task(resource_change, operations))
    scopes = list(by_scope.values())
    if not scopes:
        return []
    with pool() as threads:
        for stage, parts in (("open", _Scope.opening), ("close", _Scope.closing), ("verify", _Scope.verifying)):
            run.signal(StageBegan(stage, run.id))
            for job in [threads.submit(part) for part in _in_turns([parts(scope) for scope in scopes])]:
                job.result()
    return [task.result for scope in scopes for task in scope.tasks if task.result]


_Job = Callable[[], object]


def _in_turns(jobs: Iterable[Sequence[_Job]]) -> list[_Job]:
    """Return every scope's first job, then every second: no scope's pace keeps the threads from the others."""
    return [job for job in chain.from_iterable(zip_longest(*jobs)) if job]


@dataclass(slots=True)
class _Task:
    """One resource's writes, how far they got, and what became of them."""

    resource_change: ResourceChange
    operations: Sequence[Operation]
    intents: list[int] = field(default_factory=list)
    result: Result | None = None

    @property
    def resource(self) -> str:
        return self.resource_change.state.resource

    @property
    def opening(self) -> int:
        """Return how many of the first steps come before anything is closed; all, where removing comes first."""
        first = next((n for n, operation in enumerate(self.operations) if closes(operation)), len(self.operations))
        return len(self.operations) if any(opens(operation) for operation in self.operations[first:]) else first


class _Scope:
    """The resources that are written with one set of credentials: at once where the kind can, else one by one."""

    def __init__(self, run: Run, target: Target) -> None:
        self.run, self.target = run, target
        self.tasks: list[_Task] = []
        self._writer: Writer | IpsyncError | None = None
        self._unfinished: set[str] = set()
        self._lock = Lock()

    def opening(self) -> list[_Job]:
        """Return what lets in what is to be let in."""
        self._unfinished = {t.resource for t in self.tasks}
        return self._each(lambda task: self._carry_on(task, task.opening))

    def closing(self) -> list[_Job]:
        """Return what takes away what is to go, of each resource where everything was let in before."""
        return self._each(self._close)

    def verifying(self) -> list[_Job]:
        """Return what reads back what was written."""
        written = [t for t in self.tasks if t.result and t.result.status is Status.APPLIED]
        return [partial(_verify, self.run, self.target, written)]

    def _each(self, work: Callable[[_Task], None]) -> list[_Job]:
        def job(tasks: Sequence[_Task]) -> None:
            for task in tasks:
                work(task)
                self._let_go(task)

        todo = [t for t in self.tasks if t.result is None]
        at_once = all(t.resource_change.state.traits.at_once for t in todo)
        return [partial(job, [t]) for t in todo] if at_once else [partial(job, todo)]

    def _close(self, task: _Task) -> None:
        self._carry_on(task, len(task.operations))
        if task.result is None:
            task.result = Result(
                task.resource, Status.APPLIED, intents=tuple(task.intents), done=tuple(task.operations)
            )

    def _can_write(self) -> Writer:
        """Return what can write, made for the first write. Raises IpsyncError where there is none to be had."""
        with self._lock:
            if self._writer is None:
                try:
                    self._writer = self.run.clouds.writer(self.target)
                except IpsyncError as error:
                    self._writer = error
            if isinstance(self._writer, IpsyncError):
                raise self._writer
            return self._writer

    def _let_go(self, task: _Task) -> None:
        """Forget what can write, and its clients with it, as soon as nothing is left to be written here."""
        if task.result or len(task.intents) == len(task.operations):
            with self._lock:
                self._unfinished.discard(task.resource)
                if not self._unfinished:
                    self._writer = None

    def _carry_on(self, task: _Task, end: int) -> None:
        """Carry out a resource's steps in order, up to `end`; the first that doesn't succeed ends it."""
        while len(task.intents) < end and task.result is None:
            done = len(task.intents)
            if self.run.stopping():
                status = Status.PARTIAL if done else Status.ERROR
                when = (
                    f"after {done} of its {len(task.operations)} writes"
                    if done
                    else "before anything was written to it"
                )
                text = f"{self.run.ended_by} ended the run {when}; the next run does the rest"
                task.result = Result(task.resource, status, text, done=tuple(task.operations[:done]))
                return
            self._carry_out(task, task.operations[done], tuple(task.operations[:done]))

    def _carry_out(self, task: _Task, operation: Operation, done: tuple[Operation, ...]) -> None:
        try:
            writer = self._can_write()
        except IpsyncError as error:
            task.result = Result(task.resource, Status.PARTIAL if done else Status.ERROR, str(error), done=done)
            return
        told = _execute(self.run, writer, self.target, task.resource_change, operation)
        task.intents.append(told.intent)
        if told.outcome == "unknown":
            task.result = Result(task.resource, Status.UNKNOWN, told.error, done=done)
        elif told.outcome != "applied":
            status = Status.PARTIAL if told.touched or done else Status.ERROR
            task.result = Result(task.resource, status, told.error, stale=told.outcome == "stale", done=done)


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one write, what to tell people, and whether the resource isn't as it was before."""

    intent: int
    outcome: str
    error: str | None = None
    touched: bool = True


def _execute(run: Run, writer: Writer, target: Target, resource_change: ResourceChange, operation: Operation) -> _Told:
    """Record the intent, write, record the outcome: what was seen there afterwards, whatever the cloud answered."""
    intent = _announced(run, resource_change.leader, operation)
    try:
        receipt = _written(run, writer, target, operation)
    except Uncertain as error:
        result, now = read_back(run, target, resource_change, operation)
        _outcome(run, intent, operation, result, error=error, now=now)
        text = None if result == "applied" else f"{str(error).rstrip('.')}; {FOUND[result]}"
        return _Told(intent.seq, result, text, touched=result != "failed")
    except CloudError as error:
        result = "stale" if isinstance(error, Stale) else "denied" if isinstance(error, Denied) else "failed"
        seen, now = read_back(run, target, resource_change, operation, delays=READ_ONCE)
        _outcome(run, intent, operation, result, error=error, now=now)
        return _Told(intent.seq, result, str(error), touched=seen in {"applied", "partial"})
    except AuditLogError:
        raise
    except Exception as error:
        log.exception("writing to %s: a fault in ipsync", operation.resource)
        result, now = read_back(run, target, resource_change, operation)
        _outcome(run, intent, operation, result, error=CloudError(repr(error)), now=now)
        text = None if result == "applied" else f"a fault in ipsync while writing: {error!r}; {FOUND[result]}"
        return _Told(intent.seq, result, text, touched=result != "failed")
    applied = Outcome(intent=intent.seq, resource=operation.resource, result="applied", request_id=receipt.request_id)
    run.emit(applied)
    return _Told(intent.seq, "applied")


def _announced(run: Run, target: str, operation: Operation) -> Recorded:
    return run.emit(
        Intent(
            resource=operation.resource,
            kind=operation.kind,
            target=target,
            before=operation.before,
            after=operation.after,
        )
    )


def _written(run: Run, writer: Writer, target: Target, operation: Operation) -> Receipt:
    """Send the write, and tell how the cloud answered."""
    result = "unknown"
    try:
        receipt = writer.execute(operation)
        result = "ok"
    except CloudError as error:
        result = "unknown" if isinstance(error, Uncertain) else "error"
        raise
    finally:
        run.signal(CloudCalled(provider(target), operation.kind, result))
    return receipt


def _outcome(
    run: Run,
    intent: Recorded,
    operation: Operation,
    result: str,
    *,
    error: CloudError,
    now: Contents | None = None,
) -> None:
    run.emit(
        Outcome(
            intent=intent.seq,
            resource=operation.resource,
            result=result,
            error=str(error),
            code=error.code,
            request_id=error.request_id,
            now=now,
        )
    )


# ── read back ────────────────────────────────────────────────────────────────


def _verify(run: Run, target: Target, tasks: Sequence[_Task]) -> None:
    """Read what was written, once for the scope, again while the cloud still shows the past."""
    pending = {t.resource: t for t in tasks}
    seen: dict[str, State | ReadFailure] = {}
    for delay in READ_BACK_DELAYS:
        if not pending:
            break
        run.clouds.pause(delay)
        for item in read_full(run, target, [t.resource_change.state for t in pending.values()]):
            seen[item.resource] = item
            task = pending.get(item.resource)
            if task and isinstance(item, State) and not _differing(item, task, run.config.owner):
                del pending[item.resource]
    for task in pending.values():
        task.result = _after_reading(run, task, seen.get(task.resource))


def _differing(state: State, task: _Task, owner: str) -> list[int]:
    """Return which steps left something else than they were to; of those of one list or group, the last speaks."""
    last = {operation.resource: number for number, operation in enumerate(task.operations)}
    return [n for resource, n in last.items() if held_now(resource, [state], owner) != task.operations[n].after]


def _after_reading(run: Run, task: _Task, seen: State | ReadFailure | None) -> Result:
    """Say, and record, that what was written could not be read back, or isn't what is there."""
    if not isinstance(seen, State):
        why = seen.message if seen else "it is not among what was read"
        text = f"written, but it could not be read back: {why}; the next run reads it again"
        return Result(task.resource, Status.UNKNOWN, text, done=tuple(task.operations))
    text = "written, but reading it back shows something else: somebody else may be changing it at the same time; run again"
    for number in _differing(seen, task, run.config.owner):
        operation, intent = task.operations[number], task.intents[number]
        now = held_now(operation.resource, [seen], run.config.owner) or Contents()
        run.emit(Outcome(intent=intent, resource=operation.resource, result="partial", error=text, now=now))
    return Result(task.resource, Status.PARTIAL, text, done=tuple(task.operations))
