"""Writing to prefix lists: in which calls, under which version, and what holds when each of them fails or is the last."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest
from prefix_desk import OURS, V6, A, B, C, D

from ipsync import engine
from ipsync.core.errors import Denied, FeedError, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.marks import format_time
from ipsync.core.model import Entry, Operation
from ipsync.core.report import exit_code
from ipsync.sandbox.aws import replies
from ipsync.targets import registry
from ipsync.targets.aws import prefix_list_io as lists
from ipsync.targets.aws.prefix_list_writer import Writer

WRITES = ("ModifyManagedPrefixList", "CreateTags", "DeleteTags")
DAY = timedelta(days=1)
LEAVING = "ipsync:acme:leaving:1"


def statuses(report):
    return {e.resource.rpartition("/")[2]: e.status.value for e in report.plan.target_changes}


def settle(desk, name=""):
    ec2 = desk.cloud.client("ec2")
    while desk.cloud.lists.lists[name or desk.v4].state.endswith("-in-progress"):
        ec2.describe_managed_prefix_lists(PrefixListIds=[name or desk.v4], MaxResults=5)


def by_hand(desk, name="", **changes):
    """Change a list as somebody else does, at once."""
    name = name or desk.v4
    version = desk.cloud.lists.lists[name].version
    desk.cloud.client("ec2").modify_managed_prefix_list(PrefixListId=name, CurrentVersion=version, **changes)
    settle(desk, name)


# ── in which calls ───────────────────────────────────────────────────────────


def test_what_is_written_and_where_its_marks_stand(desk):
    desk.listed = [A, V6]
    desk.sync()
    assert desk.cloud.entries(desk.v4) == {A: OURS}
    assert desk.cloud.entries(desk.v6) == {V6: OURS}
    desk.listed, desk.now = [A, B, V6], desk.now + DAY
    desk.sync()
    assert desk.cloud.entries(desk.v4)[B] == f"{OURS} added=2026-02-01T09:00:00Z"
    assert desk.cloud.tags(desk.v4) == {}


def test_the_fewest_calls_for_a_change(desk):
    desk.listed = [A, B]
    desk.sync()
    desk.cloud.reset_calls()
    desk.listed = [A, B, C]
    desk.sync()
    assert desk.calls(writes=True) == ["ModifyManagedPrefixList"]
    desk.cloud.reset_calls()
    desk.listed = [A, B]
    desk.sync()
    assert desk.calls(writes=True) == ["CreateTags"]
    desk.cloud.reset_calls()
    desk.now += 4 * DAY
    desk.sync()
    assert desk.calls(writes=True) == ["ModifyManagedPrefixList", "DeleteTags"]


def test_a_hundred_entries_a_call_and_the_second_needs_no_second_look(desk):
    desk.listed = [f"8.0.{n // 256}.{n % 256}/32" for n in range(250)]
    assert exit_code(desk.sync(), detailed=False) == 0
    assert desk.calls(writes=True) == ["ModifyManagedPrefixList"] * 3
    reads = desk.calls().count("GetManagedPrefixListEntries")
    assert reads == 2 + 1 + 3, "each list once, once before the first write, and three pages to read it back"


def test_the_mark_of_what_leaves_is_a_tag_of_the_list_and_goes_with_it(desk):
    desk.sync()
    desk.listed = [A, B, C]
    desk.sync()
    assert desk.cloud.tags(desk.v4) == {LEAVING: "2026-01-31T09:00:00Z 1.1.1.1"}
    assert desk.cloud.entries(desk.v4)[D] == OURS
    desk.now += 4 * DAY
    desk.sync()
    assert D not in desk.held()
    assert desk.cloud.tags(desk.v4) == {}


def test_other_tags_of_the_list_stay(desk):
    tags = [
        {"Key": "Name", "Value": "edge"},
        {"Key": "ipsync:umbrella:leaving:1", "Value": "2026-01-31T09:00:00Z 8.8.8.8"},
    ]
    desk.cloud.client("ec2").create_tags(Resources=[desk.v4], Tags=[*tags, {"Key": "ipsync:owner", "Value": "acme"}])
    desk.sync()
    desk.listed = [A, B, C]
    desk.sync()
    desk.listed = [A, B, C, D]
    desk.sync()
    assert desk.cloud.tags(desk.v4) == {t["Key"]: t["Value"] for t in tags} | {"ipsync:owner": "acme"}


def test_a_renamed_target_is_marked_in_one_tag_and_keeps_the_grace(desk):
    desk.sync()
    desk.listed = [A, B, C]
    desk.sync()
    desk.targets = [desk.target("door")]
    desk.now += DAY
    desk.sync()
    tags = desk.cloud.tags(desk.v4)
    assert tags.pop("ipsync:acme:for:1") == "door/qatech/edge/qatech"
    assert desk.plan().plan.orphaned == ()
    (leaving,) = [leaving for e in desk.plan().plan.target_changes for leaving in e.leaving]
    assert leaving.until == desk.now + 2 * DAY
    desk.now += 3 * DAY
    desk.sync()
    assert desk.held() == sorted([A, B, C])


def test_what_is_added_after_a_rename_back_is_marked_for_whom_it_is(desk):
    """The tag says of all that is described as `edge` that it is `door`'s: the new one's description isn't meant."""
    desk.sync()
    desk.targets = [desk.target("door")]
    desk.sync()
    desk.targets, desk.listed = [], [A, B, C, D, "1.0.0.1/32"]
    desk.sync()
    assert desk.cloud.tags(desk.v4) == {}
    assert exit_code(desk.sync(), detailed=True) == 0


