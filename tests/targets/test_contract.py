"""Our kinds keep what every kind of target promises, each on its own strict cloud."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import HTTPS, NOW, Log, aws_target, config, gcp_target, snapshot

from ipsync import engine
from ipsync.core.model import Service
from ipsync.targets import registry
from ipsync.testing.contract import A, B, Contract


@pytest.mark.usefixtures("impatient")
class TestAwsSecurityGroup(Contract):
    """The strict AWS."""

    remedy = '"Effect": "Allow"'

    @pytest.fixture
    def target(self, aws):
        self.cloud = aws
        self.group = aws.make_group("web")
        aws.reset_calls()
        return aws_target(where={"groups": (self.group,), "endpoint_url": aws.endpoint_url})

    def held(self):
        return sorted(r.get("CidrIpv4") or r["CidrIpv6"] for r in self.cloud.rules(self.group))

    def writes(self):
        return self.cloud.calls_made.writes

    def put_foreign(self, cidr):
        self.cloud.client("ec2").authorize_security_group_ingress(
            GroupId=self.group,
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": cidr}]}],
        )
        self.cloud.reset_calls()

    def break_reading(self):
        self.cloud.deny("ec2:DescribeSecurityGroupRules")

    def fail_writing(self, fault):
        self.cloud.faults.plan("AuthorizeSecurityGroupIngress", *[fault] * (5 if fault == "500" else 1))

    def deny_writing(self):
        self.cloud.deny("ec2:AuthorizeSecurityGroupIngress")


class TestGcpFirewall(Contract):
    """The judged Compute Engine."""

    remedy = "gcloud projects add-iam-policy-binding acme"

    @pytest.fixture
    def target(self, gcp):
        self.cloud = gcp
        return gcp_target(where={"endpoint": gcp.endpoint})

    def held(self):
        rules = self.cloud.firewalls("acme").values()
        return sorted(r for body in rules for r in body["sourceRanges"])

    def writes(self):
        return self.cloud.calls_made.writes

    def put_foreign(self, cidr):
        allowed = [{"IPProtocol": "tcp", "ports": ["443"]}]
        self.cloud.seed_firewall("acme", {"name": "by-hand", "sourceRanges": [cidr], "allowed": allowed})

    def break_reading(self):
        self.cloud.deny("compute.firewalls.list")

    def fail_writing(self, fault):
        self.cloud.faults.plan("firewalls.insert", fault)
        self.cloud.faults.plan("firewalls.patch", fault)

    def deny_writing(self):
        self.cloud.deny("compute.firewalls.create", "compute.firewalls.update")


def test_both_kinds_under_one_plan(aws, gcp):
    group = aws.make_group("web")
    web = aws_target(where={"groups": (group,), "endpoint_url": aws.endpoint_url})
    edge = gcp_target(where={"endpoint": gcp.endpoint})
    made = replace(config(web, edge))
    clouds = engine.Clouds(lambda f: snapshot([A, B], feed=f.name), registry.open_reader, registry.open_writer)
    report = engine.sync(engine.Run("r", made, clouds, Log(), lambda: NOW, frozenset({"web", "edge"})))
    assert {e.status.value for e in report.plan.target_changes} == {"applied"}
    assert Service("tcp", 443, 443) == HTTPS
