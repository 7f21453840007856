"""The plan: everything a sync would do, as a value that people read and guards judge.

Pure: the same feeds, clouds, config and clock give the same plan. The id leaves the clock out, so that two
runs that see the same world print the same id, whenever they run; an approval names that id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ipsync import guards
from ipsync.diff import Diff, Marked, Policy, diff, wants
from ipsync.layout import base_name, family_name
from ipsync.model import (
    Config,
    Entry,
    Leaving,
    Limits,
    Network,
    ReadFailure,
    Snapshot,
    State,
    Status,
    Step,
    Target,
    Verdict,
    Violation,
)
from ipsync.ownership import mark_of, rule_is_ours
from ipsync.steps import MARKED, entry_text, observed, steps


@dataclass(frozen=True, slots=True)
class FeedResult:
    """What came of fetching one feed: a snapshot, or why there is none."""

    name: str
    url: str
    snapshot: Snapshot | None
    error: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """One target on one resource, as the plan shows it."""

    target: str
    kind: str
    resource: str
    status: Status
    add: tuple[Entry, ...] = ()
    remove: tuple[Entry, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    starts_leaving: tuple[Entry, ...] = ()
    returns: tuple[Entry, ...] = ()
    satisfied: tuple[Entry, ...] = ()
    settings: tuple[tuple[str, str, str, str], ...] = ()
    violations: tuple[Violation, ...] = ()
    held: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be written to one resource. `verdict` is the worst that a guard said of it."""

    state: State
    steps: tuple[Step, ...]
    verdict: Verdict
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Orphan:
    """An entry of ours that belongs to no target any more."""

    resource: str
    entry: Entry
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a sync would do. `work` holds blocked resources too, for an approval."""

    owner: str
    feeds: tuple[FeedResult, ...]
    elements: tuple[Element, ...]
    orphaned: tuple[Orphan, ...]
    work: tuple[Work, ...] = field(default=(), repr=False)
    id: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What a plan is made from: the feeds and the clouds as they were read, and the time."""

    feeds: Mapping[str, FeedResult]
    states: Sequence[State]
    failures: Sequence[ReadFailure]
    now: datetime


def make_plan(config: Config, world: World, *, selected: Iterable[str] | None = None) -> Plan:
    """Compare what is wanted with what was read, let the guards judge it, and return the plan."""
    chosen = {t.name for t in config.targets} if selected is None else set(selected)
    hindered = {t.name: _hindrance(t, world.feeds) for t in config.targets if t.name in chosen}
    frozen = frozenset(t.name for t in config.targets if t.name not in chosen or hindered[t.name])
    planner = _Planner(config, world, frozen, hindered)
    resources = [planner.resource(s) for s in sorted(world.states, key=lambda s: s.resource)]
    failed = [_failed(f, name, config) for f in world.failures for name in f.targets if name in chosen]
    order = {t.name: i for i, t in enumerate(config.targets)}
    elements = [*failed, *(e for r in resources for e in r.elements)]
    elements.sort(key=lambda e: (order[e.target], e.resource))
    orphans = tuple(o for r in resources for o in r.orphans)
    work = tuple(r.work for r in resources if r.work)
    used = {f for t in config.targets if t.name in chosen for f in t.feeds}
    feeds = tuple(world.feeds[f.name] for f in config.feeds if f.name in used)
    return Plan(config.owner, feeds, tuple(elements), orphans, work, _identity(config, feeds, resources))


def _failed(failure: ReadFailure, name: str, config: Config) -> Element:
    kind = next(t.kind for t in config.targets if t.name == name)
    return Element(name, kind, failure.resource, Status.ERROR, error=failure.message)


# ── what hinders a target before any resource is looked at ───────────────────


@dataclass(frozen=True, slots=True)
class _Hindrance:
    status: Status
    error: str | None = None
    violations: tuple[Violation, ...] = ()


def _hindrance(target: Target, feeds: Mapping[str, FeedResult]) -> _Hindrance | None:
    errors = [feeds[f].error for f in target.feeds if feeds[f].error]
    if errors:
        text = "; ".join(e for e in errors if e)
        refusal = Violation("feed", Verdict.REFUSE, text)
        return _Hindrance(Status.ERROR, error=text, violations=(refusal,))
    limits = dict(target.limits)
    found = [
        violation
        for name in target.feeds
        if (snapshot := feeds[name].snapshot)
        for violation in guards.check_snapshot(snapshot, limits.get(name, Limits()))
    ]
    return _Hindrance(Status.BLOCKED, violations=tuple(found)) if found else None


# ── one resource ─────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Resource:
    elements: tuple[Element, ...]
    orphans: tuple[Orphan, ...]
    work: Work | None
    identity: object