def test_two_targets_share_a_list_and_the_second_run_writes_nothing(desk):
    desk.targets = [desk.target("edge"), desk.target("door", feeds=("other",))]
    desk.sync()
    before = len(desk.calls(writes=True))
    assert exit_code(desk.sync(), detailed=True) == 0
    assert len(desk.calls(writes=True)) == before


def test_a_frozen_target_keeps_what_it_may_want(desk):
    """Entries have no ports here: any of them may be wanted by whoever shares the list and can't be asked."""
    desk.targets = [desk.target("edge"), desk.target("door", feeds=("other",))]
    desk.sync()
    desk.grace, desk.listed, fetch = timedelta(0), [A, B, C], desk._fetch

    def one_fails(feed):
        if feed.name == "other":
            raise FeedError("other: no answer")
        return fetch(feed)

    desk._fetch = one_fails
    desk.sync()
    assert desk.held() == sorted([A, B, C, D])


def test_a_mark_that_was_left_behind_says_nothing_of_a_new_entry(desk):
    """An entry that is added begins without a mark, whatever a killed run left in the tags."""
    desk.cloud.client("ec2").create_tags(
        Resources=[desk.v4], Tags=[{"Key": LEAVING, "Value": "2025-01-01T00:00:00Z 1.1.1.1 7.7.7.7"}]
    )
    desk.sync()
    assert desk.cloud.tags(desk.v4) == {}
    desk.listed = [A, B, C]
    desk.sync()
    assert D in desk.held()


# ── what guards a write ──────────────────────────────────────────────────────


def operation(desk, kind, *cidrs, note=(("description", OURS),), name=""):
    entries = tuple(Entry(ip_network(c), None, note) for c in cidrs)
    return Operation(kind, f"aws/123456789012/eu-north-1/{name or desk.v4}", (), (), entries=entries)


def execute(desk, *args, **more):
    return Writer(desk.target()).execute(operation(desk, *args, **more))


def test_what_anyone_holds_is_never_added(desk):
    by_hand(desk, AddEntries=[{"Cidr": A, "Description": "by hand"}])
    with pytest.raises(Stale, match=r"8\.8\.8\.8/32 is in pl-\w+ already: somebody added it"):
        execute(desk, "add", A, B)
    assert desk.held() == [A]


