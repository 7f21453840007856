"""`ipsync check` on security groups: each permission tried with DryRun, on real groups and rules, with the real tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ipsync.core.errors import CloudError
from ipsync.core.model import State
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.policy import remedy
from ipsync.targets.aws.reads import Reads
from ipsync.targets.aws.rules import OWNER_TAG, group_id
from ipsync.targets.base import Finding


def probe(reads: Reads, state: State, owner: str) -> Iterator[Finding]:
    """Try to authorize in a group and, where it holds a rule of ours, to revoke and tag that; change nothing."""
    group, ec2 = group_id(state.resource), reads.ec2
    rule = next((e.provider_id for e in state.entries), None)
    tags = [{"Key": OWNER_TAG, "Value": owner}]
    specs = [{"ResourceType": "security-group-rule", "Tags": tags}]
    sample = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
    yield _try(
        reads, group, "authorize", owner, ec2.authorize_security_group_ingress,
        GroupId=group, IpPermissions=[sample], TagSpecifications=specs,
    )  # fmt: skip
    if rule is None:
        text = "can't be tried before the first sync has made a rule"
        yield Finding(f"{state.resource}: revoke and tag", ok=True, detail=text, skipped=True)
        return
    revoke = ec2.revoke_security_group_ingress
    yield _try(reads, group, "revoke", owner, revoke, GroupId=group, SecurityGroupRuleIds=[rule])
    since = [{"Key": "ipsync:leaving-since", "Value": "2026-01-01T00:00:00Z"}]
    yield _try(reads, group, "tag", owner, ec2.create_tags, Resources=[rule], Tags=since)
    yield _try(reads, group, "untag", owner, ec2.delete_tags, Resources=[rule], Tags=since)


def _try(
    reads: Reads, group: str, what: str, owner: str, operation: Callable[..., dict[str, Any]], **params: object
) -> Finding:
    subject = f"{group} in {reads.where.region}: {what}"
    try:
        aws_errors.call(lambda: operation(DryRun=True, **params), subject=subject, writes=False)
    except CloudError as error:
        if error.code == "DryRunOperation":
            return Finding(subject, ok=True)
        return Finding(
            subject, ok=False, detail=str(error), remedy=remedy(error, what, owner=owner, region=reads.where.region)
        )
    return Finding(subject, ok=False, detail="the dry run was carried out: this endpoint doesn't honour DryRun")
