"""The strict layer's prefix lists refuse what EC2 refuses; against moto alone each of these would pass."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

A, B, V6 = "8.8.8.8/32", "8.8.4.4/32", "2600::1/128"


@pytest.fixture
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture
def made(aws):
    return aws.make_list(size=3, entries={A: "by hand"})


@contextmanager
def refused(code):
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


def described(ec2, prefix_list):
    (found,) = ec2.describe_managed_prefix_lists(PrefixListIds=[prefix_list])["PrefixLists"]
    return found


def adding(*cidrs, text=""):
    return {"AddEntries": [{"Cidr": c, "Description": text} for c in cidrs]}


def settle(ec2, prefix_list):
    while (found := described(ec2, prefix_list))["State"].endswith("-in-progress"):
        pass
    return found


def modify(ec2, prefix_list, **what):
    ec2.modify_managed_prefix_list(**{"PrefixListId": prefix_list, "CurrentVersion": 1, **what})
    return settle(ec2, prefix_list)


def test_a_change_takes_its_time_and_makes_a_version(aws, ec2, made):
    told = ec2.modify_managed_prefix_list(PrefixListId=made, CurrentVersion=1, **adding(B))["PrefixList"]
    assert (told["State"], told["Version"]) == ("modify-in-progress", 1)
    assert described(ec2, made)["State"] == "modify-in-progress"
    found = described(ec2, made)
    assert (found["State"], found["Version"], found["MaxEntries"]) == ("modify-complete", 2, 3)
    versions = [ec2.get_managed_prefix_list_entries(PrefixListId=made, TargetVersion=v)["Entries"] for v in (1, 2)]
    assert [len(v) for v in versions] == [1, 2]
    assert aws.entries(made) == {A: "by hand", B: ""}


def test_one_change_at_a_time(ec2, made):
    ec2.modify_managed_prefix_list(PrefixListId=made, CurrentVersion=1, **adding(B))
    with refused("IncorrectState"):
        ec2.modify_managed_prefix_list(PrefixListId=made, CurrentVersion=1, **adding("1.1.1.1/32"))


def test_a_stale_version_changes_nothing(aws, ec2, made):
    modify(ec2, made, **adding(B))
    with refused("PrefixListVersionMismatch"):
        modify(ec2, made, RemoveEntries=[{"Cidr": A}])
    assert aws.entries(made).keys() == {A, B}


def test_a_change_may_fail_and_says_why(aws, ec2, made):
    aws.lists.failure = "the quota of sg-1 is used up"
    found = modify(ec2, made, **adding(B))
    assert (found["State"], found["Version"]) == ("modify-failed", 1)
    assert found["StateMessage"] == "the quota of sg-1 is used up"
    assert modify(ec2, made, **adding(B))["State"] == "modify-complete"


def test_a_describe_may_lag(aws, ec2, made):
    aws.lag(2)
    ec2.modify_managed_prefix_list(PrefixListId=made, CurrentVersion=1, **adding(B))
    states = [(described(ec2, made)["State"], described(ec2, made)["Version"]) for _ in range(2)]
    assert states[0] == ("create-complete", 1)
    assert states[1] == ("modify-in-progress", 2)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (adding(A, text="by hand"), "InvalidPrefixListModification"),
        ({"RemoveEntries": [{"Cidr": B}]}, "InvalidPrefixListModification"),
        ({**adding(A), "RemoveEntries": [{"Cidr": A}]}, "InvalidParameterValue"),
        (adding(B, B), "InvalidParameterValue"),
        (adding(V6), "InvalidParameterValue"),
        (adding("8.8.4.4"), "InvalidParameterValue"),
        (adding("nonsense"), "InvalidParameterValue"),
        (adding(B, text="x" * 256), "InvalidParameterValue"),
        (adding(*(f"9.0.0.{n}/32" for n in range(3))), "PrefixListMaxEntriesExceeded"),
        ({**adding(*(f"9.0.0.{n}/32" for n in range(3))), "RemoveEntries": [{"Cidr": A}]}, "PrefixListMaxEntriesExceeded"),
        ({**adding(B), "MaxEntries": 10}, "InvalidParameterCombination"),
        ({"PrefixListId": "pl-0", **adding(B)}, "InvalidPrefixListID.NotFound"),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(aws, ec2, made, what, code):
    with refused(code):
        modify(ec2, made, **what)
    assert aws.entries(made) == {A: "by hand"}
    assert described(ec2, made)["Version"] == 1


def test_a_call_holds_a_hundred_changes_and_a_page_a_hundred_entries(aws, ec2):
    made = aws.make_list(size=1000)
    hosts = [f"8.0.{n // 256}.{n % 256}/32" for n in range(201)]
    modify(ec2, made, **adding(*hosts[:100]))
    with refused("InvalidParameterValue"):
        modify(ec2, made, CurrentVersion=2, **adding(*hosts[100:200]), RemoveEntries=[{"Cidr": hosts[0]}])
    modify(ec2, made, CurrentVersion=2, **adding(*hosts[100:200]))
    page = ec2.get_managed_prefix_list_entries(PrefixListId=made)
    assert len(page["Entries"]) == 100
    rest = ec2.get_managed_prefix_list_entries(PrefixListId=made, NextToken=page["NextToken"])
    assert [e["Cidr"] for e in (*page["Entries"], *rest["Entries"])] == hosts[:200]
    with refused("InvalidParameterValue"):
        ec2.get_managed_prefix_list_entries(PrefixListId=made, MaxResults=101)


def test_ipv6_comes_back_in_another_form(ec2, aws):
    made = aws.make_list(6, entries={V6: ""})
    (entry,) = ec2.get_managed_prefix_list_entries(PrefixListId=made)["Entries"]
    assert entry["Cidr"] == "2600:0000:0000:0000:0000:0000:0000:0001/128"
    modify(ec2, made, **adding("2600::2/128"), RemoveEntries=[{"Cidr": V6}])
    assert aws.entries(made).keys() == {"2600::2/128"}


def test_a_dry_run_changes_nothing(aws, ec2, made):
    with refused("DryRunOperation"):
        modify(ec2, made, DryRun=True, **adding(B))
    assert aws.entries(made) == {A: "by hand"}


def test_tags_are_bounded(ec2, made):
    for tag in ({"Key": "k", "Value": "x" * 257}, {"Key": "k", "Value": "a,b"}, {"Key": "k" * 129, "Value": "x"}):
        with refused("InvalidParameterValue"):
            ec2.create_tags(Resources=[made], Tags=[tag])
    with refused("TagLimitExceeded"):
        ec2.create_tags(Resources=[made], Tags=[{"Key": f"k{n}", "Value": "x"} for n in range(51)])


def test_a_list_that_nobody_can_make(ec2):
    for size in (0, 1001):
        with refused("InvalidParameterValue"):
            ec2.create_managed_prefix_list(PrefixListName="x", AddressFamily="IPv4", MaxEntries=size)


def test_associations_come_in_pages(aws, ec2, made):
    aws.lists.associations[made] = [(f"sg-{n}", "123456789012") for n in range(7)]
    page = ec2.get_managed_prefix_list_associations(PrefixListId=made, MaxResults=5)
    rest = ec2.get_managed_prefix_list_associations(PrefixListId=made, MaxResults=5, NextToken=page["NextToken"])
    assert [a["ResourceId"] for a in (*page["PrefixListAssociations"], *rest["PrefixListAssociations"])] == [
        f"sg-{n}" for n in range(7)
    ]


def test_what_ec2_lets_pass_and_nobody_may_do_is_noted(aws, ec2, made):
    ec2.modify_managed_prefix_list(PrefixListId=made, **adding(A, text="other"))
    settle(ec2, made)
    modify(ec2, made, CurrentVersion=2, RemoveEntries=[{"Cidr": A}])
    assert aws.lists.careless == [
        f"{made} was written without CurrentVersion",
        f"{A} of {made} was held and was written over",
        f"{made} was emptied",
    ]
    aws.lists.careless.clear()