def test_what_isn_t_ours_is_never_removed_or_marked(desk):
    by_hand(desk, AddEntries=[{"Cidr": A, "Description": "by hand"}, {"Cidr": B, "Description": OURS}])
    for kind, cidrs, said in (
        ("remove", [A], "are no longer this owner's"),
        ("remove", [A, B], "are no longer this owner's"),
        ("remove", [C], "isn't in"),
        ("tag", [A], "are no longer this owner's"),
        ("untag", [C], "isn't in"),
    ):
        with pytest.raises(Stale, match=said):
            execute(desk, kind, *cidrs)
    assert desk.held() == sorted([A, B])


def test_what_is_there_twice_is_not_removed(desk):
    found = desk.cloud.lists.lists[desk.v6]
    found.versions[1] = {"2600::1/128": "by hand", "2600:0000::1/128": OURS, "2600::2/128": OURS}
    with pytest.raises(Stale, match="are no longer this owner's"):
        execute(desk, "remove", V6, name=desk.v6)


def test_the_last_entry_is_never_taken_out_whoever_asks(desk):
    by_hand(desk, AddEntries=[{"Cidr": A, "Description": OURS}])
    with pytest.raises(Rejected, match="a list is never emptied"):
        execute(desk, "remove", A)
    assert desk.held() == [A]


def test_a_family_s_last_address_stays_and_the_other_family_goes_on(desk):
    """A feed without its last IPv6 address would empty a whole list."""
    desk.listed, desk.grace = [A, B, V6], timedelta(0)
    desk.sync()
    desk.listed = [A, B, C]
    report = desk.sync()
    assert exit_code(report, detailed=False) == 3
    assert statuses(report) == {desk.v4: "applied", desk.v6: "blocked"}
    assert [v.guard for e in report.plan.target_changes for v in e.violations] == ["empty"]
    assert (desk.held(), desk.held(desk.v6)) == (sorted([A, B, C]), [V6])


def test_a_full_list_is_refused_before_any_write_and_says_what_helps(desk):
    desk.cloud.lists.lists[desk.v4].size = 3
    report = desk.sync()
    (told,) = [v for e in report.plan.target_changes for v in e.violations]
    assert (told.guard, desk.calls(writes=True)) == ("capacity", [])
    assert f"0 of 3 entries of {desk.v4} are in use, and the change needs 4 more; raise its MaxEntries" in told.detail


def test_remove_first_makes_room_in_two_calls(desk):
    desk.cloud.lists.lists[desk.v4].size = 4
    desk.sync()
    desk.listed, desk.grace = [A, B, C, "1.0.0.1/32"], timedelta(0)
    (told,) = [v for e in desk.plan().plan.target_changes for v in e.violations]
    assert "set remove_first: true" in told.detail
    desk.targets = [desk.target(remove_first=True)]
    assert exit_code(desk.sync(), detailed=False) == 0
    assert desk.held() == sorted([A, B, C, "1.0.0.1/32"])


def changing(desk, monkeypatch, between):
    """Let something happen between the look and the first write."""
    original = lists.whole

    def looked(reads, item):
        seen = original(reads, item)
        if looking:
            looking.pop()()
        return seen

    looking = []
    monkeypatch.setattr(lists, "whole", looked)

    def writer(target):
        looking.append(between)
        return registry.open_writer(target)

    return writer


def test_a_change_between_look_and_write_is_seen_by_its_version_and_planned_again(desk, monkeypatch):
    desk.sync()
    desk.listed = [A, B, C, D, "1.0.0.1/32"]
    between = lambda: by_hand(desk, AddEntries=[{"Cidr": "1.0.0.1/32", "Description": "by hand"}])  # noqa: E731 - once
    report = engine.sync(desk.run(changing(desk, monkeypatch, between)))
    assert [r["result"] for r in desk.log.events("outcome")][-1] == "stale"
    assert desk.cloud.entries(desk.v4)["1.0.0.1/32"] == "by hand"
    assert set(statuses(report).values()) <= {"in-sync", "applied"}


