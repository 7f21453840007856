"""Reads GCP firewall rules: a rule holds its sources as one list, owned by the rule's description.

API: Compute Engine v1, firewalls.list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, Rejected, Unreachable
from ipsync.core.model import Capacity, ManagedList, ReadFailure, State
from ipsync.targets.base import Finding
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.advice import advice, asking_remedy, remedy
from ipsync.targets.gcp.credentials import NoCredentials
from ipsync.targets.gcp.names import Names
from ipsync.targets.gcp.rules import (
    NAME,
    TRAITS,
    Rule,
    blocker,
    names_conflict,
    ours,
    read,
    settings_conflict,
    wanted_settings,
    where_of,
)

PAGE = 500
ASSUMED_LIMIT = 100
"""Firewall rules of a project, where its quota can't be read: Google's smallest default."""
PERMISSIONS = (
    *("compute.firewalls.list", "compute.firewalls.get", "compute.firewalls.create", "compute.firewalls.update"),
    *("compute.firewalls.delete", "compute.networks.updatePolicy", "compute.globalOperations.get"),
)


class Reader:
    """Reads one project's firewall rules, over a transport that refuses all but get and list."""

    def __init__(self, target: Target) -> None:
        self._where = where_of(target)
        self._compute = gcp_client.compute()
        made = gcp_client.make(self._compute.FirewallsClient, self._where, transport=gcp_client.read_only())
        self._list: Callable[..., Any] = made.list
        self._calls: list[tuple[str, str]] = []
        self._named = {self._where.rule}
        self._crowded: dict[str, str | None] = {}

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Return every call so far as (operation, result)."""
        return tuple(self._calls)

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read the project's rules with one list call a 500 rules."""
        rules = self._rules()
        named: dict[str, list[Target]] = {}
        for target in targets:
            named.setdefault(where_of(target).rule, []).append(target)
        self._named |= named.keys()
        names = self._names(rules)
        states = [self._state(name, sharing, rules, names, owner) for name, sharing in named.items()]
        strays = [rules[name] for name in names.under(None)]
        return [*states, *(self._stray(rule) for rule in strays if ours(rule.description))]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these rules again, and the project's quota of rules for those that aren't known completely."""
        del owner
        rules = self._rules()
        names = self._names(rules)
        found = [self._filled(s, rules, names) for s in states]
        if all(s.complete for s in states):
            return found
        room = self._room(len(rules))
        return [replace(s, complete=True, capacity=room) if isinstance(s, State) and s.targets else s for s in found]

    def _room(self, used: int) -> tuple[Capacity, ...]:
        """Return how many rules the project may hold; where that can't be read, it is assumed and said so."""
        project = self._where.project
        what = f"firewall rules of project {project}"
        try:
            limit = gcp_client.rules_limit(self._where, subject=f"reading the quotas of project {project}")
        except CloudError as error:
            self._calls.append(("projects.get", "error"))
            why = f"it can't be read: {str(error).rstrip('.')}. Reading it needs the permission compute.projects.get"
            return (Capacity(0, used, ASSUMED_LIMIT, what, why),)
        self._calls.append(("projects.get", "ok"))
        return (Capacity(0, used, limit, what),)

    def _rules(self) -> dict[str, Rule]:
        """Return all rules of the project by name. A page that can't be read fails the whole: never a short list."""
        found: dict[str, Rule] = {}
        token, seen = "", {""}
        while True:
            page = self._page(token)
            found |= {rule.name: rule for rule in page.items}
            token = page.next_page_token
            if not token:
                return found
            if token in seen:
                raise Unreachable(f"listing firewall rules of project {self._where.project}: the same page came twice")
            seen.add(token)

    def _names(self, rules: Mapping[str, Rule]) -> Names:
        return Names({name: ours(rule.description) for name, rule in rules.items()}, self._named)

    def _page(self, token: str) -> Any:
        project = self._where.project
        request = self._compute.ListFirewallsRequest(project=project, max_results=PAGE, page_token=token)
        subject = f"listing firewall rules of project {project}"
        with advice(project):
            quota = gcp_pacing.quota(project, writes=False)
            return gcp_calls.call(lambda: self._first_page(request), subject=subject, writes=False, quota=quota)

    def _first_page(self, request: object) -> Any:
        try:
            pager = self._list(request=request, timeout=gcp_client.TIMEOUT, retry=None)
            page = gcp_answers.page(gcp_answers.plain(next(iter(pager.pages))))
        except Exception:
            self._calls.append(("firewalls.list", "error"))
            raise
        self._calls.append(("firewalls.list", "ok"))
        return page

    def _state(
        self, name: str, sharing: Sequence[Target], rules: Mapping[str, Rule], names: Names, owner: str
    ) -> State | ReadFailure:
        where = where_of(sharing[0])
        blank = State(
            kind=sharing[0].kind,
            resource=f"gcp/{where.project}/{name}",
            targets=tuple(t.name for t in sharing),
            traits=TRAITS,
            wanted_settings=wanted_settings(sharing[0]),
            max_ranges=where.max_ranges,
        )
        self._crowded[name] = settings_conflict(sharing) or names_conflict(sharing, owner)
        return self._filled(blank, rules, names)

    def _filled(self, state: State, rules: Mapping[str, Rule], names: Names) -> State | ReadFailure:
        name = state.resource.rpartition("/")[2]
        if not state.targets:
            return self._stray(rules[name]) if name in rules else replace(state, managed_lists=(), entries=())
        try:
            found = [read(rules[n]) for n in names.under(name)]
        except Rejected as error:
            return ReadFailure(state.targets, state.resource, f"{state.resource}: {error}")
        return replace(
            state,
            managed_lists=tuple(self._judged(p, rules[p.name], state) for p, _ in found),
            entries=tuple(entry for _, entries in found for entry in entries),
            conflict=self._crowded.get(name),
            taken=names.taken(name),
        )

    def _judged(self, managed: ManagedList, rule: Rule, state: State) -> ManagedList:
        """Say why a rule that an ipsync made can't be managed; of the others the core says that they aren't ours."""
        if not ours(rule.description):
            return managed
        reason = blocker(rule, dict(managed.settings), dict(state.wanted_settings), self._where.project)
        return replace(managed, blocker=f"rule {rule.name} {reason}") if reason else managed

    def _stray(self, rule: Rule) -> State | ReadFailure:
        resource = f"gcp/{self._where.project}/{rule.name}"
        try:
            found, entries = read(rule)
        except Rejected as error:
            return ReadFailure((), resource, f"{resource}: {error}")
        return State(NAME, resource, (), entries, traits=TRAITS, managed_lists=(found,))

    # ── check ────────────────────────────────────────────────────────────

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Read; then ask which of the needed permissions the caller holds on the project."""
        project = self._where.project
        subject = f"gcp project {project}"
        read = self._tried(lambda: self.list_owned(targets, owner=owner))
        try:
            held = self._held()
        except CloudError as error:
            unknown = Finding(subject, ok=False, detail=str(error), remedy=_help(error, asking_remedy(project)))
            return [read, unknown]
        found = [
            Finding(f"{subject}: {p}", ok=p in held, remedy="" if p in held else remedy(project)) for p in PERMISSIONS
        ]
        return found if read.ok or "compute.firewalls.list" not in held else [read, *found]

    def _tried(self, read: Callable[[], object]) -> Finding:
        subject = f"gcp project {self._where.project}: compute.firewalls.list"
        try:
            read()
        except CloudError as error:  # it says itself what helps (advice.py): a role, an API, another project
            return Finding(subject, ok=False, detail=str(error))
        return Finding(subject, ok=True)

    def _held(self) -> set[str]:
        subject = f"testing permissions on project {self._where.project}"
        return gcp_client.held(self._where, PERMISSIONS, subject=subject)


def _help(error: CloudError, text: str) -> str:
    """Return the advice where a permission or an API is what's missing; other errors say themselves what helps."""
    return "" if isinstance(error, NoCredentials | Unreachable) else text
