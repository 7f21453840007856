"""One entry at a time: what stays, what is marked, what goes, and what is somebody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import ENTRIES, GROUP, HTTPS, LISTS, NOW, RULE, aws_target, entry_note, gcp_target, networks, rule_note

from ipsync.core.coverage import service_covers
from ipsync.core.desired import desired
from ipsync.core.diff import Diff, diff
from ipsync.core.leaving import CLOCK_SKEW
from ipsync.core.marking import Policy
from ipsync.core.marks import STATIC
from ipsync.core.model import Entry, Leaving, Service, State
from ipsync.core.traits import Mark

A, B, C = networks("1.1.1.1", "8.8.8.8", "2600::1")
HTTP = Service("tcp", 80, 80)
GRACE = timedelta(hours=72)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def ours(network=A, *, target="web", origin="qatech", since=None, service=HTTPS) -> Entry:
    return Entry(network, service, entry_note(Mark("acme", (target,), origin, since)))


def ranges(marks) -> tuple[Entry, ...]:
    note = rule_note("acme", marks)
    return tuple(Entry(n, None, note) for n in marks)


def decided(entries, *targets, lists=None, listed=False, grace: timedelta | None = GRACE, frozen=(), gone=()) -> Diff:
    """Return the diff of one resource that all targets name; a feed that no test mentions lists nothing.

    `gone` are feeds that the config still has, for a target elsewhere, and targets that it has elsewhere.
    """
    kind, resource = ("gcp-firewall", RULE) if listed else ("aws-security-group", GROUP)
    state = State(kind, resource, tuple(t.name for t in targets), tuple(entries), traits=LISTS if listed else ENTRIES)
    healthy = [t for t in targets if t.name not in frozen]
    feeds = {f: () for t in healthy for f in t.feeds} | (lists or {})
    names = frozenset({t.name for t in targets} | set(gone))
    known = frozenset({f for t in targets for f in t.feeds} | set(gone))
    policy = Policy("acme", NOW, grace, targets, frozenset(frozen), feeds=known, names=names)
    return diff(state, desired(healthy, feeds, ports=not listed), policy)


def fates(change: Diff) -> dict[str, list]:
    """Return the networks by what becomes of them; what stays as it is appears nowhere."""
    lists = {"add": change.add, "mark": change.remark, "remove": change.remove, "orphan": change.orphaned}
    return {name: [m.entry.network for m in marked] for name, marked in lists.items() if marked}


# ── wanted ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "origin", "named"),
    [
        ("two", "cdn", ("two", "cdn")),
        ("one", "qatech", ("one", "qatech")),
        ("one", "spare", ("one", "spare")),
        ("one", STATIC, ("one", STATIC)),
        ("gone", "cdn", ("one", "qatech")),
        ("one", "gone", ("one", "qatech")),
        ("two", "qatech", ("two", "cdn")),
    ],
)
def test_a_mark_keeps_the_target_and_the_origin_that_still_want_it(target, origin, named):
    one, two = aws_target("one", feeds=("qatech", "spare"), static=(A,)), aws_target("two", feeds=("cdn",))
    held = ours(target=target, origin=origin)
    change = decided([held], one, two, lists={"qatech": [A], "spare": [A], "cdn": [A]})
    mark = Mark("acme", (named[0],), named[1])
    assert [m.mark for m in (*change.keep, *change.remark)] == [mark]
    assert bool(change.keep) == (named == (target, origin))


@pytest.mark.parametrize(
    ("named", "origin", "stays"),
    [
        (("alpha", "zeta"), "cdn,qatech", True),
        (("zeta",), "cdn,qatech", False),
        (("alpha", "zeta"), "qatech", False),
        (("alpha", "old", "zeta"), "cdn,qatech", False),
        (("alpha", "zeta"), STATIC, False),
    ],
)
def test_a_rule_s_range_names_all_who_share_the_rule_and_their_feeds(named, origin, stays):
    """A description says one thing for all ranges: two targets must not write each other's names over."""
    zeta, alpha = gcp_target("zeta", feeds=("cdn",)), gcp_target("alpha")
    change = decided(ranges({A: Mark("acme", named, origin)}), zeta, alpha, lists={"qatech": [A]}, listed=True)
    assert [m.mark for m in (*change.keep, *change.remark)] == [Mark("acme", ("alpha", "zeta"), "cdn,qatech")]
    assert bool(change.keep) is stays


