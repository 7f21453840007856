"""The plan: what is shown under which target, what is written, who judges it, and what its id stands for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
import rfc8785
from factory import (
    ENTRIES,
    GROUP,
    HTTPS,
    LISTS,
    NOW,
    RULE,
    aws_target,
    config,
    entry_note,
    gcp_target,
    hosts,
    networks,
    rule_note,
    snapshot,
)

from ipsync.core.canonical import digest, digest_of
from ipsync.core.configured import Limits, Threshold
from ipsync.core.model import (
    Capacity,
    Entry,
    Leaving,
    ManagedList,
    ReadFailure,
    Service,
    State,
    Status,
    Verdict,
    Violation,
)
from ipsync.core.plan import FeedResult, Observed, Orphan, Plan, TargetChange
from ipsync.core.planner import make_plan
from ipsync.core.traits import Mark

A, B, C, D, E, F, G, H = networks(*(f"8.8.8.{i}" for i in range(1, 9)))
V6 = networks("2600::1")[0]
HTTP = Service("tcp", 80, 80)
HOUR = timedelta(hours=1)
GRACE = 72 * HOUR
SETTINGS = (("network", "default"), ("ports", "443/tcp"))
LOOSE = (("qatech", Limits(max_removals=Threshold(999, 100), max_additions=Threshold(999, 100))),)


def ours(network, *, target="web", origin="qatech", since=None, service=HTTPS) -> Entry:
    return Entry(network, service, entry_note(Mark("acme", (target,), origin, since)))


def group(*entries: Entry, name: str = "sg-1", targets: tuple[str, ...] = ("web",), **changes) -> State:
    return State("aws-security-group", f"aws/1/eu-north-1/{name}", targets, entries, **changes, traits=ENTRIES)


def managed(*listed, target="edge", since=None, name="allow-qatech", settings=SETTINGS) -> ManagedList:
    return ManagedList(
        name, listed, rule_note("acme", {n: Mark("acme", (target,), "qatech", since) for n in listed}), settings
    )


def rule(*managed_lists: ManagedList, targets: tuple[str, ...] = ("edge",), wanted=SETTINGS, **changes) -> State:
    entries = tuple(Entry(n, None, p.note, p.name) for p in managed_lists for n in p.networks)
    more = {"wanted_settings": wanted, "max_ranges": 256, **changes}
    return State("gcp-firewall", RULE, targets, entries, traits=LISTS, managed_lists=managed_lists, **more)


def planned(made, *states: State, failures=(), selected=None, now=NOW, **lists) -> Plan:
    """Return the plan; each keyword is a feed with what it lists, or with why there is no list."""
    results = {f.name: FeedResult(f.name, f.url, None, "unset") for f in made.feeds}
    for name, listed in lists.items():
        error, read = (listed, None) if isinstance(listed, str) else (None, snapshot(listed, feed=name))
        results[name] = FeedResult(name, f"https://{name}.example/ips", read, error)
    return make_plan(made, Observed(results, states, failures, now), selected=selected)


def shown(plan: Plan) -> list[tuple[str, str]]:
    return [(e.target, e.status.value) for e in plan.target_changes]


def guards(target_change: TargetChange) -> list[str]:
    return [v.guard for v in target_change.violations]


# ── which targets, in which order ────────────────────────────────────────────


@pytest.mark.parametrize(
    ("selected", "targets", "feeds"),
    [(None, ["web", "edge"], ["cdn", "qatech"]), (["edge"], ["edge"], ["cdn"]), ([], [], [])],
)
def test_only_the_selected_targets_and_their_feeds_are_planned(selected, targets, feeds):
    made = config(aws_target(), gcp_target(feeds=("cdn",)))
    plan = planned(made, group(), rule(), qatech=[A], cdn=[B], selected=selected)
    assert shown(plan) == [(t, "change") for t in targets]
    assert [f.name for f in plan.feeds] == feeds
    assert len(plan.changes) == len(targets)


def test_targets_come_in_the_config_s_order_and_resources_in_their_own():
    made = config(aws_target("zeta", where={"groups": ("sg-1", "sg-2")}), aws_target("alpha", services=(HTTP,)))
    one, two = group(name="sg-1", targets=("zeta", "alpha")), group(name="sg-2", targets=("zeta",))
    plan = planned(made, two, one, qatech=[A])
    assert [(e.target, e.resource[-1]) for e in plan.target_changes] == [("zeta", "1"), ("zeta", "2"), ("alpha", "1")]
    assert [w.state for w in plan.changes] == [one, two]


def test_what_could_not_be_read_is_an_error_of_each_target_in_it():
    made = config(aws_target(), gcp_target())
    failure = ReadFailure(("web", "edge"), "gcp/acme", "no answer")
    both = planned(made, failures=[failure], qatech=[A])
    assert both.target_changes == (
        TargetChange("web", "aws-security-group", "gcp/acme", Status.ERROR, error="no answer"),
        TargetChange("edge", "gcp-firewall", "gcp/acme", Status.ERROR, error="no answer"),
    )
    assert planned(made, failures=[failure], qatech=[A], selected=["edge"]).target_changes == both.target_changes[1:]


# ── what hinders a target ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("qatech", "cdn", "error"), [("down", [A], "down"), ([A], "cut", "cut"), ("down", "cut", "down; cut")]
)
def test_a_feed_that_could_not_be_read_stops_its_target_and_says_why(qatech, cdn, error):
    made = config(aws_target(feeds=("qatech", "cdn"), limits=()))
    plan = planned(made, group(ours(A), ours(B)), qatech=qatech, cdn=cdn)
    refusal = Violation("feed", Verdict.REFUSE, error)
    expected = TargetChange(
        "web",
        "aws-security-group",
        GROUP,
        Status.ERROR,
        violations=(refusal,),
        held=2,
        error=error,
        noun="group",
        holder="account",
    )
    assert plan.target_changes == (expected,)
    assert plan.changes == ()


def test_a_list_that_a_guard_refuses_blocks_its_target():
    (target_change,) = planned(config(aws_target()), group(ours(A)), qatech=[]).target_changes
    assert (target_change.status, guards(target_change), target_change.held, target_change.error) == (
        Status.BLOCKED,
        ["empty"],
        1,
        None,
    )


@pytest.mark.parametrize(
    ("feed", "status"), [("qatech", Status.BLOCKED), ("cdn", Status.CHANGE), ("spare", Status.BLOCKED)]
)
def test_each_feed_has_its_own_limits_and_one_without_has_the_defaults(feed, status):
    limits = (("qatech", Limits()), ("cdn", Limits(min_prefix_v4=8, max_coverage_v4=2**24)))
    made = config(aws_target(feeds=("qatech", "cdn", "spare"), limits=limits))
    lists = {"qatech": [A], "cdn": [B], "spare": [C]} | {feed: ["12.0.0.0/8"]}
    assert planned(made, group(), **lists).target_changes[0].status is status


# ── one target on one resource ───────────────────────────────────────────────


def test_an_element_shows_everything_that_happens_to_its_entries():
    made = config(aws_target(limits=LOOSE))
    state = group(
        ours(B),
        ours(C, since=NOW - HOUR),
        Entry(D, HTTPS),
        ours(E),
        ours(F, since=NOW - GRACE),
        ours(G, since=NOW - HOUR),
        ours(H, origin="gone"),
    )
    plan = planned(made, state, qatech=[A, B, C, D, H])
    assert plan.target_changes == (
        TargetChange(
            "web",
            "aws-security-group",
            GROUP,
            Status.CHANGE,
            add=(Entry(A, HTTPS),),
            remove=(Entry(F, HTTPS),),
            leaving=(Leaving(Entry(E, HTTPS), NOW + GRACE), Leaving(Entry(G, HTTPS), NOW - HOUR + GRACE)),
            starts_leaving=(Entry(E, HTTPS),),
            returns=(Entry(C, HTTPS),),
            satisfied=(Entry(D, HTTPS),),
            marks=("8.8.8.8/32 443/tcp",),
            sources=tuple((Entry(n, HTTPS), "qatech") for n in (A, F, E, G)),
            held=5,
            noun="group",
            holder="account",
        ),
    )
    (resource_change,) = plan.changes
    assert resource_change.verdict is Verdict.ALLOW
    assert resource_change.seen[:2] == (
        "8.8.8.2/32 443/tcp for web from qatech",
        "8.8.8.3/32 443/tcp for web from qatech leaving since 2026-01-31T08:00:00Z",
    )


def test_a_rule_shows_the_same_without_ports():
    first, second = managed(A, B), managed(V6, since=NOW - HOUR, name="allow-qatech-v6")
    (target_change,) = planned(config(gcp_target()), rule(first, second), qatech=[A, C, V6]).target_changes
    assert (target_change.kind, target_change.resource, target_change.status) == ("gcp-firewall", RULE, Status.CHANGE)
    assert target_change.add == (Entry(C),)
    assert [str(e) for e in (target_change.add[0].service, *(x.entry.service for x in target_change.leaving))] == [
        "None",
        "None",
    ]
    assert (target_change.starts_leaving, target_change.returns, target_change.held) == ((Entry(B),), (Entry(V6),), 3)


def test_each_entry_is_shown_under_the_target_that_it_names():
    one, two = aws_target("one", limits=LOOSE), aws_target("two", services=(HTTP,), limits=LOOSE)
    state = group(
        *(ours(n, target="one") for n in (A, B)),
        *(ours(n, target="two", service=HTTP) for n in (A, C)),
        targets=("one", "two"),
    )
    plan = planned(config(one, two), state, qatech=[A, B])
    assert shown(plan) == [("one", "in-sync"), ("two", "change")]
    first, second = plan.target_changes
    assert (first.add, first.leaving, first.starts_leaving, first.held) == ((), (), (), 2)
    assert (second.add, second.starts_leaving, second.held) == ((Entry(B, HTTP),), (Entry(C, HTTP),), 2)


def test_what_names_no_target_of_the_resource_is_shown_under_the_first():
    one, two = aws_target("one"), aws_target("two", feeds=("cdn",), services=(HTTP,))
    state = group(ours(A, target="old", service=HTTP), targets=("one", "two"))
    plan = planned(config(one, two), state, qatech=[B], cdn="down")
    assert [e.held for e in plan.target_changes] == [1, 0]


def test_an_entry_that_only_begins_to_leave_is_a_change():
    assert shown(planned(config(aws_target()), group(ours(A), ours(B)), qatech=[A])) == [("web", "change")]


def test_a_neighbour_s_entry_that_begins_to_leave_is_no_change_of_mine():
    one, two = aws_target("one"), aws_target("two", services=(HTTP,), feeds=("cdn",))
    state = group(
        *(ours(n, target="one") for n in (A, B)),
        ours(A, target="two", origin="cdn", service=HTTP),
        targets=("one", "two"),
    )
    assert shown(planned(config(one, two), state, qatech=[A], cdn=[A])) == [("one", "change"), ("two", "in-sync")]


def test_a_range_that_begins_to_leave_is_shown_once_under_the_first_target_that_its_rule_names():
    state = rule(managed(A, B, target="two"), targets=("one", "two"))
    plan = planned(config(gcp_target("one"), gcp_target("two")), state, qatech=[A])
    assert [[x.entry.network for x in e.leaving] for e in plan.target_changes] == [[], [B]]
    assert [e.marks for e in plan.target_changes] == [("allow-qatech",), ()], "the description gets both names"
    assert shown(plan) == [("one", "change"), ("two", "change")]


def test_settings_are_named_for_each_list_of_a_rule():
    old = (("ports", "80/tcp"),)
    state = rule(
        managed(A, settings=old), managed(V6, name="allow-qatech-v6", settings=old), wanted=(("ports", "443/tcp"),)
    )
    (target_change,) = planned(config(gcp_target()), state, qatech=[A, V6]).target_changes
    assert [setting[0] for setting in target_change.settings] == ["allow-qatech", "allow-qatech-v6"]


def test_a_setting_that_changes_is_named_with_what_it_was_under_the_first_target():
    old = (("network", "default"), ("ports", "80/tcp"), ("priority", "5"))
    new = (("network", "default"), ("ports", "443/tcp"), ("tags", "web"))
    state = rule(managed(A, target="one", settings=old), wanted=new, targets=("one", "two"))
    plan = planned(config(gcp_target("one"), gcp_target("two")), state, qatech=[A])
    assert plan.target_changes[0].settings == (
        ("allow-qatech", "ports", "80/tcp", "443/tcp"),
        ("allow-qatech", "priority", "5", ""),
        ("allow-qatech", "tags", "", "web"),
    )
    assert plan.target_changes[1].settings == plan.target_changes[0].settings  # both live behind the rule
    assert shown(plan) == [("one", "change"), ("two", "change")]


def test_a_new_rule_says_all_it_opens_with_and_a_deleted_one_that_it_goes():
    gone = managed(V6, since=NOW - GRACE, name="allow-qatech-v6", settings=(("ports", "80/tcp"),))
    plan = planned(config(gcp_target(limits=LOOSE)), rule(gone), qatech=[A])
    assert [s.kind for s in plan.changes[0].operations] == ["create", "delete"]
    assert plan.target_changes[0].settings == (
        ("allow-qatech", "network", "", "default"),
        ("allow-qatech", "ports", "", "443/tcp"),
    )
    assert plan.target_changes[0].deletes == ("allow-qatech-v6",)
    assert plan.target_changes[0].marks == ()


# ── orphans ──────────────────────────────────────────────────────────────────


def test_what_lies_where_no_target_points_is_reported_and_left_alone():
    lost = group(ours(A, target="old"), name="sg-9", targets=())
    plan = planned(config(aws_target()), group(ours(B)), lost, qatech=[B])
    assert plan.orphaned == (Orphan(lost.resource, Entry(A, HTTPS), "old"),)
    assert (shown(plan), plan.changes) == ([("web", "in-sync")], ())


def test_a_rule_that_no_target_names_is_reported_and_left_alone():
    theirs = ManagedList("allow-qatech-2", (B,), (("description", "made by hand"),), ())
    plan = planned(config(aws_target()), rule(managed(A, target="old"), theirs, targets=(), wanted=()), qatech=[A])
    assert plan.orphaned == (Orphan(RULE, Entry(A), "old"),)
    assert (shown(plan), plan.changes) == ([("web", "error")], ())


def test_a_target_that_names_nothing_and_of_which_no_failure_speaks_is_an_error():
    """It would be missing from the report, as if all were well."""
    (target_change,) = planned(config(aws_target()), qatech=[A]).target_changes
    assert (target_change.resource, target_change.status) == ("aws/-/eu-north-1", Status.ERROR)
    assert "nothing in its places fits this target; check what the target selects" in target_change.error


def test_an_orphan_still_counts_as_held():
    state = group(ours(A, origin="gone"), ours(B, target="old"), Entry(C, HTTPS))
    plan = planned(config(aws_target()), state, qatech=[C])
    assert (shown(plan), guards(plan.target_changes[0])) == ([("web", "change")], [])


# ── guards ───────────────────────────────────────────────────────────────────


def test_a_guard_s_word_stands_under_the_target_that_moves_and_not_under_its_neighbour():
    one, two = aws_target("one"), aws_target("two", services=(HTTP,), feeds=("cdn",))
    state = group(
        ours(A, target="one"), ours(A, target="two", origin="cdn", service=HTTP), targets=("one", "two"), complete=False
    )
    plan = planned(config(one, two), state, qatech=[A, *hosts(30)], cdn=[A])
    assert shown(plan) == [("one", "blocked"), ("two", "in-sync")]
    assert [guards(e) for e in plan.target_changes] == [["max-additions"], []]
    assert plan.changes[0].verdict is Verdict.NEEDS_APPROVAL


def test_a_warning_about_what_leaves_stays_while_nothing_is_written():
    leaving = [ours(n, since=NOW - HOUR) for n in (A, B)]
    plan = planned(config(aws_target()), group(*leaving, ours(C)), qatech=[C])
    assert (shown(plan), plan.changes) == ([("web", "in-sync")], ())
    assert guards(plan.target_changes[0]) == ["max-removals"]


def test_the_worst_verdict_is_that_of_the_work():
    made = config(aws_target(), grace=timedelta(0))
    plan = planned(made, group(*(ours(n) for n in (A, B, C)), Entry(D, HTTPS)), qatech=[D])
    assert guards(plan.target_changes[0]) == ["empty"], "what is refused whole isn't offered for an approval as well"
    assert plan.changes[0].verdict is Verdict.REFUSE


@pytest.mark.parametrize(("limits", "status"), [(LOOSE, Status.CHANGE), ((), Status.BLOCKED)])
def test_a_target_s_own_limits_judge_its_moves_and_one_without_has_the_defaults(limits, status):
    made = config(aws_target(limits=limits))
    assert planned(made, group(ours(A)), qatech=[A, *hosts(30)]).target_changes[0].status is status


@pytest.mark.parametrize(
    ("other", "held_too", "warned"),
    [
        (HTTP, True, ["max-removals"]),  # no longer let in to 443, whatever else it is let in to
        (HTTP, False, ["max-removals"]),
        (Service("tcp", 1, 65535), True, []),
        (Service("tcp", 1, 65535), False, []),
        (Service("all"), True, []),
    ],
)
def test_an_address_that_stays_on_a_wider_port_is_not_lost(other, held_too, warned):
    one, two = aws_target("one"), aws_target("two", services=(other,), feeds=("cdn",))
    held = [ours(n, target="one") for n in (A, B, C, D)]
    more = [ours(n, target="two", origin="cdn", service=other) for n in (A, B, C, D)] if held_too else []
    plan = planned(config(one, two), group(*held, *more, targets=("one", "two")), qatech=[C, D], cdn=[A, B, C, D])
    assert len(plan.target_changes[0].leaving) == 2
    assert guards(plan.target_changes[0]) == warned


@pytest.mark.parametrize(
    ("remove_first", "complete", "used", "kinds"),
    [
        (True, True, 3, ["remove", "add"]),
        (True, True, 2, ["add", "remove"]),
        (False, True, 3, ["add", "remove"]),
        (True, False, 3, ["add", "remove"]),
    ],
)
def test_removing_comes_first_only_where_asked_and_the_group_is_full(remove_first, complete, used, kinds):
    made = config(aws_target(remove_first=remove_first), grace=timedelta(0))
    state = group(ours(A), ours(B), capacity=(Capacity(4, used, 3),), complete=complete)
    (resource_change,) = planned(made, state, qatech=[A, C]).changes
    assert [s.kind for s in resource_change.operations] == kinds


def test_what_waits_is_no_reason_to_remove_first():
    """With all that is wanted the group is full; with what may go now it isn't, so that opens before anything closes."""
    loose = (
        ("qatech", Limits(max_removals=Threshold(999, 100))),
        ("static", Limits(max_additions=Threshold(999, 100))),
    )
    tight = replace(loose[0][1], max_additions=Threshold(0, 0))
    made = config(
        aws_target(remove_first=True, services=(HTTP,), limits=(("qatech", tight), loose[1])), grace=timedelta(0)
    )
    held = [ours(n, service=HTTP) for n in (A, B, C, D)] + [ours(E)]
    state = group(*held, capacity=(Capacity(4, 5, 6),))
    (resource_change,) = planned(made, state, qatech=[A, B, C, F, G]).changes
    assert [(s.kind, len(s.entries)) for s in resource_change.operations] == [("remove", 1), ("add", 2), ("remove", 1)]
    assert [s.kind for s in resource_change.allowed()] == ["remove"]
    two = replace(state, capacity=(Capacity(4, 5, 7),))
    (resource_change,) = planned(made, two, qatech=[A, B, C, F, G]).changes
    assert [s.kind for s in resource_change.operations] == ["add", "remove"]


