"""A firewall rule as Compute Engine shows it, and as we do: what it allows, whose name it stands under, what hinders.

No calls are made here. A rule's description is carried verbatim; of its meaning only the first word is looked at,
which tells an ipsync's rule from everybody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ipsync.core.addresses import sort_key, to_network
from ipsync.core.configured import Target
from ipsync.core.errors import Rejected, UsageError
from ipsync.core.model import Entry, ManagedList
from ipsync.core.traits import Traits
from ipsync.targets.gcp.marks import DescriptionMarks
from ipsync.targets.gcp.where import GcpRule

NAME = "gcp-firewall"
TRAITS = Traits(lists=DescriptionMarks(), ports=False, noun="rule", holder="project")
OURS = "ipsync "
"""How the description of every rule that any ipsync made begins; whose it is, others decide."""
SETTINGS = ("network", "ports", "priority", "target_service_accounts", "target_tags")
CLEARABLE = ("target_service_accounts", "target_tags")
NAMES_ROOM = 1000
"""Characters of a description for the names of targets and feeds; the other half is for the marks of ranges."""
PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "132": "sctp"}
"""Protocols by number; icmpv6 has no name in Compute Engine (API, `allowed[].IPProtocol`)."""
Rule = Any


def where_of(target: Target) -> GcpRule:
    """Return where a GCP target is. Raises UsageError for another kind."""
    if not isinstance(target.where, GcpRule):
        raise UsageError(f"target {target.name} is no GCP target")
    return target.where


def wanted_settings(target: Target) -> tuple[tuple[str, str], ...]:
    """Return what the config asks of each rule besides its sources, as text pairs."""
    where = where_of(target)
    return (
        ("network", where.network),
        ("ports", ",".join(sorted(str(s) for s in target.services))),
        ("priority", str(where.priority)),
        ("target_service_accounts", ",".join(sorted(where.target_service_accounts))),
        ("target_tags", ",".join(sorted(where.target_tags))),
    )


def ours(description: str) -> bool:
    """Tell whether some ipsync made the rule; whose it is, the core decides."""
    return description.startswith(OURS)


def description_of(managed: ManagedList) -> str:
    """Return the description that a part carries."""
    return dict(managed.note).get("description", "")


def list_of(rule: Rule) -> ManagedList:
    """Return a rule as it was read, with its settings written as `wanted_settings` does.

    Raises Rejected for a source that is no network.
    """
    return read(rule)[0]


def read(rule: Rule) -> tuple[ManagedList, tuple[Entry, ...]]:
    """Return `list_of`, and what it lets in as entries, in order: the same objects for rules that say the same."""
    entries = _entries_of(rule)
    note = (("description", str(rule.description)),)
    return ManagedList(rule.name, tuple(e.network for e in entries), note, _settings(rule)), entries


def _entries_of(rule: Rule) -> tuple[Entry, ...]:
    try:
        return _entries(rule.name, rule.description, tuple(rule.source_ranges))
    except ValueError as error:
        raise Rejected(f"rule {rule.name} has a source that can't be read: {error}") from None


@lru_cache(maxsize=256)  # the same rule stands in many projects
def _entries(name: str, description: str, ranges: tuple[str, ...]) -> tuple[Entry, ...]:
    networks = sorted({to_network(text, strict=False) for text in ranges}, key=sort_key)
    return tuple(Entry(network, None, (("description", description),), name) for network in networks)


def _settings(rule: Rule) -> tuple[tuple[str, str], ...]:
    return (
        ("network", rule.network.rpartition("/")[2]),
        ("ports", ",".join(sorted(_ports(rule)))),
        ("priority", str(rule.priority)),
        ("target_service_accounts", ",".join(sorted(rule.target_service_accounts))),
        ("target_tags", ",".join(sorted(rule.target_tags))),
    )


def _ports(rule: Rule) -> Iterator[str]:
    for allowed in rule.allowed:
        protocol = PROTOCOLS.get(allowed.I_p_protocol, str(allowed.I_p_protocol))
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
    return [{"I_p_protocol": "58" if name == "icmpv6" else name, "ports": listed} for name, listed in found.items()]


def created(managed: ManagedList) -> dict[str, Any]:
    """Return the fields of a rule to insert."""
    network = dict(managed.settings)["network"]
    body = _fields(managed, SETTINGS)
    return {**body, "name": managed.name, "direction": "INGRESS", "network": f"global/networks/{network}"}


def patched(managed: ManagedList, was: ManagedList | None) -> dict[str, Any]:
    """Return only what differs: PATCH replaces an array whole and leaves what it doesn't name."""
    old, new = dict(was.settings) if was else {}, dict(managed.settings)
    changed = [key for key in SETTINGS if old.get(key) != new.get(key)]
    cleared = [key for key in changed if not new.get(key)]
    if cleared:
        # The library leaves an empty list out of the request, and so would change nothing.
        raise Rejected(
            f"{managed.name}: {', '.join(cleared)} can't be taken off an existing rule; "
            f"choose another `rule:` (ipsync makes it), then delete this one"
        )
    body = _fields(managed, changed)
    if was and was.networks == managed.networks:
        del body["source_ranges"]
    if was and was.note == managed.note:
        del body["description"]
    return {**body, "name": managed.name}


