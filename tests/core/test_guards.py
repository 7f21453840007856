"""The guards at every size of list, from nothing to a thousand."""

from __future__ import annotations

import pytest
from factory import hosts, networks, snapshot
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core import guards
from ipsync.core.configured import Growth, Limits, Threshold
from ipsync.core.guards import Impact, check_capacity, check_snapshot, too_many_come, too_many_go, too_many_leave
from ipsync.core.model import Capacity, Verdict
from ipsync.core.spans import Covered

LIMITS = Limits()
sizes = st.integers(0, 1000)


def named(violations) -> list[tuple[str, str]]:
    return [(v.guard, v.verdict.value) for v in violations]


def losing(held: int, gone: int, *, lately: int = 0) -> Impact:
    """Return a resource of `held` single addresses that loses `gone` of them; `lately` are of those that stay."""
    there = frozenset(hosts(held))
    lost = frozenset(hosts(gone))
    return Impact(there, lately=frozenset(hosts(lately, first=held - lately)), staying=there - lost, lost=lost)


def gaining(held, new) -> Impact:
    return Impact(frozenset(held), staying=frozenset(held) | frozenset(new), new=frozenset(new))


def comes(impact: Impact, *limits: Limits) -> list[str]:
    return [guard for guard, _ in too_many_come(impact, limits or [LIMITS])]


@given(sizes)
def test_max_addresses_and_empty_at_every_size(size):
    found = named(check_snapshot(snapshot(hosts(size)), LIMITS))
    assert found == ([("empty", "refuse")] if size == 0 else [])


