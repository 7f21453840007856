"""What is read of prefix lists, in how many calls, and which lists can't be ours to fill."""

from __future__ import annotations

import pytest
from factory import list_target, networks
from prefix_desk import OURS, V6, A, B, C, D

from ipsync.core.errors import Denied, Unreachable
from ipsync.core.model import ReadFailure, State
from ipsync.core.report import exit_code
from ipsync.targets.aws.prefix_list_reader import Reader
from ipsync.targets.aws.where import AwsAccount

ACCOUNT = "123456789012"


def read(desk, *targets, owner="acme"):
    asked = targets or (desk.target(),)
    return {s.resource.rpartition("/")[2]: s for s in Reader(asked[0]).list_owned(asked, owner=owner)}


def put(desk, *cidrs, text=OURS, name=""):
    for cidr in cidrs:
        desk.cloud.put_entry(name or desk.v4, cidr, text)
    desk.cloud.reset_calls()


def test_a_list_is_a_resource_with_its_family_entries_and_room(desk):
    put(desk, A)
    put(desk, B, text="by hand")
    found = read(desk)
    four, six = found[desk.v4], found[desk.v6]
    assert four.resource == f"aws/{ACCOUNT}/eu-north-1/{desk.v4}"
    assert (four.families, six.families, four.targets) == ({4}, {6}, ("edge",))
    assert [(str(e.network), dict(e.note)["description"]) for e in four.entries] == [(A, OURS), (B, "by hand")]
    (room,) = four.capacity
    assert (room.family, room.used, room.limit) == (4, 2, 300)
    assert four.complete


def test_the_fewest_calls(desk):
    """One describe a region, one page a list; whose account it is, where no role says so."""
    desk.sync()
    desk.cloud.reset_calls()
    assert exit_code(desk.sync(), detailed=True) == 0
    assert desk.calls() == [
        "GetCallerIdentity", "DescribeManagedPrefixLists", "GetManagedPrefixListEntries", "GetManagedPrefixListEntries",
    ]  # fmt: skip


def test_a_role_says_whose_account_it_is(desk):
    account = AwsAccount(role_arn="arn:aws:iam::111122223333:role/ipsync")
    target = desk.target(where={"account": account})
    missing = read(desk, target)[desk.v4]
    assert "GetCallerIdentity" not in desk.calls()
    assert isinstance(missing, ReadFailure)
    assert f"prefix list {desk.v4} is not in eu-north-1 of account 111122223333" in missing.message


def test_a_list_that_isn_t_there_is_an_error_and_no_empty_one(desk):
    found = read(desk, desk.target(where={"prefix_list": "pl-00000000"}))
    assert isinstance(found["pl-00000000"], ReadFailure)
    assert isinstance(found[desk.v6], State)


def test_pages_are_read_to_their_end_and_at_one_version(desk):
    hosts = sorted(f"8.0.{n // 256}.{n % 256}/32" for n in range(205))
    for start in range(0, 205, 100):
        entries = [{"Cidr": c, "Description": OURS} for c in hosts[start : start + 100]]
        version = desk.cloud.lists.lists[desk.v4].version
        desk.cloud.client("ec2").modify_managed_prefix_list(
            PrefixListId=desk.v4, CurrentVersion=version, AddEntries=entries
        )
        for _ in range(2):
            desk.cloud.client("ec2").describe_managed_prefix_lists(PrefixListIds=[desk.v4], MaxResults=5)
    assert sorted(str(e.network) for e in read(desk)[desk.v4].entries) == hosts


def test_ipv6_is_compared_as_a_network_and_removed_as_ec2_writes_it(desk):
    put(desk, V6, name=desk.v6)
    (entry,) = read(desk)[desk.v6].entries
    assert entry.network == networks("2600::1")[0]
    assert entry.provider_id == "2600:0000:0000:0000:0000:0000:0000:0001/128"


# ── lists that can't be ours ─────────────────────────────────────────────────


def blocked(desk, said, target=None):
    desk.targets = [target] if target else []
    report = desk.sync()
    stopped = [e for e in report.plan.target_changes if e.status.value == "blocked"]
    assert [said in v.detail for e in stopped for v in e.violations if v.guard == "ownership"] == [True]
    assert "ModifyManagedPrefixList" not in desk.calls()
    checked = Reader(desk.target()).check(desk.targets or [desk.target()], owner="acme")
    assert said in " ".join(f.detail for f in checked if not f.ok)


def test_another_account_s_list(desk, monkeypatch):
    monkeypatch.setattr(Reader, "account", lambda _self: "999999999999")
    blocked_lists = read(desk)
    text = f"{desk.v4} is shared by account {ACCOUNT}, and only that account can change it, not 999999999999"
    assert text in blocked_lists[desk.v4].conflict


def test_aws_s_own_list(desk):
    lists = desk.cloud.client("ec2").describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": ["com.amazonaws.eu-north-1.s3"]}]
    )["PrefixLists"]
    name = lists[0]["PrefixListId"]
    blocked(desk, f"{name} is AWS's own list", desk.target(where={"prefix_list": name}))


def test_a_list_that_an_ipam_resolver_keeps(desk):
    desk.cloud.lists.resolved.add(desk.v4)
    blocked(desk, "is kept by an IPAM prefix list resolver")


def test_a_list_that_is_kept_for_another_owner(desk):
    desk.cloud.client("ec2").create_tags(Resources=[desk.v4], Tags=[{"Key": "ipsync:owner", "Value": "umbrella"}])
    blocked(desk, "carries the tag ipsync:owner=umbrella")