def _fields(managed: ManagedList, keys: Iterable[str]) -> dict[str, Any]:
    settings = dict(managed.settings)
    body: dict[str, Any] = {
        "source_ranges": [str(n) for n in managed.networks],
        "description": dict(managed.note)["description"],
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


def names_conflict(targets: Sequence[Target], owner: str) -> str | None:
    """Return why a rule's description can't hold the marks of its ranges beside all these names; None where it can."""
    names = {owner} | {t.name for t in targets} | {f for t in targets for f in t.feeds}
    length = sum(len(name) + 1 for name in names)
    if length <= NAMES_ROOM:
        return None
    return (
        f"the names of the {len(targets)} targets and their feeds ({length} characters) leave too little room in the "
        f"description of a rule (2,048): spread them over several `rule:`, or shorten them to {NAMES_ROOM} together"
    )


def settings_conflict(targets: Sequence[Target]) -> str | None:
    """Return what the targets that share a rule ask differently of it; None where they agree.

    The config is refused for it (firewall.py), but where projects are listed only a run knows that rules are shared.
    """
    first, *others = targets
    if not others:
        return None
    asked = {**dict(wanted_settings(first)), "max_ranges": str(where_of(first).max_ranges)}
    for other in others:
        also = {**dict(wanted_settings(other)), "max_ranges": str(where_of(other).max_ranges)}
        if differ := sorted(key for key in asked if asked[key] != also[key]):
            return (
                f"targets {first.name} and {other.name} ask for another {', '.join(differ)} of this rule; make them "
                "agree, or name another `rule:`"
            )
    return None


def blocker(rule: Rule, settings: Mapping[str, str], wanted: Mapping[str, str], project: str) -> str:
    """Return what stands in the way of managing one rule with these settings, as the rest of a sentence; empty for nothing."""
    network, command = rule.network.rpartition("/")[2], "gcloud compute firewall-rules"
    if rule.direction not in {"", "INGRESS"} or rule.denied:
        return "is not a rule that allows ingress; choose another `rule:` in the config, or delete or rename it"
    if network != wanted["network"]:
        return (
            f"is in network {network}, and the config says {wanted['network']}; a rule can't change its network: set "
            f"`network: {network}`, or choose another `rule:`, in the config"
        )
    if rule.disabled:
        return (
            "is disabled; somebody closed it on purpose: take the target out of the config, or enable it: "
            f"{command} update {rule.name} --project={project} --no-disabled"
        )
    if rule.source_tags or rule.source_service_accounts:
        return "also lets in sources by tag or service account, which ipsync did not set; take them out of the rule"
    if cleared := [key for key in CLEARABLE if settings[key] and not wanted[key]]:
        return (
            f"has {', '.join(cleared)} and the config has none; ipsync can't take them off, which would open more "
            "machines: put them back into the config, choose another `rule:`, or delete this one and ipsync makes it "
            f"anew: {command} delete {rule.name} --project={project}"
        )
    return ""
