"""Where a target's resources are, told before anything is read: the same through whatever credentials lead there."""

from __future__ import annotations

import pytest
from factory import aws_target, gcp_target, list_target

from ipsync.core.errors import CloudError
from ipsync.targets import registry
from ipsync.targets.aws.where import AwsAccount
from ipsync.targets.base import as_placed

AMBIENT, OTHER = "123456789012", "111122223333"
EU, US = "eu-north-1", "us-east-1"


def role(account: str) -> AwsAccount:
    return AwsAccount(role_arn=f"arn:aws:iam::{account}:role/ipsync")


def at(aws, make, region=EU, account=AwsAccount()):  # noqa: B008 - frozen
    return make(where={"region": region, "account": account, "endpoint_url": aws.endpoint_url})


@pytest.fixture
def asked(monkeypatch):
    """Count the questions whose account it is."""
    from ipsync.targets.aws import homes

    made: list[object] = []
    real = homes.caller
    monkeypatch.setattr(homes, "caller", lambda sts: made.append(sts) or real(sts))
    return made


@pytest.mark.parametrize("make", [aws_target, list_target])
def test_one_account_through_two_credentials_is_one_place_and_asked_once(aws, make, asked):
    targets = [
        at(aws, make),
        at(aws, make, US),
        at(aws, make, account=role(AMBIENT)),
        at(aws, make, account=role(OTHER)),
    ]
    assert list(registry.homes(targets)) == [
        f"aws/{AMBIENT}/{EU}",
        f"aws/{AMBIENT}/{US}",
        f"aws/{AMBIENT}/{EU}",
        f"aws/{OTHER}/{EU}",
    ]
    assert len(asked) == 1, "a role's ARN says its account"


def test_it_is_the_place_of_the_resources_that_are_read(aws):
    group = aws.make_group("web")
    target = aws_target(where={"groups": (group,), "endpoint_url": aws.endpoint_url})
    (state,) = registry.open_reader(target).list_owned([target], owner="acme")
    assert list(registry.homes([target])) == [state.resource.rpartition("/")[0]]


def test_an_account_that_nobody_tells_is_an_error_of_its_targets_alone(aws):
    aws.refuse("ExpiredToken", "The security token is expired", status=403, action="GetCallerIdentity")
    ambient, known = registry.homes([at(aws, aws_target), at(aws, aws_target, account=role(OTHER))])
    assert isinstance(ambient, CloudError)
    assert known == f"aws/{OTHER}/{EU}"


def test_a_project_is_a_place_whatever_the_rule():
    rules = [gcp_target(where={"rule": name}) for name in ("allow-one", "allow-two")]
    assert list(registry.homes(rules)) == ["gcp/acme"] * 2


def test_a_kind_that_says_nothing_else_is_at_its_place():
    assert as_placed([aws_target()]) == [f"aws/-/{EU}"]
