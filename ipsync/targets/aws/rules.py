"""EC2's shapes and ours: a security group's rule as an entry, an entry as a permission, what is asked for as filters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ipsync.core.addresses import to_network
from ipsync.core.configured import Target
from ipsync.core.errors import UsageError
from ipsync.core.model import Entry, Note, Service
from ipsync.core.traits import Traits
from ipsync.targets.aws.where import AwsGroups
from ipsync.targets.tag_marks import TagMarks

NAME = "aws-security-group"
TRAITS = Traits(entries=TagMarks(), noun="group", holder="account", at_once=True)
OWNER_TAG = "ipsync:owner"
DESCRIPTION = "description"
FILTER_VALUES = 200
Rule = Mapping[str, Any]
Filters = list[dict[str, Any]]


def where_of(target: Target) -> AwsGroups:
    """Return where an AWS target is; any other is a UsageError."""
    if not isinstance(target.where, AwsGroups):
        raise UsageError(f"target {target.name} is no AWS target")
    return target.where


# ── rules ────────────────────────────────────────────────────────────────────


def by_group(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Sort rules by the group that they are in."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule["GroupId"], []).append(rule)
    return found


def entry(rule: Rule) -> Entry | ValueError | None:
    """Return a rule that names a CIDR as an entry; egress, group and prefix list rules are none.

    Where what it names isn't a CIDR at all, that error is what there is of it.
    """
    cidr = rule.get("CidrIpv4") or rule.get("CidrIpv6")
    if rule.get("IsEgress") or not cidr:
        return None
    try:
        network = to_network(cidr, strict=False)
    except ValueError as error:
        return error
    service = _service(str(rule["IpProtocol"]), rule.get("FromPort", -1), rule.get("ToPort", -1))
    note = _note(rule.get("Description", ""), *[(t["Key"], t["Value"]) for t in rule.get("Tags", ())])
    return Entry(network, service, note, rule["SecurityGroupRuleId"])


# Thousands of rules name the same addresses, ports and tags: each is made once, and they share it.


@lru_cache(maxsize=65_536)
def _note(description: str, *tags: tuple[str, str]) -> Note:
    return tuple(sorted([*tags, (DESCRIPTION, description)]))


@lru_cache(maxsize=4096)
def _service(protocol: str, first: int, last: int) -> Service:
    if protocol == "-1":
        return Service("all")
    if protocol in {"icmp", "icmpv6", "58", "1"}:
        name = {"1": "icmp", "58": "icmpv6"}.get(protocol, protocol)
        return Service(name) if first == -1 else Service(f"{name}-type", first, last)
    if first == -1:
        return Service(f"protocol-{protocol}")
    return Service({"6": "tcp", "17": "udp"}.get(protocol, protocol), first, last)


def permission(entry: Entry) -> dict[str, Any]:
    """Return one permission with one CIDR: so every rule id belongs to one entry."""
    service = entry.service or Service("all")
    ports: dict[str, object] = {"IpProtocol": "-1" if service.protocol == "all" else service.protocol}
    if service.protocol != "all":
        ports |= {"FromPort": -1, "ToPort": -1}
    if service.first is not None:
        ports |= {"FromPort": service.first, "ToPort": service.last}
    text = dict(entry.note).get(DESCRIPTION, "")
    source = {"CidrIp": str(entry.network)} if entry.network.version == 4 else {"CidrIpv6": str(entry.network)}  # noqa: PLR2004 - the IP version
    return {**ports, "IpRanges" if "CidrIp" in source else "Ipv6Ranges": [{**source, "Description": text}]}


def group_id(resource: str) -> str:
    """Return the group of `aws/ACCOUNT/REGION/GROUP`."""
    return resource.rpartition("/")[2]


# ── filters ──────────────────────────────────────────────────────────────────


def id_filters(ids: Sequence[str]) -> Iterator[Filters]:
    """Yield filters that name these groups; a filter holds at most 200 values."""
    for i in range(0, len(ids), FILTER_VALUES):
        yield [{"Name": "group-id", "Values": list(ids[i : i + FILTER_VALUES])}]


def owned_by(owner: str) -> Filters:
    """Return the filter for the rules of this owner."""
    return [{"Name": f"tag:{OWNER_TAG}", "Values": [literal(owner)]}]


def match_filters(where: AwsGroups) -> Filters:
    """Return the filters for a target's `match`. What they let through is still to be compared: see `matches`."""
    found = [{"Name": f"tag:{key}", "Values": [literal(value)]} for key, value in where.match_tags]
    return [*found, {"Name": "vpc-id", "Values": [literal(where.match_vpc)]}] if where.match_vpc else found


def literal(value: str) -> str:
    r"""Write a filter's value so that it means itself: EC2 reads `*` and `?` as wildcards, and `\` takes that away."""
    return re.sub(r"([\\*?])", r"\\\1", value)


def matches(group: Rule, where: AwsGroups) -> bool:
    """Tell whether a group has exactly the tags and the VPC that `match` names, whatever a filter made of them."""
    tags = {t.get("Key"): t.get("Value", "") for t in group.get("Tags", ())}
    same_vpc = where.match_vpc is None or group.get("VpcId") == where.match_vpc
    return same_vpc and all(tags.get(key) == value for key, value in where.match_tags)
