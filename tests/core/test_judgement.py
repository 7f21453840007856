"""Which changes of one resource wait for a human, for which reason, and by which id."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import ENTRIES, GROUP, HTTPS, NOW, aws_target, hosts, networks

from ipsync.core.configured import Limits, Threshold
from ipsync.core.diff import Diff
from ipsync.core.judgement import Judgement, approvable, change_id, impact, judge, released, waiting
from ipsync.core.marking import Marked
from ipsync.core.marks import STATIC
from ipsync.core.model import Capacity, Entry, Held, Leaving, Network, Service, State, Verdict
from ipsync.core.traits import Mark

HOUR, GRACE = timedelta(hours=1), timedelta(hours=72)
HTTP, ANY = Service("tcp", 80, 80), Service("tcp", 1, 65535)
A, B, C, D = networks(*(f"8.8.8.{i}" for i in range(1, 5)))
TEN = hosts(10)
LATER = NOW - HOUR


def marked(network, *, since=None, added=None, origin="qatech", service=HTTPS, why="") -> Marked:
    mark = Mark("acme", ("web",), origin, since, added)
    return Marked(Entry(network, service), mark, "web", why or origin)


def some(found, **how) -> tuple[Marked, ...]:
    return tuple(marked(n, **how) for n in found)


def leaving(items) -> tuple[tuple[Marked, Leaving], ...]:
    return tuple((m, Leaving(m.entry, NOW)) for m in items)


def change(*, keep=(), taken_out=(), **lists) -> Diff:
    """Return a diff; `taken_out` is what was taken out of the config, beside what `remove` has."""
    removed = (*lists.pop("remove", ()), *taken_out)
    return Diff(keep=tuple(keep), remove=removed, taken_out=frozenset(m.entry for m in taken_out), **lists)


def judged(made: Diff, *limits: Limits, targets=None, capacity=(), complete=True, grace=GRACE) -> Judgement:
    state = State("aws-security-group", GROUP, ("web",), capacity=capacity, complete=complete, traits=ENTRIES)
    chosen = targets or [
        aws_target(f"t{i}", limits=(("qatech", limit),)) for i, limit in enumerate(limits or [Limits()])
    ]
    return judge(state, made, chosen, now=NOW, grace=grace)


def words(judgement: Judgement) -> list[tuple[str, str]]:
    return [(v.guard, v.verdict.value) for v in judgement.violations]


def nets(items) -> list[Network]:
    return [e.network for e in items]


# ── what really moves ────────────────────────────────────────────────────────


def moved(made: Diff, grace: timedelta | None = GRACE):
    return impact(made, now=NOW, grace=grace)


def test_a_movement_says_what_is_held_lost_taken_and_new():
    made = change(
        keep=some([A]),
        remark=(marked(B), marked(C, since=NOW)),
        leaving=leaving([marked(C, since=NOW)]),
        remove=some([D], since=NOW - GRACE),
        taken_out=some(TEN[:1], origin=STATIC),
        add=some(TEN[1:2]),
        orphaned=some(TEN[5:]),
    )
    found = moved(made)
    assert found.before == {A, B, C, D, TEN[0]}
    assert found.staying == {A, B, TEN[1]}
    assert found.lost == {C, D}
    assert found.taken == {D, TEN[0]}
    assert found.new == {TEN[1]}
    assert found.lately == frozenset()


@pytest.mark.parametrize(
    ("stays", "lost"),
    [
        (marked(networks("8.8.8.0/24")[0]), []),
        (marked(A, service=ANY), []),
        (marked(A, service=Service("all")), []),
        (marked(A, service=HTTP), [A]),
        (marked(networks("8.8.8.0/24")[0], service=HTTP), [A]),
        (marked(B), [A]),
    ],
)
@pytest.mark.parametrize("how", ["keep", "add"])
def test_what_the_rest_covers_on_that_port_is_not_lost(stays, lost, how):
    due = change(**{how: (stays,)}, remove=some([A], since=NOW - GRACE))
    assert sorted(moved(due).lost) == lost
    not_yet = change(**{how: (stays,)}, leaving=leaving([marked(A, since=NOW)]))
    assert sorted(moved(not_yet).lost) == lost


def test_each_port_is_looked_at_by_itself():
    """One port of A stays covered by a network, the other doesn't."""
    made = change(
        keep=[marked(networks("8.8.8.0/24")[0], service=HTTP)],
        remove=(marked(A, service=HTTP), marked(A), marked(B, service=HTTP)),
    )
    assert moved(made).lost == {A}


