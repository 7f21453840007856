"""The guards at every size of list, from nothing to a thousand."""

from __future__ import annotations

import pytest
from factory import hosts, networks, snapshot
from hypothesis import given
from hypothesis import strategies as st

from ipsync import guards
from ipsync.guards import Movement, check_capacity, check_movement, check_snapshot
from ipsync.model import Capacity, Limits, Threshold, Verdict

LIMITS = Limits()
sizes = st.integers(0, 1000)


def named(violations) -> list[tuple[str, str]]:
    return [(v.guard, v.verdict.value) for v in violations]


def move(before: int, *, gone: int = 0, new: int = 0, leaving: int = 0) -> Movement:
    held = hosts(before)
    after = frozenset(held[gone:]) | frozenset(hosts(new, first=20000))
    return Movement(frozenset(held), after, frozenset(held[:leaving]))


@given(sizes)
def test_max_addresses_and_empty_at_every_size(size):
    found = named(check_snapshot(snapshot(hosts(size)), LIMITS))
    assert found == ([("empty", "refuse")] if size == 0 else [])


@pytest.mark.parametrize(("size", "refused"), [(1000, False), (1001, True)])
def test_max_addresses_begins_right_after_its_limit(size, refused):
    found = check_snapshot(snapshot(hosts(size)), LIMITS)
    assert named(found) == ([("max-addresses", "refuse")] if refused else [])
    assert not refused or "1001 addresses, more than 1000" in found[0].detail


@pytest.mark.parametrize(
    ("text", "refused"),
    [("8.0.0.0/16", False), ("8.0.0.0/15", True), ("2600::/32", False), ("2600::/31", True), ("8.8.8.8/32", False)],
)
def test_min_prefix_by_family(text, refused):
    found = named(check_snapshot(snapshot([text]), LIMITS))
    assert found == ([("min-prefix", "refuse")] if refused else [])


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([f"8.{i}.0.0/16" for i in range(4)], None),
        ([*(f"8.{i}.0.0/16" for i in range(4)), "8.9.0.0/32"], "covers 262,145 IPv4 addresses, more than 262,144"),
        ([*(f"8.{i}.0.0/16" for i in range(4)), "8.3.0.0/17", "8.3.4.5/32"], None),  # what overlaps counts once
        ([f"26{i:02}::/32" for i in range(16)], None),
        (
            [*(f"26{i:02}::/32" for i in range(16)), "2700::1"],
            "covers 16 × /32 and more of IPv6, more than 16 × /32 of",
        ),
        ([*(f"8.{i}.0.0/16" for i in range(4)), *(f"26{i:02}::/32" for i in range(16))], None),  # each family by itself
    ],
)
def test_max_coverage_counts_distinct_addresses_by_family(listed, words):
    found = check_snapshot(snapshot(listed), LIMITS)
    assert named(found) == ([("max-coverage", "refuse")] if words else [])
    assert not words or words in found[0].detail


@pytest.mark.parametrize(
    ("listed", "limits", "key"),
    [
        (["8.0.0.0/15"], LIMITS, "guards.min-prefix"),
        (["8.8.8.8", "8.8.4.4"], Limits(max_addresses=1), "guards.max-addresses"),
        (["8.8.8.0/24"], Limits(max_coverage_v4=255), "guards.max-coverage"),
        (["2600::/48"], Limits(max_coverage_v6=2**64), "guards.max-coverage"),
        (["10.0.0.0/16"], LIMITS, "allow_special_use"),
    ],
)
def test_a_refusal_names_the_key_that_changes_its_limit(listed, limits, key):
    (found,) = check_snapshot(snapshot(listed), limits)
    assert key in found.detail


@pytest.mark.parametrize(
    ("addresses", "family", "words"),
    [
        (2**18, 4, "262,144 IPv4 addresses"),
        (3, 6, "3 IPv6 addresses"),
        (2**96 * 16, 6, "16 × /32 of IPv6"),
        (2**80 * 3 + 1, 6, "3 × /48 and more of IPv6"),
        (2**64, 6, "1 × /64 of IPv6"),
    ],
)
def test_amounts_are_written_for_people(addresses, family, words):
    assert guards.amount(addresses, family) == words


