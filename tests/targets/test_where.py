"""Who may name a resource, told from the config and the resource's name alone."""

from __future__ import annotations

import pytest
from factory import GROUP, RULE, aws_target, gcp_target

from ipsync.targets.aws.where import AwsAccount

MATCH = {"groups": (), "match_tags": (("tier", "web"),)}


def role(account: str) -> AwsAccount:
    return AwsAccount(role_arn=f"arn:aws:iam::{account}:role/ipsync")


@pytest.mark.parametrize(
    ("where", "resource", "may"),
    [
        ({}, GROUP, True),
        ({}, "aws/1/eu-north-1/sg-2", False),
        ({"groups": ("sg-2", "sg-1")}, GROUP, True),
        ({}, "aws/1/eu-south-2/sg-1", False),
        ({}, "aws/2/eu-north-1/sg-1", True),  # ambient credentials may be of any account
        (MATCH, GROUP, True),
        (MATCH, "aws/2/eu-north-1/sg-9", True),
        (MATCH, "aws/1/eu-south-2/sg-1", False),
        ({"account": AwsAccount(profile="prod")}, "aws/2/eu-north-1/sg-1", True),
        ({"account": role("1")}, GROUP, True),
        ({"account": role("2")}, GROUP, False),
        ({**MATCH, "account": role("2")}, GROUP, False),
        ({**MATCH, "account": role("1")}, GROUP, True),
        ({"account": AwsAccount(role_arn="ipsync")}, GROUP, True),  # no ARN that says whose it is
        ({"account": AwsAccount(role_arn="arn:aws:iam::${A}:role/x")}, GROUP, True),
        ({"account": AwsAccount(role_arn="arn:aws:iam:")}, GROUP, True),
        ({"account": AwsAccount(role_arn="arn:aws:iam:::")}, GROUP, True),
        ({}, RULE, False),
        ({}, "aws", False),
    ],
)
def test_groups_by_region_account_and_id_as_far_as_they_are_known(where, resource, may):
    assert aws_target(where=where).where.may_name(resource) is may


@pytest.mark.parametrize(
    ("resource", "may"),
    [
        (RULE, True),
        ("gcp/acme/allow-qatech-2", False),
        ("gcp/other/allow-qatech", False),
        ("aws/acme/allow-qatech", False),
        ("gcp/acme", False),
        (GROUP, False),
    ],
)
def test_rules_by_project_and_name(resource, may):
    assert gcp_target().where.may_name(resource) is may
