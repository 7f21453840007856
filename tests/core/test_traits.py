"""What the core does for kinds whose entries have no ports, and whose resources hold one family each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import ENTRIES, NOW, aws_target, config, entry_note, list_target, networks, snapshot

from ipsync.core.blockers import unfit
from ipsync.core.desired import desired
from ipsync.core.diff import diff
from ipsync.core.guards import check_capacity
from ipsync.core.marking import Policy
from ipsync.core.model import BOTH, Capacity, Entry, State, Status, Verdict
from ipsync.core.plan import FeedResult, Observed
from ipsync.core.planner import make_plan
from ipsync.core.traits import Mark, Traits
from ipsync.targets.tag_marks import TagMarks

PORTLESS = Traits(entries=TagMarks(), ports=False)
A, B, V6 = networks("8.8.4.4", "8.8.8.8", "2600::1")
ONE, TWO = list_target("one", feeds=("first",)), list_target("two", feeds=("second",))


def held(network, target="one", *, since=None) -> Entry:
    return Entry(network, None, entry_note(Mark("acme", (target,), "first", since)))


def decided(*entries, targets=(ONE, TWO), frozen=(), names=("one", "two"), families=BOTH):
    state = State("k", "a/b/c", tuple(t.name for t in targets), entries, traits=PORTLESS, families=families)
    policy = Policy(
        "acme", NOW, timedelta(hours=72), targets, frozenset(frozen), frozenset({"first", "second"}), frozenset(names)
    )
    healthy = [t for t in targets if t.name not in frozen]
    return diff(state, desired(healthy, {"first": [A], "second": []}, ports=False, families=families), policy)


def test_what_a_feed_drops_has_its_grace_though_no_target_has_ports():
    change = decided(held(A), held(B))
    assert [m.entry.network for m in change.remark] == [B]
    assert change.remove == ()


def test_what_a_frozen_target_may_want_is_held_whoever_it_is_marked_for():
    change = decided(held(B, "two", since=NOW - timedelta(days=9)), frozen={"one"}, targets=(ONE, TWO))
    assert (change.remove, [m.entry.network for m in change.keep]) == ((), [B])


def test_what_had_begun_to_leave_for_a_renamed_target_goes_on_leaving():
    change = decided(held(A), held(B, "gone", since=NOW - timedelta(days=9)))
    assert [m.entry.network for m in change.remove] == [B]


@pytest.mark.parametrize(("families", "wanted"), [(BOTH, [A, V6]), ({4}, [A]), ({6}, [V6])])
def test_a_resource_is_asked_for_the_families_that_it_holds(families, wanted):
    found = desired([ONE], {"first": [A, V6]}, ports=False, families=frozenset(families))
    assert [e.network for e in found] == wanted


def test_a_family_that_no_list_is_named_for_is_told():
    (told,) = unfit([list_target("edge", feeds=("first",))], {"first": [A, V6]})
    assert told.verdict is Verdict.ALLOW
    assert told.detail == "edge: 2600::1/128 not let in: the target names no list for IPv6"
    assert unfit([list_target("edge", feeds=("first",))], {"first": [A]}) == []


def test_a_kind_says_what_is_full_and_how_more_would_fit():
    room = Capacity(4, 2, 2, what="entries of pl-1", way="raise its MaxEntries")
    (told,) = check_capacity([room], added=[A], removed=[B], remove_first=False)
    assert told.detail == (
        "2 of 2 entries of pl-1 are in use, and the change needs 1 more; "
        "set remove_first: true to remove before adding, or raise its MaxEntries"
    )
    (told,) = check_capacity([Capacity(4, 2, 2)], added=[A], removed=[], remove_first=False)
    assert (
        told.detail
        == "2 of 2 IPv4 rules are in use, and the change needs 1 more; raise the quota, or delete rules that nobody needs"
    )


def test_what_the_same_targets_want_of_one_family_isn_t_taken_for_the_other_s():
    """It is worked out once for all resources that the same targets name."""
    states = [State("k", f"aws/1/r/{n}", ("web",), traits=ENTRIES, families=frozenset({n})) for n in (4, 6)]
    feeds = {"qatech": FeedResult("qatech", "u", snapshot([V6]))}
    made = make_plan(config(aws_target()), Observed(feeds, states, (), NOW), selected=frozenset({"web"}))
    assert {e.resource: e.status for e in made.target_changes} == {
        "aws/1/r/4": Status.IN_SYNC,
        "aws/1/r/6": Status.CHANGE,
    }
