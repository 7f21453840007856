"""Reads a cloud in memory as the providers read theirs: a scope at a time, a failure for what gives no answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipsync.core.configured import Target
from ipsync.core.errors import Unreachable
from ipsync.core.model import Capacity, Entry, ManagedList, ReadFailure, State
from ipsync.targets.aws.rules import TRAITS as GROUP_TRAITS
from ipsync.targets.aws.where import AwsGroups, AwsLists
from ipsync.targets.base import Finding
from ipsync.targets.gcp.names import Names
from ipsync.targets.gcp.rules import NAME, TRAITS, ours, wanted_settings
from ipsync.targets.gcp.where import GcpRule
from ipsync.targets.tag_marks import OWNER
from ipsync.testing import memory_prefix_lists

if TYPE_CHECKING:
    from ipsync.testing.memory import MemoryCloud

CLEARABLE = ("target_service_accounts", "target_tags")
"""What can't be taken off a rule that has it (targets/gcp/rules.py)."""


@dataclass(slots=True)
class MemoryReader:
    """Reads one scope of a MemoryCloud: `account` is what its credentials lead to, or the project."""

    cloud: MemoryCloud
    scope: object
    account: str
    calls: tuple[tuple[str, str], ...] = ()

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read what this owner holds; groups come incomplete, as from AWS."""
        if self.scope in self.cloud.unreadable:
            raise Unreachable(f"{self.account}: no usable answer")
        named: dict[str, list[Target]] = {}
        failures: list[State | ReadFailure] = []
        for target in targets:
            found = [] if target.name in self.cloud.unreadable else self.cloud.resources_of(target)
            for resource in found:
                named.setdefault(resource, []).append(target)
            failures += [] if found or self._may_be_none(target) else [self._unmatched(target)]
        states = [self._state(resource, tuple(ts), named, owner=owner) for resource, ts in named.items()]
        return [*states, *self._strays(targets[0], states, owner=owner), *failures]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these resources whole."""
        del owner
        if self.cloud.blind or self.scope in self.cloud.unreadable:
            raise Unreachable(f"{self.account}: no usable answer")
        bases = {s.resource for s in states if s.targets}
        return [self._whole_list(s, bases) if s.traits.whole_lists else self._group(s) for s in states]

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Find nothing missing: a MemoryCloud has no permissions."""
        return [Finding(f"{t.name} for {owner}", ok=True) for t in targets]

    def _may_be_none(self, target: Target) -> bool:
        """Tell whether it is one of a target's places, which may hold nothing of its own."""
        where = target.where
        return isinstance(where, AwsGroups) and where.one_of_many and target.name not in self.cloud.unreadable

    def _unmatched(self, target: Target) -> ReadFailure:
        """Say that a target's `match` can't be read, so that nobody knows what it names, or that it finds nothing."""
        region = target.where.region if isinstance(target.where, AwsGroups) else ""
        unread = target.name in self.cloud.unreadable
        text = f"match of {target.name} {'can not be read' if unread else 'finds no group'}"
        return ReadFailure((target.name,), f"aws/{self.account}/{region}", text, all_of=unread)

    def _state(
        self, resource: str, targets: tuple[Target, ...], named: Iterable[str], *, owner: str
    ) -> State | ReadFailure:
        names, first = tuple(t.name for t in targets), targets[0]
        if isinstance(first.where, GcpRule):
            blank = State(first.kind, resource, names, traits=TRAITS, wanted_settings=wanted_settings(first))
            return self._list(replace(blank, max_ranges=first.where.max_ranges), named)
        if resource not in self.cloud.groups:
            return ReadFailure(names, resource, f"{resource} not found")
        if (self.scope, resource) in self.cloud.unreadable:
            return ReadFailure(names, resource, f"{resource} can't be read")
        if resource in self.cloud.prefixes:
            return self._prefix_list(resource, names, first)
        return State(first.kind, resource, names, self._owned(resource, owner), complete=False, traits=GROUP_TRAITS)

    def _prefix_list(self, resource: str, names: tuple[str, ...] = (), first: Target | None = None) -> State:
        made, held = self.cloud.prefixes[resource], self.cloud.groups[resource]
        conflict = self.cloud.conflicts.get(resource)
        if (
            first
            and isinstance(first.where, AwsLists)
            and (made.family, resource.rpartition("/")[2]) not in first.where.lists
        ):
            conflict = f"{resource} holds IPv{made.family}"
        return memory_prefix_lists.state_of(resource, made, held, names, conflict=conflict)

    def _owned(self, resource: str, owner: str) -> tuple[Entry, ...]:
        return tuple(e for e in self.cloud.groups[resource].values() if (OWNER, owner) in e.note)

    def _strays(
        self, target: Target, states: Sequence[State | ReadFailure], *, owner: str
    ) -> list[State | ReadFailure]:
        if isinstance(target.where, GcpRule):
            taken = {p.name for s in states if isinstance(s, State) for p in s.managed_lists}
            folder = f"gcp/{self.account}/"
            return [
                _stray(full, managed)
                for full, managed in self.cloud.lists.items()
                if full.startswith(folder)
                and managed.name not in taken
                and ours(dict(managed.note).get("description", ""))
            ]
        where = target.where
        region = where.region if isinstance(where, AwsGroups) else ""
        folder = f"aws/{self.account}/{region}/"
        if isinstance(where, AwsLists):
            return self._stray_prefix_lists(f"aws/{self.account}/{where.region}/", states, owner=owner)
        others = self.cloud.groups.keys() - self.cloud.prefixes.keys() - {s.resource for s in states}
        held = {r: self._owned(r, owner) for r in sorted(others) if r.startswith(folder)}
        return [
            State(target.kind, r, (), entries, complete=False, traits=GROUP_TRAITS)
            for r, entries in held.items()
            if entries
        ]

    def _stray_prefix_lists(
        self, folder: str, states: Sequence[State | ReadFailure], *, owner: str
    ) -> list[State | ReadFailure]:
        cloud, named = self.cloud, {s.resource for s in states}
        return [
            self._prefix_list(resource)
            for resource, made in sorted(cloud.prefixes.items())
            if resource.startswith(folder)
            and resource not in named
            and memory_prefix_lists.is_marked(made, cloud.groups[resource], owner=owner)
        ]

    def _group(self, state: State) -> State | ReadFailure:
        if state.resource not in self.cloud.groups:
            return ReadFailure(state.targets, state.resource, f"{state.resource} not found")
        if state.resource in self.cloud.prefixes:
            made, held = self.cloud.prefixes[state.resource], self.cloud.groups[state.resource]
            return memory_prefix_lists.state_of(state.resource, made, held, state.targets, conflict=state.conflict)
        entries = tuple(self.cloud.groups[state.resource].values())
        used = {f: sum(e.network.version == f for e in entries) for f in (4, 6)}
        capacity = tuple(Capacity(f, n, self.cloud.quota) for f, n in used.items())
        return replace(state, entries=entries, complete=True, capacity=capacity)

    def _whole_list(self, state: State, bases: Iterable[str]) -> State:
        """Read a list again; where rules may be made, with how many the project may hold."""
        found = self._list(state, bases)
        if state.complete or not found.targets:
            return found
        folder = state.resource.rpartition("/")[0] + "/"
        used = sum(full.startswith(folder) for full in self.cloud.lists)
        room = Capacity(0, used, self.cloud.rules, f"firewall rules of project {self.account}")
        return replace(found, complete=True, capacity=(room,))

    def _list(self, state: State, bases: Iterable[str]) -> State:
        folder, _, rule = state.resource.rpartition("/")
        if not state.targets:
            managed = self.cloud.lists.get(state.resource)
            return _stray(state.resource, managed) if managed else replace(state, managed_lists=(), entries=())
        named = {b.rpartition("/")[2] for b in bases if b.startswith(f"{folder}/")} | {rule}
        lists = {p.name: (full, p) for full, p in self.cloud.lists.items() if full.startswith(f"{folder}/")}
        names = Names({name: _made(p) for name, (_, p) in lists.items()}, named)
        mine = dict(lists[name] for name in names.under(rule))
        mine = {
            full: replace(p, blocker=self.cloud.conflicts.get(full) or _uncleared(p, state) or "") if _made(p) else p
            for full, p in mine.items()
        }
        entries = tuple(Entry(n, None, p.note, p.name) for p in mine.values() for n in p.networks)
        return replace(state, managed_lists=tuple(mine.values()), entries=entries, taken=names.taken(rule))


def _stray(full: str, managed: ManagedList) -> State:
    entries = tuple(Entry(n, None, managed.note, managed.name) for n in managed.networks)
    return State(NAME, full, (), entries, traits=TRAITS, managed_lists=(managed,))


def _made(managed: ManagedList) -> bool:
    return ours(dict(managed.note).get("description", ""))


def _uncleared(managed: ManagedList, state: State) -> str:
    held: Mapping[str, str] = dict(managed.settings)
    wanted: Mapping[str, str] = dict(state.wanted_settings)
    if held.get("network", "") != wanted["network"]:
        return f"rule {managed.name} is in network {held.get('network')}"
    cleared = [key for key in CLEARABLE if held.get(key) and not wanted[key]]
    return f"rule {managed.name} has {', '.join(cleared)} and the config has none" if cleared else ""
