"""Who denies, and what helps."""

from __future__ import annotations

import pytest
from factory import HTTPS, hosts, target_at

from ipsync.core.errors import Denied
from ipsync.core.model import Entry, Operation
from ipsync.targets.aws import policy as aws_policy
from ipsync.targets.aws.group_reader import Reader
from ipsync.targets.aws.group_writer import Writer

REFUSED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/ci/session is not "
    "authorized to perform: ec2:AuthorizeSecurityGroupIngress on resource: arn:aws:ec2:eu-north-1:123456789012:"
    "security-group/sg-0123456789abcdef0 {} Encoded authorization failure message: " + "x" * 600
)


def written(aws, group, region="eu-north-1"):
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))
    operation = Operation("add", f"aws/123456789012/{region}/{group}", (), (), entries=(entry,))
    with pytest.raises(Denied) as caught:
        Writer(target_at(aws, group, region=region)).execute(operation)
    return str(caught.value)


@pytest.mark.parametrize(
    ("reason", "who", "keeper"),
    [
        ("with an explicit deny in a service control policy.", "a service control policy", "AWS Organizations"),
        ("with an explicit deny in a resource control policy.", "a resource control policy", "AWS Organizations"),
        ("with an explicit deny in a permissions boundary.", "a permissions boundary", "must widen it"),
        ("with an explicit deny in a session policy.", "a session policy", "starts the session"),
        ("with an explicit deny in a VPC endpoint policy.", "a VPC endpoint policy", "VPC endpoint"),
        ("with an explicit deny in an identity-based policy.", "an identity-based policy", "own policies"),
        ("with an explicit deny.", "an explicit Deny", "look for the Deny"),
        ("because no service control policy allows the action.", "a service control policy", "AWS Organizations"),
        ("because no permissions boundary allows the action.", "a permissions boundary", "must widen it"),
    ],
)
def test_a_deny_from_above_is_no_missing_statement(aws, reason, who, keeper):
    aws.refuse("UnauthorizedOperation", REFUSED.format(reason), status=403, action="AuthorizeSecurityGroupIngress")
    group = aws.make_group("web")
    error = written(aws, group)
    assert f"It is {who} that denies this; adding a statement to the role can't help" in error
    assert keeper in error
    assert "The role needs" not in error
    assert "xxx" not in error
    found = [f for f in Reader(target_at(aws, group)).check([target_at(aws, group)], owner="acme") if not f.ok]
    assert [f.remedy for f in found] == [aws_policy.barrier(reason)]


def test_a_missing_statement_is_one(aws):
    reason = "because no identity-based policy allows the ec2:AuthorizeSecurityGroupIngress action"
    aws.refuse("UnauthorizedOperation", REFUSED.format(reason), status=403, action="AuthorizeSecurityGroupIngress")
    error = written(aws, aws.make_group("web"))
    assert 'The role needs: {"Effect": "Allow"' in error
    assert '"arn:aws:ec2:*:*:security-group/*"' in error


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eusc-de-east-1", "aws-eusc")]
)
def test_an_arn_is_of_its_region_s_partition(aws, region, partition):
    aws.deny("ec2:AuthorizeSecurityGroupIngress")
    error = written(aws, "sg-0123456789abcdef0", region)
    assert f'"arn:{partition}:ec2:*:*:security-group/*"' in error
    assert "arn:aws:" not in error