def test_what_is_leaving_covers_nothing():
    made = change(leaving=leaving(some([A], since=NOW)), remove=some([A], service=HTTP, since=NOW - GRACE))
    assert moved(made).lost == {A}


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        ({}, {A}),
        (
            {"keep": some([A], service=HTTP)},
            set(),
        ),  # it stays on another port: the operator's word about the port alone
        ({"add": some([A], service=HTTP)}, set()),
        ({"leaving": leaving(some([A], service=HTTP, since=NOW))}, set()),
        ({"keep": some(networks("8.8.8.0/24"))}, set()),
        ({"keep": some([B])}, {A}),
    ],
)
def test_what_the_operator_takes_out_is_counted_by_address(other, taken):
    assert moved(change(taken_out=some([A]), **other)).taken == taken


def test_nothing_is_taken_where_nobody_took_anything_out():
    assert moved(change(keep=some([B]), remove=some([A], since=NOW - GRACE))).taken == frozenset()


@pytest.mark.parametrize(
    ("there", "new"),
    [([A], set()), (networks("8.8.8.0/24"), set()), ([B], {A}), ([B, C], {A})],
)
@pytest.mark.parametrize("how", ["keep", "remove", "leaving"])
def test_what_is_covered_already_is_not_new(there, new, how):
    items = some(there, since=NOW - GRACE)
    made = change(add=some([A], service=HTTP), **{how: leaving(items) if how == "leaving" else items})
    assert moved(made).new == new


@pytest.mark.parametrize(
    ("added", "lately"),
    [
        (None, set()),  # unknown counts as old
        (LATER - GRACE, set()),
        (LATER - GRACE + timedelta(seconds=1), {A}),
        (NOW, {A}),
    ],
)
def test_lately_is_less_than_a_grace_before_the_first_began_to_leave(added, lately):
    made = change(keep=[marked(A, added=added)], leaving=leaving([marked(B, since=NOW), marked(C, since=LATER)]))
    assert moved(made).lately == lately
    made = change(keep=[marked(A, added=added)], remove=[marked(C, since=LATER)])
    assert moved(made).lately == lately


def test_what_begins_to_leave_now_has_no_time_yet():
    made = change(keep=[marked(A, added=NOW - GRACE), marked(D, added=NOW - GRACE + HOUR)], remove=[marked(C)])
    assert moved(made).lately == {D}


def test_an_address_that_is_old_on_one_port_is_old():
    made = change(
        keep=[marked(A, added=NOW), marked(A, service=HTTP), marked(D, added=NOW)],
        leaving=leaving([marked(C, since=NOW)]),
    )
    assert moved(made).lately == {D}


@pytest.mark.parametrize("grace", [timedelta(0), None])
def test_without_a_grace_or_without_leavers_nothing_is_lately(grace):
    young = marked(A, added=NOW)
    assert moved(change(keep=[young], remove=[marked(C)]), grace).lately == frozenset()
    assert moved(change(keep=[young], taken_out=[marked(C)])).lately == frozenset()


# ── what waits ───────────────────────────────────────────────────────────────


def test_where_nothing_moves_nothing_is_said():
    full = (Capacity(4, 60, 5),)
    assert judged(change(keep=some(TEN), remark=some([A])), capacity=full) == Judgement()


