"""Read feeds and clouds, at once; every failure becomes a value, and the plan is made from what was read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ipsync.core import freshness, guards
from ipsync.core.at_rest import AtRest
from ipsync.core.configured import Feed, Target
from ipsync.core.errors import FeedError, IpsyncError
from ipsync.core.events import FeedRead, Planned
from ipsync.core.model import Network, Operation, ReadFailure, State
from ipsync.core.plan import FeedResult, Observed, Plan, ResourceChange
from ipsync.core.planner import make_plan
from ipsync.core.signals import FeedFetched, PlanMade, ScopeRead, StageBegan
from ipsync.core.waves import arranged
from ipsync.engine import divide
from ipsync.engine.expand import opened
from ipsync.engine.recover import recover_open_intents
from ipsync.engine.run import Run, pool, scopes
from ipsync.targets.base import Reader

log = logging.getLogger(__name__)


def observe(run: Run, now: datetime) -> tuple[Plan, Observed]:
    """Fetch and list what the selected targets need, recover what was left open, and plan."""
    names = run.config.feeds_of(run.selected)
    run.signal(StageBegan("read", run.id))
    feeds = [f for f in run.config.feeds if f.name in names]
    with pool() as threads:
        fetching = [threads.submit(_fetch, run, f) for f in feeds]
        resting = threads.submit(lambda: _at_rest(run, [f.result() for f in fetching], now))
        found = list_all(run, resting.result)
        results = {r.name: r for r in (f.result() for f in fetching)}
    for result in results.values():
        _record_feed(run, result, now)
    observed = observed_of(run, results, found, now)
    recover_open_intents(run, observed)
    return planned(run, observed)


def planned(run: Run, observed: Observed) -> tuple[Plan, Observed]:
    """Plan; the plan is recorded."""
    run.signal(StageBegan("plan", run.id))
    draft, observed = drafted(run, observed)
    draft = arranged(draft, run.config)
    _record_plan(run, draft)
    run.signal(PlanMade(draft, observed))
    return draft, observed


def drafted(run: Run, observed: Observed) -> tuple[Plan, Observed]:
    """Plan; read whole what is to be added to, and plan again."""
    draft = make_plan(run.config, observed, selected=run.selected)
    incomplete = {w.state.resource: w.leader for w in draft.changes if _needs_all(w)}
    if incomplete:
        observed = _completed(run, observed, incomplete)
        draft = make_plan(run.config, observed, selected=run.selected)
    unsure = {
        w.state.resource: w.leader
        for w in draft.changes
        if guards.hangs_on_assumption(w.state.capacity, _added(w.operations))
    }
    if unsure:
        blank = [replace(s, capacity=()) if s.resource in unsure else s for s in observed.states]
        observed = _completed(run, replace(observed, states=blank), unsure)
        draft = make_plan(run.config, observed, selected=run.selected)
    return draft, observed


def _needs_all(resource_change: ResourceChange) -> bool:
    """Tell whether all of a resource must be read: something is to be let in where it isn't known who else is there, or how much still fits."""
    kinds = {operation.kind for operation in resource_change.operations}
    unknown = not resource_change.state.complete or (
        resource_change.state.traits.whole_lists and not resource_change.state.capacity
    )
    return unknown and bool(kinds & {"add", "create"})


def _added(operations: Iterable[Operation]) -> list[Network]:
    return [e.network for s in operations if s.kind == "add" for e in s.entries]


def plan_again(run: Run, observed: Observed, now: datetime) -> Plan:
    """Plan from the same feeds and the clouds as they are now."""
    return planned(run, observed_now(run, observed.feeds, now))[0]


def observed_now(run: Run, feeds: Mapping[str, FeedResult], now: datetime) -> Observed:
    """Read the clouds; the feeds are known."""
    rest = _at_rest(run, feeds.values(), now)
    return observed_of(run, feeds, list_all(run, lambda: rest), now)


def _at_rest(run: Run, results: Iterable[FeedResult], now: datetime) -> AtRest:
    return AtRest(run.config, {r.name: r for r in results}, now, run.selected)