def test_special_use_by_overlap_unless_a_lab_allows_it():
    wide = check_snapshot(snapshot(["10.0.0.0/16", "8.8.8.8"]), LIMITS)
    assert named(wide) == [("special-use", "refuse")]
    assert "10.0.0.0/16" in wide[0].detail
    assert "8.8.8.8" not in wide[0].detail
    lab = Limits(allow_special_use=networks("10.0.0.0/8"))
    assert check_snapshot(snapshot(["10.0.0.0/16"]), lab) == []
    assert named(check_snapshot(snapshot(["10.0.0.0/16", "192.168.0.0/16"]), lab)) == [("special-use", "refuse")]
    assert named(check_snapshot(snapshot(["fd00::/64"]), lab)) == [("special-use", "refuse")]


@given(held=sizes, gone=sizes)
def test_max_removals_is_the_larger_of_one_and_30_percent(held, gone):
    gone = min(gone, held)
    found = named(check_movement(move(held, gone=gone), [LIMITS]))
    expected = [("empty", "refuse")] if held and gone == held else []
    expected += [("max-removals", "needs-approval")] if gone > max(1, 30 * held // 100) else []
    assert found == expected


@given(held=sizes, new=sizes)
def test_max_additions_once_it_holds_something(held, new):
    found = named(check_movement(move(held, new=new), [LIMITS]))
    too_many = held > 0 and new > max(20, held // 2)
    assert found == ([("max-additions", "needs-approval")] if too_many else [])


@pytest.mark.parametrize(
    ("movement", "guard"),
    [
        (move(10, gone=3), None),
        (move(10, gone=4), "max-removals"),
        (move(10, leaving=3), None),
        (move(10, leaving=4), "max-removals"),
        (move(10, new=20), None),
        (move(10, new=21), "max-additions"),
    ],
)
def test_a_limit_itself_is_within_the_limit(movement, guard):
    assert [v.guard for v in check_movement(movement, [LIMITS])] == ([guard] if guard else [])


@given(held=st.integers(1, 1000), leaving=sizes)
def test_too_many_leaving_only_warns(held, leaving):
    found = named(check_movement(move(held, leaving=leaving), [LIMITS]))
    assert found == ([("max-removals", "allow")] if min(leaving, held) > max(1, 30 * held // 100) else [])


def test_the_strictest_limits_of_the_targets_hold():
    loose = Limits(max_removals=Threshold(50, 100), max_additions=Threshold(500, 100))
    assert check_movement(move(100, gone=40, new=90), [loose]) == []
    assert named(check_movement(move(100, gone=40, new=90), [loose, LIMITS])) == [
        ("max-removals", "needs-approval"),
        ("max-additions", "needs-approval"),
    ]


@given(held=sizes, count=sizes, percent=st.integers(0, 100))
def test_a_threshold_is_the_larger_of_both(held, count, percent):
    assert guards.allowed(Threshold(count, percent), held) == max(count, (held * percent) // 100)


@given(used=sizes, more=st.integers(0, 100), fewer=st.integers(0, 100), swap=st.booleans())
def test_capacity_counts_before_any_write(used, more, fewer, swap):
    found = check_capacity([Capacity(4, used, 60)], added=hosts(more), removed=hosts(fewer), swap=swap)
    over = more > 0 and used + more - (fewer if swap else 0) > 60
    assert named(found) == ([("capacity", "refuse")] if over else [])


def test_capacity_is_per_family_and_says_the_way_out():
    rooms = [Capacity(4, 60, 60), Capacity(6, 59, 60)]
    assert check_capacity(rooms, added=networks("2600::1"), removed=(), swap=False) == []
    both = check_capacity(rooms, added=networks("8.8.8.8", "2600::1"), removed=networks("8.8.4.4"), swap=False)
    assert named(both) == [("capacity", "refuse")]
    assert "60 of 60 IPv4" in both[0].detail
    assert "swap: true" in both[0].detail
    none = check_capacity(rooms, added=networks("8.8.8.8"), removed=(), swap=True)
    assert "swap" not in none[0].detail


@pytest.mark.parametrize(
    ("limit", "more", "fewer", "way"),
    [
        (60, 1, 0, "; raise the quota"),
        (60, 1, 1, "; set swap: true to remove before adding, or raise the quota"),
        (60, 2, 1, "; raise the quota"),
        (61, 2, 1, "; set swap: true to remove before adding, or raise the quota"),
        (80, 21, 0, "; raise the quota"),
    ],
)
def test_swap_is_advised_only_where_it_would_help(limit, more, fewer, way):
    found = check_capacity([Capacity(4, 60, limit)], added=hosts(more), removed=hosts(fewer), swap=False)
    assert way in found[0].detail


def test_swap_is_needed_only_where_nothing_else_fits():
    assert guards.needs_swap([Capacity(4, 60, 60)], networks("8.8.8.8"))
    assert not guards.needs_swap([Capacity(4, 59, 60)], networks("8.8.8.8"))
    assert not guards.needs_swap([Capacity(4, 60, 60)], networks("2600::1"))


FIVE = "11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8, 15.0.0.0/8"


@pytest.mark.parametrize(("last", "shown"), [(15, FIVE), (16, f"{FIVE} and 1 more"), (19, f"{FIVE} and 4 more")])
def test_a_message_names_five_and_counts_the_rest(last, shown):
    wide = snapshot([f"{i}.0.0.0/8" for i in range(11, last + 1)])
    detail = next(v.detail for v in check_snapshot(wide, LIMITS) if v.guard == "min-prefix")
    assert f"lists {shown}, wider than allowed (/16 for IPv4, /32 for IPv6)" in detail


def test_a_message_names_both_families_ipv4_first():
    gone = networks("2600::1", "8.8.8.8", "8.8.4.4")
    kept = networks("1.1.1.1")
    found = check_movement(Movement(frozenset(gone + kept), frozenset(kept), frozenset()), [LIMITS])
    assert "8.8.4.4/32, 8.8.8.8/32, 2600::1/128" in found[0].detail


@pytest.mark.parametrize(
    ("movement", "limits", "says"),
    [
        (move(3, gone=3), Limits(max_removals=Threshold(9, 0)), "remove all 3 addresses"),
        (move(10, gone=4), LIMITS, "removes 4 of 10 addresses, more than 3: 8.0.0.0/32, "),
        (move(10, leaving=4), LIMITS, "4 of 10 addresses are leaving, more than 3"),
        (move(10, new=21), LIMITS, "adds 21 addresses to 10, more than 20: 8.0.78.32/32, "),
    ],
)
def test_a_message_has_the_numbers(movement, limits, says):
    assert [says in v.detail for v in check_movement(movement, [limits])] == [True]


def test_an_empty_feed_is_named():
    assert "feed qatech lists no address" in check_snapshot(snapshot([]), LIMITS)[0].detail


def test_refuse_and_approval_are_different_words():
    assert Verdict.REFUSE.value == "refuse"
    assert Verdict.NEEDS_APPROVAL.value == "needs-approval"


# ── lists that several resources share a quota of ────────────────────────────

RULES = "firewall rules of project acme"
WHY = "the quota could not be read; servicequotas:GetServiceQuota would read it"


@pytest.mark.parametrize(("used", "created", "fits"), [(99, 1, True), (100, 1, False), (98, 3, False), (200, 0, True)])
def test_rules_beyond_a_projects_quota_are_refused_with_the_numbers(used, created, fits):
    found = guards.check_lists([Capacity(0, used, 100, RULES)], created=created)
    assert (not found) == fits
    for violation in found:
        assert (violation.guard, violation.verdict) == ("capacity", Verdict.REFUSE)
        assert f"{used} of 100 {RULES} are in use and {created} more are needed" in violation.detail


def test_a_quota_that_is_assumed_warns_and_says_so():
    (violation,) = guards.check_lists([Capacity(0, 250, 100, RULES, "it can't be read")], created=1)
    assert violation.verdict is Verdict.ALLOW
    assert "assumed to be 100, since it can't be read" in violation.detail
    assert guards.check_lists([Capacity(4, 250, 100)], created=1) == []


def test_an_assumed_limit_is_told_as_one_and_what_is_there_refutes_it():
    (found,) = check_capacity([Capacity(4, 60, 60, assumed=WHY)], added=hosts(1), removed=[], swap=False)
    words = "60 of 60 (assumed: the quota could not be read; servicequotas:GetServiceQuota would read it) IPv4 rules"
    assert found.detail.startswith(words)
    refuted = [Capacity(4, 70, 60, assumed=WHY)]
    assert check_capacity(refuted, added=hosts(1), removed=[], swap=False) == []
    assert not guards.needs_swap(refuted, hosts(1))
    known = [Capacity(4, 70, 60)]
    assert check_capacity(known, added=hosts(1), removed=[], swap=False)
    assert not guards.hangs_on_assumption(known, hosts(1))
    assert guards.hangs_on_assumption([Capacity(4, 60, 60, assumed=WHY)], hosts(1))
