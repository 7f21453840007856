"""GCP firewall rules: a rule holds its sources as one list, owned by the rule's description.

API: Compute Engine v1, firewalls.list, get, insert, patch and delete. An ingress rule without sources lets in the
whole internet, and PUT resets what it doesn't name: so an empty list is never sent, and `update` never called.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from ipsync.core.errors import CloudError, Missing, Rejected, Stale, Unreachable
from ipsync.core.model import Capacity, Entry, ManagedList, Operation, ReadFailure, Receipt, State, Target
from ipsync.targets.base import Finding
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.advice import advice, asking_remedy, remedy
from ipsync.targets.gcp.credentials import NoCredentials
from ipsync.targets.gcp.rules import (
    NAME,
    TRAITS,
    Rule,
    base_of,
    blocker,
    created,
    description_of,
    list_of,
    names_conflict,
    ours,
    patched,
    settings_conflict,
    taken_by_others,
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
        states = [self._state(name, sharing, rules, owner) for name, sharing in named.items()]
        strays = [self._stray(r) for r in rules.values() if ours(r.description) and not base_of(r, self._named)]
        return [*states, *strays]

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these rules again, and the project's quota of rules for those that aren't known completely."""
        del owner
        rules = self._rules()
        found = [self._filled(s, rules) for s in states]
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
            why = f"it can't be read: {error}. The permission compute.projects.get reads it"
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
            page = gcp_answers.page(next(iter(pager.pages)))
        except Exception:
            self._calls.append(("firewalls.list", "error"))
            raise
        self._calls.append(("firewalls.list", "ok"))
        return page

    def _state(
        self, name: str, sharing: Sequence[Target], rules: Mapping[str, Rule], owner: str
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
        return self._filled(blank, rules)

    def _filled(self, state: State, rules: Mapping[str, Rule]) -> State | ReadFailure:
        name = state.resource.rpartition("/")[2]
        if not state.targets:
            return self._stray(rules[name]) if name in rules else replace(state, managed_lists=(), entries=())
        mine = [r for r in rules.values() if base_of(r, self._named) == name]
        try:
            found = [replace(list_of(r), blocker=self._hindrance(r, state)) for r in mine]
        except Rejected as error:
            return ReadFailure(state.targets, state.resource, f"{state.resource}: {error}")
        entries = tuple(Entry(n, None, p.note, p.name) for p in found for n in p.networks)
        taken = taken_by_others(name, rules, {p.name for p in found}, self._named)
        return replace(
            state, managed_lists=tuple(found), entries=entries, conflict=self._crowded.get(name), taken=taken
        )

    def _hindrance(self, rule: Rule, state: State) -> str:
        """Return why a rule that an ipsync made can't be managed; of the others the core says that they aren't ours."""
        reason = blocker(rule, dict(state.wanted_settings), self._where.project) if ours(rule.description) else ""
        return f"rule {rule.name} {reason}" if reason else ""

    def _stray(self, rule: Rule) -> State | ReadFailure:
        resource = f"gcp/{self._where.project}/{rule.name}"
        try:
            found = list_of(rule)
        except Rejected as error:
            return ReadFailure((), resource, f"{resource}: {error}")
        entries = tuple(Entry(n, None, found.note, found.name) for n in found.networks)
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
        except CloudError as error:
            return Finding(subject, ok=False, detail=str(error), remedy=_help(error, remedy(self._where.project)))
        return Finding(subject, ok=True)

    def _held(self) -> set[str]:
        subject = f"testing permissions on project {self._where.project}"
        return gcp_client.held(self._where, PERMISSIONS, subject=subject)


def _help(error: CloudError, text: str) -> str:
    """Return the advice where a permission or an API is what's missing; other errors say themselves what helps."""
    return "" if isinstance(error, NoCredentials | Unreachable) else text


class Writer:
    """Writes to one project's firewall rules, a rule a step."""

    def __init__(self, target: Target) -> None:
        self._where = where_of(target)
        self._compute = gcp_client.compute()
        self._client = gcp_client.make(self._compute.FirewallsClient, self._where)
        self._operations = gcp_client.make(self._compute.GlobalOperationsClient, self._where)

    def execute(self, operation: Operation) -> Receipt:
        """Make, patch or delete one rule, after looking that it is as the step expects; then wait for the operation."""
        managed = _checked(operation)
        subject = f"{operation.kind} firewall rule {managed.name} of project {self._where.project}"
        with advice(self._where.project):
            started = self._started(operation, managed, subject)
            return Receipt(gcp_calls.finish(self._operations, self._where, started, subject=subject))

    def _started(self, operation: Operation, managed: ManagedList, subject: str) -> Any:
        request_id = str(uuid.uuid4())  # one for all tries: Google carries the request out once
        fixed = {"project": self._where.project, "request_id": request_id}
        firewall = self._compute.Firewall
        if operation.kind == "create":
            body = firewall(**created(managed))
            request = self._compute.InsertFirewallRequest(firewall_resource=body, **fixed)
            return self._send(self._client.insert_unary, request, subject)
        self._expect(operation, managed.name, subject)
        if operation.kind == "delete":
            request = self._compute.DeleteFirewallRequest(firewall=managed.name, **fixed)
            return self._send(self._client.delete_unary, request, subject, operation)
        body = firewall(**patched(managed, operation.was))
        request = self._compute.PatchFirewallRequest(firewall=managed.name, firewall_resource=body, **fixed)
        return self._send(self._client.patch_unary, request, subject, operation)

    def _send(
        self, method: Callable[..., Any], request: object, subject: str, operation: Operation | None = None
    ) -> Any:
        tries = count()

        def once() -> Any:
            if next(tries) and operation:
                self._look_again(operation, subject)
            return gcp_answers.operation(method(request=request, timeout=gcp_client.TIMEOUT, retry=None))

        quota = gcp_pacing.quota(self._where.project, writes=True)
        return gcp_calls.call(once, subject=subject, writes=True, quota=quota)

    def _expect(self, operation: Operation, name: str, subject: str) -> None:
        """Read right before writing: a rule has no fingerprint, and the last write wins."""
        quota = gcp_pacing.quota(self._where.project, writes=False)
        try:
            now = gcp_calls.call(lambda: self._get(name), subject=subject, writes=False, quota=quota)
        except Missing:
            raise Stale(f"{subject}: it was deleted since it was read") from None
        self._compare(now, [operation.was], subject)

    def _look_again(self, operation: Operation, subject: str) -> None:
        """Look before each further try, which may come a minute later: someone's edit since then must not be lost.

        Where the first try was carried out after all, it is as it shall be; the same request id changes nothing twice.
        """
        from google.api_core.exceptions import NotFound

        name = operation.managed.name if operation.managed else ""
        try:
            now = self._get(name)
        except NotFound:  # as the first try left it, or the answer to the next one says so
            return
        self._compare(now, [operation.was, operation.managed if operation.kind == "replace" else None], subject)

    def _get(self, name: str) -> Any:
        rule = self._client.get(project=self._where.project, firewall=name, timeout=gcp_client.TIMEOUT, retry=None)
        return gcp_answers.rule(rule, name=name)

    def _compare(self, now: Any, known: Sequence[ManagedList | None], subject: str) -> None:
        found = list_of(now)
        if found not in known or blocker(now, dict(found.settings), self._where.project):
            raise Stale(f"{subject}: someone changed it since it was read")


def _checked(operation: Operation) -> ManagedList:
    """Return the step's part, or refuse what no plan should hold, before anything is sent."""
    managed, was = operation.managed, operation.was
    if managed is None or operation.kind not in {"create", "replace", "delete"}:
        raise Rejected(f"{operation.resource}: a GCP rule can't be changed entry by entry")
    if operation.kind != "create" and not (was and ours(description_of(was))):
        raise Rejected(f"{operation.resource}: the rule was not made by ipsync; nothing was sent")
    if operation.kind == "delete":
        return managed
    if not managed.networks:
        raise Rejected(f"{operation.resource}: an empty source list would let in the whole internet; nothing was sent")
    if not ours(description_of(managed)):
        raise Rejected(f"{operation.resource}: a rule without ipsync's mark would be nobody's; nothing was sent")
    return managed