def test_a_rule_s_range_that_only_static_addresses_want_says_so():
    one, two = gcp_target("one", static=(A,)), gcp_target("two", static=(A, B))
    change = decided([], one, two, lists={"qatech": [B]}, listed=True)
    assert {m.entry.network: m.mark.origin for m in change.add} == {A: STATIC, B: "qatech"}


def test_an_address_that_is_wanted_again_loses_its_leaving_mark():
    change = decided([ours(since=NOW - HOUR)], aws_target(), lists={"qatech": [A]})
    assert [m.mark.since for m in change.remark] == [None]
    assert change.leaving == ()


@pytest.mark.parametrize(("target", "origin"), [(aws_target(), "qatech"), (aws_target(feeds=(), static=(A,)), STATIC)])
def test_a_new_entry_names_who_wants_it(target, origin):
    (new,) = decided([], target, lists={"qatech": [A]}).add
    assert new.mark == Mark("acme", ("web",), origin)
    assert new.entry == Entry(A, HTTPS)
    assert new.entry.note == entry_note(new.mark)


def test_everything_is_sorted_by_family_then_address_then_port():
    both = aws_target(services=(HTTPS, HTTP))
    everything = [Entry(n, s) for n in (A, B, C) for s in (HTTPS, HTTP)]
    change = decided([], both, lists={"qatech": [C, B, A]})
    assert [m.entry for m in change.add] == everything
    held = [ours(n, service=s) for n in (C, B, A) for s in (HTTP, HTTPS)]
    assert [m.entry for m in decided(held, both).remark] == everything
    assert [pair[1].entry for pair in decided(held, both).leaving] == everything


# ── nobody wants it ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("held", "becomes"),
    [
        (ours(target="two"), {}),  # its own target can't be read
        (ours(target="two", service=HTTP), {}),
        (ours(target="one", service=HTTP), {}),  # on a port that the frozen one opens too
        (ours(target="one"), {"mark": [A]}),  # the frozen one doesn't open this port
        (ours(target="old", service=HTTP), {}),
        (ours(target="old"), {"orphan": [A]}),
    ],
)
def test_what_a_frozen_target_may_want_is_held(held, becomes):
    one, two = aws_target("one"), aws_target("two", feeds=("cdn",), services=(HTTP,))
    change = decided([held], one, two, frozen={"two"})
    assert fates(change) == becomes
    assert [m.entry for m in change.keep] == ([] if becomes else [held])


def test_a_rule_with_a_frozen_target_keeps_every_range():
    held = ranges({A: Mark("acme", ("edge",), "qatech"), C: Mark("acme", ("edge",), "qatech", NOW - 99 * HOUR)})
    change = decided(held, gcp_target(), listed=True, frozen={"edge"})
    assert fates(change) == {}
    assert {e.network: mark.since for e, mark in change.after.items()} == {A: None, C: NOW - 99 * HOUR}


@pytest.mark.parametrize(
    ("held", "becomes"),
    [
        (ours(), {"mark": [A]}),
        (ours(origin=""), {"mark": [A]}),  # its tag is lost: nobody's word that it may go
        (ours(origin="gone"), {"remove": [A]}),
        (ours(origin="renamed"), {"mark": [A]}),  # the config has no feed of that name: nobody's word that it may go
        (ours(origin=STATIC), {"remove": [A]}),
        (ours(service=HTTP), {"remove": [A]}),
        (ours(origin="", service=HTTP), {"remove": [A]}),
    ],
)
def test_what_the_operator_took_out_goes_at_once_and_what_a_feed_dropped_has_its_grace(held, becomes):
    change = decided([held], aws_target(), gone=["gone"])
    assert fates(change) == becomes
    assert change.taken_out == ({held} if "remove" in becomes else frozenset())


@pytest.mark.parametrize(
    ("origin", "becomes"),
    [
        ("qatech", {"mark": [A]}),
        ("gone,qatech", {"mark": [A]}),
        ("gone,lost", {"remove": [A]}),
        ("gone,renamed", {"mark": [A]}),
        ("", {"mark": [A]}),
        (STATIC, {"remove": [A]}),
    ],
)
def test_a_range_goes_at_once_when_none_of_its_rule_s_feeds_is_left(origin, becomes):
    held = ranges({A: Mark("acme", ("edge",), origin)})
    assert fates(decided(held, gcp_target(), listed=True, gone=["gone", "lost"])) == becomes


