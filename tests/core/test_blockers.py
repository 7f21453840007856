"""What stands in a target's way before anything is compared, and the words for it."""

from __future__ import annotations

import pytest
from factory import ENTRIES, GROUP, HTTPS, LISTS, RULE, aws_target, gcp_target, networks, rule_note, snapshot

from ipsync.core.blockers import Blocker, blockers, conflicts, unfit
from ipsync.core.configured import Limits
from ipsync.core.diff import Diff
from ipsync.core.marking import Marked
from ipsync.core.model import Entry, ManagedList, Service, State, Status, Verdict, Violation
from ipsync.core.plan import FeedResult
from ipsync.core.traits import Mark

A, B, V6 = networks("8.8.8.8", "8.8.4.4", "2600::1")
PING, PING6 = Service("icmp"), Service("icmpv6")


def feeds(**lists) -> dict[str, FeedResult]:
    return {
        name: FeedResult(name, "u", None, listed)
        if isinstance(listed, str)
        else FeedResult(name, "u", snapshot(listed, feed=name))
        for name, listed in lists.items()
    }


@pytest.mark.parametrize(
    ("lists", "limits", "expected"),
    [
        ({"qatech": [A], "cdn": [B]}, (), None),
        ({"qatech": "down", "cdn": [B]}, (), "down"),
        ({"qatech": [], "cdn": "cut"}, (), "cut"),
        ({"qatech": "down", "cdn": "cut"}, (), "down; cut"),
        ({"qatech": [A], "cdn": []}, (), ["empty"]),
        ({"qatech": [], "cdn": []}, (), ["empty", "empty"]),
        ({"qatech": [A], "cdn": ["9.0.0.0/8"]}, (), ["min-prefix", "max-coverage"]),
        ({"qatech": [A, B], "cdn": [B, A]}, (("qatech", Limits(max_addresses=1)),), ["max-addresses"]),
    ],
)
def test_a_target_is_hindered_by_each_of_its_feeds(lists, limits, expected):
    target, free = aws_target(feeds=("qatech", "cdn"), limits=limits), aws_target("free", feeds=(), static=(A,))
    found = blockers([target, free], feeds(**lists))
    assert found["free"] is None
    if isinstance(expected, list):
        blocker = found["web"]
        assert blocker is not None
        assert (blocker.status, blocker.error) == (Status.BLOCKED, None)
        assert [(v.guard, v.verdict) for v in blocker.violations] == [(g, Verdict.REFUSE) for g in expected]
    else:
        words = (Violation("feed", Verdict.REFUSE, expected),) if expected else ()
        assert found["web"] == (Blocker(Status.ERROR, expected, words) if expected else None)


def rule(*managed_lists: ManagedList, conflict: str | None = None) -> State:
    return State("gcp-firewall", RULE, ("edge",), traits=LISTS, managed_lists=managed_lists, conflict=conflict)


def wanting(*listed) -> Diff:
    return Diff(add=tuple(Marked(Entry(n), Mark("acme", ("edge",), "qatech")) for n in listed))


def managed(name: str, owner: str = "") -> ManagedList:
    note = rule_note(owner, {A: Mark(owner, ("edge",), "qatech")}) if owner else (("description", "by hand"),)
    return ManagedList(name, (A,), note)


@pytest.mark.parametrize(
    ("state", "listed", "names"),
    [
        (rule(), [A, V6], []),
        (rule(managed("allow-qatech")), [A], ["allow-qatech"]),
        (rule(managed("allow-qatech")), [V6], []),
        (rule(managed("allow-qatech-v6")), [V6, A], ["allow-qatech-v6"]),
        (
            rule(managed("allow-qatech-v6"), managed("allow-qatech", "globex")),
            [V6, A],
            ["allow-qatech", "allow-qatech-v6"],
        ),
        (rule(managed("allow-qatech", "acme")), [A], []),
        (rule(managed("allow-qatech-2")), [A], []),
        (State("aws-security-group", GROUP, ("web",), traits=ENTRIES), [A], []),
    ],
)
def test_a_name_that_is_needed_and_somebody_else_s_is_an_obstacle(state, listed, names):
    found = conflicts(state, wanting(*listed), "acme")
    assert {(v.guard, v.verdict, v.change) for v in found} == ({("ownership", Verdict.REFUSE, "")} if names else set())
    assert [v.detail.split(" exists")[0] for v in found] == [f"a rule named {n}" for n in names]
    assert all("(acme)" in v.detail and "`rule:`" in v.detail for v in found)


def test_an_obstacle_is_told_first():
    found = conflicts(rule(managed("allow-qatech"), conflict="it is a deny rule"), wanting(A), "acme")
    assert [v.detail[:16] for v in found] == ["it is a deny rul", "a rule named all"]


@pytest.mark.parametrize(
    ("services", "listed", "static", "told"),
    [
        ((PING,), [A, V6], (), ["2600::1/128 not let in: none of its ports (icmp) exists in IPv6"]),
        ((PING6,), [A, B, V6], (), ["8.8.4.4/32, 8.8.8.8/32 not let in: none of its ports (icmpv6) exists in IPv4"]),
        ((PING, PING6), [A, V6], (), []),
        ((HTTPS, PING), [A, V6], (), []),
        ((PING,), [A], (V6,), ["2600::1/128 not let in: none of its ports (icmp) exists in IPv6"]),
        ((PING, Service("58")), [A, V6], (), []),
        ((Service("1"), PING), [V6], (), ["2600::1/128 not let in: none of its ports (1, icmp) exists in IPv6"]),
        ((), [A, V6], (), []),
        ((PING,), [A], (), []),
    ],
)
def test_a_family_that_no_port_exists_in_is_said(services, listed, static, told):
    target, other = gcp_target(services=services, static=static), gcp_target("other", feeds=("cdn",), services=(PING,))
    found = unfit([target, other], {"qatech": listed})
    assert [(v.guard, v.verdict) for v in found] == [("family", Verdict.ALLOW)] * len(told)
    assert [v.detail for v in found] == [f"edge: {t}" for t in told]