@dataclass(frozen=True, slots=True)
class _Planner:
    config: Config
    world: World
    frozen: frozenset[str]
    hindered: Mapping[str, _Hindrance | None]

    def resource(self, state: State) -> _Resource:
        targets = [t for t in self.config.targets if t.name in state.targets]
        change = self._diff(state, targets)
        swap = any(t.swap for t in targets)
        todo = _todo(state, change, owner=self.config.owner, swap=swap)
        violations = self._judge(state, change, targets)
        seen = observed(state, owner=self.config.owner)
        verdict = _worst(violations)
        elements = [self._element(t, state, change, violations, todo) for t in targets if t.name in self.hindered]
        work = Work(state, todo, verdict, seen) if todo else None
        orphans = tuple(Orphan(state.resource, m.entry, m.mark.targets[0]) for m in change.orphaned)
        identity = [state.resource, _seen_digest(state, seen), _changes(change), _words(todo, violations)]
        return _Resource(tuple(elements), orphans, work, identity)

    def _diff(self, state: State, targets: Sequence[Target]) -> Diff:
        policy = Policy(self.config.owner, self.world.now, self.config.grace, targets, self.frozen)
        if not targets:
            return diff(state, {}, policy) if not state.listed else _all_orphaned(state, self.config.owner)
        healthy = [t for t in targets if t.name not in self.frozen]
        return diff(state, wants(healthy, self._lists(healthy), listed=state.listed), policy)

    def _lists(self, targets: Sequence[Target]) -> dict[str, Sequence[Network]]:
        names = {f for t in targets for f in t.feeds}
        results = {name: self.world.feeds[name].snapshot for name in names}
        return {name: snapshot.networks for name, snapshot in results.items() if snapshot}

    def _judge(self, state: State, change: Diff, targets: Sequence[Target]) -> tuple[Violation, ...]:
        healthy = [t for t in targets if t.name not in self.frozen]
        if not healthy:
            return ()
        limits = [limit for t in healthy for _, limit in t.limits] or [Limits()]
        found = _obstacles(state, change, self.config.owner)
        found += guards.check_movement(_movement(state, change, self.config.owner), limits)
        if state.complete:
            found += guards.check_capacity(
                state.capacity,
                added=[m.entry.network for m in change.add],
                removed=[m.entry.network for m in change.remove],
                swap=any(t.swap for t in healthy),
            )
        return tuple(found)

    def _element(
        self, target: Target, state: State, change: Diff, violations: Sequence[Violation], todo: Sequence[Step]
    ) -> Element:
        hindrance = self.hindered[target.name]
        blank = Element(target.name, target.kind, state.resource, Status.IN_SYNC)
        mine = _Mine(target.name, state, change, self.config.owner)
        if hindrance:
            stuck = replace(blank, status=hindrance.status, error=hindrance.error, held=mine.held)
            return replace(stuck, violations=hindrance.violations)
        settings = _settings(todo) if mine.leads else ()
        moves = bool(todo) and (mine.changes or bool(settings))
        status = _status(moves, violations)
        return replace(
            blank,
            status=status,
            add=mine.entries(change.add),
            remove=mine.entries(change.remove),
            leaving=tuple(leaving for marked, leaving in change.leaving if mine.owns(marked)),
            starts_leaving=tuple(m.entry for m in mine.of(change.remark) if m.mark.since),
            returns=tuple(m.entry for m in mine.of(change.remark) if mine.was_leaving(m)),
            satisfied=mine.entries(change.satisfied),
            settings=settings,
            violations=tuple(v for v in violations if moves or mine.leaves or v.guard == "ownership"),
            held=mine.held,
        )


class _Mine:
    """Which part of a resource's diff is shown under one of its targets."""

    def __init__(self, target: str, state: State, change: Diff, owner: str) -> None:
        self._target, self._state, self._owner = target, state, owner
        self.leads = state.targets[0] == target
        self.leaves = any(self.owns(marked) for marked, _ in change.leaving)
        moved = (*change.add, *change.remove, *change.remark)
        self.changes = any(self.owns(m) for m in moved) or (state.listed and bool(change.remark))
        kept = (*change.keep, *change.remark)
        self.held = sum(self.owns(m) for m in kept)

    def owns(self, item: Marked) -> bool:
        named = [t for t in item.mark.targets if t in self._state.targets]
        return self._target == (named[0] if named else self._state.targets[0])

    def of(self, items: Iterable[Marked]) -> list[Marked]:
        return [m for m in items if self.owns(m)]

    def entries(self, items: Iterable[Marked]) -> tuple[Entry, ...]:
        return tuple(m.entry for m in self.of(items))

    def was_leaving(self, item: Marked) -> bool:
        old = mark_of(item.entry, owner=self._owner, listed=self._state.listed)
        return item.mark.since is None and old is not None and old.since is not None


