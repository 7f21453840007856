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

HONOURED = "the dry run was carried out: this endpoint doesn't honour DryRun"


def probe(reads: Reads, state: State, owner: str) -> Iterator[Finding]:
    """Try to authorize in a group and, where it holds a rule of ours, to revoke and tag that; change nothing."""
    group, ec2 = group_id(state.resource), reads.ec2
    rule = next((e.provider_id for e in state.entries), None)
    tags = [{"Key": OWNER_TAG, "Value": owner}]
    specs = [{"ResourceType": "security-group-rule", "Tags": tags}]
    sample = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
    yield tried(
        reads, state, "authorize", owner, ec2.authorize_security_group_ingress,
        GroupId=group, IpPermissions=[sample], TagSpecifications=specs,
    )  # fmt: skip
    if rule is None:
        text = "can't be tried before the first sync has made a rule"
        yield Finding(f"{state.resource}: revoke and tag", ok=True, detail=text, skipped=True, resource=state.resource)
        return
    revoke = ec2.revoke_security_group_ingress
    yield tried(reads, state, "revoke", owner, revoke, GroupId=group, SecurityGroupRuleIds=[rule])
    since = [{"Key": "ipsync:leaving-since", "Value": "2026-01-01T00:00:00Z"}]
    yield tried(reads, state, "tag", owner, ec2.create_tags, Resources=[rule], Tags=since)
    yield tried(reads, state, "untag", owner, ec2.delete_tags, Resources=[rule], Tags=since)


def tried(
    reads: Reads, state: State, what: str, owner: str, operation: Callable[..., dict[str, Any]], **params: object
) -> Finding:
    """Try one permission at a resource with DryRun; `what` is its name in the policies that are suggested (policy.py)."""
    region, resource = reads.where.region, state.resource
    subject = f"{resource.rpartition('/')[2]} in {region}: {what.replace('-', ' ')}"
    try:
        aws_errors.call(lambda: operation(DryRun=True, **params), subject=subject, writes=False)
    except CloudError as error:
        if error.code == "DryRunOperation":
            return Finding(subject, ok=True, resource=resource)
        needed = remedy(error, what, owner=owner, region=region)
        return Finding(
            subject, ok=False, detail=str(error).removeprefix(f"{subject}: "), remedy=needed, resource=resource
        )
    return Finding(subject, ok=False, detail=HONOURED, resource=resource)
