"""Writing to AWS security groups: one step a call."""

from __future__ import annotations

from typing import Any

from ipsync.core.configured import Target
from ipsync.core.errors import Denied
from ipsync.core.model import Operation, Receipt
from ipsync.core.words import count
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.answers import OtherShape
from ipsync.targets.aws.reads import with_remedy
from ipsync.targets.aws.rules import DESCRIPTION, OWNER_TAG, group_id, permission, where_of


class Writer:
    """Writes to one account's region, one step a call."""

    def __init__(self, target: Target) -> None:
        self._where = where_of(target)
        self._ec2 = aws_client.client("ec2", self._where)

    def execute(self, operation: Operation) -> Receipt:
        """Send exactly this step. A lost reply is Uncertain; a duplicate or a missing rule is Stale."""
        send, what = {
            "add": (self._add, "authorize"),
            "remove": (self._remove, "revoke"),
            "tag": (self._tag, "tag"),
            "untag": (self._untag, "untag"),
        }[operation.kind]
        subject = f"{what} {count(len(operation.entries), 'rule')} of {operation.resource}"
        try:
            answer = aws_errors.call(lambda: send(operation), subject=subject, writes=True)
        except Denied as error:
            owner = next((dict(e.note)[OWNER_TAG] for e in operation.entries if OWNER_TAG in dict(e.note)), "OWNER")
            raise with_remedy(error, what, owner=owner, region=self._where.region) from None
        return Receipt(str(answer.get("ResponseMetadata", {}).get("RequestId", "")))

    def _add(self, operation: Operation) -> dict[str, Any]:
        tags = [{"Key": k, "Value": v} for k, v in operation.entries[0].note if k != DESCRIPTION]
        answer: dict[str, Any] = self._ec2.authorize_security_group_ingress(
            GroupId=group_id(operation.resource),
            IpPermissions=[permission(e) for e in operation.entries],
            TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
        )
        made, asked = len(answer.get("SecurityGroupRules", ())), len(operation.entries)
        if made != asked:
            raise OtherShape(f"answered that it made {made} of the {asked} rules asked for")
        return answer

    def _remove(self, operation: Operation) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.revoke_security_group_ingress(
            GroupId=group_id(operation.resource), SecurityGroupRuleIds=[e.provider_id for e in operation.entries]
        )
        return answer

    def _tag(self, operation: Operation) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.create_tags(**_tagging(operation))
        return answer

    def _untag(self, operation: Operation) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.delete_tags(**_tagging(operation))
        return answer


def _tagging(operation: Operation) -> dict[str, Any]:
    tags = [{"Key": k, "Value": v} for k, v in operation.entries[0].note]
    return {"Resources": [e.provider_id for e in operation.entries], "Tags": tags}