def test_an_obstacle_stops_a_rule_and_says_what_it_is():
    plan = planned(config(gcp_target()), rule(managed(A), conflict="it is a deny rule"), qatech=[A, B])
    (target_change,) = plan.target_changes
    assert target_change.violations == (Violation("ownership", Verdict.REFUSE, "it is a deny rule"),)
    assert (target_change.status, plan.changes) == (Status.BLOCKED, ())


@pytest.mark.parametrize(("listed", "refused"), [([A], False), ([A, V6], True)])
def test_a_foreign_rule_of_a_name_that_is_needed_stops_the_target(listed, refused):
    theirs = ManagedList("allow-qatech-v6", networks("2600::9"), (("description", "made by hand"),))
    plan = planned(config(gcp_target()), rule(theirs), qatech=listed)
    (target_change,) = plan.target_changes
    assert guards(target_change) == (["ownership"] if refused else [])
    assert bool(plan.changes) is not refused
    assert not refused or "a rule named allow-qatech-v6 exists" in target_change.violations[0].detail


# ── the id ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [None, "ä€", [1, "b", []], {"b": [True], "a": {"d": "", "c": 2}}])
def test_a_digest_is_that_of_the_canonical_form(value):
    assert digest(value) == "sha256:" + hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def identity(made=None, *states: State, now=NOW, listed=(A,), **changes) -> str:
    return planned(made or config(aws_target()), *(states or (group(),)), now=now, qatech=listed, **changes).id


