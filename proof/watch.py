"""Lets the referee see a cloud in memory: what it holds, what a write would do to it, and what a report says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from ipsync.core.configured import Config
from ipsync.core.errors import CloudError
from ipsync.core.model import Entry, ManagedList, Network, Note, Operation, Service
from ipsync.core.report import Report, exit_code
from ipsync.targets.gcp.where import GcpRule
from ipsync.targets.tag_marks import DESCRIPTION, FEED, SINCE, TARGET
from ipsync.testing.memory import MemoryCloud
from proof.referee import Facts, Held, Hole, Line, Told, Write
from proof.referee.facts import Approved, Contents, Mark
from proof.referee.marks import of_description, of_prefix_list, of_tags
from proof.referee.wanted import list_way, way_of

NO_LIMIT = 10**6


@dataclass(slots=True)
class Watch:
    """One config's view of a MemoryCloud: which list belongs to which rule depends on the rules that it names."""

    cloud: MemoryCloud
    config: Config

    def facts(
        self,
        selected: Iterable[str],
        now: datetime,
        served: Mapping[str, tuple[Network, ...] | None],
        *,
        approved: Approved = frozenset(),
        added: Mapping[tuple[str, str], datetime],
    ) -> Facts:
        """Return the world as a pass meets it now; `served` may still be filled by what it fetches."""
        targets = self.config.targets
        asked = {t.scope for t in targets if t.name in selected}  # the other scopes aren't read in this pass
        blind = {t.name for t in targets if {t.name, t.scope} & self.cloud.unreadable or t.scope not in asked}
        return Facts(
            config=self.config,
            selected=frozenset(selected),
            now=now,
            served=served,
            naming=self._naming(),
            held=self.contents(),
            unread=frozenset(blind),
            blocked=self._blocked(),
            approved=approved,
            added=dict(added),
        )

    def _blocked(self) -> frozenset[str]:
        """Return the rules of which a list of their own is disabled or the like; another's list hinders only itself.

        Another's is also what somebody's words name for a target that stands elsewhere.
        """
        naming, found = self._naming(), set()
        for full in self.cloud.conflicts.keys() & self.cloud.lists.keys():
            names = naming.get(self._resource(full), frozenset())
            marks = [held.mark for held in _list(self.cloud.lists[full]).values()]
            if any(m and m.owner == self.config.owner and m.targets & names for m in marks):
                found.add(self._resource(full))
        return frozenset(found | (self.cloud.conflicts.keys() & self.cloud.prefixes.keys()))

    def contents(self) -> dict[str, Contents]:
        """Return what every resource holds."""
        found: dict[str, dict[str, Held]] = {r: self._group(r, g) for r, g in self.cloud.groups.items()}
        for full, managed in self.cloud.lists.items():
            found.setdefault(self._resource(full), {}).update(_list(managed))
        return {**found}

    def write(self, operation: Operation) -> Write | None:
        """Return what a write would do; None where it would be stale. One that is too much is looked at all the same."""
        empty = operation.managed is not None and operation.kind != "delete" and not operation.managed.networks
        quota, self.cloud.quota = self.cloud.quota, NO_LIMIT
        rules, self.cloud.rules = self.cloud.rules, NO_LIMIT
        prefixes, self.cloud.prefixes = (
            self.cloud.prefixes,
            {r: replace(p, most=NO_LIMIT) for r, p in self.cloud.prefixes.items()},
        )
        try:
            after = None if empty else self.cloud.result(operation)
        except CloudError:
            return None
        finally:
            self.cloud.quota, self.cloud.rules, self.cloud.prefixes = quota, rules, prefixes
        if operation.managed is None:
            resource, made = operation.resource, prefixes.get(operation.resource)
            before = self._group(resource, self.cloud.groups[resource])
            assert isinstance(after, dict)
            limit = made.most if made else quota
            return Write(resource, resource, before, self._group(resource, after), limit=limit)
        resource = self._resource(operation.resource)
        before = dict(self.contents().get(resource, {}))
        kept = {k: h for k, h in before.items() if not k.startswith(f"{operation.managed.name}|")}
        made = _list(after) if isinstance(after, ManagedList) else {}
        folder = operation.resource.rpartition("/")[0] + "/"
        crowded = operation.was is None and sum(full.startswith(folder) for full in self.cloud.lists) >= rules
        return Write(resource, operation.resource, before, {**kept, **made}, whole=empty, crowded=crowded)

    def _naming(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for target in self.config.targets:
            for resource in self.cloud.resources_of(target):
                found.setdefault(resource, set()).add(target.name)
        return {resource: frozenset(names) for resource, names in found.items()}

    def _group(self, resource: str, rules: Mapping[str, Entry]) -> dict[str, Held]:
        entry = _listed if resource in self.cloud.prefixes else _entry
        return {provider_id: entry(e.network, e.service, e.note) for provider_id, e in rules.items()}

    def _resource(self, full: str) -> str:
        return resource_of(self.config, full)


def resource_of(config: Config, full: str) -> str:
    """Return the rule that a list stands under (docs/gcp.md: RULE, RULE-v6, RULE-2, RULE-v6-2), or its own name."""
    folder, _, name = full.rpartition("/")
    rules = {t.where.rule for t in config.targets if isinstance(t.where, GcpRule)}
    bases = [r for r in rules if _belongs(name, r)]
    return f"{folder}/{name if name in bases or not bases else max(bases, key=len)}"


@lru_cache(maxsize=1000)
def _belongs(name: str, rule: str) -> bool:
    return bool(re.fullmatch(rf"{re.escape(rule)}(-v6)?(-[0-9]+)?", name))


@lru_cache(maxsize=100_000)
def _entry(network: Network, service: Service | None, note: Note) -> Held:
    return Held(Hole(network, str(service)), of_tags(dict(note)))


@lru_cache(maxsize=100_000)
def _listed(network: Network, service: Service | None, note: Note) -> Held:
    del service
    said = dict(note)
    mark = of_prefix_list(said.get(DESCRIPTION, ""), said.get(TARGET), said.get(FEED), said.get(SINCE))
    return Held(Hole(network, list_way(network.version)), mark)


@lru_cache(maxsize=20_000)
def _list(managed: ManagedList) -> dict[str, Held]:
    settings, text = dict(managed.settings), dict(managed.note).get("description", "")
    way = way_of(
        network=settings.get("network", ""),
        ports=settings.get("ports", "").split(","),
        priority=settings.get("priority", ""),
        accounts=settings.get("target_service_accounts", "").split(","),
        tags=settings.get("target_tags", "").split(","),
    )
    marks: dict[Network, Mark | None] = {n: of_description(text, n) for n in managed.networks}
    return {f"{managed.name}|{n}": Held(Hole(n, way), mark) for n, mark in marks.items()}


def told(report: Report) -> Told:
    """Return what a report says to people."""
    lines = tuple(
        Line(
            target=e.target,
            resource=e.resource,
            status=e.status.value,
            add=_items(e.add),
            remove=_items(e.remove),
            leaving=_items(leaving.entry for leaving in e.leaving),
            waiting=_items(entry for held in e.waiting for entry in held.entries),
            settings=bool(e.settings),
            deletes=frozenset(e.deletes),
            guards=frozenset((v.guard, v.verdict.value) for v in e.violations),
            error=e.error,
        )
        for e in report.plan.target_changes
    )
    orphaned = frozenset((o.resource, o.entry.network) for o in report.plan.orphaned)
    return Told(lines, exit_code(report, detailed=False), orphaned)


def waiting(report: Report) -> dict[str, Approved]:
    """Return what a human allows who approves what a report shows, by the id that is shown beside it.

    A single change's id allows that change, the plan's id all of them.
    """
    found: dict[str, Approved] = {}
    for target_change in report.plan.target_changes:
        for held in target_change.waiting:
            allowed = frozenset((held.action, target_change.resource, entry.network) for entry in held.entries)
            found[held.id] = found.get(held.id, frozenset()) | allowed
    return {**found, report.plan.id: frozenset().union(*found.values())}


def _items(entries: Iterable[Entry]) -> frozenset[tuple[Network, str | None]]:
    return frozenset((e.network, str(e.service) if e.service else None) for e in entries)