@pytest.mark.parametrize(("size", "refused"), [(1000, False), (1001, True)])
def test_max_addresses_begins_right_after_its_limit(size, refused):
    found = check_snapshot(snapshot(hosts(size)), LIMITS)
    assert named(found) == ([("max-addresses", "refuse")] if refused else [])
    assert not refused or "1,001 addresses, more than 1,000" in found[0].detail


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
        (
            [*(f"8.{i}.0.0/16" for i in range(4)), "8.9.0.0/32"],
            "covers 262,145 IPv4 addresses, more than 262,144 IPv4 addresses;",
        ),
        ([*(f"8.{i}.0.0/16" for i in range(4)), "8.3.0.0/17", "8.3.4.5/32"], None),  # what overlaps counts once
        ([f"26{i:02}::/32" for i in range(16)], None),
        (
            [*(f"26{i:02}::/32" for i in range(16)), "2700::1"],
            "covers 16 × /32 and more of IPv6, more than 16 × /32 of IPv6;",
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
        (["8.0.0.0/15"], LIMITS, "; if that is right, lower guards.min-prefix"),
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


# ── how many, and how much, may leave ────────────────────────────────────────


@given(held=sizes, gone=sizes)
def test_max_removals_is_the_larger_of_one_and_30_percent(held, gone):
    gone = min(gone, held)
    move = losing(held, gone)
    assert bool(too_many_leave(move, move.lost, [LIMITS])) == (gone > max(1, 30 * held // 100))
    assert bool(too_many_go(move, move.lost, [LIMITS])) == (gone > max(1, 30 * held // 100))


@pytest.mark.parametrize(("gone", "words"), [(3, None), (4, "4 of 10 addresses, more than 3")])
def test_a_limit_itself_is_within_the_limit(gone, words):
    move = losing(10, gone)
    assert too_many_leave(move, move.lost, [LIMITS]) == too_many_go(move, move.lost, [LIMITS]) == words


@pytest.mark.parametrize(
    ("lately", "words"),
    [
        (0, None),
        (4, "2 addresses where 6 were held (4 that were added shortly before don't count), more than 1"),
        (3, None),
    ],
)
def test_what_came_lately_is_no_measure_of_how_many_may_leave(lately, words):
    move = losing(10, 2, lately=lately)
    assert too_many_leave(move, move.lost, [Limits(max_removals=Threshold(1, 29))]) == words


def covering(held, gone, *, lately=()) -> Impact:
    there, lost = frozenset(networks(*held)), frozenset(networks(*gone))
    return Impact(there, lately=frozenset(networks(*lately)), staying=there - lost, lost=lost)


SINGLES = [f"8.8.8.{i}" for i in range(9)]
SIX = [f"2600::{i}" for i in range(9)]


@pytest.mark.parametrize(
    ("held", "gone", "lately", "limits", "words"),
    [
        # one entry of ten, and nearly all of the addresses: a count of 1 stands for one entry of the mean size, 26
        (["9.9.9.0/24", *SINGLES], ["9.9.9.0/24"], [], LIMITS, "256 IPv4 addresses of 265 IPv4 addresses covered"),
        (["9.9.9.0/24", *SINGLES], SINGLES[:3], [], LIMITS, None),
        (["9.9.9.0/28", "9.9.8.0/28"], ["9.9.9.0/28"], [], LIMITS, None),
        (["9.9.9.0/28", "9.9.8.0/29"], ["9.9.9.0/28"], [], LIMITS, "more than 12 IPv4 addresses"),
        (["9.9.9.0/28", "9.9.8.0/29"], ["9.9.9.0/28"], [], Limits(max_removals=Threshold(2, 30)), None),
        (["9.9.9.0/28", "9.9.8.0/29"], ["9.9.9.0/28"], [], Limits(max_removals=Threshold(1, 67)), None),
        (["9.9.9.0/28", "9.9.8.0/29"], ["9.9.9.0/28"], [], Limits(max_removals=Threshold(1, 66)), "more than 15 IPv4"),
        (["2600::/64", *SIX], SIX, [], Limits(max_removals=Threshold(9, 0)), None),  # they lie inside what stays
        (["2600:1::/64", *SIX], ["2600:1::/64"], [], LIMITS, "1 × /64 of IPv6 of 1 × /64 and more of IPv6 covered"),
        (["2600:1::/64", "9.9.9.9"], ["9.9.9.9"], [], LIMITS, None),  # each family by itself
        (["9.9.9.0/28", "9.9.8.0/28"], ["9.9.9.0/28"], ["9.9.8.0/28"], LIMITS, None),
        # the percentage is of what was there before the leaving began, the mean size of all that is there
        (["9.9.9.0/28", "9.9.0.0/20"], ["9.9.9.0/28"], [], Limits(max_removals=Threshold(0, 100)), None),
        (["9.9.9.0/28", *SINGLES, "7.0.0.0/20"], ["9.9.9.0/28"], ["7.0.0.0/20"], Limits(max_removals=Threshold(0, 30)),
         "16 IPv4 addresses of 25 IPv4 addresses covered, more than 7"),
    ],
)  # fmt: skip
def test_removals_are_judged_in_addresses_covered_too(held, gone, lately, limits, words):
    move = covering(held, gone, lately=lately)
    found = too_many_leave(move, move.lost, [limits])
    assert bool(found) == bool(words)
    assert not words or words in found
    assert too_many_go(move, move.lost, [limits]) is None, "what the operator takes out is counted in entries alone"


def test_what_others_still_cover_is_no_loss_in_addresses():
    move = covering(["9.9.9.0/24", "9.9.9.0/25", *SINGLES], ["9.9.9.0/25"])
    assert too_many_leave(move, move.lost, [LIMITS]) is None


def test_what_is_gone_already_counts_as_lost_too():
    """A first removal that was approved and half done: the rest is judged with it."""
    before = frozenset(networks(*SINGLES))
    assert too_many_leave(Impact(before), frozenset(networks("7.0.0.0/24")), [LIMITS]) is not None


# ── how many, and how much, may come ─────────────────────────────────────────


@given(held=sizes, new=sizes)
def test_max_additions_once_it_holds_something(held, new):
    found = comes(gaining(hosts(held), hosts(new, first=20000)))
    assert found == (["max-additions"] if held > 0 and new > max(20, held // 2) else [])


@pytest.mark.parametrize(
    ("held", "new", "found"),
    [
        (["8.8.8.8"], ["9.9.0.0/20"], []),
        (["8.8.8.8"], ["9.9.0.0/20", "9.8.0.0/32"], ["max-growth"]),
        (["8.0.0.0/16"], ["9.9.0.0/16"], []),
        (["8.0.0.0/16"], ["9.9.0.0/16", "9.8.0.0/32"], ["max-growth"]),
        (["8.0.0.0/16"], ["8.0.4.0/22"], []),  # inside what is there
        ([], ["9.9.0.0/16", "9.8.0.0/16"], []),  # before it holds anything, max-coverage bounds the feed
        (["8.8.8.8"], [f"2600:0:{i:x}::/48" for i in range(16)], []),
        (["8.8.8.8"], [*(f"2600:0:{i:x}::/48" for i in range(16)), "2601::1"], ["max-growth"]),
        (["2600::/32"], ["2601::/32"], []),
        (["2600::/32"], ["2601::/32", "2602::/128"], ["max-growth"]),
        ([f"8.8.8.{i}" for i in range(20)], [f"9.{i}.0.0/16" for i in range(20)], ["max-growth"]),
        (["8.8.8.8"], [f"9.{i}.0.0/16" for i in range(21)], ["max-additions", "max-growth"]),
        (["8.8.8.8"], ["9.0.0.0/16", "2600::/32"], ["max-growth", "max-growth"]),
    ],
)
def test_growth_is_judged_in_addresses_covered_by_family(held, new, found):
    assert comes(gaining(networks(*held), networks(*new))) == found


@pytest.mark.parametrize(
    ("growth", "found"),
    [
        (Growth(255, 0, 0), ["max-growth"]),
        (Growth(256, 0, 0), []),
        (Growth(0, 0, 99), ["max-growth"]),
        (Growth(0, 0, 100), []),
    ],
)
def test_the_limit_of_growth_is_the_larger_of_a_number_and_a_percentage(growth, found):
    move = gaining(networks("8.8.8.0/24"), networks("9.9.9.0/24"))
    assert comes(move, Limits(max_growth=growth)) == found


def test_the_strictest_limits_of_the_targets_hold():
    loose = Limits(
        max_removals=Threshold(50, 100), max_additions=Threshold(500, 100), max_growth=Growth(2**20, 2**96, 100)
    )
    leaving, coming = losing(100, 40), gaining(hosts(100), [*hosts(90, first=20000), *networks("9.9.0.0/16")])
    assert too_many_leave(leaving, leaving.lost, [loose]) is None
    assert comes(coming, loose) == []
    assert "more than 30" in (too_many_leave(leaving, leaving.lost, [loose, LIMITS]) or "")
    assert comes(coming, loose, LIMITS) == ["max-additions", "max-growth"]


def test_nothing_new_is_never_too_much():
    none = Limits(max_additions=Threshold(-1, -1), max_growth=Growth(-1, -1, -100))
    assert comes(gaining(hosts(3), ()), none) == []


# ── covered ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "network", "covered"),
    [
        ([], "8.8.8.8", False),
        (["8.8.8.8"], "8.8.8.8", True),
        (["8.8.8.0/24"], "8.8.8.8", True),
        (["8.8.8.8"], "8.8.8.0/24", False),
        ([f"8.8.8.{i}" for i in range(16)], "8.8.8.0/28", True),
        ([f"8.8.8.{i}" for i in range(15)], "8.8.8.0/28", False),
        (["0.0.0.0/0"], "8.8.8.8", True),
        (["0.0.0.0/0"], "2600::1", False),
        (["2600::/33", "2600:0:8000::/33"], "2600::/32", True),
    ],
)
def test_neighbours_cover_together_what_neither_covers_alone(by, network, covered):
    assert (networks(network)[0] in Covered(networks(*by))) is covered


@given(held=sizes, count=sizes, percent=st.integers(0, 100))
def test_a_threshold_is_the_larger_of_both(held, count, percent):
    assert guards.allowed(Threshold(count, percent), held) == max(count, (held * percent) // 100)


@given(used=sizes, more=st.integers(0, 100), fewer=st.integers(0, 100), remove_first=st.booleans())
def test_capacity_counts_before_any_write(used, more, fewer, remove_first):
    found = check_capacity([Capacity(4, used, 60)], added=hosts(more), removed=hosts(fewer), remove_first=remove_first)
    over = more > 0 and used + more - (fewer if remove_first else 0) > 60
    assert named(found) == ([("capacity", "refuse")] if over else [])


def test_capacity_is_per_family_and_says_the_way_out():
    rooms = [Capacity(4, 60, 60), Capacity(6, 59, 60)]
    assert check_capacity(rooms, added=networks("2600::1"), removed=(), remove_first=False) == []
    both = check_capacity(rooms, added=networks("8.8.8.8", "2600::1"), removed=networks("8.8.4.4"), remove_first=False)
    assert named(both) == [("capacity", "refuse")]
    assert "60 of 60 IPv4" in both[0].detail
    assert "remove_first: true" in both[0].detail
    none = check_capacity(rooms, added=networks("8.8.8.8"), removed=(), remove_first=True)
    assert "remove_first" not in none[0].detail


@pytest.mark.parametrize(
    ("limit", "more", "fewer", "way"),
    [
        (60, 1, 0, "; raise the quota"),
        (60, 1, 1, "; set remove_first: true to remove before adding, or raise the quota"),
        (60, 2, 1, "; raise the quota"),
        (61, 2, 1, "; set remove_first: true to remove before adding, or raise the quota"),
        (80, 21, 0, "; raise the quota"),
    ],
)
def test_swap_is_advised_only_where_it_would_help(limit, more, fewer, way):
    found = check_capacity([Capacity(4, 60, limit)], added=hosts(more), removed=hosts(fewer), remove_first=False)
    assert way in found[0].detail


def test_swap_is_needed_only_where_nothing_else_fits():
    assert guards.too_many_by([Capacity(4, 60, 60)], networks("8.8.8.8", "8.8.4.4")) == {4: 2}
    assert guards.too_many_by([Capacity(4, 59, 60)], networks("8.8.8.8")) == {}
    assert guards.too_many_by([Capacity(4, 60, 60)], networks("2600::1")) == {}


FIVE = "11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8, 15.0.0.0/8"


@pytest.mark.parametrize(("last", "shown"), [(15, FIVE), (16, f"{FIVE} and 1 more"), (19, f"{FIVE} and 4 more")])
def test_a_message_names_five_and_counts_the_rest(last, shown):
    wide = snapshot([f"{i}.0.0.0/8" for i in range(11, last + 1)])
    detail = next(v.detail for v in check_snapshot(wide, LIMITS) if v.guard == "min-prefix")
    assert f"lists {shown}, wider than allowed (/16 for IPv4, /32 for IPv6)" in detail


def test_a_message_names_both_families_ipv4_first():
    assert guards.some(networks("2600::1", "8.8.8.8", "8.8.4.4")) == "8.8.4.4/32, 8.8.8.8/32, 2600::1/128"


def test_a_message_has_the_numbers():
    many = too_many_come(gaining(hosts(10), hosts(21, first=20000)), [LIMITS])
    assert many == [("max-additions", "adds 21 addresses to 10, more than 20")]
    wide = too_many_come(gaining(networks("8.8.8.8"), networks("9.9.0.0/16")), [LIMITS])
    text = "lets in 65,536 IPv4 addresses besides the 1 IPv4 address held, more than 4,096 IPv4 addresses"
    assert wide == [("max-growth", text)]
    assert guards.raise_limit("max-growth").startswith("if that is right, raise guards.max-growth (")


def test_an_empty_feed_is_named():
    assert "feed qatech lists no address" in check_snapshot(snapshot([]), LIMITS)[0].detail


def test_refuse_and_approval_are_different_words():
    assert Verdict.REFUSE.value == "refuse"
    assert Verdict.NEEDS_APPROVAL.value == "needs-approval"


# ── lists that several resources share a quota of ────────────────────────────

RULES = "firewall rules of project acme"
WHY = "the quota could not be read; reading it needs servicequotas:GetServiceQuota"


@pytest.mark.parametrize(("used", "created", "fits"), [(99, 1, True), (100, 1, False), (98, 3, False), (200, 0, True)])
def test_rules_beyond_a_projects_quota_are_refused_with_the_numbers(used, created, fits):
    found = guards.check_lists([Capacity(0, used, 100, RULES)], created=created)
    assert (not found) == fits
    for violation in found:
        assert (violation.guard, violation.verdict) == ("capacity", Verdict.REFUSE)
        assert f"{used} of 100 {RULES} are in use, and {created} more must be made" in violation.detail


def test_a_quota_that_is_assumed_warns_and_says_so():
    (violation,) = guards.check_lists([Capacity(0, 250, 100, RULES, "it can't be read")], created=1)
    assert violation.verdict is Verdict.ALLOW
    assert "assumed to be 100, since it can't be read" in violation.detail
    assert guards.check_lists([Capacity(4, 250, 100)], created=1) == []


def test_an_assumed_limit_is_told_as_one_and_what_is_there_refutes_it():
    (found,) = check_capacity([Capacity(4, 60, 60, assumed=WHY)], added=hosts(1), removed=[], remove_first=False)
    words = "60 of 60 (assumed: the quota could not be read; reading it needs servicequotas:GetServiceQuota) IPv4 rules"
    assert found.detail.startswith(words)
    refuted = [Capacity(4, 70, 60, assumed=WHY)]
    assert check_capacity(refuted, added=hosts(1), removed=[], remove_first=False) == []
    assert not guards.too_many_by(refuted, hosts(1))
    known = [Capacity(4, 70, 60)]
    assert check_capacity(known, added=hosts(1), removed=[], remove_first=False)
    assert not guards.hangs_on_assumption(known, hosts(1))
    assert guards.hangs_on_assumption([Capacity(4, 60, 60, assumed=WHY)], hosts(1))
