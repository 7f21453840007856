"""What goes wrong in an account at night: each a clear outcome on its own target, and the others go on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import NOW, Log, aws_target, config, gcp_target, hosts, snapshot

from ipsync import engine
from ipsync.targets import registry
from ipsync.targets.aws.where import AwsAccount

ROLE = "arn:aws:iam::222222222222:role/ipsync"
AUTH = "AWS was not able to validate the provided access credentials"
NOT_TRUSTED = (
    "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on resource: " + ROLE
)


class Estate:
    """Two AWS regions, another account and two GCP projects, all in sync; the list has just changed."""

    def __init__(self, aws, gcp):
        self.aws, self.gcp, self.log, self.listed, self.now = aws, gcp, Log(), hosts(4), NOW
        self.groups = {region: aws.make_group("web", region=region) for region in ("eu-north-1", "eu-south-2")}
        aws_where = {"endpoint_url": aws.endpoint_url}
        self.targets = [
            aws_target("home", where={"groups": (self.groups["eu-north-1"],), **aws_where}),
            aws_target("away", where={"groups": (self.groups["eu-south-2"],), "region": "eu-south-2", **aws_where}),
            gcp_target("edge", where={"endpoint": gcp.endpoint}),
            gcp_target("labs", where={"endpoint": gcp.endpoint, "project": "acme-labs"}),
        ]
        self.sync()
        self.listed = hosts(5)

    def sync(self):
        clouds = engine.Clouds(
            lambda f: snapshot(self.listed, feed=f.name),
            registry.open_reader,
            registry.open_writer,
            pause=lambda _: None,
        )
        made = config(*self.targets)
        names = frozenset(t.name for t in made.targets)
        report = engine.sync(engine.Run("r", made, clouds, self.log, lambda: self.now, names))
        return {e.target: (e.status.value, e.error or "") for e in report.plan.target_changes}


@pytest.fixture
def estate(aws, gcp):
    return Estate(aws, gcp)


def assert_only(told, sick: str, *words: str) -> None:
    status, error = told.pop(sick)
    assert status == "error"
    for word in words:
        assert word in error
    assert {status for status, _ in told.values()} == {"applied"}


def test_permission_to_write_revoked(estate):
    estate.aws.deny("ec2:AuthorizeSecurityGroupIngress")
    told = estate.sync()
    assert told.pop("home")[0] == told.pop("away")[0] == "error"
    assert {status for status, _ in told.values()} == {"applied"}
    assert {r["result"] for r in estate.log.events("outcome") if r["resource"].startswith("aws")} == {
        "applied",
        "denied",
    }
    assert "ec2:AuthorizeSecurityGroupIngress" in str(estate.log.events("outcome"))


def test_permission_to_write_in_a_project_revoked(estate):
    estate.gcp.deny("compute.firewalls.update")
    told = estate.sync()
    for name in ("edge", "labs"):
        status, error = told.pop(name)
        assert status == "error"
        assert "compute.firewalls.update" in error
        assert "gcloud projects add-iam-policy-binding" in error
    assert {status for status, _ in told.values()} == {"applied"}


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_credentials_expired(estate, code):
    estate.aws.refuse(code, "The security token included in the request is expired", status=400, region="eu-north-1")
    told = estate.sync()
    assert "The role needs" not in told["home"][1], "no statement helps against that"
    assert_only(told, "home", code, "have expired: renew them")


def test_a_role_that_cannot_be_assumed_any_more(estate):
    estate.aws.refuse("AccessDenied", NOT_TRUSTED, status=403, action="AssumeRole")
    where = {"endpoint_url": estate.aws.endpoint_url, "groups": ("sg-00000000000000001",)}
    other = aws_target("other", where={**where, "account": AwsAccount(role_arn=ROLE, external_id="expired")})
    estate.targets.append(other)
    told = estate.sync()
    assert "The role needs" not in told["other"][1], "it is the trust that is missing, no permission on EC2"
    assert_only(told, "other", "sts:AssumeRole", "trust policy", "external_id")


def test_a_region_disabled(estate):
    estate.aws.refuse("AuthFailure", AUTH, status=401, region="eu-south-2")
    assert_only(estate.sync(), "away", "AuthFailure", "hasn't enabled", "aws account list-regions")


def test_a_group_deleted_between_two_runs(estate):
    estate.aws.client("ec2", region="eu-south-2").delete_security_group(GroupId=estate.groups["eu-south-2"])
    assert_only(estate.sync(), "away", estate.groups["eu-south-2"], "check `groups`")


def test_a_project_deleted(estate):
    estate.gcp.delete_project("acme-labs")
    told = estate.sync()
    assert "add-iam-policy-binding" not in told["labs"][1], "Google answers 403, but no role helps"
    assert_only(told, "labs", "has been deleted", "gcloud projects undelete acme-labs")


def test_nothing_is_removed_where_something_is_wrong(estate):
    """Three days later the dropped address is due everywhere; where nothing can be read, nothing is judged."""
    estate.listed = hosts(3)
    estate.sync()
    estate.now += timedelta(hours=73)
    estate.gcp.delete_project("acme-labs")
    estate.aws.refuse("AuthFailure", AUTH, status=401, region="eu-south-2")
    told = estate.sync()
    assert {name: status for name, (status, _) in told.items()} == {
        "home": "applied", "edge": "applied", "away": "error", "labs": "error",
    }  # fmt: skip
    assert len(estate.aws.rules(estate.groups["eu-north-1"])) == 3
    assert len(estate.gcp.firewalls("acme-labs")["allow-qatech"]["sourceRanges"]) == 4
