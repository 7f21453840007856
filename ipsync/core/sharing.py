"""Which target may name which resource, told from the config and the resource's name alone.

A target whose groups or scope couldn't be read may still want what is there: nothing may be taken from it meanwhile.
And one resource may be named through several credentials, which make several scopes.
"""

from __future__ import annotations

from ipsync.core.model import AwsGroups, GcpRule, Target

ACCOUNT_OF_ROLE = 4
"""The account's place in a role's ARN: `arn:aws:iam::111122223333:role/NAME` (IAM User Guide, ARNs)."""


def may_name(target: Target, resource: str) -> bool:
    """Tell whether a target names a resource, or may, where its `match` or its credentials couldn't be asked."""
    words = resource.split("/")
    if isinstance(target.where, GcpRule):
        return words[:2] == ["gcp", target.where.project] and words[2:] == [target.where.rule]
    if words[0] != "aws" or words[2:3] != [target.where.region]:
        return False
    return _same_account(target.where, words[1]) and _same_group(target.where, words[-1])


def _same_account(where: AwsGroups, account: str) -> bool:
    """Tell whether the credentials may be this account's: of a role that is written in its ARN, of others unknown."""
    role = (where.account.role_arn or "").split(":")
    return len(role) <= ACCOUNT_OF_ROLE or not role[ACCOUNT_OF_ROLE].isdigit() or role[ACCOUNT_OF_ROLE] == account


def _same_group(where: AwsGroups, group: str) -> bool:
    return group in where.groups if where.groups else True
