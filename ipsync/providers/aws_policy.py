"""The IAM statements that a sync needs, for messages that say what is missing. deploy/aws/policy.json has them all.

Each is as narrow as IAM can be: a rule that doesn't carry this owner's tag can't be removed or tagged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ipsync.errors import CloudError

RULES, GROUPS = "arn:aws:ec2:*:*:security-group-rule/*", "arn:aws:ec2:*:*:security-group/*"
UNGRANTED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
"""What AWS says where a statement is missing; no statement helps with expired credentials or a region that is off."""


def remedy(error: CloudError, what: str, *, owner: str) -> str:
    """Return the statements that would help with this refusal, or nothing."""
    return statement(what, owner=owner) if error.code in UNGRANTED else ""


def statement(what: str, *, owner: str) -> str:
    """Return the statements (as JSON, a line each) that allow read, authorize, revoke, tag or untag."""
    asked = {"StringEquals": {"aws:RequestTag/ipsync:owner": owner}}
    held = {"StringEquals": {"aws:ResourceTag/ipsync:owner": owner}}
    made = {"StringEquals": {"ec2:CreateAction": "AuthorizeSecurityGroupIngress"}}
    describe = ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"]
    needed = {
        "read": [_allow(describe, "*")],
        "authorize": [
            _allow(["ec2:AuthorizeSecurityGroupIngress"], GROUPS),
            _allow(["ec2:AuthorizeSecurityGroupIngress"], RULES, asked),
            _allow(["ec2:CreateTags"], RULES, made),
        ],
        "revoke": [
            _allow(["ec2:RevokeSecurityGroupIngress"], GROUPS),
            _allow(["ec2:RevokeSecurityGroupIngress"], RULES, held),
        ],
        "tag": [_allow(["ec2:CreateTags"], RULES, held)],
        "untag": [_allow(["ec2:DeleteTags"], RULES, held)],
    }
    return "\n".join(json.dumps(item) for item in needed[what])


def _allow(actions: list[str], resource: str, condition: Mapping[str, object] | None = None) -> dict[str, object]:
    whole: dict[str, object] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {**whole, "Condition": condition} if condition else whole
