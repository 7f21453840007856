"""The kind `aws-prefix-list`: the entries of customer-managed prefix lists, one a family.

What the config may say of it, what fits together, its traits, and where its reader and its writer are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, UsageError
from ipsync.core.traits import Traits
from ipsync.targets.aws.account import ACCOUNT_RULES, Account, check_account
from ipsync.targets.aws.prefix_list_marks import ListEntryMarks
from ipsync.targets.aws.where import AwsLists
from ipsync.targets.base import Endpoints, Kind, Path, Problems, Reader, Writer, must, when
from ipsync.values import fields as f
from ipsync.values import models
from ipsync.values.models import section

NAME = "aws-prefix-list"
TRAITS = Traits(entries=ListEntryMarks(), ports=False, noun="prefix list", holder="account")


class AwsPrefixList(models.AnyTarget):
    """The entries of customer-managed prefix lists in one region of one account; the lists must be there."""

    kind: Literal["aws-prefix-list"] = Field(description="Which kind of target this is.")
    region: f.Region = Field(description="Like eu-north-1.")
    account: Account = section("How to reach the account. Default: the ambient credentials.")
    prefix_list: f.PrefixList | None = Field(None, description="The list that takes the IPv4 addresses, by id.")
    prefix_list_v6: f.PrefixList | None = Field(None, description="The list that takes the IPv6 addresses, by id.")
    remove_first: bool = Field(
        default=False, description="Allow removing before adding where a full list leaves no other way."
    )


def where(target: AwsPrefixList, endpoints: Endpoints) -> AwsLists:
    """Return where the target's lists are."""
    return AwsLists(
        region=target.region,
        prefix_list=target.prefix_list or "",
        prefix_list_v6=target.prefix_list_v6 or "",
        account=target.account.reached(),
        endpoint_url=endpoints["aws"],
    )


def where_of(target: Target) -> AwsLists:
    """Return where a target of this kind is; any other is a UsageError."""
    if not isinstance(target.where, AwsLists):
        raise UsageError(f"target {target.name} is none of kind {NAME}")
    return target.where


def check(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Say what doesn't fit together in one target."""
    first, second = target.get("prefix_list"), target.get("prefix_list_v6")
    if first is None and second is None:
        problems.add(path, "needs prefix_list (for IPv4), prefix_list_v6 (for IPv6), or both")
    elif first == second and isinstance(first, str):
        text = "is the prefix_list too, and a list holds one family; name the IPv6 list, or leave it out"
        problems.add((*path, "prefix_list_v6"), text)
    if "ports" in target:
        problems.add((*path, "ports"), "a prefix list has no ports: the rules that name it say them; leave it out")
    check_account(path, target, problems)


def _homes(targets: Sequence[Target]) -> Sequence[str | CloudError]:
    from ipsync.targets.aws.homes import homes

    return homes(targets)


def _reader(target: Target) -> Reader:
    from ipsync.targets.aws.prefix_list_reader import Reader as ListReader

    return ListReader(target)


def _writer(target: Target) -> Writer:
    from ipsync.targets.aws.prefix_list_writer import Writer as ListWriter

    return ListWriter(target)


KIND = Kind(
    name=NAME,
    traits=TRAITS,
    schema=AwsPrefixList,
    where=where,
    reader=_reader,
    writer=_writer,
    homes=_homes,
    check=check,
    schema_rules={
        "AwsPrefixList": [
            when("prefix_list", {"type": "string"}, {}, otherwise=must("prefix_list_v6", "string")),
        ],
        **ACCOUNT_RULES,
    },
)
