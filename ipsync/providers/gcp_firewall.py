"""GCP firewall rules: a rule holds its sources as one list, owned by the rule's description.

API: Compute Engine v1, firewalls.list, get, insert, patch and delete. An ingress rule without sources lets in the
whole internet, and PUT resets what it doesn't name: so an empty list is never sent, and `update` never called.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from ipsync.errors import CloudError, Denied, Missing, Rejected, Stale, UsageError
from ipsync.model import Entry, GcpRule, Network, Part, ReadFailure, Receipt, State, Step, Target
from ipsync.providers import gcp_client
from ipsync.providers.base import Finding

PAGE = 500
OURS = "ipsync "
"""How the description of every rule that any ipsync made begins; whose it is, others decide."""
SETTINGS = ("network", "ports", "priority", "target_service_accounts", "target_tags")
PERMISSIONS = (
    *("compute.firewalls.list", "compute.firewalls.get", "compute.firewalls.create", "compute.firewalls.update"),
    *("compute.firewalls.delete", "compute.networks.updatePolicy", "compute.globalOperations.get"),
)
Rule = Any


def _where(target: Target) -> GcpRule:
    if not isinstance(target.where, GcpRule):
        raise UsageError(f"target {target.name} is no GCP target")
    return target.where


class Reader:
    """Reads one project's firewall rules. It keeps the library's `list` alone; nothing else of the client."""

    def __init__(self, target: Target) -> None:
        self._where = _where(target)
        self._compute = gcp_client.compute()
        client = gcp_client.make(self._compute.FirewallsClient, self._where)
        self._list: Callable[..., Any] = client.list
        self._calls: list[tuple[str, str]] = []

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Return every call so far as (operation, result)."""
        return tuple(self._calls)

    def survey(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read the project's rules with one list call a 500 rules."""
        del owner
        rules = {r.name: r for r in self._rules()}
        named: dict[str, list[Target]] = {}
        for target in targets:
            named.setdefault(_where(target).rule, []).append(target)
        states = [self._state(name, sharing, rules, named) for name, sharing in named.items()]
        taken = {p.name for s in states for p in s.parts}
        strays = [self._stray(r) for r in rules.values() if r.description.startswith(OURS) and r.name not in taken]
        return [*states, *strays]

    def complete(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these rules again."""
        del owner
        rules = {r.name: r for r in self._rules()}
        names = {s.resource.rpartition("/")[2] for s in states}
        return [self._filled(s, rules, names) for s in states]

    def _rules(self) -> list[Rule]:
        request = self._compute.ListFirewallsRequest(project=self._where.project, max_results=PAGE)
        subject = f"listing firewall rules of project {self._where.project}"
        try:
            found = gcp_client.call(
                lambda: list(self._list(request=request, timeout=gcp_client.TIMEOUT, retry=None)),
                subject=subject,
                writes=False,
            )
        except CloudError as error:
            self._calls.append(("firewalls.list", "error"))
            if isinstance(error, Denied):
                raise Denied(f"{error}. {remedy(self._where.project)}", code=error.code) from None
            raise
        self._calls.append(("firewalls.list", "ok"))
        return list(found)

    def _state(self, name: str, sharing: Sequence[Target], rules: Mapping[str, Rule], named: Iterable[str]) -> State:
        where = _where(sharing[0])
        blank = State(
            kind=sharing[0].kind,
            resource=f"gcp/{where.project}/{name}",
            targets=tuple(t.name for t in sharing),
            listed=True,
            wanted_settings=wanted_settings(sharing[0]),
            max_ranges=where.max_ranges,
        )
        return self._filled(blank, rules, set(named))

    def _filled(self, state: State, rules: Mapping[str, Rule], named: Iterable[str]) -> State:
        name = state.resource.rpartition("/")[2]
        mine = [r for r in rules.values() if _belongs(r, name, set(named))]
        found = [_part(r) for r in mine]
        entries = tuple(Entry(n, None, p.note, p.name) for p in found for n in p.networks)
        return replace(
            state, parts=tuple(found), entries=entries, obstacle=_obstacle(mine, dict(state.wanted_settings))
        )

    def _stray(self, rule: Rule) -> State:
        found = _part(rule)
        entries = tuple(Entry(n, None, found.note, found.name) for n in found.networks)
        resource = f"gcp/{self._where.project}/{rule.name}"
        return State("gcp-firewall", resource, (), entries, listed=True, parts=(found,))

    # ── check ────────────────────────────────────────────────────────────

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Ask which of the needed permissions the caller holds on the project; then read."""
        project = self._where.project
        try:
            self.survey(targets, owner=owner)
            held = self._held()
        except CloudError as error:
            return [Finding(f"gcp project {project}", ok=False, detail=str(error), remedy=remedy(project))]
        return [
            Finding(f"gcp project {project}: {p}", ok=p in held, remedy="" if p in held else remedy(project))
            for p in PERMISSIONS
        ]

    def _held(self) -> set[str]:
        """Call cloudresourcemanager's projects.testIamPermissions, which changes nothing."""
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        chosen = gcp_client.options(self._where)
        base = self._where.endpoint or "https://cloudresourcemanager.googleapis.com"
        subject = f"testing permissions on project {self._where.project}"

        def ask() -> Any:
            credentials = chosen.get("credentials") or google.auth.default()[0]
            with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call]
                answer = session.post(
                    f"{base.rstrip('/')}/v1/projects/{self._where.project}:testIamPermissions",
                    json={"permissions": list(PERMISSIONS)},
                    timeout=gcp_client.TIMEOUT,
                )
                answer.raise_for_status()
                return answer.json()

        return set(gcp_client.call(ask, subject=subject, writes=False).get("permissions", ()))


class Writer:
    """Writes to one project's firewall rules, a rule a step."""

    def __init__(self, target: Target) -> None:
        self._where = _where(target)
        self._compute = gcp_client.compute()
        self._client = gcp_client.make(self._compute.FirewallsClient, self._where)
        self._operations = gcp_client.make(self._compute.GlobalOperationsClient, self._where)

    def execute(self, step: Step) -> Receipt:
        """Make, patch or delete one rule, after looking that it is as the step expects; then wait for the operation."""
        part = step.part
        if part is None:
            raise Rejected(f"{step.resource}: a GCP rule can't be changed entry by entry")
        if step.kind != "delete" and not part.networks:
            raise Rejected(f"{step.resource}: an empty source list would let in the whole internet; nothing was sent")
        subject = f"{step.kind} firewall rule {part.name} of project {self._where.project}"
        try:
            started = self._started(step, part, subject)
            name = gcp_client.finish(self._operations, self._where, started, subject=subject)
        except Denied as error:
            raise Denied(f"{error}. {remedy(self._where.project)}", code=error.code) from None
        return Receipt(name)

    def _started(self, step: Step, part: Part, subject: str) -> Any:
        request_id = str(uuid.uuid4())  # one for all tries: Google carries the request out once
        fixed = {"project": self._where.project, "request_id": request_id}
        firewall = self._compute.Firewall
        if step.kind == "create":
            body = firewall(**_created(part, self._where.project))
            request = self._compute.InsertFirewallRequest(firewall_resource=body, **fixed)
            return self._send(self._client.insert_unary, request, subject)
        self._expect(step, subject)
        if step.kind == "delete":
            request = self._compute.DeleteFirewallRequest(firewall=part.name, **fixed)
            return self._send(self._client.delete_unary, request, subject)
        body = firewall(**_patched(part, step.was))
        request = self._compute.PatchFirewallRequest(firewall=part.name, firewall_resource=body, **fixed)
        return self._send(self._client.patch_unary, request, subject)

    def _send(self, method: Callable[..., Any], request: object, subject: str) -> Any:
        return gcp_client.call(
            lambda: method(request=request, timeout=gcp_client.TIMEOUT, retry=None), subject=subject, writes=True
        )

    def _expect(self, step: Step, subject: str) -> None:
        """Read right before writing: a rule has no fingerprint, and the last write wins."""
        name = step.resource.rpartition("/")[2]
        try:
            now = gcp_client.call(
                lambda: self._client.get(
                    project=self._where.project, firewall=name, timeout=gcp_client.TIMEOUT, retry=None
                ),
                subject=subject,
                writes=False,
            )
        except Missing:
            raise Stale(f"{subject}: it was deleted since it was read") from None
        if _part(now) != step.was:
            raise Stale(f"{subject}: someone changed it since it was read")


# ── Compute Engine's shapes and ours ─────────────────────────────────────────


def wanted_settings(target: Target) -> tuple[tuple[str, str], ...]:
    """Return what the config asks of each rule besides its sources, as text pairs."""
    where = _where(target)
    return (
        ("network", where.network),
        ("ports", ",".join(sorted(str(s) for s in target.services))),
        ("priority", str(where.priority)),
        ("target_service_accounts", ",".join(where.target_service_accounts)),
        ("target_tags", ",".join(where.target_tags)),
    )


def _part(rule: Rule) -> Part:
    settings = (
        ("network", rule.network.rpartition("/")[2]),
        ("ports", ",".join(sorted(_ports(rule)))),
        ("priority", str(rule.priority)),
        ("target_service_accounts", ",".join(sorted(rule.target_service_accounts))),
        ("target_tags", ",".join(sorted(rule.target_tags))),
    )
    return Part(rule.name, _networks(rule), (("description", rule.description),), settings)


def _networks(rule: Rule) -> tuple[Network, ...]:
    found = {ip_network(text, strict=False) for text in rule.source_ranges}
    return tuple(sorted(found, key=lambda n: (n.version, int(n.network_address), n.prefixlen)))


def _ports(rule: Rule) -> Iterator[str]:
    for allowed in rule.allowed:
        protocol = str(allowed.I_p_protocol)
        if not allowed.ports:
            yield protocol
        for port in allowed.ports:
            first, _, last = port.partition("-")
            yield f"{first}/{protocol}" if last in {"", first} else f"{first}-{last}/{protocol}"


def _allowed(ports: str) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for text in ports.split(","):
        port, _, protocol = text.rpartition("/")
        found.setdefault(protocol, []).extend([port] if port else [])
    return [{"I_p_protocol": name, "ports": listed} for name, listed in found.items()]


def _created(part: Part, project: str) -> dict[str, Any]:
    del project
    network = dict(part.settings)["network"]
    body = _fields(part, SETTINGS)
    return {**body, "name": part.name, "direction": "INGRESS", "network": f"global/networks/{network}"}


def _patched(part: Part, was: Part | None) -> dict[str, Any]:
    """Return only what differs: PATCH replaces an array whole and leaves what it doesn't name."""
    old, new = dict(was.settings) if was else {}, dict(part.settings)
    changed = [key for key in SETTINGS if old.get(key) != new.get(key)]
    cleared = [key for key in changed if not new.get(key)]
    if cleared:
        # The library leaves an empty list out of the request, and so would change nothing.
        raise Rejected(
            f"{part.name}: {', '.join(cleared)} can't be taken off an existing rule; "
            f"choose another `rule:` (ipsync makes it), then delete this one"
        )
    body = _fields(part, changed)
    if was and was.networks == part.networks:
        del body["source_ranges"]
    if was and was.note == part.note:
        del body["description"]
    return {**body, "name": part.name}


def _fields(part: Part, keys: Iterable[str]) -> dict[str, Any]:
    settings = dict(part.settings)
    body: dict[str, Any] = {
        "source_ranges": [str(n) for n in part.networks],
        "description": dict(part.note)["description"],
    }
    for key in keys:
        text = settings[key]
        if key == "ports":
            body["allowed"] = _allowed(text)
        elif key == "priority":
            body["priority"] = int(text)
        elif key != "network" and text:
            body[key] = text.split(",")
    return body


def _belongs(rule: Rule, base: str, named: set[str]) -> bool:
    """Tell whether a rule is one of `base`'s: itself, its IPv6 twin, or (only if an ipsync made it) overflow."""
    if rule.name != base and rule.name in named:
        return False
    if rule.name in {base, f"{base}-v6"}:
        return True
    return bool(re.fullmatch(rf"{re.escape(base)}(?:-v6)?-[0-9]+", rule.name)) and rule.description.startswith(OURS)


def _obstacle(rules: Sequence[Rule], wanted: Mapping[str, str]) -> str | None:
    for rule in rules:
        if reason := _hindrance(rule, wanted):
            return f"rule {rule.name} {reason}"
    return None


def _hindrance(rule: Rule, wanted: Mapping[str, str]) -> str:
    network = rule.network.rpartition("/")[2]
    if rule.direction != "INGRESS" or rule.denied:
        return "is not a rule that allows ingress; choose another `rule:` in the config, or delete or rename it"
    if network != wanted["network"]:
        return f"is in network {network}, and the config says {wanted['network']}; a rule can't change its network"
    if rule.disabled:
        return "is disabled; somebody closed it on purpose: enable it, or take the target out of the config"
    if rule.source_tags or rule.source_service_accounts:
        return "also lets in sources by tag or service account, which ipsync did not set; take them out of the rule"
    return ""


def remedy(project: str) -> str:
    """Return the command that gives what is missing."""
    return (
        "Grant the role of deploy/gcp/role.yaml: gcloud projects add-iam-policy-binding "
        f"{project} --member=serviceAccount:ACCOUNT --role=projects/{project}/roles/ipsync"
    )