def obstructed(why: str) -> str:
    return identity(config(gcp_target()), rule(managed(A), conflict=why))


def held_with(*foreign: Entry, complete: bool = True) -> str:
    return identity(None, group(ours(A), *foreign, complete=complete))


STRANGER = Entry(D, HTTPS)
COVERED = group(Entry(networks("8.8.8.0/24")[0], HTTPS))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (identity, lambda: identity(replace(config(aws_target()), owner="globex"))),
        (identity, lambda: identity(None, group(name="sg-2"))),
        (identity, lambda: identity(None, group(ours(B)))),
        (identity, lambda: identity(config(aws_target(services=(HTTP,))))),
        (identity, lambda: identity(config(aws_target("other")), group(targets=("other",)))),
        (identity, lambda: identity(config(aws_target(feeds=(), static=(A,))))),
        (lambda: identity(None, COVERED), lambda: identity(None, COVERED, listed=(A, B))),
        (held_with, lambda: held_with(STRANGER)),
        (lambda: obstructed("it is a deny rule"), lambda: obstructed("it is in another network")),
        (
            lambda: identity(config(gcp_target()), rule(managed(A))),
            lambda: identity(config(gcp_target()), rule(managed(A), wanted=())),
        ),
        (
            lambda: identity(config(gcp_target()), rule(managed(A), wanted=())),
            lambda: identity(config(gcp_target()), rule(managed(A), wanted=(("ports", "80/tcp"),))),
        ),
        (
            lambda: identity(None, group(ours(B)), listed=(B, *hosts(30))),
            lambda: identity(config(aws_target(limits=LOOSE)), group(ours(B)), listed=(B, *hosts(30))),
        ),
    ],
)
def test_another_world_or_another_wish_has_another_id(one, other):
    assert one() == one()
    assert one() != other()


