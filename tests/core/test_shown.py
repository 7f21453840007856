"""What people see of one resource, under which target, and that no write hides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import ENTRIES, GROUP, HTTPS, LISTS, NOW, RULE, entry_note, networks, rule_note

from ipsync.core.diff import Diff
from ipsync.core.judgement import Judgement
from ipsync.core.marking import Marked
from ipsync.core.model import Entry, Held, Leaving, ManagedList, State, Status, Verdict, Violation
from ipsync.core.plan import ResourceChange, TargetChange
from ipsync.core.shown import ListChanges, Mine, accounted, list_changes, shown_target_change
from ipsync.core.traits import Mark

A, B, C, D = networks(*(f"8.8.8.{i}" for i in range(1, 5)))
HOUR = timedelta(hours=1)
SETTINGS = (("network", "default"), ("ports", "443/tcp"))
BLANK = TargetChange("one", "aws-security-group", GROUP, Status.IN_SYNC, held=3)


def marked(network, *targets, by="", since=None, was=None, why="") -> Marked:
    """Return an entry with its new mark; `was` is since when its old one says that it leaves."""
    old = Mark("acme", targets, "qatech", was)
    return Marked(Entry(network, HTTPS, entry_note(old)), replace(old, since=since), by, why)


def group(change: Diff, *targets: str) -> State:
    entries = [m.entry for m in (*change.keep, *change.remark, *change.remove)]
    return State("aws-security-group", GROUP, targets or ("one", "two"), tuple(entries), traits=ENTRIES)


def mine(change: Diff, target: str = "one", **how) -> Mine:
    return Mine(target, how.get("state") or group(change), change, "acme")


def target_change(
    change: Diff,
    *,
    judgement=Judgement(),  # noqa: B008
    lists=None,
    told=(),
    target="one",
    resource_change=True,
) -> TargetChange:
    state = group(change)
    made = (
        ResourceChange(state, change, "acme", "one", held=judgement.held, stops=judgement.stops)
        if resource_change
        else None
    )
    return shown_target_change(BLANK, mine(change, target), judgement, made, lists or ListChanges(), told)


# ── under whom ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "owner"),
    [
        (marked(A, "one"), "one"),
        (marked(A, "two"), "two"),
        (marked(A, "one", by="two"), "two"),
        (marked(A, "two", "one"), "two"),
        (marked(A, "gone", "two"), "two"),
        (marked(A, "two", by="gone"), "two"),
        (marked(A, "gone"), "one"),  # nobody is known for it: the first target's
        (marked(A), "one"),
    ],
)
def test_each_entry_is_shown_under_one_target(item, owner):
    change = Diff(add=(item,), keep=(item,), remark=(item,))
    for target in ("one", "two"):
        managed = mine(change, target)
        assert managed.owns(item) is (target == owner)
        assert managed.entries(change.add) == ((item.entry,) if target == owner else ())
        assert managed.held == (2 if target == owner else 0)


def test_what_leaves_returns_and_is_only_marked_are_three_things():
    leaves, returns = marked(A, "one", since=NOW), marked(B, "one", was=NOW - HOUR)
    renamed, again = marked(C, "one"), marked(D, "one", since=NOW, was=NOW - HOUR)
    change = Diff(remark=(leaves, returns, renamed, again), leaving=((leaves, Leaving(leaves.entry, NOW)),))
    managed = mine(change)
    assert managed.leaving() == (Leaving(leaves.entry, NOW),)
    assert managed.returns() == (returns.entry,)
    assert managed.remarked() == (renamed.entry,)
    other = mine(change, "two")
    assert (other.leaving(), other.returns(), other.remarked()) == ((), (), ())
    made = target_change(change)
    assert (made.status, made.marks) == (Status.CHANGE, ("8.8.8.3/32 443/tcp",))
    assert (made.starts_leaving, made.returns) == ((leaves.entry, again.entry), (returns.entry,))


def test_it_is_said_why_each_entry_that_moves_is_there():
    gone, leaves = marked(A, "one"), marked(B, "one", since=NOW, why="static")
    new, other = marked(C, "one", why="cdn, qatech; also for two"), marked(D, "two")
    change = Diff(
        add=(new, other), remove=(gone,), keep=(marked(D, "one"),), leaving=((leaves, Leaving(leaves.entry, NOW)),)
    )
    told = [(new.entry, "cdn, qatech; also for two"), (gone.entry, "qatech"), (leaves.entry, "static")]
    assert list(target_change(change).sources) == told


# ── how it stands ────────────────────────────────────────────────────────────

ADD, REMOVE = marked(A, "one"), marked(B, "one")
WAITS = Held("change:w", "remove", (REMOVE.entry,), Verdict.NEEDS_APPROVAL)
WORD = Violation("max-removals", Verdict.NEEDS_APPROVAL, "too many", "change:w")
WARNS = Violation("max-removals", Verdict.ALLOW, "too many are leaving")
OWNED, FAMILY = Violation("ownership", Verdict.REFUSE, "a deny rule"), Violation("family", Verdict.ALLOW, "icmp")
FULL = Violation("capacity", Verdict.REFUSE, "full")
HOLDS = Judgement((WORD,), (WAITS,))
EMPTY = Violation("empty", Verdict.REFUSE, "all of them", "change:w")
NEVER = Judgement((EMPTY,), (WAITS,))


@pytest.mark.parametrize(
    ("change", "judgement", "lists", "status", "violations"),
    [
        (Diff(), Judgement((WARNS,)), None, Status.IN_SYNC, ()),
        (Diff(), Judgement((OWNED,), stops=True), None, Status.BLOCKED, (OWNED,)),
        (Diff(), Judgement((FULL,), stops=True), None, Status.IN_SYNC, ()),  # full, and nothing of this target's moves
        (Diff(), Judgement((FAMILY,)), None, Status.IN_SYNC, (FAMILY,)),
        (Diff(add=(ADD,)), Judgement(), None, Status.CHANGE, ()),
        (Diff(add=(ADD,)), Judgement((FULL,), stops=True), None, Status.BLOCKED, (FULL,)),
        (Diff(add=(ADD,)), Judgement((WARNS,)), None, Status.CHANGE, (WARNS,)),
        (Diff(add=(ADD,), remove=(REMOVE,)), HOLDS, None, Status.CHANGE, (WORD,)),
        (Diff(remove=(REMOVE,)), HOLDS, None, Status.BLOCKED, (WORD,)),
        (Diff(add=(ADD,), remove=(REMOVE,)), NEVER, None, Status.CHANGE, (EMPTY,)),  # refused, and the rest goes
        (Diff(remove=(REMOVE,), remark=(ADD,)), HOLDS, None, Status.CHANGE, (WORD,)),
        (Diff(remove=(REMOVE,)), HOLDS, ListChanges(deletes=("x",)), Status.CHANGE, (WORD,)),
        (Diff(), Judgement(), ListChanges(marks=("x",)), Status.CHANGE, ()),
        (Diff(add=(ADD,)), HOLDS, None, Status.CHANGE, ()),  # the held change is another target's
        (Diff(leaving=((REMOVE, Leaving(REMOVE.entry, None)),)), Judgement((WARNS,)), None, Status.IN_SYNC, (WARNS,)),
    ],
)
def test_a_target_stands_as_its_own_part_does(change, judgement, lists, status, violations):
    made = target_change(change, judgement=judgement, lists=lists)
    assert (made.status, made.violations) == (status, violations)
    assert made.waiting == ((WAITS,) if {WORD, EMPTY} & set(violations) else ())
    assert made.held == 3


def test_what_is_told_besides_stands_last():
    told = Violation("settings", Verdict.ALLOW, "stay")
    assert target_change(Diff(add=(ADD,)), judgement=Judgement((WARNS,)), told=[told]).violations == (WARNS, told)


def test_the_neighbour_shows_none_of_it():
    change = Diff(add=(ADD,), remove=(REMOVE,), satisfied=(marked(C, "one"),), remark=(marked(D, "one"),))
    made = target_change(change, judgement=HOLDS, target="two")
    assert made == BLANK


def test_without_writes_nothing_waits_and_nothing_is_marked():
    change = Diff(remove=(REMOVE,), remark=(marked(C, "one"),))
    made = target_change(change, judgement=HOLDS, resource_change=False)
    assert (made.status, made.waiting, made.marks) == (Status.IN_SYNC, (), ())


# ── lists ────────────────────────────────────────────────────────────────────


def managed(*listed, name="allow-qatech", settings=SETTINGS, target="one") -> ManagedList:
    marks = {n: Mark("acme", (target,), "qatech") for n in listed}
    return ManagedList(name, listed, rule_note("acme", marks), settings)


def rule_work(*managed_lists: ManagedList, wanted, settings=SETTINGS) -> ResourceChange:
    entries = tuple(Entry(n, None, p.note, p.name) for p in managed_lists for n in p.networks)
    state = State(
        "gcp-firewall",
        RULE,
        ("one",),
        entries,
        traits=LISTS,
        managed_lists=managed_lists,
        wanted_settings=settings,
        max_ranges=9,
    )
    mark = Mark("acme", ("one",), "qatech")
    return ResourceChange(state, Diff(keep=tuple(Marked(Entry(n), mark) for n in wanted)), "acme", "one")


V6 = networks("2600::1")[0]


def test_lists_say_their_settings_when_they_are_made_or_changed():
    new = (("accounts", ""), ("network", "default"), ("ports", "80/tcp"), ("tags", "web"))
    changes = list_changes(
        rule_work(managed(A, settings=(*SETTINGS, ("x", "1"))), wanted=(A, V6), settings=new).operations
    )
    assert changes.settings == (
        ("allow-qatech-v6", "network", "", "default"),
        ("allow-qatech-v6", "ports", "", "80/tcp"),
        ("allow-qatech-v6", "tags", "", "web"),
        ("allow-qatech", "ports", "443/tcp", "80/tcp"),
        ("allow-qatech", "tags", "", "web"),
        ("allow-qatech", "x", "1", ""),
    )
    assert (changes.deletes, changes.marks) == ((), ())


def test_a_list_that_goes_is_named_without_its_settings():
    changes = list_changes(rule_work(managed(A), managed(V6, name="allow-qatech-v6"), wanted=(A,)).operations)
    assert changes == ListChanges(deletes=("allow-qatech-v6",))


@pytest.mark.parametrize(
    ("was", "wanted", "marks"),
    [
        (managed(A, target="old"), (A,), ("allow-qatech",)),
        (managed(A, target="old"), (A, B), ("allow-qatech",)),  # opened under the old name, and renamed last
        (managed(A), (A, B), ()),
        (managed(A, B), (A,), ()),
        (managed(A), (A,), ()),
        (managed(A, settings=()), (A,), ()),
    ],
)
def test_a_list_that_only_changes_its_description_is_named(was, wanted, marks):
    assert list_changes(rule_work(was, wanted=wanted).operations).marks == marks


def test_a_list_s_marks_are_shown_by_list_and_not_by_range():
    resource_change = rule_work(managed(A, target="old"), wanted=(A,))
    renamed = Marked(resource_change.state.entries[0], Mark("acme", ("one",), "qatech"))
    resource_change = replace(resource_change, change=Diff(remark=(renamed,)))
    shown = shown_target_change(
        BLANK,
        Mine("one", resource_change.state, resource_change.change, "acme"),
        Judgement(),
        resource_change,
        list_changes(resource_change.operations),
        (),
    )
    assert (shown.marks, shown.status) == (("allow-qatech",), Status.CHANGE)


# ── no write hides ───────────────────────────────────────────────────────────


def all_of(change: Diff) -> ResourceChange:
    return ResourceChange(group(change), change, "acme", "one")


RENAMED = replace(marked(V6, "old"), mark=Mark("acme", ("one",), "qatech"))
MOVES = Diff(add=(ADD,), remove=(REMOVE,), remark=(marked(C, "one", since=NOW), marked(D, "one", was=NOW), RENAMED))


def test_a_plan_whose_writes_are_all_shown_is_sound():
    resource_change = all_of(MOVES)
    accounted(resource_change, [target_change(MOVES), target_change(MOVES, target="two")])
    accounted(resource_change, [target_change(MOVES, target="two"), target_change(MOVES)])


@pytest.mark.parametrize(
    "hidden",
    [
        {"add": ()},
        {"remove": ()},
        {"starts_leaving": ()},
        {"returns": ()},
        {"marks": ()},
        {"error": "the feed is down"},
        {"status": Status.ERROR},
    ],
)
def test_a_write_that_no_target_shows_makes_no_plan(hidden):
    shown = replace(target_change(MOVES), **hidden)
    with pytest.raises(ValueError, match=f"{GROUP} is shown under no target"):
        accounted(all_of(MOVES), [shown, target_change(MOVES, target="two")])


@pytest.mark.parametrize(
    ("resource_change", "shown", "hidden"),
    [
        (rule_work(managed(A, target="old"), wanted=(A,)), {"marks": ("allow-qatech",)}, {}),
        (rule_work(managed(A, settings=()), wanted=(A,)), {"settings": (("allow-qatech", "ports", "", "x"),)}, {}),
        (rule_work(managed(A), managed(V6, name="allow-qatech-v6"), wanted=(A,)), {"remove": (Entry(V6),)}, {}),
        (rule_work(managed(A), wanted=(A, B)), {"add": (Entry(B),)}, {"remove": (Entry(B),)}),
    ],
)
def test_a_list_s_write_is_shown_by_its_ranges_or_its_name(resource_change, shown, hidden):
    accounted(resource_change, [replace(BLANK, **shown)])
    with pytest.raises(ValueError, match="is shown under no target"):
        accounted(resource_change, [replace(BLANK, **hidden)])
    with pytest.raises(ValueError, match="is shown under no target"):
        accounted(resource_change, [])


@pytest.mark.parametrize("status", [Status.CHANGE, Status.BLOCKED, Status.IN_SYNC])
def test_what_waits_is_shown_as_well(status):
    accounted(all_of(Diff(add=(ADD,))), [replace(BLANK, status=status, add=(ADD.entry,))])
