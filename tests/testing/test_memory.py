"""The cloud in memory is as strict as the real ones where a proof would otherwise see too little."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import GROUP, HTTPS, RULE, aws_target, blocker_of, gcp_target, networks

from ipsync.core.errors import Rejected, Stale, Unreachable
from ipsync.core.model import Entry, ManagedList, Operation, ReadFailure, State
from ipsync.targets.aws.where import AwsAccount
from ipsync.testing.memory import MemoryCloud

TAGGED = aws_target("tagged", where={"groups": (), "match_tags": (("tier", "web"),)})
OTHER = "aws/1/eu-north-1/sg-2"
A, SIXTH = networks("8.8.8.8", "2600::1")
SETTINGS = tuple({"network": "default", "ports": "443/tcp", "priority": "1000"}.items())
OURS = ManagedList("allow-qatech", (A,), (("description", "ipsync owner=acme target=edge"),), SETTINGS)


def list_owned(cloud, *targets):
    return cloud.reader(targets[0]).list_owned(targets, owner="acme")


def test_match_finds_the_groups_that_have_the_tags():
    cloud = MemoryCloud(groups={GROUP: {}, OTHER: {}}, tags={OTHER: {"tier": "web", "more": "x"}})
    assert [(s.resource, s.targets) for s in list_owned(cloud, TAGGED)] == [(OTHER, ("tagged",))]


@pytest.mark.parametrize("unreadable", [set(), {"tagged"}])
def test_a_match_that_finds_nothing_or_cannot_be_read_is_a_failure(unreadable):
    (found,) = list_owned(MemoryCloud(groups={GROUP: {}}, unreadable=unreadable), TAGGED)
    assert isinstance(found, ReadFailure)
    assert found.targets == ("tagged",)


def test_two_credentials_may_lead_to_one_account():
    ops = aws_target("ops", where={"account": AwsAccount(profile="ops")})
    far = aws_target("far", where={"account": AwsAccount(profile="far")})
    cloud = MemoryCloud(groups={GROUP: {}}, accounts={far.where.account: "2"})
    assert ops.scope != aws_target().scope
    assert [s.resource for s in list_owned(cloud, ops)] == [GROUP]
    assert isinstance(list_owned(cloud, far)[0], ReadFailure)


def test_a_scope_that_gives_no_answer_raises():
    cloud = MemoryCloud(groups={GROUP: {}}, unreadable={aws_target().scope})
    with pytest.raises(Unreachable):
        list_owned(cloud, aws_target())
    assert isinstance(list_owned(cloud, gcp_target())[0], State)


def test_a_rules_neighbours_are_its_own_and_others_are_strays():
    names = ["allow-qatech", "allow-qatech-v6", "allow-qatech-2", "allow-other"]
    cloud = MemoryCloud(lists={f"gcp/acme/{n}": replace(OURS, name=n) for n in names})
    mine, stray = list_owned(cloud, gcp_target())
    assert [p.name for p in mine.managed_lists] == names[:3]
    assert (stray.resource, stray.targets) == ("gcp/acme/allow-other", ())


def test_what_stands_in_the_way_is_told():
    cloud = MemoryCloud(lists={RULE: OURS}, conflicts={RULE: "it is disabled"})
    assert blocker_of(list_owned(cloud, gcp_target())[0]) == "it is disabled"
    elsewhere = gcp_target(where={"network": "other"})
    assert "is in network default" in blocker_of(list_owned(MemoryCloud(lists={RULE: OURS}), elsewhere)[0])


@pytest.mark.parametrize(
    ("managed", "why"),
    [
        (replace(OURS, networks=(A, SIXTH)), "not both"),
        (replace(OURS, networks=(SIXTH,), settings=(("ports", "443/tcp,icmp"),)), "family"),
        (replace(OURS, networks=()), "whole internet"),
        (replace(OURS, note=(("description", "x" * 2049),)), "2048"),
    ],
)
def test_compute_engine_refuses(managed, why):
    writer = MemoryCloud().writer(gcp_target())
    with pytest.raises(Rejected, match=why):
        writer.execute(Operation("create", RULE, (), (), managed=managed))


def test_a_project_holds_so_many_rules():
    cloud = MemoryCloud(lists={"gcp/acme/ssh": replace(OURS, name="ssh")}, rules=1)
    with pytest.raises(Rejected, match="FIREWALLS"):
        cloud.writer(gcp_target()).execute(Operation("create", RULE, (), (), managed=OURS))


def test_a_write_can_be_looked_at_without_being_done():
    cloud = MemoryCloud(groups={GROUP: {}})
    operation = Operation("add", GROUP, (), (), entries=(Entry(A, HTTPS),))
    after = cloud.result(operation)
    assert [e.network for e in after.values()] == [A]
    assert not cloud.groups[GROUP]
    cloud.writer(aws_target()).execute(operation)
    with pytest.raises(Stale):
        cloud.result(operation)
