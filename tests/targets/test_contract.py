"""What every target kind promises, on its own strict cloud. A new kind adds one class of a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import HTTPS, NOW, Log, aws_target, config, gcp_target, hosts, networks, snapshot

from ipsync import engine
from ipsync.core.errors import FeedError
from ipsync.core.model import Service, Target
from ipsync.core.report import exit_code
from ipsync.targets import registry

A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"
V6 = "2600::1/128"


class Contract:
    """The shared suite. Subclasses say how to make a target, see it, and put a foreign entry there."""

    faults_of_writing: tuple[str, ...]

    @pytest.fixture
    def target(self) -> Target:
        raise NotImplementedError

    def held(self) -> list[str]:
        raise NotImplementedError

    def writes(self) -> int:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _stage(self, target):
        self.target, self.listed, self.now, self.log = target, [A, B, C, D], NOW, Log()
        self.grace: timedelta | None = timedelta(hours=72)

    def run(self) -> engine.Run:
        def fetch(feed):
            if self.listed is None:
                raise FeedError("down")
            return snapshot(self.listed, feed=feed.name, at=self.now)

        made = config(self.target, grace=self.grace)
        clouds = engine.Clouds(fetch, registry.open_reader, registry.open_writer, pause=lambda _s: None)
        return engine.Run("r", made, clouds, self.log, lambda: self.now, frozenset({self.target.name}))

    def sync(self):
        return engine.sync(self.run())

    def test_reading_writes_nothing(self):
        report = engine.plan(self.run())
        assert exit_code(report, detailed=True) == 2
        assert self.writes() == 0

    def test_adds_and_the_second_run_is_a_no_op(self):
        report = self.sync()
        assert exit_code(report, detailed=False) == 0, report
        assert self.held() == sorted([A, B, C, D])
        before = self.writes()
        assert exit_code(self.sync(), detailed=True) == 0
        assert self.writes() == before

    def test_a_dropped_address_is_marked_on_the_target_and_leaves_when_due(self):
        self.sync()
        self.listed = [A, B, C]
        self.sync()
        assert self.held() == sorted([A, B, C, D])
        (target_change,) = engine.plan(self.run()).plan.target_changes
        assert target_change.leaving[0].until == NOW + timedelta(hours=72)
        self.now += timedelta(hours=73)
        self.sync()
        assert self.held() == sorted([A, B, C])

    def test_what_comes_back_loses_its_mark(self):
        self.sync()
        self.listed = [A, B, C]
        self.sync()
        self.listed = [A, B, C, D]
        self.sync()
        (target_change,) = engine.plan(self.run()).plan.target_changes
        assert target_change.leaving == ()
        assert target_change.status.value == "in-sync"

    def test_adds_and_removes_at_once(self):
        self.grace = timedelta(0)
        self.sync()
        self.listed = [A, B, C, "1.0.0.1"]
        self.sync()
        assert self.held() == sorted([A, B, C, "1.0.0.1/32"])

    def test_ipv6(self):
        self.listed = [A, V6]
        self.sync()
        assert self.held() == sorted([A, V6])
        assert exit_code(self.sync(), detailed=True) == 0

    def test_an_unreadable_feed_touches_nothing(self):
        self.sync()
        before, self.listed = self.writes(), None
        assert exit_code(self.sync(), detailed=False) == 1
        assert self.writes() == before

    def test_an_unreadable_cloud_is_no_empty_one(self):
        self.sync()
        self.break_reading()
        report = self.sync()
        assert [e.status.value for e in report.plan.target_changes] == ["error"]

    def test_a_lost_reply_is_settled_by_reading(self):
        for fault in ("reset-after", "reset-before", "500", "throttle", "malformed"):
            self.fail_writing(fault)
            self.sync()
            report = self.sync()
            assert exit_code(report, detailed=False) == 0, (fault, report)
            assert self.held() == sorted([str(n) for n in networks(*self.listed)]), fault
            self.listed = [*self.listed, str(hosts(1, first=len(self.listed))[0])]

    def test_denied_says_what_to_grant(self):
        self.deny_writing()
        report = self.sync()
        (target_change,) = report.plan.target_changes
        assert target_change.status.value == "error"
        assert self.remedy in (target_change.error or "")
        assert [r["result"] for r in self.log.events("outcome")] == ["denied"]

    def test_check_finds_the_missing_permission_and_changes_nothing(self):
        self.sync()
        before = self.writes()
        reader = registry.open_reader(self.target)
        assert all(f.ok for f in reader.check([self.target], owner="acme"))
        self.deny_writing()
        bad = [f for f in reader.check([self.target], owner="acme") if not f.ok]
        assert bad
        assert all(self.remedy in f.remedy for f in bad)
        assert self.writes() == before


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

    def break_reading(self):
        self.cloud.deny("ec2:DescribeSecurityGroupRules")

    def fail_writing(self, fault):
        self.cloud.faults.plan("AuthorizeSecurityGroupIngress", *[fault] * (5 if fault in {"500", "throttle"} else 1))

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