def test_the_same_world_has_the_same_id_whenever_it_is_looked_at():
    leaving = group(ours(B))
    assert identity(None, leaving) == identity(None, leaving, now=NOW + 5 * HOUR)
    assert identity(None, leaving) != identity(None, group(ours(B, since=NOW)))


def test_looking_for_foreign_entries_and_finding_none_changes_no_id():
    entries = (ours(A), ours(B), ours(C, since=NOW - HOUR))
    assert identity(None, group(*entries)) == identity(None, group(*entries, complete=False))


def test_foreign_entries_count_only_where_all_of_them_are_known():
    ids = {identity(None, group(ours(B), *more, complete=False)) for more in ((), (STRANGER,))}
    assert len(ids) == 1


@pytest.mark.parametrize("selected", [None, ["web"]])
def test_what_nobody_of_this_config_has_is_no_measure_whoever_is_selected(selected):
    few = (("qatech", Limits(max_additions=Threshold(1, 50))),)
    made = config(aws_target(limits=few), aws_target("more", feeds=("cdn",)))
    wide = networks("8.8.9.0/24", "8.8.9.1", "8.8.9.2")
    held = group(ours(A), ours(wide[0], target="gone"), targets=("web", "more"))
    plan = planned(made, held, qatech=[A, wide[1], wide[2]], cdn=[A], selected=selected)
    web = next(t for t in plan.target_changes if t.target == "web")
    assert web.violations[0].detail.startswith("adds 2 addresses to 1, more than 1: 8.8.9.1/32, 8.8.9.2/32")


@pytest.mark.parametrize("items", [[], [1], [["aws/1/r/sg", [True, "é"]], {"b": 1, "a": None}, "x"]])
def test_a_digest_of_many_values_is_that_of_their_list(items):
    """An approval that was given before must name the same plan."""
    assert digest_of(["acme", [["qatech", "https://x", ""]]], iter(items)) == digest(
        ["acme", [["qatech", "https://x", ""]], items]
    )
