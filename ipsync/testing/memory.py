"""A cloud in memory, for proofs that need hundreds of thousands of steps: groups of rules and lists.

It knows the shapes that a target can have, what people and other programs do beside ipsync, and nothing of HTTP; what
real APIs do is in aws.py and gcp.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from ipsync.core.addresses import canonical
from ipsync.core.configured import Target
from ipsync.core.errors import Missing, Rejected, Stale
from ipsync.core.model import Entry, ManagedList, Note, Operation, Receipt
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsLists
from ipsync.targets.gcp.where import GcpRule
from ipsync.testing import memory_prefix_lists
from ipsync.testing.memory_prefix_lists import PrefixList
from ipsync.testing.memory_reader import MemoryReader

Hook = Callable[[Operation], None]
QUOTA = 60
RULES_OF_A_PROJECT = 100
"""Compute Engine's default quota FIREWALLS."""
ACCOUNT = "1"
DESCRIPTION_LIMIT = 2048


@dataclass(slots=True)
class MemoryCloud:
    """Groups of rules by resource, and lists by their full name; `before` and `after` are called around each write.

    prefixes    which of the groups are AWS prefix lists, and of what family and size
    tags        the tags of groups themselves, by resource, for targets that choose by `match`
    accounts    which account credentials lead to, where it isn't ACCOUNT: several may lead to the same
    conflicts   why a list can't be managed (it denies, or is disabled), by its full name; a prefix list by its resource
    unreadable  scopes (`Target.scope`) that give no answer, names of targets whose `match` doesn't, and single resources
                through a scope, as (scope, resource)
    blind       nothing can be read again: neither whole resources, nor what was written
    """

    groups: dict[str, dict[str, Entry]] = field(default_factory=dict)
    lists: dict[str, ManagedList] = field(default_factory=dict)
    prefixes: dict[str, PrefixList] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    accounts: Mapping[AwsAccount, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    unreadable: set[object] = field(default_factory=set)
    blind: bool = False
    quota: int = QUOTA
    rules: int = RULES_OF_A_PROJECT
    before: Hook = lambda _step: None
    after: Hook = lambda _step: None
    writes: int = 0
    ids: Iterable[int] = field(default_factory=lambda: count(1))

    def reader(self, target: Target) -> MemoryReader:
        """Return a reader of the target's scope."""
        return MemoryReader(self, target.scope, self.account_of(target))

    def writer(self, target: Target) -> MemoryWriter:
        """Return a writer."""
        del target
        return MemoryWriter(self)

    def account_of(self, target: Target) -> str:
        """Return to which account a target's credentials lead, or its project."""
        where = target.where
        if isinstance(where, AwsGroups | AwsLists):
            return self.accounts.get(where.account, ACCOUNT)
        return where.project if isinstance(where, GcpRule) else ""

    def put(self, resource: str, entry: Entry) -> str:
        """Add a rule as someone would, and return its id."""
        provider_id = canonical(entry.network) if resource in self.prefixes else self.new_id()
        self.groups[resource][provider_id] = replace(entry, provider_id=provider_id)
        return provider_id

    def new_id(self) -> str:
        """Return the id that the next rule gets."""
        return f"sgr-{next(iter(self.ids)):08d}"

    def resources_of(self, target: Target) -> list[str]:
        """Return what a target names by the truth of the cloud, be it there or not; none where no tags match."""
        where = target.where
        if isinstance(where, GcpRule):
            return [where.place]
        if isinstance(where, AwsLists):
            return [f"aws/{self.account_of(target)}/{where.region}/{name}" for _, name in where.lists]
        if not isinstance(where, AwsGroups):
            return []
        folder = f"aws/{self.account_of(target)}/{where.region}"
        if where.groups:
            return [f"{folder}/{group}" for group in where.groups]
        wanted = set(where.match_tags)
        near = (r for r in self.groups if r.startswith(f"{folder}/") and r not in self.prefixes)
        return sorted(r for r in near if wanted <= self.tags.get(r, {}).items())

    def result(self, operation: Operation) -> dict[str, Entry] | ManagedList | None:
        """Return what a write would leave of its group or list, without doing it; raise what a real cloud would."""
        if operation.managed is not None:
            return _list_after(self, operation)
        group = self.groups.get(operation.resource)
        if group is None:
            raise Missing(f"{operation.resource} not found")
        if operation.resource in self.prefixes:
            return memory_prefix_lists.carried_out(self.prefixes[operation.resource], operation, group)
        return _group_after(self, operation, group)


@dataclass(slots=True)
class MemoryWriter:
    """Writes to a MemoryCloud, atomically and with the real clouds' refusals."""

    cloud: MemoryCloud

    def execute(self, operation: Operation) -> Receipt:
        """Do the step; `before` and `after` hooks may raise, as a network does."""
        self.cloud.before(operation)
        self.cloud.writes += 1
        after = self.cloud.result(operation)
        if isinstance(after, dict):
            self.cloud.groups[operation.resource] = after
        elif after is None:
            del self.cloud.lists[operation.resource]
        else:
            self.cloud.lists[operation.resource] = after
        self.cloud.after(operation)
        return Receipt(f"req-{self.cloud.writes}")


# ── lists: Compute Engine ────────────────────────────────────────────────────


def _list_after(cloud: MemoryCloud, operation: Operation) -> ManagedList | None:
    if cloud.lists.get(operation.resource) != operation.was or (
        operation.was and operation.resource in cloud.conflicts
    ):
        raise Stale(f"{operation.resource} changed")
    if operation.kind == "delete":
        return None
    if operation.managed is None or not operation.managed.networks:
        raise Rejected("an empty source list is the whole internet")
    _check_part(operation.managed)
    project = operation.resource.rpartition("/")[0] + "/"
    if operation.was is None and sum(name.startswith(project) for name in cloud.lists) >= cloud.rules:
        raise Rejected("quotaExceeded: Quota 'FIREWALLS' exceeded")
    return operation.managed


def _check_part(managed: ManagedList) -> None:
    families = {n.version for n in managed.networks}
    protocols = {s.rpartition("/")[2] for s in dict(managed.settings).get("ports", "").split(",")}
    if len(families) > 1:
        raise Rejected("a rule holds IPv4 or IPv6 sources, not both")
    if ("icmp" if 6 in families else "icmpv6") in protocols:  # noqa: PLR2004 - the IP version
        raise Rejected("the protocol doesn't go with the sources' family")
    if len(dict(managed.note).get("description", "")) > DESCRIPTION_LIMIT:
        raise Rejected(f"a description holds {DESCRIPTION_LIMIT} characters")


# ── groups: EC2 ──────────────────────────────────────────────────────────────


def _group_after(cloud: MemoryCloud, operation: Operation, group: Mapping[str, Entry]) -> dict[str, Entry]:
    if operation.kind == "add":
        return _added(cloud, operation, group)
    if any(e.provider_id not in group for e in operation.entries):
        raise Stale("InvalidSecurityGroupRuleId.NotFound")
    if operation.kind == "remove":
        gone = {e.provider_id for e in operation.entries}
        return {provider_id: entry for provider_id, entry in group.items() if provider_id not in gone}
    changed = {
        e.provider_id: replace(group[e.provider_id], note=_tagged(group[e.provider_id], operation, e))
        for e in operation.entries
    }
    return {**group, **changed}


def _added(cloud: MemoryCloud, operation: Operation, group: Mapping[str, Entry]) -> dict[str, Entry]:
    if set(operation.entries) & set(group.values()):
        raise Stale("InvalidPermission.Duplicate")
    for family in (4, 6):
        total = [e for e in (*group.values(), *operation.entries) if e.network.version == family]
        if len(total) > cloud.quota and any(e.network.version == family for e in operation.entries):
            raise Rejected("RulesPerSecurityGroupLimitExceeded")
    made = [replace(entry, provider_id=cloud.new_id()) for entry in operation.entries]
    return {**group, **{entry.provider_id: entry for entry in made}}


def _tagged(held: Entry, operation: Operation, entry: Entry) -> Note:
    tags = dict(held.note)
    for key, value in entry.note:
        if operation.kind == "tag":
            tags[key] = value
        else:
            tags.pop(key, None)
    return tuple(sorted(tags.items()))