def test_too_many_removals_wait_and_additions_do_not():
    made = change(keep=some(TEN[4:]), remove=some(TEN[:4], since=LATER), add=some([A]))
    found = judged(made)
    assert words(found) == [("max-removals", "needs-approval")]
    (held,) = found.held
    assert (held.action, nets(held.entries), held.verdict) == ("remove", list(TEN[:4]), Verdict.NEEDS_APPROVAL)
    assert found.violations[0].change == held.id == change_id(GROUP, "remove", held.entries)
    assert not found.stops
    assert found.violations[0].detail.startswith("removes 4 of 10 addresses, more than 3: 8.0.0.0/32, 8.0.0.1/32, ")
    assert "guards.max-removals" in found.violations[0].detail


def test_three_of_ten_do_not_wait():
    assert judged(change(keep=some(TEN[3:]), remove=some(TEN[:3], since=LATER))) == Judgement()


def test_too_many_additions_wait_and_removals_do_not():
    new = hosts(21, first=999)
    found = judged(change(keep=some(TEN[1:]), remove=some(TEN[:1]), add=some(new)))
    assert words(found) == [("max-additions", "needs-approval")]
    (held,) = found.held
    assert (held.action, nets(held.entries), held.verdict) == ("add", list(new), Verdict.NEEDS_APPROVAL)
    assert found.violations[0].detail.startswith("adds 21 addresses to 10, more than 20: 8.0.3.231/32, ")
    assert "guards.max-additions" in found.violations[0].detail
    assert not found.stops


def test_two_guards_on_one_change_hold_it_once():
    found = judged(change(keep=some(TEN), add=some(networks(*(f"9.{i}.0.0/16" for i in range(21))))))
    assert words(found) == [("max-additions", "needs-approval"), ("max-growth", "needs-approval")]
    assert len(found.held) == 1
    assert {v.change for v in found.violations} == {found.held[0].id}


def test_what_is_covered_already_does_not_wait_with_the_rest():
    new = hosts(21, first=999)
    found = judged(change(keep=some(TEN), add=(*some(new), *some(TEN, service=HTTP))))
    assert [set(nets(h.entries)) for h in found.held] == [set(new)]


def test_removals_are_held_by_the_time_they_began_to_leave():
    first, second = some(TEN[:3], since=LATER), some(TEN[3:5], since=LATER - HOUR)
    found = judged(change(keep=some(TEN[5:]), remove=(*first, *second)))
    assert [set(nets(h.entries)) for h in found.held] == [set(TEN[:3]), set(TEN[3:5])]
    assert len({h.id for h in found.held}) == 2
    assert all(
        v.detail.startswith("with all that is leaving, removes 5 of 10 addresses, more than 3")
        for v in found.violations
    )


def test_what_is_not_due_yet_counts_and_does_not_wait():
    due, not_yet = some(TEN[:2], since=LATER), some(TEN[2:4], since=NOW)
    made = change(keep=some(TEN[4:]), remove=due, leaving=leaving(not_yet), remark=not_yet)
    found = judged(made)
    assert [nets(h.entries) for h in found.held] == [list(TEN[:2])]
    assert found.violations[0].detail.startswith(
        "with all that is leaving, removes 4 of 10 addresses, more than 3: 8.0.0.0/32"
    )


def test_what_is_not_due_at_all_is_a_warning():
    going = some(TEN[:4], since=NOW)
    found = judged(change(keep=some(TEN[4:]), leaving=leaving(going), remark=going))
    assert (words(found), found.held) == ([("max-removals", "allow")], ())
    (told,) = found.violations
    assert told.change == ""
    assert told.detail.startswith(
        "4 of 10 addresses, more than 3, are leaving: 8.0.0.0/32, 8.0.0.1/32, 8.0.0.2/32, 8.0.0.3/32; "
        "their removal will need approval when it is due; if that is right, raise guards.max-removals"
    )
    assert judged(change(keep=some(TEN[3:]), leaving=leaving(going[:3]))) == Judgement()


