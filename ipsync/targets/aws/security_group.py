"""The kind `aws-security-group`: rules of security groups, in one region of one account or in many.

What the config may say of it, what fits together, its traits, and where its reader and its writer are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError
from ipsync.targets.aws import accounts
from ipsync.targets.aws.account import Account
from ipsync.targets.aws.accounts import Accounts, Regions
from ipsync.targets.aws.rules import NAME, TRAITS
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany
from ipsync.targets.base import (
    Endpoints,
    Kind,
    Path,
    Places,
    Problems,
    Reader,
    Writer,
    as_configured,
    must,
    some,
    when,
)
from ipsync.values import fields as f
from ipsync.values import models
from ipsync.values.models import Strict, section
from ipsync.values.ports import form
from ipsync.values.shown_values import pattern


class Match(Strict):
    """Security groups by tags, and VPC."""

    tags: dict[f.TagKey, f.TagValue] = Field(min_length=1, description="Tags that a group must have, all of them.")
    vpc: f.Vpc | None = Field(None, description="Only groups of this VPC.")


class AwsSecurityGroup(models.Target):
    """Rules of security groups, in one region of one account or in many."""

    kind: Literal["aws-security-group"] = Field(description="Which kind of target this is.")
    region: f.Region | None = Field(None, description="Like eu-north-1; or regions.")
    regions: Regions | None = Field(
        None, description="Several regions, or `enabled`: all that each account has enabled. With match."
    )
    account: Account = section("How to reach the account. Default: the ambient credentials.")
    accounts: Annotated[list[Accounts], Field(min_length=1)] | None = Field(
        None, description="Several accounts, each as under account, or an organization's. With match."
    )
    groups: Annotated[list[f.Group], f.Unique] = Field([], description="Security groups by id; or match.")
    match: Match | None = Field(None, description="Security groups by tags and VPC; or groups.")
    remove_first: bool = Field(
        default=False, description="Allow removing before adding where the quota leaves no other way."
    )
    swap: bool = Field(default=False, deprecated="remove_first", description="The old name of `remove_first`.")


def where(target: AwsSecurityGroup, endpoints: Endpoints) -> AwsGroups | AwsMany:
    """Return where the target's groups are."""
    account, region = target.account.reached(), target.region or ""
    each = AwsGroups(
        region=region,
        groups=tuple(target.groups),
        match_tags=tuple(sorted(target.match.tags.items())) if target.match else (),
        match_vpc=target.match.vpc if target.match else None,
        account=account,
        endpoint_url=endpoints["aws"],
    )
    if target.regions is None and target.accounts is None:
        return each
    regions = () if target.regions == "enabled" else tuple(target.regions or (region,))
    several = tuple(dict.fromkeys(map(accounts.one_of, target.accounts or ()))) or (account,)
    return AwsMany(replace(each, region="", account=AwsAccount()), several, regions)


def check(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in one target."""
    if bool(target.get("groups")) == (target.get("match") is not None):
        problems.add(path, "needs either groups (ids) or match (tags), not both and not neither")
    accounts.check(path, target, problems)
    ports = target.get("ports")
    for i, port in enumerate(ports if isinstance(ports, list) else []):
        if isinstance(port, str) and "sctp" in port.lower():
            # EC2: a protocol other than tcp, udp and icmp "allows traffic on all ports, regardless of any port range".
            problems.add((*path, "ports", i), "AWS ignores sctp's port and would open all of them; use tcp or udp")


def _homes(targets: Sequence[Target]) -> Sequence[str | CloudError]:
    from ipsync.targets.aws.homes import homes

    return homes(targets)


def _reader(target: Target) -> Reader:
    from ipsync.targets.aws.group_reader import Reader as GroupReader

    return GroupReader(target)


def _places(targets: Sequence[Target]) -> Sequence[Places]:
    if not any(isinstance(t.where, AwsMany) for t in targets):
        return as_configured(targets)
    from ipsync.targets.aws.listing import places

    return places(targets)


def _writer(target: Target) -> Writer:
    from ipsync.targets.aws.group_writer import Writer as GroupWriter

    return GroupWriter(target)


_PORT = {"type": "string", "pattern": pattern(form("tcp", "udp")), "examples": ["443/tcp", "8000-8100/tcp", "all"]}

KIND = Kind(
    name=NAME,
    traits=TRAITS,
    schema=AwsSecurityGroup,
    where=where,
    reader=_reader,
    writer=_writer,
    homes=_homes,
    places=_places,
    check=check,
    schema_rules={
        "AwsSecurityGroup": [
            when("groups", some(), {"properties": {"match": {"type": "null"}}}, otherwise=must("match", "object")),
            *accounts.TARGET_RULES,
        ],
        **accounts.SCHEMA_RULES,
    },
    schema_narrower={
        "AwsSecurityGroup": ("ports", {"items": _PORT, "uniqueItems": True}),  # AWS ignores sctp's port
        **dict.fromkeys(("Match", "Organization"), ("tags", {"propertyNames": {"pattern": r"^[^\x00-\x1f]{1,128}$"}})),
    },
)