# ── time ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("polls", "lag"), [(0, 0), (4, 0), (1, 3), (3, 3)])
def test_each_write_waits_until_it_is_done(desk, polls, lag):
    desk.cloud.lists.polls = polls
    desk.cloud.lag(lag)
    desk.listed = [f"8.0.0.{n}/32" for n in range(150)]
    assert exit_code(desk.sync(), detailed=False) == 0
    desk.grace, desk.listed = timedelta(0), desk.listed[40:]
    report = desk.sync()
    assert exit_code(report, detailed=False) == 0, report
    assert desk.held() == sorted(desk.listed)


def test_marks_written_in_two_calls_don_t_overwrite_each_other_while_describes_lag(desk):
    desk.listed = [f"8.0.0.{n}/32" for n in range(150)]
    desk.sync()
    desk.cloud.lag(3)
    desk.listed = desk.listed[:1]
    desk.sync()
    desk.cloud.lag(0)
    (four,) = [e for e in desk.plan().plan.target_changes if e.resource.endswith(desk.v4)]
    assert len(four.leaving) == 149
    assert four.starts_leaving == ()


def test_a_change_that_is_never_done_is_uncertain(desk):
    desk.cloud.lists.polls = 10**6
    with pytest.raises(Uncertain, match=r"add 1 entry of pl-\w+: AWS accepted it, but"):
        execute(desk, "add", A)


def test_a_change_that_fails_says_why_and_is_not_done(desk):
    desk.cloud.lists.failure = "sg-1 has no room for more rules"
    with pytest.raises(Rejected, match="could not carry it out: sg-1 has no room for more rules"):
        execute(desk, "add", A)
    assert desk.held() == []
    desk.cloud.lists.failure = "sg-1 has no room for more rules"
    with pytest.raises(Uncertain, match="see it done"):  # it had failed before: that it shows is no answer
        execute(desk, "add", A)


def test_another_change_under_way_is_waited_for(desk):
    desk.cloud.refuse("ConcurrentMutationLimitExceeded", "too many", status=400, action="ModifyManagedPrefixList")
    with pytest.raises(Unreachable, match="another change is under way"):
        execute(desk, "add", A)
    desk.cloud._settings.refusals.clear()
    busy = replies.error("ConcurrentMutationLimitExceeded", "too many")
    desk.cloud.reply("ModifyManagedPrefixList", busy, status=400, times=3)
    execute(desk, "add", C)
    desk.cloud.lists.polls = 3
    desk.cloud.client("ec2").modify_managed_prefix_list(
        PrefixListId=desk.v4, CurrentVersion=2, AddEntries=[{"Cidr": B, "Description": "by hand"}]
    )
    execute(desk, "add", A)
    assert desk.held() == sorted([A, B, C])


def test_a_list_that_went_meanwhile_is_missing(desk):
    with pytest.raises(Missing, match="prefix list pl-00000000 is not in eu-north-1 any more"):
        execute(desk, "add", A, name="pl-00000000")


# ── limits ───────────────────────────────────────────────────────────────────


def test_marks_that_don_t_fit_beside_others_tags_are_refused_before_any_write(desk):
    desk.sync()
    tags = [{"Key": f"k{n}", "Value": "x"} for n in range(50)]
    desk.cloud.client("ec2").create_tags(Resources=[desk.v4], Tags=tags)
    desk.listed = [A, B, C]
    desk.cloud.reset_calls()
    report = desk.sync()
    (error,) = [e.error for e in report.plan.target_changes if e.error]
    assert "would need 51 tags for the marks of what is leaving, and 50 is the most" in error
    assert desk.calls(writes=True) == []


# ── faults ───────────────────────────────────────────────────────────────────

BODIES = {
    "html": b"<html><head><title>Sign in</title></head></html>",
    "other": b'<DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"/>',
}
FAULTS = ("throttle", "500", "reset-before", "reset-after", "malformed", *BODIES)


def trouble(desk, fault):
    """Let the next call of each kind that writes fail like this, botocore's own tries included."""
    for call in WRITES:
        if fault in BODIES:
            desk.cloud.reply(call, BODIES[fault], done=True)
        else:
            desk.cloud.faults.plan(call, *[fault] * (5 if fault == "500" else 1))


def calm(desk):
    desk.cloud.faults.clear()
    desk.cloud._settings.replies.clear()


