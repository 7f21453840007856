"""The IAM statements that a sync needs, for messages that say what is missing. deploy/aws/policy.json has them all.

Each is as narrow as IAM can be: a rule that doesn't carry this owner's tag can't be removed or tagged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ipsync.core.errors import CloudError
from ipsync.targets.aws.calls import READS

PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
"""How the regions of each partition begin; all others are of `aws`."""
UNGRANTED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
"""What AWS says where a statement is missing; no statement helps with expired credentials or a region that is off."""


BARRIER = re.compile(
    r"explicit deny(?: in an? ([a-z -]+? policy|permissions boundary))?"
    r"|no (service control policy|resource control policy|permissions boundary|session policy|VPC endpoint policy) allows",
    re.IGNORECASE,
)
KEEPERS = {
    "service control policy": "whoever keeps the organisation's policies (AWS Organizations) must except the role",
    "resource control policy": "whoever keeps the organisation's policies (AWS Organizations) must except the role",
    "permissions boundary": "whoever keeps the role's permissions boundary must widen it",
    "session policy": "whoever starts the session must widen the policy that it passes (sts:AssumeRole, Policy)",
    "VPC endpoint policy": "whoever keeps the VPC endpoint must widen its policy",
    "identity-based policy": "the Deny must be taken out of the role's own policies",
}
"""Who can mend what stands above a role's own statements (IAM User Guide, access denied error messages)."""


def remedy(error: CloudError, what: str, *, owner: str, region: str = "") -> str:
    """Return what would help with this refusal: the statements, or who must move what stands above them; or nothing."""
    if error.code not in UNGRANTED:
        return ""
    return barrier(str(error)) or statement(what, owner=owner, region=region)


def barrier(text: str) -> str:
    """Return who denies, where it isn't that a statement is missing in the role: then adding one can't help."""
    found = BARRIER.search(text)
    if not found:
        return ""
    who = found[1] or found[2] or ""
    keeper = KEEPERS.get(who, "look for the Deny in the policies above and beside the role")
    named = f"a {who}" if who else "an explicit Deny"
    return f"It is {named.replace('a identity', 'an identity')} that denies this; adding a statement to the role can't help: {keeper}"


def partition_of(region: str) -> str:
    """Return the partition of a region, as it stands in ARNs."""
    return next((name for start, name in PARTITIONS.items() if region.startswith(start)), "aws")


def statement(what: str, *, owner: str, region: str = "") -> str:
    """Return the statements (as JSON, a line each) that allow one of these: read, authorize, revoke, tag, untag, regions.

    Or accounts, to list an organization's; of prefix lists, LISTS.
    """
    start = f"arn:{partition_of(region)}:ec2:*:*:"
    if what in LISTS:
        return "\n".join(json.dumps(item) for item in _of_lists(what, f"{start}prefix-list/*", owner))
    rules, groups = f"{start}security-group-rule/*", f"{start}security-group/*"
    asked = {"StringEquals": {"aws:RequestTag/ipsync:owner": owner}}
    held = {"StringEquals": {"aws:ResourceTag/ipsync:owner": owner}}
    made = {"StringEquals": {"ec2:CreateAction": "AuthorizeSecurityGroupIngress"}}
    describe = ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"]
    needed = {
        "read": [_allow(describe, "*")],
        "authorize": [
            _allow(["ec2:AuthorizeSecurityGroupIngress"], groups),
            _allow(["ec2:AuthorizeSecurityGroupIngress"], rules, asked),
            _allow(["ec2:CreateTags"], rules, made),
        ],
        "revoke": [
            _allow(["ec2:RevokeSecurityGroupIngress"], groups),
            _allow(["ec2:RevokeSecurityGroupIngress"], rules, held),
        ],
        "tag": [_allow(["ec2:CreateTags"], rules, held)],
        "untag": [_allow(["ec2:DeleteTags"], rules, held)],
        "regions": [_allow(["ec2:DescribeRegions"], "*")],
        "accounts": [_allow([f"organizations:{action}" for action in sorted(READS["organizations"])], "*")],
    }
    return "\n".join(json.dumps(item) for item in needed[what])


LISTS = ("read-lists", "modify-list", "tag-list", "untag-list")
"""What is to be allowed on prefix lists. Only a list that its keeper tagged for this owner can be written."""


def _of_lists(what: str, lists: str, owner: str) -> list[dict[str, object]]:
    held = {"StringEquals": {"aws:ResourceTag/ipsync:owner": owner}}
    marks = {**held, "ForAllValues:StringLike": {"aws:TagKeys": f"ipsync:{owner}:*"}}
    return {
        "read-lists": [
            _allow(["ec2:DescribeManagedPrefixLists"], "*"),
            _allow(["ec2:GetManagedPrefixListEntries", "ec2:GetManagedPrefixListAssociations"], lists),
        ],
        "modify-list": [_allow(["ec2:ModifyManagedPrefixList"], lists, held)],
        "tag-list": [_allow(["ec2:CreateTags"], lists, marks)],
        "untag-list": [_allow(["ec2:DeleteTags"], lists, {**marks, "Null": {"aws:TagKeys": "false"}})],
    }[what]


def _allow(actions: list[str], resource: str, condition: Mapping[str, object] | None = None) -> dict[str, object]:
    whole: dict[str, object] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {**whole, "Condition": condition} if condition else whole