def list_all(run: Run, rest: Callable[[], AtRest]) -> list[State | ReadFailure]:
    """List every scope of the selected targets. What is at rest is let go at once, with all that read it.

    `rest` tells what is; it may have to wait for the feeds.
    """
    chosen = {t.scope for t in run.config.targets if t.name in run.selected}
    with pool() as threads:
        read = scopes(run.config.targets, chosen).values()
        jobs = [(targets, threads.submit(_surveyed, run, targets, rest)) for targets in read]
        found: list[State | ReadFailure] = []
        for targets, job in jobs:
            kept = [kept for item in job.result() if (kept := divide.ours(run, item))]
            for item in kept:
                _note_reached(run, targets, item)
            found += kept
    return _whole_where_shared(run, found)


def _surveyed(run: Run, targets: Sequence[Target], rest: Callable[[], AtRest]) -> Sequence[State | ReadFailure]:
    found = _list_owned(run, targets)
    light = [rest().lightened(item) if isinstance(item, State) else None for item in found]
    if found and all(light):
        run.progress.let_go(targets[0].scope)
    return [less or item for less, item in zip(light, found, strict=True)]


def _whole_where_shared(run: Run, found: Sequence[State | ReadFailure]) -> list[State | ReadFailure]:
    """Read again what was let go, but is named by other targets through another scope as well."""
    names: dict[str, set[tuple[str, ...]]] = {}
    for item in found:
        if isinstance(item, State):
            names.setdefault(item.resource, set()).add(item.targets)
    return [
        again for item in found for again in (_whole(run, item) if len(names.get(item.resource, ())) > 1 else [item])
    ]


def _whole(run: Run, item: State | ReadFailure) -> Sequence[State | ReadFailure]:
    if isinstance(item, ReadFailure) or not item.targets or all(e.provider_id for e in item.entries):
        return [item]
    return read_full(run, run.progress.reached[item.targets[0], item.resource], [item])


def _note_reached(run: Run, targets: Sequence[Target], item: State | ReadFailure) -> None:
    """Remember through which place a target names a resource; of several, the first in the config's order."""
    if isinstance(item, State):
        for target in targets:
            if target.name in item.targets:
                run.progress.reached.setdefault((target.name, item.resource), target)


def observed_of(
    run: Run, feeds: Mapping[str, FeedResult], found: Iterable[State | ReadFailure], now: datetime
) -> Observed:
    """Put together what a plan is made from."""
    items = list(found)
    order = {name: i for i, name in enumerate(dict.fromkeys(t.name for t in run.config.targets))}
    states = merged([i for i in items if isinstance(i, State)], order)
    failures = [i for i in items if isinstance(i, ReadFailure)]
    read = {t.scope for t in run.config.targets if t.name in run.selected}
    unread = frozenset(t.scope for t in run.config.targets if t.scope not in read)
    return Observed(feeds, states, failures, now, unread)


def merged(states: Iterable[State], order: Mapping[str, int]) -> list[State]:
    """Make one state of each resource, through however many credentials it was read; targets in the config's order."""
    found: dict[str, State] = {}
    for state in states:
        known = found.get(state.resource)
        names = {*state.targets, *(known.targets if known else ())}
        first = known if known and (known.complete or not state.complete) else state
        named = tuple(sorted(names, key=order.__getitem__))
        found[state.resource] = first if first.targets == named else replace(first, targets=named)
    return list(found.values())


def _fetch(run: Run, feed: Feed) -> FeedResult:
    began = time.monotonic()
    result = _fetched(run, feed)
    run.signal(FeedFetched(result, time.monotonic() - began))
    return result


def _fetched(run: Run, feed: Feed) -> FeedResult:
    try:
        return FeedResult(feed.name, feed.url, run.clouds.fetch(feed), insecure=feed.insecure)
    except FeedError as error:
        return FeedResult(feed.name, feed.url, None, str(error), insecure=feed.insecure)
    except Exception as error:
        log.exception("feed %s: a fault in ipsync", feed.name)
        return FeedResult(feed.name, feed.url, None, f"feed {feed.name}: a fault in ipsync: {error!r}")