def test_the_operator_s_word_waits_apart():
    gone, out = some(TEN[:1], since=LATER), some(TEN[2:4], origin=STATIC)
    assert judged(change(keep=some([*TEN[4:], TEN[1]]), remove=gone, taken_out=out)) == Judgement()
    found = judged(change(keep=some([*TEN[:2], *TEN[6:]]), taken_out=some(TEN[2:6], origin=STATIC)))
    assert [nets(h.entries) for h in found.held] == [list(TEN[2:6])]
    assert found.violations[0].detail.startswith("taken out of the config: removes 4 of 10 addresses, more than 3: ")
    assert found.violations[0].change == found.held[0].id == change_id(GROUP, "remove", found.held[0].entries)
    assert words(found) == [("max-removals", "needs-approval")]


def test_what_goes_at_the_operator_s_word_counts_with_what_feeds_dropped_in_the_same_run():
    made = change(keep=some(TEN[4:]), remove=some(TEN[:2], since=LATER), taken_out=some(TEN[2:4], origin=STATIC))
    found = judged(made)
    assert [nets(h.entries) for h in found.held] == [list(TEN[2:4])]
    text = (
        "taken out of the config: with what feeds dropped, removes 4 of 10 addresses, more than 3: 8.0.0.2/32, 8.0.0.3"
    )
    assert found.violations[0].detail.startswith(text)


def test_the_operator_s_word_goes_while_what_feeds_dropped_waits():
    found = judged(
        change(keep=some(TEN[5:]), remove=some(TEN[:4], since=LATER), taken_out=some(TEN[4:5], origin=STATIC))
    )
    assert [nets(h.entries) for h in found.held] == [list(TEN[:4])]
    both = judged(
        change(keep=some(TEN[8:]), remove=some(TEN[:4], since=LATER), taken_out=some(TEN[4:8], origin=STATIC))
    )
    assert [nets(h.entries) for h in both.held] == [list(TEN[:4]), list(TEN[4:8])]


def test_a_port_that_is_taken_out_is_no_address_less():
    kept = some(TEN)
    assert judged(change(keep=kept, taken_out=some(TEN, service=HTTP))) == Judgement()


@pytest.mark.parametrize("taken_out", [True, False])
def test_nothing_is_emptied_and_all_of_it_waits_in_one(taken_out):
    gone = some([A, B], since=LATER)
    found = judged(change(**({"taken_out": gone} if taken_out else {"remove": gone}), orphaned=some([D])))
    assert words(found) == [("empty", "refuse")]
    (held,) = found.held
    assert (held.action, nets(held.entries), held.verdict, found.stops) == ("remove", [A, B], Verdict.REFUSE, False)
    assert held.id == change_id(GROUP, "remove", held.entries)
    assert found.violations[0].detail == (
        "this would remove all 2 addresses; a target is never emptied: 8.8.8.1/32, 8.8.8.2/32"
    )


def test_the_last_address_is_named_as_such():
    (said,) = judged(change(remove=some([A], since=LATER))).violations
    assert said.detail == "this would remove its only address; a target is never emptied: 8.8.8.1/32"


@pytest.mark.parametrize("rest", [{"keep": some([C])}, {"remark": some([C])}, {"add": some([C])}])
def test_where_something_is_left_nothing_is_emptied(rest):
    assert words(judged(change(remove=some([A], since=LATER), **rest))) == []


def test_what_only_leaves_does_not_empty():
    """All of it is leaving: people are told from the first moment, and nothing is due yet."""
    going = some([A, B], since=NOW)
    assert words(judged(change(leaving=leaving(going), remark=going))) == [("max-removals", "allow")]


