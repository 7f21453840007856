"""Reading prefix lists: one describe finds all lists of an account's region, and each that matters is read at one version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError
from ipsync.core.model import Capacity, ReadFailure, State
from ipsync.targets.aws import prefix_list_io as lists
from ipsync.targets.aws import prefix_list_tags as list_tags
from ipsync.targets.aws.homes import caller
from ipsync.targets.aws.prefix_list import NAME, TRAITS, where_of
from ipsync.targets.aws.prefix_list_probe import probe
from ipsync.targets.aws.reads import Reads, unread
from ipsync.targets.aws.rules import Rule
from ipsync.targets.aws.where import UNKNOWN
from ipsync.targets.base import Finding
from ipsync.targets.tag_marks import OWNER

BATCH = 100
"""Entries that one ModifyManagedPrefixList takes; whether adds and removes count together isn't told, so they do."""


class Reader:
    """Reads one account's region."""

    def __init__(self, target: Target) -> None:
        self._reads = Reads(where_of(target), needs="read-lists")
        self._region = self._reads.where.region
        self._account = ""

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Return every call so far as (operation, result)."""
        return tuple(self._reads.calls)

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read the lists that are named, and those that are tagged for this owner: one call, and one a list and page.

        Whose account it is costs one call more, where no role says so: another account's list can't be filled.
        """
        own = {str(i["PrefixListId"]): i for i in self._reads.prefix_lists(_of_account(self.account()))}
        named = _named(targets)
        found = {**own, **lists.look(self._reads, [name for name in named if name not in own])}
        marked = [name for name, item in own.items() if name not in named and _is_marked(item, owner)]
        return [
            *(self._named_list(found.get(name), name, asked, owner) for name, asked in named.items()),
            *(self._state(own[name], (), owner=owner) for name in marked),
        ]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these lists again."""
        names = [_id(s.resource) for s in states]
        found = lists.look(self._reads, names)
        return [self._again(state, found.get(name), owner) for state, name in zip(states, names, strict=True)]

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Try each permission with DryRun, on the real lists, and say who refers to them."""
        try:
            found = self.list_owned(targets, owner=owner)
        except CloudError as error:
            subject = f"aws {self._region}: read prefix lists"
            return [unread(subject, error, "read-lists", owner=owner, region=self._region)]
        findings = [Finding(f"aws {self._region}: read prefix lists", ok=True)]
        for item in found:
            if isinstance(item, ReadFailure):
                findings.append(Finding(f"target {', '.join(item.targets)}", ok=False, detail=item.message))
            elif item.conflict:
                findings.append(Finding(item.resource, ok=False, detail=item.conflict))
            elif item.targets:
                findings += probe(self._reads, item, owner)
        return findings

    def account(self) -> str:
        """Return the account that these credentials are of."""
        if not self._account:
            told = self._reads.where.account.number
            self._account = caller(self._reads.client("sts")) if told == UNKNOWN else told
        return self._account

    # ── a list's state ───────────────────────────────────────────────────

    def _named_list(
        self, item: Rule | None, name: str, asked: Mapping[str, frozenset[int]], owner: str
    ) -> State | ReadFailure:
        if item is None:
            return self._missing(name, tuple(asked))
        families = {family for named in asked.values() for family in named}
        wrong = next((text for f in sorted(families) if (text := lists.misplaced(item, f))), None)
        return self._state(item, tuple(asked), owner=owner, wrong=wrong)

    def _missing(self, name: str, targets: tuple[str, ...]) -> ReadFailure:
        keys = "check `prefix_list`, `prefix_list_v6`, `region` and `account`"
        text = f"prefix list {name} is not in {self._region} of account {self.account()}; {keys}"
        return ReadFailure(targets, f"aws/{self.account()}/{self._region}/{name}", text)

    def _state(
        self, item: Rule, targets: tuple[str, ...], *, owner: str, wrong: str | None = None
    ) -> State | ReadFailure:
        name, holder = str(item["PrefixListId"]), str(item.get("OwnerId") or self.account())
        resource = f"aws/{holder}/{self._region}/{name}"
        conflict = lists.conflict(item, account=self.account(), owner=owner) or wrong
        state = State(NAME, resource, targets, traits=TRAITS, batch=BATCH, conflict=conflict, families=_families(item))
        if conflict:
            return state
        try:
            return self._filled(state, item, owner)
        except CloudError as error:
            return ReadFailure(targets, resource, str(error))

    def _filled(self, state: State, item: Rule, owner: str) -> State:
        now = lists.settled(self._reads, item)
        seen = lists.whole(self._reads, now)
        room = Capacity(
            lists.family_of(now),
            len(seen.rows),
            int(now.get("MaxEntries") or 0),
            what=f"entries of {seen.id}",
            way="raise its MaxEntries (each rule that names the list counts them all), or remove entries that nobody needs",
        )
        return replace(state, entries=seen.entries(owner), capacity=(room,))

    def _again(self, state: State, item: Rule | None, owner: str) -> State | ReadFailure:
        if item is None:
            return self._missing(_id(state.resource), state.targets)
        try:
            return self._filled(state, item, owner)
        except CloudError as error:
            return ReadFailure(state.targets, state.resource, str(error))


def _of_account(account: str) -> list[dict[str, object]]:
    return [{"Name": "owner-id", "Values": [account]}]


def _named(targets: Sequence[Target]) -> dict[str, dict[str, frozenset[int]]]:
    """Return by list which targets name it, each with the families of the keys that do."""
    found: dict[str, dict[str, frozenset[int]]] = {}
    for target in targets:
        for family, name in where_of(target).lists:
            asked = found.setdefault(name, {})
            asked[target.name] = asked.get(target.name, frozenset()) | {family}
    return found


def _is_marked(item: Rule, owner: str) -> bool:
    """Tell whether a list's tags are this owner's: its keeper's word, or marks that ipsync left."""
    tags = {t["Key"]: t.get("Value", "") for t in item.get("Tags", ())}
    return tags.get(OWNER) == owner or any(key.startswith(list_tags.prefix(owner)) for key in tags)


def _families(item: Rule) -> frozenset[int]:
    return frozenset({lists.family_of(item)} - {0})


def _id(resource: str) -> str:
    """Return the list of `aws/ACCOUNT/REGION/LIST`."""
    return resource.rpartition("/")[2]