def _list_owned(run: Run, targets: Sequence[Target]) -> Sequence[State | ReadFailure]:
    began = time.monotonic()
    found, why = _reading(run, targets[0], lambda reader: reader.list_owned(targets, owner=run.config.owner))
    run.signal(ScopeRead(targets[0].scope, time.monotonic() - began, why, targets[0].where.place))
    if why is not None:
        found = [ReadFailure((t.name,), t.where.place, why, all_of=True) for t in targets]
    return [replace(i, scope=targets[0].scope) if isinstance(i, ReadFailure) else i for i in found]


def _completed(run: Run, observed: Observed, incomplete: Mapping[str, str]) -> Observed:
    """Read these resources whole, each through one of its scopes, and the scopes at once."""
    found: list[State | ReadFailure] = [s for s in observed.states if s.resource not in incomplete]
    by_scope: dict[tuple[object, ...], tuple[Target, list[State]]] = {}
    for state in observed.states:
        if state.resource in incomplete:
            target = run.progress.reached[incomplete[state.resource], state.resource]
            by_scope.setdefault(target.scope, (target, []))[1].append(
                replace(state, complete=state.complete and not state.traits.whole_lists)
            )
    with pool() as threads:
        jobs = [threads.submit(read_full, run, target, states) for target, states in by_scope.values()]
        found += [item for job in jobs for item in job.result()]
    made = observed_of(run, observed.feeds, found, observed.now)
    return replace(made, failures=[*observed.failures, *made.failures])


def read_full(run: Run, target: Target, states: Sequence[State]) -> Sequence[State | ReadFailure]:
    """Read these resources whole; what can't be read is a value, a resource each."""
    found, why = _reading(run, target, lambda reader: reader.read_full(states, owner=run.config.owner))
    return found if why is None else [ReadFailure(s.targets, s.resource, why) for s in states]


def _reading(
    run: Run, target: Target, read: Callable[[Reader], Sequence[State | ReadFailure]]
) -> tuple[Sequence[State | ReadFailure], str | None]:
    """Return what was read, or why nothing was: a failure must never look like an empty state."""
    try:
        reader = _reader(run, target)
        try:
            return read(reader), None
        finally:
            run.tell_calls(target, reader)
    except IpsyncError as error:
        return (), str(error)
    except Exception as error:
        log.exception("reading the clouds: a fault in ipsync")
        return (), f"a fault in ipsync: {error!r}"


def _reader(run: Run, target: Target) -> Reader:
    with run.progress.lock:
        known = run.progress.readers.get(target.scope)
    if known is None:
        known = opened(run, target)
        with run.progress.lock:
            known = run.progress.readers.setdefault(target.scope, known)
    return known


# ── record ───────────────────────────────────────────────────────────────────


def _record_feed(run: Run, result: FeedResult, now: datetime) -> None:
    """Record what came of a feed, and tell people where it has stayed the same, or failed, for too long."""
    snapshot = result.snapshot
    read = FeedRead(
        feed=result.name,
        url=result.url,
        digest=snapshot.digest if snapshot else None,
        count=len(snapshot.networks) if snapshot else None,
        rejected=None if snapshot else result.error,
    )
    read = freshness.dated(read, run.feeds_before.get(result.name), now)
    run.emit(read)
    feed = next(feed for feed in run.config.feeds if feed.name == result.name)
    late = freshness.failing(read, run.config.grace, now)
    if late:
        log.error("%s", late)
    run.progress.notices.extend(text for text in (late, freshness.unchanged(feed, read, now)) if text)


def _record_plan(run: Run, made: Plan) -> None:
    verdicts = [
        {"target": e.target, "resource": e.resource, "guard": v.guard, "verdict": v.verdict.value, "detail": v.detail}
        | ({"change": v.change} if v.change else {})
        for e in made.target_changes
        for v in e.violations
    ]
    counts = {
        "add": sum(len(e.add) for e in made.target_changes),
        "remove": sum(len(e.remove) for e in made.target_changes),
    }
    run.emit(Planned(id=made.id, summary=counts, verdicts=verdicts))