def test_what_came_within_the_last_grace_is_no_measure():
    """Three of ten; but four of the ten came an hour before the three began to leave: three of six."""
    young = some(TEN[6:], added=LATER - HOUR)
    made = change(keep=(*some(TEN[3:6]), *young), remove=some(TEN[:3], since=LATER))
    assert words(judged(made)) == [("max-removals", "needs-approval")]
    assert judged(made, grace=HOUR) == Judgement()


# ── whose limits ─────────────────────────────────────────────────────────────

LOOSE = Limits(max_removals=Threshold(100, 100), max_additions=Threshold(100, 100))


def test_the_strictest_of_all_targets_holds():
    made = change(keep=some(TEN[4:]), remove=some(TEN[:4], since=LATER))
    assert judged(made, LOOSE) == Judgement()
    assert words(judged(made, LOOSE, Limits())) == words(judged(made, Limits(), LOOSE)) != []


@pytest.mark.parametrize(
    ("limits", "origin", "waits"),
    [
        ((("qatech", Limits()), ("cdn", LOOSE)), "cdn", False),
        ((("qatech", Limits()), ("cdn", LOOSE)), "qatech", True),
        ((("qatech", Limits()), ("cdn", LOOSE)), "cdn,qatech", True),
        ((("qatech", Limits()), ("cdn", LOOSE)), "renamed", True),  # of neither: all of them
        ((("qatech", Limits()), ("cdn", LOOSE), ("spare", LOOSE)), "cdn,spare", False),
        ((("cdn", LOOSE),), "renamed", False),
        ((), "cdn", True),  # none of its own: the defaults
    ],
)
def test_a_feed_s_own_limits_judge_what_came_from_it(limits, origin, waits):
    target = aws_target(feeds=("qatech", "cdn"), limits=limits)
    for moves in ({"remove": some(TEN[:4], origin=origin, since=LATER)}, {"taken_out": some(TEN[:4], origin=origin)}):
        assert bool(judged(change(keep=some(TEN[4:]), **moves), targets=[target]).held) is waits
    coming = change(keep=some(TEN), add=some(hosts(21, first=999), origin=origin))
    assert bool(judged(coming, targets=[target]).held) is waits


def test_the_limits_of_what_is_leaving_count_with_those_of_what_is_due():
    target = aws_target(feeds=("qatech", "cdn"), limits=(("qatech", Limits()), ("cdn", LOOSE)))
    due, not_yet = some(TEN[:2], origin="cdn", since=LATER), some(TEN[2:4], since=NOW)
    made = change(keep=some(TEN[4:]), remove=due, leaving=leaving(not_yet), remark=not_yet)
    assert words(judged(made, targets=[target])) == [("max-removals", "needs-approval")]


def test_without_a_target_the_defaults_hold():
    state = State("aws-security-group", GROUP, (), traits=ENTRIES)
    made = change(keep=some(TEN[4:]), remove=some(TEN[:4], since=LATER))
    assert words(judge(state, made, [], now=NOW, grace=GRACE)) == [("max-removals", "needs-approval")]


# ── what is added is held by feed ────────────────────────────────────────────


def test_additions_are_held_by_the_feeds_that_ask_for_them():
    ours, theirs, ways = hosts(21, first=999), hosts(3, first=2000), networks("9.9.9.9")
    add = (
        *some(ours),
        *some(theirs, origin="cdn", why="cdn; also for api"),
        *some(ways, origin=STATIC, why=""),
        marked(networks("9.9.9.8")[0], origin="cdn", why="cdn, qatech"),
        marked(networks("9.9.9.7")[0], origin="cdn", why="cdn"),
    )
    found = judged(change(keep=some(TEN), add=add))
    groups = [sorted(nets(h.entries)) for h in found.held]
    assert groups == [list(ours), sorted([*theirs, *networks("9.9.9.7")]), list(ways), list(networks("9.9.9.8"))]