def test_a_list_of_the_other_family(desk):
    blocked(
        desk, f"{desk.v6} holds IPv6 and can't be the prefix_list",
        desk.target(where={"prefix_list": desk.v6, "prefix_list_v6": ""}),
    )  # fmt: skip


def test_a_list_that_goes(desk):
    desk.cloud.lists.lists[desk.v4].state = "delete-failed"
    blocked(desk, "its state is delete-failed")


def test_addresses_of_a_family_without_a_list_are_told(desk):
    desk.listed, desk.targets = [A, V6], [desk.target(where={"prefix_list_v6": ""})]
    (target_change,) = desk.plan().plan.target_changes
    (told,) = target_change.violations
    assert told.detail == "edge: 2600::1/128 not let in: the target names no list for IPv6"
    assert [str(e.network) for e in target_change.add] == [A]


# ── whose ────────────────────────────────────────────────────────────────────


def test_what_is_there_twice_and_once_somebody_else_s_is_left_alone(desk):
    """Nothing in EC2's documents says that it can't be; who removes a CIDR may remove both."""
    found = desk.cloud.lists.lists[desk.v6]
    exploded = "2600:0000:0000:0000:0000:0000:0000:0001/128"
    for rows in ({exploded: OURS, "2600::1/128": "by hand"}, {"2600::1/128": "by hand", exploded: OURS}):
        found.versions[found.version] = rows
        (entry,) = read(desk)[desk.v6].entries
        assert dict(entry.note) == {"description": "by hand"}


def test_a_tagged_list_that_no_target_names_shows_its_orphans(desk):
    other = desk.cloud.make_list(tags={"ipsync:owner": "acme"}, entries={D: OURS, C: "by hand"})
    desk.cloud.make_list(entries={D: OURS})  # not tagged: nobody looks
    orphaned = desk.plan().plan.orphaned
    assert [(o.resource.rpartition("/")[2], str(o.entry.network), o.target) for o in orphaned] == [(other, D, "edge")]


# ── a list that is being changed ─────────────────────────────────────────────


def test_a_list_in_change_is_waited_for(desk):
    desk.cloud.lists.polls = 5
    version = desk.cloud.lists.lists[desk.v4].version
    desk.cloud.client("ec2").modify_managed_prefix_list(
        PrefixListId=desk.v4, CurrentVersion=version, AddEntries=[{"Cidr": A, "Description": OURS}]
    )
    assert [str(e.network) for e in read(desk)[desk.v4].entries] == [A]


def test_a_list_that_stays_in_change_can_t_be_read(desk):
    desk.cloud.lists.polls = 10**6
    desk.cloud.client("ec2").modify_managed_prefix_list(
        PrefixListId=desk.v4, CurrentVersion=1, AddEntries=[{"Cidr": A, "Description": OURS}]
    )
    failure = read(desk)[desk.v4]
    assert isinstance(failure, ReadFailure)
    assert f"{desk.v4} in eu-north-1 has been changing (modify-in-progress) for more than a minute" in failure.message


# ── answers that can't be read ───────────────────────────────────────────────

READS = ("GetCallerIdentity", "DescribeManagedPrefixLists", "GetManagedPrefixListEntries")
SHAPES = {
    "html": b"<html><head><title>Sign in</title></head></html>",
    "json": b"{}",
    "without its list": b'<X xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId></X>',
}


@pytest.mark.parametrize("operation", READS)
def test_each_read_that_fails_is_an_error_and_never_an_empty_list(desk, impatient, operation):
    put(desk, A)
    for fault in ("throttle", "500", "reset-before", "reset-after", "malformed", *SHAPES):
        if fault in SHAPES:
            desk.cloud.reply(operation, SHAPES[fault].replace(b"X", operation.encode() + b"Response"))
        else:
            desk.cloud.faults.plan(operation, *[fault] * 5)
        report = desk.plan()
        failed = [e for e in report.plan.target_changes if e.status.value == "error"]
        assert failed, fault
        assert not [e for e in failed if e.add or e.remove], fault
        desk.cloud.faults.clear()
    assert desk.calls(writes=True) == []


def test_an_entry_without_a_cidr_or_with_an_odd_one_can_t_be_read(desk):
    start = b'<GetManagedPrefixListEntriesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>'
    end = b"</GetManagedPrefixListEntriesResponse>"
    for item, said in (
        (b"<item><description>x</description></item>", "no Cidr"),
        (b"<item><cidr>8.8.8.8/99</cidr></item>", "can't be read"),
    ):
        desk.cloud.reply("GetManagedPrefixListEntries", start + b"<entrySet>" + item + b"</entrySet>" + end, times=2)
        assert said in read(desk)[desk.v4].message


def test_an_account_that_isn_t_one_is_no_answer(desk):
    body = b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult/></GetCallerIdentityResponse>'
    desk.cloud.reply("GetCallerIdentity", body)
    with pytest.raises(Unreachable, match="answered without an account"):
        read(desk)


def test_a_refusal_names_the_statement(desk):
    desk.cloud.deny("ec2:GetManagedPrefixListEntries")
    assert '"ec2:GetManagedPrefixListEntries"' in read(desk)[desk.v4].message
    desk.cloud.deny("ec2:DescribeManagedPrefixLists")
    with pytest.raises(Denied, match='"ec2:DescribeManagedPrefixLists"'):
        read(desk)


def test_a_reader_can_t_write(desk):
    reader = Reader(list_target(where={"endpoint_url": desk.cloud.endpoint_url}))
    with pytest.raises(Denied, match="a fault in ipsync: ModifyManagedPrefixList"):
        reader._reads.ec2.modify_managed_prefix_list(PrefixListId=desk.v4)