@pytest.mark.parametrize(
    ("since", "left"),
    [
        (None, NOW),
        (NOW - HOUR, NOW - HOUR),
        (NOW + HOUR / 2, NOW + HOUR / 2),
        (NOW + CLOCK_SKEW, NOW + CLOCK_SKEW),
        (NOW + CLOCK_SKEW + SECOND, NOW),  # a wrong clock wrote that
    ],
)
@pytest.mark.parametrize("grace", [GRACE, None])
def test_a_leaving_entry_is_marked_once_and_says_until_when(since, left, grace):
    change = decided([ours(since=since)], aws_target(), grace=grace)
    ((marked, leaving),) = change.leaving
    assert marked.mark == Mark("acme", ("web",), "qatech", left)
    assert leaving == Leaving(Entry(A, HTTPS), left + grace if grace else None)
    assert [m.mark.since for m in change.keep] == ([left] if since == left else [])
    assert [m.mark.since for m in change.remark] == ([left] if since != left else [])


@pytest.mark.parametrize(("since", "due"), [(NOW - GRACE + SECOND, False), (NOW - GRACE, True)])
def test_it_goes_when_the_grace_is_over_and_not_before(since, due):
    change = decided([ours(since=since)], aws_target())
    assert fates(change) == ({"remove": [A]} if due else {})
    assert bool(change.leaving) is not due


# ── somebody else's ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("foreign", "network", "satisfied"),
    [
        ("1.1.1.1", A, True),
        ("1.1.1.0/24", A, True),
        ("0.0.0.0/0", A, True),
        ("1.1.1.2", A, False),
        ("::/0", A, False),
        ("::/0", C, True),
        ("0.0.0.0/0", C, False),
    ],
)
def test_a_foreign_entry_satisfies_what_lies_inside_it(foreign, network, satisfied):
    change = decided([Entry(networks(foreign)[0], HTTPS)], aws_target(), lists={"qatech": [network]})
    assert [m.entry.network for m in change.satisfied] == ([network] if satisfied else [])
    assert [m.entry.network for m in change.add] == ([] if satisfied else [network])


def test_a_foreign_rule_s_ranges_satisfy_nothing():
    held = [Entry(A, None, (("description", "made by hand"),))]
    assert fates(decided(held, gcp_target(), lists={"qatech": [A]}, listed=True)) == {"add": [A]}


PORTS = Service("tcp", 443, 445)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (HTTPS, HTTPS, True),
        (Service("all"), HTTPS, True),
        (Service("all"), None, True),
        (HTTPS, Service("all"), False),
        (Service("tcp", 443, 500), PORTS, True),
        (Service("tcp", 400, 445), PORTS, True),
        (Service("tcp", 444, 500), PORTS, False),
        (Service("tcp", 400, 444), PORTS, False),
        (Service("tcp", 446, 500), PORTS, False),
        (Service("tcp", 400, 442), PORTS, False),
        (Service("udp", 443, 445), PORTS, False),
        (Service("icmp"), Service("icmp"), True),
        (Service("icmp"), Service("icmpv6"), False),
        (Service("tcp"), PORTS, False),
        (PORTS, Service("tcp"), False),
        (Service("tcp", 443), PORTS, False),  # half a range is no range
        (Service("tcp", None, 445), PORTS, False),
        (PORTS, Service("tcp", 443), False),
        (PORTS, Service("tcp", None, 445), False),
        (None, None, True),
        (None, HTTPS, False),
        (HTTPS, None, False),
    ],
)
def test_a_service_covers_its_ports_and_all_covers_everything(wide, narrow, covers):
    assert service_covers(wide, narrow) is covers


@pytest.mark.parametrize("order", [1, -1])
def test_a_range_in_two_lists_of_ours_leaves_since_its_only_mark(order):
    marked, fresh = (ranges({A: Mark("acme", ("edge",), "qatech", since)})[0] for since in (NOW - 71 * HOUR, None))
    change = decided([marked, fresh][::order], gcp_target(), listed=True)
    ((_, leaving),) = change.leaving
    assert (fates(change), leaving.until) == ({}, NOW + HOUR)
    assert [m.mark.since for m in change.keep] == [NOW - 71 * HOUR]