# ── capacity ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("remove_first", "complete", "limit", "stops"),
    [(False, True, 2, True), (False, True, 3, False), (True, True, 2, False), (True, True, 1, True), (False, False, 2, False)],
)  # fmt: skip
def test_what_does_not_fit_stops_everything_or_all_but_marks_where_removing_may_come_first(
    remove_first, complete, limit, stops
):
    made = change(keep=some([A]), remove=some([B], since=LATER), add=some([C]))
    targets = [aws_target("one"), aws_target("two", remove_first=remove_first)]
    found = judged(made, targets=targets, capacity=(Capacity(4, 2, limit),), complete=complete)
    marks_alone_go = {(h.action, h.verdict.value) for h in found.held} == {("add", "refuse"), ("remove", "refuse")}
    assert (found.stops, marks_alone_go) == (stops and not remove_first, stops and remove_first)
    assert words(found) == ([("capacity", "refuse")] if stops else [])


def test_capacity_counts_rules_and_not_addresses():
    made = change(keep=some([A]), add=(marked(C), marked(C, service=HTTP)))
    assert judged(made, capacity=(Capacity(4, 2, 3),)).stops
    assert not judged(made, capacity=(Capacity(4, 2, 4),)).stops


# ── ids ──────────────────────────────────────────────────────────────────────


def test_an_id_is_made_of_the_resource_the_action_and_the_entries_alone():
    one, two = Entry(A, HTTPS), Entry(B, HTTP)
    made = change_id(GROUP, "add", [one, two])
    assert made.startswith("change:")
    assert len(made) == len("change:") + 20
    assert made == change_id(GROUP, "add", [Entry(B, HTTP, (("tag", "x"),), "sgr-1"), one])
    others = [
        change_id(GROUP, "remove", [one, two]),
        change_id("aws/1/eu-north-1/sg-2", "add", [one, two]),
        change_id(GROUP, "add", [one]),
        change_id(GROUP, "add", [one, Entry(B, HTTPS)]),
    ]
    assert len({made, *others}) == 5


def test_an_id_is_the_same_in_every_version():
    """People keep them in tickets, and an approval may come a day and a release later."""
    assert change_id(GROUP, "remove", [Entry(B, HTTPS), Entry(A, None)]) == "change:3af023436c87023bd3ce"


def held(name: str, *entries: Entry, verdict: Verdict = Verdict.NEEDS_APPROVAL, action="remove") -> Held:
    return Held(f"change:{name}", action, entries, verdict)


def test_what_is_refused_can_not_be_approved():
    asks, refused = held("asks"), held("refused", verdict=Verdict.REFUSE)
    both = frozenset({asks.id, refused.id})
    assert approvable([asks, refused]) == {asks.id}
    assert waiting([asks, refused], both) == (refused,)
    assert waiting([asks, refused], frozenset()) == (asks, refused)
    assert waiting([asks], frozenset({"change:other"})) == (asks,)


def test_what_waits_stays_as_it_is_and_the_rest_goes():
    gone, new, kept = some([A, B], since=LATER), some([C, D]), some(TEN[:1])
    made = change(keep=kept, remove=gone, add=new)
    waits = held("a", gone[0].entry, new[1].entry)
    left = released(made, [waits], frozenset())
    assert (left.remove, left.add) == (gone[1:], new[:1])
    assert set(left.keep) == {*kept, gone[0]}
    assert left.after == {m.entry: m.mark for m in (*kept, gone[0], new[0])}
    assert released(made, [waits], frozenset({waits.id})) == made


def test_the_last_entry_does_not_go_while_its_successors_wait():
    gone, new = some([A, B], since=LATER), some([C])
    made = change(remove=gone, add=new)
    left = released(made, [held("a", new[0].entry, action="add")], frozenset())
    assert (left.remove, left.add, set(left.keep)) == ((), (), set(gone))
    for rest in ({"keep": some([D])}, {"remark": some([D])}):
        left = released(change(remove=gone, add=new, **rest), [held("a", new[0].entry, action="add")], frozenset())
        assert left.remove == gone