def moves(desk):
    """Take a list through every write there is: taking a mark away, marking, removing, adding."""
    found, was = desk.cloud.lists.lists[desk.v4], format_time(desk.now)
    found.versions[1] = dict.fromkeys((A, B, C, D), OURS)
    desk.cloud.client("ec2").create_tags(
        Resources=[desk.v4], Tags=[{"Key": LEAVING, "Value": f"{was} {D.split('/')[0]}"}]
    )
    desk.targets, start = [desk.target(where={"prefix_list_v6": ""})], desk.now
    for days, listed in ((1, [A, B, C, D]), (2, [A, B, C]), (6, [A, B, C]), (7, [A, B, C, "1.0.0.1/32"])):
        desk.now, desk.listed = start + days * DAY, listed
        yield


LAST = sorted([A, B, C, "1.0.0.1/32"])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_write_that_fails_is_told_as_what_it_is_and_made_good_by_the_next_run(desk, impatient, fault):
    """Whatever a fault does to a call, the log never says that what was done wasn't, and the next run heals it."""
    for _ in moves(desk):
        before = desk.held()
        trouble(desk, fault)
        first = desk.sync()
        calm(desk)
        (told,) = statuses(first).values()
        assert told in {"applied", "in-sync", "error", "partial"}
        if told == "error":
            assert desk.held() == before, "told as not done"
        if exit_code(first, detailed=False):
            assert exit_code(desk.sync(), detailed=False) == 0
        assert set(desk.listed) <= set(desk.held())
    assert desk.held() == LAST
    assert not desk.log.pending()


@pytest.mark.parametrize("call", WRITES)
def test_a_denied_write_says_which_statement_is_missing(desk, call):
    said = []
    for _ in moves(desk):
        desk.cloud.deny(f"ec2:{call}")
        said += [e.error for e in desk.sync().plan.target_changes if e.error]
    assert said
    assert all(f'"ec2:{call}"' in text and '"aws:ResourceTag/ipsync:owner": "acme"' in text for text in said)


def test_a_refusal_after_a_lost_reply_says_nothing_about_the_first_try(desk):
    """The first try was carried out, so the second finds another version: `stale, nothing was done` would be a lie."""
    desk.cloud.lists.polls = 0
    desk.cloud.faults.plan("ModifyManagedPrefixList", "reset-after")
    with pytest.raises(Uncertain):
        execute(desk, "add", A)


# ── kills ────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process ended here."""


def killing(number, *, done):
    """Return a way to make writers under which the process ends at its n-th call that writes."""
    left = [number]

    def writer(target):
        made = registry.open_writer(target)
        send = made._call

        def call(*args, **more):
            left[0] -= 1
            if left[0]:
                return send(*args, **more)
            if done:
                send(*args, **more)
            raise Killed

        made._call = call
        return made

    return writer


@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_run_that_is_killed_at_any_call_is_settled_by_the_next(desk, number, done):
    """No address that is wanted is ever shut out, no time to leave is ever shortened, and in the end all is as wished."""
    killed = 0
    for _ in moves(desk):
        before = set(desk.held())
        try:
            engine.sync(desk.run(killing(number, done=done)))
        except Killed:
            killed += 1
            settle(desk)
            assert exit_code(desk.sync(), detailed=False) == 0
        assert (before & set(desk.listed)) <= set(desk.held())
        assert set(desk.listed) <= set(desk.held())
        assert not desk.log.pending()
    assert desk.held() == LAST
    assert not [e for e in desk.plan().plan.target_changes if e.leaving]
    desk.listed = [*LAST, D]  # it comes anew: what may have been left behind of it goes with the next write
    desk.sync()
    assert desk.cloud.tags(desk.v4) == {}
    assert killed >= {1: 4, 2: 1}[number]


def test_a_denied_read_before_a_write_is_denied(desk):
    desk.cloud.deny("ec2:GetManagedPrefixListEntries")
    with pytest.raises(Denied, match='"ec2:GetManagedPrefixListEntries"'):
        execute(desk, "add", A)
