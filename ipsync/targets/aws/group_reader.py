"""AWS security groups: one rule a CIDR and port range, owned by the tags on the rule.

API: Amazon EC2 API Reference, DescribeSecurityGroupRules, AuthorizeSecurityGroupIngress,
RevokeSecurityGroupIngress, CreateTags, DeleteTags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, Missing
from ipsync.core.model import Entry, ReadFailure, State
from ipsync.targets.aws.capacity import capacity
from ipsync.targets.aws.probe import probe
from ipsync.targets.aws.reads import Reads, unread
from ipsync.targets.aws.rules import (
    NAME,
    TRAITS,
    Rule,
    by_group,
    entry,
    group_id,
    id_filters,
    match_filters,
    matches,
    owned_by,
    where_of,
)
from ipsync.targets.aws.where import UNKNOWN
from ipsync.targets.base import Finding

PAGE = 1000


class Reader:
    """Reads one account's region."""

    def __init__(self, target: Target) -> None:
        self._reads = Reads(where_of(target), page=PAGE)
        self._ec2, self._region = self._reads.ec2, self._reads.where.region

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Return every call so far as (operation, result)."""
        return tuple(self._reads.calls)

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read this owner's rules in the region: one call a thousand rules.

        It is one more where groups are chosen by tag, and one where a group that is named holds none of ours yet.
        """
        ours: dict[str, list[Entry | ValueError]] = {}
        owners: dict[str, str] = {}
        for rule in self._reads.rules(owned_by(owner)):  # one after the other: as EC2 tells it, a rule takes 2 kB
            owners.setdefault(rule["GroupId"], str(rule.get("GroupOwnerId") or ""))
            ours.setdefault(rule["GroupId"], []).extend(_read([rule]))
        named, failures = self._named(targets, owners)
        owners |= self._owners([g for g in {**named, **ours} if not owners.get(g)])
        groups = dict.fromkeys([*named, *ours])
        states = [self._state(g, owners.get(g), named.get(g, ()), ours.get(g, ())) for g in groups]
        return [*states, *failures]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these groups whole: every rule, foreign ones too, and what still fits."""
        del owner
        ids = [group_id(s.resource) for s in states]
        rules = by_group(r for filters in id_filters(ids) for r in self._reads.rules(filters))
        bare = [g for g in ids if g not in rules]
        present = {g["GroupId"] for g in self._reads.groups(id_filters(bare))} if bare else set()
        found: list[State | ReadFailure] = []
        for state, group in zip(states, ids, strict=True):
            if group in rules or group in present:
                found.append(self._completed(state, rules.get(group, ())))
            else:
                found.append(self._missing(group, state.targets, state.resource.split("/")[1]))
        return found

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Try each permission with DryRun, on real groups and rules, with the real tags."""
        try:
            found = self.list_owned(targets, owner=owner)
        except CloudError as error:
            return [unread(f"{self._subject()}: read", error, "read", owner=owner, region=self._region)]
        findings = [Finding(f"{self._subject()}: read security groups", ok=True)]
        for item in found:
            if isinstance(item, ReadFailure):
                findings.append(Finding(f"target {', '.join(item.targets)}", ok=False, detail=item.message))
            elif item.targets:
                findings += probe(self._reads, item, owner)
        return findings

    def _subject(self) -> str:
        """Name the region, and the account where a role's ARN tells it."""
        number = self._reads.where.account.number
        return f"aws {self._region}" if number == UNKNOWN else f"aws {number} {self._region}"

    # ── what groups the targets name, and whose they are ─────────────────

    def _named(
        self, targets: Sequence[Target], owners: dict[str, str]
    ) -> tuple[dict[str, tuple[str, ...]], list[State | ReadFailure]]:
        named: dict[str, tuple[str, ...]] = {}
        failures: list[State | ReadFailure] = []
        for target in targets:
            try:
                groups = self._matching(target, owners)
            except CloudError as error:
                blind = not isinstance(error, Missing)
                failures.append(ReadFailure((target.name,), where_of(target).place, str(error), all_of=blind))
                continue
            for group in groups:
                named[group] = (*named.get(group, ()), target.name)
        return named, failures

    def _matching(self, target: Target, owners: dict[str, str]) -> Sequence[str]:
        where = where_of(target)
        if where.groups:
            return where.groups
        groups = [g for g in self._reads.groups([match_filters(where)]) if matches(g, where)]
        if not groups and not where.one_of_many:
            tags = ", ".join(f"{k}={v}" for k, v in where.match_tags)
            vpc = f" in {where.match_vpc}" if where.match_vpc else ""
            raise Missing(f"no security group in {where.region}{vpc} has the tags {tags}; check `match` or tag one")
        owners |= {g["GroupId"]: str(g.get("OwnerId") or "") for g in groups if not owners.get(g["GroupId"])}
        return sorted(g["GroupId"] for g in groups)

    def _owners(self, groups: Sequence[str]) -> Mapping[str, str]:
        """Ask whose these groups are: that is part of a resource's name, through whatever credentials it is read."""
        if not groups:
            return {}
        return {g["GroupId"]: str(g.get("OwnerId") or "") for g in self._reads.groups(id_filters(groups))}

    # ── a group's state ──────────────────────────────────────────────────

    def _missing(self, group: str, names: tuple[str, ...], account: str) -> ReadFailure:
        of = f" of account {account}" if account != UNKNOWN else ""
        text = f"security group {group} is not in {self._region}{of}; check `groups`, `region` and `account`"
        return ReadFailure(names, f"aws/{account}/{self._region}/{group}", text)

    def _state(
        self, group: str, account: str | None, names: tuple[str, ...], found: Iterable[Entry | ValueError]
    ) -> State | ReadFailure:
        if account is None:
            return self._missing(group, names, self._reads.where.account.number)
        resource = f"aws/{account or UNKNOWN}/{self._region}/{group}"
        if not account:
            text = f"AWS doesn't say whose security group {group} in {self._region} is (no OwnerId): it can't be read"
            return ReadFailure(names, resource, text)
        bare = State(NAME, resource, names, traits=TRAITS, complete=False, batch=PAGE)
        return _filled(bare, found)

    def _completed(self, state: State, rules: Iterable[Rule]) -> State | ReadFailure:
        rules = list(rules)
        filled = _filled(state, _read(rules))
        if isinstance(filled, ReadFailure):
            return filled
        room = capacity(self._reads, rules, ask=state.complete and not state.capacity)
        return replace(filled, complete=True, capacity=room)


def _read(rules: Iterable[Rule]) -> list[Entry | ValueError]:
    return [found for found in map(entry, rules) if found is not None]


def _filled(state: State, found: Iterable[Entry | ValueError]) -> State | ReadFailure:
    entries: list[Entry] = []
    for item in found:
        if isinstance(item, ValueError):
            text = f"a rule of {group_id(state.resource)} can't be read: {item}"
            return ReadFailure(state.targets, state.resource, text)
        entries.append(item)
    return replace(state, entries=tuple(entries))