def _todo(state: State, change: Diff, *, owner: str, swap: bool) -> tuple[Step, ...]:
    """Return the writes; a list without a target, or that can't be managed at all, gets none."""
    if not state.targets or (state.listed and (state.obstacle or _foreign_names(state, change, owner))):
        return ()
    added = [m.entry.network for m in change.add]
    first = swap and state.complete and guards.needs_swap(state.capacity, added)
    return steps(state, change, owner=owner, remove_first=first)


def _obstacles(state: State, change: Diff, owner: str) -> list[Violation]:
    found = [Violation("ownership", Verdict.REFUSE, state.obstacle)] if state.obstacle else []
    for name in _foreign_names(state, change, owner):
        detail = (
            f"a rule named {name} exists and was not made by this owner ({owner}); "
            f"choose another `rule:` in the config, or delete or rename that rule"
        )
        found.append(Violation("ownership", Verdict.REFUSE, detail))
    return found


def _foreign_names(state: State, change: Diff, owner: str) -> list[str]:
    if not state.listed:
        return []
    taken = {p.name for p in state.parts if not rule_is_ours(p.note, owner=owner)}
    families = {e.network.version for e in change.after}
    names = {family_name(base_name(state), version) for version in families}
    return sorted(names & taken)


def _all_orphaned(state: State, owner: str) -> Diff:
    marks = ((e, mark_of(e, owner=owner, listed=True)) for e in state.entries)
    return Diff(orphaned=tuple(Marked(e, mark) for e, mark in marks if mark))


def _movement(state: State, change: Diff, owner: str) -> guards.Movement:
    marks = (e for e in state.entries if mark_of(e, owner=owner, listed=state.listed))
    unwanted = [m.entry.network for m in change.remove] + [m.entry.network for m, _ in change.leaving]
    staying = {m.entry.network for m in change.keep if not m.mark.since} | {m.entry.network for m in change.add}
    return guards.Movement(
        before=frozenset(e.network for e in marks),
        after=frozenset(e.network for e in change.after),
        leaving=frozenset(unwanted) - staying,
    )


def _settings(todo: Sequence[Step]) -> tuple[tuple[str, str, str, str], ...]:
    """Return (rule, setting, from, to) for each list whose settings change."""
    found = []
    for step in todo:
        if step.was and step.part:
            old, new = dict(step.was.settings), dict(step.part.settings)
            keys = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
            found += [(step.part.name, k, old.get(k, ""), new.get(k, "")) for k in keys]
    return tuple(found)


def _worst(violations: Iterable[Violation]) -> Verdict:
    verdicts = {v.verdict for v in violations}
    return next((v for v in (Verdict.REFUSE, Verdict.NEEDS_APPROVAL) if v in verdicts), Verdict.ALLOW)


def _status(moves: object, violations: Sequence[Violation]) -> Status:
    worst = _worst(violations)
    if worst is not Verdict.ALLOW and (moves or any(v.guard == "ownership" for v in violations)):
        return Status.BLOCKED
    return Status.CHANGE if moves else Status.IN_SYNC


# ── the id ───────────────────────────────────────────────────────────────────


def digest(value: object) -> str:
    """Return the digest of a JSON value in canonical form (RFC 8785 for texts, integers and lists)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _identity(config: Config, feeds: Sequence[FeedResult], resources: Sequence[_Resource]) -> str:
    lists = [[f.name, f.url, f.snapshot.digest if f.snapshot else ""] for f in feeds]
    return digest([config.owner, lists, [r.identity for r in resources]])


def _seen_digest(state: State, seen: Sequence[str]) -> list[object]:
    foreign = sorted({entry_text(e) for e in state.entries} - {t.partition(MARKED)[0] for t in seen})
    return [list(seen), foreign if state.complete else [], state.obstacle or ""]


def _changes(change: Diff) -> list[object]:
    """Return what decides the writes, without the clock: an entry that begins to leave has no time yet."""
    word: Callable[[Marked], list[object]] = lambda m: [  # noqa: E731 - one shape for all lists
        entry_text(m.entry),
        list(m.mark.targets),
        m.mark.origin,
        m.mark.since is not None,
    ]
    return [[word(m) for m in items] for items in (change.add, change.remove, change.remark)]


def _words(todo: Sequence[Step], violations: Sequence[Violation]) -> list[object]:
    kinds = [[s.kind, s.resource, list(map(list, s.part.settings)) if s.part else []] for s in todo]
    return [kinds, [[v.guard, v.verdict.value] for v in violations]]
