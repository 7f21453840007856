"""The kind `aws-security-group`: rules of security groups in one region of one account.

What the config may say of it, what fits together, its traits, and where its reader and its writer are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ipsync.core.model import Target
from ipsync.targets.aws.account import ACCOUNT_RULES, Account, check_account
from ipsync.targets.aws.rules import NAME, TRAITS
from ipsync.targets.aws.where import AwsGroups
from ipsync.targets.base import Endpoints, Kind, Path, Problems, Reader, Writer, must, some, when
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
    """Rules of security groups in one region of one account."""

    kind: Literal["aws-security-group"] = Field(description="Which kind of target this is.")
    region: f.Region = Field(description="Like eu-north-1.")
    account: Account = section("How to reach the account. Default: the ambient credentials.")
    groups: Annotated[list[f.Group], f.Unique] = Field([], description="Security groups by id; or match.")
    match: Match | None = Field(None, description="Security groups by tags and VPC; or groups.")
    remove_first: bool = Field(
        default=False, description="Allow removing before adding where the quota leaves no other way."
    )
    swap: bool = Field(default=False, deprecated="remove_first", description="The old name of `remove_first`.")


def where(target: AwsSecurityGroup, endpoints: Endpoints) -> AwsGroups:
    """Return where the target's groups are."""
    return AwsGroups(
        region=target.region,
        groups=tuple(target.groups),
        match_tags=tuple(sorted(target.match.tags.items())) if target.match else (),
        match_vpc=target.match.vpc if target.match else None,
        account=target.account.reached(),
        endpoint_url=endpoints["aws"],
    )


def check(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in one target."""
    if bool(target.get("groups")) == (target.get("match") is not None):
        problems.add(path, "needs either groups (ids) or match (tags), not both and not neither")
    check_account(path, target, problems)
    ports = target.get("ports")
    for i, port in enumerate(ports if isinstance(ports, list) else []):
        if isinstance(port, str) and "sctp" in port.lower():
            # EC2: a protocol other than tcp, udp and icmp "allows traffic on all ports, regardless of any port range".
            problems.add((*path, "ports", i), "AWS ignores sctp's port and would open all of them; use tcp or udp")


def _reader(target: Target) -> Reader:
    from ipsync.targets.aws.group_reader import Reader as GroupReader

    return GroupReader(target)


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
    check=check,
    schema_rules={
        "AwsSecurityGroup": [
            when("groups", some(), {"properties": {"match": {"type": "null"}}}, otherwise=must("match", "object"))
        ],
        **ACCOUNT_RULES,
    },
    schema_narrower={
        "AwsSecurityGroup": ("ports", {"items": _PORT, "uniqueItems": True}),  # AWS ignores sctp's port
        "Match": ("tags", {"propertyNames": {"pattern": r"^[^\x00-\x1f]{1,128}$"}}),
    },
)
