"""`ipsync check` on prefix lists: what is tried, what is told, and that nothing is changed."""

from __future__ import annotations

import json

import pytest
from prefix_desk import A

from ipsync.targets.aws import policy
from ipsync.targets.aws.prefix_list_reader import Reader


def checked(desk):
    target = desk.target(where={"prefix_list_v6": ""})
    return Reader(target).check([target], owner="acme")


def test_each_permission_is_tried_on_the_real_list_before_anything_is_in_it(desk):
    found = checked(desk)
    assert all(f.passed for f in found)
    subjects = [f.subject.partition(": ")[2] for f in found]
    assert subjects == ["read prefix lists", "modify list", "tag list", "untag list", "who refers to it"]
    assert desk.calls(writes=True) == []
    assert desk.held() == []


@pytest.mark.parametrize(
    ("call", "subject"), [("ModifyManagedPrefixList", "modify list"), ("CreateTags", "tag list"), ("DeleteTags", "untag list")]
)  # fmt: skip
def test_what_is_missing_is_named_with_its_statement(desk, call, subject):
    desk.cloud.deny(f"ec2:{call}")
    (bad,) = [f for f in checked(desk) if not f.ok]
    assert bad.subject.endswith(subject)
    said = json.loads(bad.remedy)
    assert said["Action"] == [f"ec2:{call}"]
    assert said["Resource"] == "arn:aws:ec2:*:*:prefix-list/*"
    assert said["Condition"]["StringEquals"] == {"aws:ResourceTag/ipsync:owner": "acme"}


def test_a_read_that_is_denied_ends_the_check_with_its_statement(desk):
    desk.cloud.deny("ec2:DescribeManagedPrefixLists")
    (bad,) = checked(desk)
    assert "ec2:GetManagedPrefixListEntries" in bad.remedy
    assert "ec2:GetManagedPrefixListEntries" not in bad.detail, "once is enough"
    desk.cloud._settings.denied.clear()
    desk.cloud.deny("ec2:GetManagedPrefixListEntries")
    (bad,) = [f for f in checked(desk) if not f.ok]
    assert '"ec2:GetManagedPrefixListEntries"' in bad.detail


def test_who_refers_to_the_list_is_told_and_a_route_table_is_warned_of(desk):
    desk.cloud.lists.associations[desk.v4] = [(f"sg-{n}", "1") for n in range(300)] + [("acme", "1")]
    assert checked(desk)[-1].detail == "1 × acme, 300 × security group"
    desk.cloud.lists.associations[desk.v4].append(("rtb-7", "1"))
    told = checked(desk)[-1]
    assert told.ok
    assert told.detail.endswith(
        "warning: in the route table rtb-7 each address that comes or goes changes where traffic flows"
    )
    del desk.cloud.lists.associations[desk.v4]
    assert checked(desk)[-1].detail == "nothing refers to it yet"


def test_that_nobody_may_see_who_refers_to_it_is_skipped(desk):
    desk.cloud.deny("ec2:GetManagedPrefixListAssociations")
    told = checked(desk)[-1]
    assert (told.ok, told.skipped) == (True, True)


def test_an_endpoint_that_carries_out_dry_runs_is_told(desk):
    body = (
        '<ModifyManagedPrefixListResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>'
        f"<prefixList><prefixListId>{desk.v4}</prefixListId></prefixList></ModifyManagedPrefixListResponse>"
    )
    desk.cloud.reply("ModifyManagedPrefixList", body.encode())
    (bad,) = [f for f in checked(desk) if not f.ok]
    assert "doesn't honour DryRun" in bad.detail


def test_statements_are_of_the_region_s_partition():
    said = [json.loads(line) for line in policy.statement("read-lists", owner="", region="us-gov-west-1").splitlines()]
    assert said[1]["Resource"] == "arn:aws-us-gov:ec2:*:*:prefix-list/*"
    clear = json.loads(policy.statement("untag-list", owner="acme"))
    assert clear["Condition"]["Null"] == {"aws:TagKeys": "false"}, "DeleteTags without keys deletes all"


def test_a_list_that_can_t_be_filled_or_found_is_told(desk):
    target = desk.target(where={"prefix_list": desk.v6, "prefix_list_v6": "pl-00000000"})
    bad = [f.detail for f in Reader(target).check([target], owner="acme") if not f.ok]
    assert ["can't be the prefix_list" in bad[0], "pl-00000000 is not in eu-north-1" in bad[1]] == [True, True]
    assert A not in desk.held()
