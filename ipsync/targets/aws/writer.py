"""Writing to AWS security groups: one step a call."""

from __future__ import annotations

from typing import Any

from ipsync.core.errors import Denied
from ipsync.core.model import Receipt, Step, Target
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
        self._buckets = {kind: aws_client.Bucket() for kind in ("add", "note", "unnote", "remove")}

    def execute(self, step: Step) -> Receipt:
        """Send exactly this step. A lost reply is Uncertain; a duplicate or a missing rule is Stale."""
        operation, what = {
            "add": (self._add, "authorize"),
            "remove": (self._remove, "revoke"),
            "note": (self._note, "tag"),
            "unnote": (self._unnote, "untag"),
        }[step.kind]
        self._buckets[step.kind].take()
        subject = f"{what} {len(step.entries)} rules of {step.resource}"
        try:
            answer = aws_errors.call(lambda: operation(step), subject=subject, writes=True)
        except Denied as error:
            owner = next((dict(e.note)[OWNER_TAG] for e in step.entries if OWNER_TAG in dict(e.note)), "OWNER")
            raise with_remedy(error, what, owner=owner, region=self._where.region) from None
        return Receipt(str(answer.get("ResponseMetadata", {}).get("RequestId", "")))

    def _add(self, step: Step) -> dict[str, Any]:
        tags = [{"Key": k, "Value": v} for k, v in step.entries[0].note if k != DESCRIPTION]
        answer: dict[str, Any] = self._ec2.authorize_security_group_ingress(
            GroupId=group_id(step.resource),
            IpPermissions=[permission(e) for e in step.entries],
            TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
        )
        made, asked = len(answer.get("SecurityGroupRules", ())), len(step.entries)
        if made != asked:
            raise OtherShape(f"answered that it made {made} of the {asked} rules asked for")
        return answer

    def _remove(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.revoke_security_group_ingress(
            GroupId=group_id(step.resource), SecurityGroupRuleIds=[e.handle for e in step.entries]
        )
        return answer

    def _note(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.create_tags(**_tagging(step))
        return answer

    def _unnote(self, step: Step) -> dict[str, Any]:
        answer: dict[str, Any] = self._ec2.delete_tags(**_tagging(step))
        return answer


def _tagging(step: Step) -> dict[str, Any]:
    tags = [{"Key": k, "Value": v} for k, v in step.entries[0].note]
    return {"Resources": [e.handle for e in step.entries], "Tags": tags}
