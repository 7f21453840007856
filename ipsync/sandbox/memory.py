"""A cloud in memory, for proofs that need hundreds of thousands of steps: groups of rules and lists.

It knows the two shapes a target can have and nothing of HTTP; what real APIs do is in aws.py and gcp.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from ipsync.errors import Missing, Rejected, Stale
from ipsync.model import AwsGroups, Capacity, Entry, GcpRule, Note, Part, ReadFailure, Receipt, State, Step, Target
from ipsync.ownership import OWNER
from ipsync.providers.base import Finding

Hook = Callable[[Step], None]
QUOTA = 60


@dataclass(slots=True)
class MemoryCloud:
    """Groups of rules by resource, and lists by their full name; `before` and `after` are called around each write."""

    groups: dict[str, dict[str, Entry]] = field(default_factory=dict)
    lists: dict[str, Part] = field(default_factory=dict)
    quota: int = QUOTA
    before: Hook = lambda _step: None
    after: Hook = lambda _step: None
    writes: int = 0
    ids: Iterable[int] = field(default_factory=lambda: count(1))

    def reader(self, target: Target) -> MemoryReader:
        """Return a reader; the whole cloud is one scope."""
        del target
        return MemoryReader(self)

    def writer(self, target: Target) -> MemoryWriter:
        """Return a writer."""
        del target
        return MemoryWriter(self)

    def put(self, resource: str, entry: Entry) -> str:
        """Add a rule as someone would, and return its id."""
        handle = f"sgr-{next(iter(self.ids)):08d}"
        self.groups[resource][handle] = replace(entry, handle=handle)
        return handle


def resources_of(target: Target) -> list[str]:
    """Return the resources that a target names in a MemoryCloud."""
    if isinstance(target.where, AwsGroups):
        return [f"aws/1/{target.where.region}/{group}" for group in target.where.groups]
    return [f"gcp/{target.where.project}/{target.where.rule}"]


@dataclass(slots=True)
class MemoryReader:
    """Reads a MemoryCloud."""

    cloud: MemoryCloud
    calls: tuple[tuple[str, str], ...] = ()

    def survey(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read what this owner holds; groups come incomplete, as from AWS."""
        named: dict[str, list[Target]] = {}
        for target in targets:
            for resource in resources_of(target):
                named.setdefault(resource, []).append(target)
        states = [self._state(resource, tuple(ts), owner=owner) for resource, ts in named.items()]
        return [*states, *self._strays(named, owner=owner)]

    def complete(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these resources whole."""
        del owner
        return [self._list(s) if s.listed else self._group(s) for s in states]

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Find nothing missing: a MemoryCloud has no permissions."""
        return [Finding(f"{t.name} for {owner}", ok=True) for t in targets]

    def _state(self, resource: str, targets: tuple[Target, ...], *, owner: str) -> State | ReadFailure:
        names, first = tuple(t.name for t in targets), targets[0]
        if isinstance(first.where, GcpRule):
            wanted = (("ports", ",".join(str(s) for s in first.services)),)
            blank = State(first.kind, resource, names, listed=True, wanted_settings=wanted)
            return self._list(replace(blank, max_ranges=first.where.max_ranges))
        if resource not in self.cloud.groups:
            return ReadFailure(names, resource, f"{resource} not found")
        ours = tuple(e for e in self.cloud.groups[resource].values() if dict(e.note).get(OWNER) == owner)
        return State(first.kind, resource, names, ours, complete=False)

    def _strays(self, named: Iterable[str], *, owner: str) -> list[State]:
        found = []
        for resource in self.cloud.groups.keys() - set(named):
            ours = tuple(e for e in self.cloud.groups[resource].values() if dict(e.note).get(OWNER) == owner)
            if ours:
                found.append(State("aws-security-group", resource, (), ours, complete=False))
        return found

    def _group(self, state: State) -> State | ReadFailure:
        if state.resource not in self.cloud.groups:
            return ReadFailure(state.targets, state.resource, f"{state.resource} not found")
        entries = tuple(self.cloud.groups[state.resource].values())
        used = {f: sum(e.network.version == f for e in entries) for f in (4, 6)}
        capacity = tuple(Capacity(f, n, self.cloud.quota) for f, n in used.items())
        return replace(state, entries=entries, complete=True, capacity=capacity)

    def _list(self, state: State) -> State:
        folder, _, rule = state.resource.rpartition("/")
        parts = tuple(
            p for full, p in self.cloud.lists.items() if full.startswith(folder + "/") and p.name.startswith(rule)
        )
        entries = tuple(Entry(n, None, p.note, p.name) for p in parts for n in p.networks)
        return replace(state, parts=parts, entries=entries)


@dataclass(slots=True)
class MemoryWriter:
    """Writes to a MemoryCloud, atomically and with the real clouds' refusals."""

    cloud: MemoryCloud

    def execute(self, step: Step) -> Receipt:
        """Do the step; `before` and `after` hooks may raise, as a network does."""
        self.cloud.before(step)
        self.cloud.writes += 1
        if step.part is not None:
            self._list(step)
        else:
            self._group(step)
        self.cloud.after(step)
        return Receipt(f"req-{self.cloud.writes}")

    def _list(self, step: Step) -> None:
        if self.cloud.lists.get(step.resource) != step.was:
            raise Stale(f"{step.resource} changed")
        if step.kind == "delete":
            del self.cloud.lists[step.resource]
            return
        if step.part is None or not step.part.networks:
            raise Rejected("an empty source list is the whole internet")
        self.cloud.lists[step.resource] = step.part

    def _group(self, step: Step) -> None:
        group = self.cloud.groups.get(step.resource)
        if group is None:
            raise Missing(f"{step.resource} not found")
        if step.kind == "add":
            self._add(step, group)
            return
        if any(e.handle not in group for e in step.entries):
            raise Stale("InvalidSecurityGroupRuleId.NotFound")
        for entry in step.entries:
            if step.kind == "remove":
                del group[entry.handle]
            else:
                group[entry.handle] = replace(group[entry.handle], note=_tagged(group[entry.handle], step, entry))

    def _add(self, step: Step, group: dict[str, Entry]) -> None:
        if set(step.entries) & set(group.values()):
            raise Stale("InvalidPermission.Duplicate")
        for family in (4, 6):
            total = [e for e in (*group.values(), *step.entries) if e.network.version == family]
            if len(total) > self.cloud.quota:
                raise Rejected("RulesPerSecurityGroupLimitExceeded")
        for entry in step.entries:
            self.cloud.put(step.resource, entry)


def _tagged(held: Entry, step: Step, entry: Entry) -> Note:
    tags = dict(held.note)
    for key, value in entry.note:
        if step.kind == "note":
            tags[key] = value
        else:
            tags.pop(key, None)
    return tuple(sorted(tags.items()))
