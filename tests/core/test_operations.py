"""The writes: in which order, and with texts that say whether each of them was carried out."""

from __future__ import annotations

from datetime import timedelta

from factory import ENTRIES, GROUP, HTTPS, LISTS, NOW, entry_note, networks, rule_note

from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.diff import Diff
from ipsync.core.marking import Marked
from ipsync.core.model import Entry, ManagedList, State
from ipsync.core.operations import closes, list_contents, opens, operations, owned_contents, owned_texts
from ipsync.core.traits import Mark

A, B, C = networks("8.8.8.1", "8.8.8.2", "8.8.8.3")
EARLIER = NOW - timedelta(hours=1)
WEB, OPS = Mark("acme", ("web",), "qatech"), Mark("acme", ("ops",), "uptime")
LEAVES = Mark("acme", ("web",), "qatech", EARLIER)
A_WEB, A_OPS = "8.8.8.1/32 443/tcp for web from qatech", "8.8.8.1/32 443/tcp for ops from uptime"
SETTINGS = (("ports", "443/tcp"),)
GONE = " leaving since 2026-01-31T08:00:00Z"


def group(*marked: tuple[Entry, Mark]) -> State:
    entries = tuple(Entry(e.network, e.service, entry_note(mark)) for e, mark in marked)
    return State("aws-security-group", GROUP, ("web", "ops"), entries, traits=ENTRIES)


def told(state: State, change: Diff, **how) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    made = operations(state, change, owner="acme", **how)
    return [(s.kind, tuple(s.before.texts()), tuple(s.after.texts())) for s in made]


def test_a_write_that_only_changes_whose_an_entry_is_says_so():
    entry = Entry(A, HTTPS)
    change = Diff(remark=(Marked(entry, OPS),))
    assert told(group((entry, WEB)), change) == [("tag", (A_WEB,), (A_OPS,))]


def test_between_two_calls_for_one_entry_stands_neither_mark():
    entry = Entry(A, HTTPS)
    change = Diff(remark=(Marked(entry, OPS),))
    assert told(group((entry, LEAVES)), change) == [
        ("tag", (A_WEB + GONE,), (A_OPS + GONE,)),
        ("untag", (A_OPS + GONE,), (A_OPS,)),
    ]


def test_a_call_promises_no_more_than_it_does_though_another_for_the_same_entry_follows():
    back, moved = Entry(A, HTTPS), Entry(B, HTTPS)
    state = group((back, LEAVES), (moved, LEAVES))
    change = Diff(remark=(Marked(back, WEB), Marked(moved, OPS)))
    b_web, b_ops = A_WEB.replace("8.8.8.1", "8.8.8.2"), A_OPS.replace("8.8.8.1", "8.8.8.2")
    assert told(state, change) == [
        ("untag", (A_WEB + GONE, b_web + GONE), (A_WEB, b_web)),
        ("tag", (A_WEB, b_web), (A_WEB, b_ops)),
    ]


def test_doors_open_first_and_close_last_unless_the_quota_asks_otherwise():
    old, kept, new = Entry(A, HTTPS), Entry(B, HTTPS), Entry(C, HTTPS)
    state = group((old, LEAVES), (kept, WEB))
    change = Diff(add=(Marked(new, WEB),), remark=(Marked(kept, LEAVES),), remove=(Marked(old, LEAVES),))
    assert [kind for kind, *_ in told(state, change)] == ["add", "tag", "remove"]
    assert [kind for kind, *_ in told(state, change, removals_first={4: 1})] == ["remove", "add", "tag"]


def test_no_more_is_removed_first_than_makes_room_and_only_of_the_family_that_is_full():
    sixth, seventh = networks("2600::1", "2600::2")
    olds = [Entry(n, HTTPS) for n in (A, B, sixth)]
    state = group(*((e, LEAVES) for e in olds))
    change = Diff(
        add=tuple(Marked(Entry(n, HTTPS), WEB) for n in (C, seventh)), remove=tuple(Marked(e, LEAVES) for e in olds)
    )
    made = operations(state, change, owner="acme", removals_first={4: 1})
    moved = [(s.kind, [e.network for e in s.entries]) for s in made]
    assert moved == [("remove", [A]), ("add", [C, seventh]), ("remove", [B, sixth])]


def test_each_write_begins_where_the_one_before_ended():
    old, kept, new = Entry(A, HTTPS), Entry(B, HTTPS), Entry(C, HTTPS)
    state = group((old, LEAVES), (kept, LEAVES))
    change = Diff(add=(Marked(new, WEB),), remark=(Marked(kept, OPS),), remove=(Marked(old, LEAVES),))
    made = told(state, change)
    assert made[0][1] == owned_texts(state, owner="acme") == tuple(owned_contents(state, owner="acme").texts())
    assert [before for _, before, _ in made[1:]] == [after for _, _, after in made[:-1]]
    assert made[-1][2] == ("8.8.8.2/32 443/tcp for ops from uptime", "8.8.8.3/32 443/tcp for web from qatech")


def test_a_batch_is_as_large_as_a_call_may_be():
    new = tuple(Marked(Entry(n, HTTPS), WEB) for n in (A, B, C))
    state = State("aws-security-group", GROUP, ("web",), batch=2, traits=ENTRIES)
    assert [len(s.entries) for s in operations(state, Diff(add=new), owner="acme")] == [2, 1]


def test_what_one_call_tags_is_tagged_alike():
    change = Diff(add=(Marked(Entry(A, HTTPS), WEB), Marked(Entry(B, HTTPS), OPS), Marked(Entry(C, HTTPS), WEB)))
    made = operations(group(), change, owner="acme")
    assert [[(e.network) for e in s.entries] for s in made] == [[A, C], [B]]


def test_only_the_tags_that_change_are_written():
    entry = Entry(A, HTTPS)
    (operation,) = operations(group((entry, WEB)), Diff(remark=(Marked(entry, LEAVES),)), owner="acme")
    assert [e.note for e in operation.entries] == [(("ipsync:leaving-since", "2026-01-31T08:00:00Z"),)]
    (operation,) = operations(group((entry, WEB)), Diff(remark=(Marked(entry, OPS),)), owner="acme")
    assert [e.note for e in operation.entries] == [(("ipsync:feed", "uptime"), ("ipsync:target", "ops"))]


def listed(*networks, name="allow", mark=WEB) -> ManagedList:
    return ManagedList(name, networks, rule_note("acme", dict.fromkeys(networks, mark)), SETTINGS)


def rule(*managed_lists: ManagedList, room: int = 2) -> State:
    entries = tuple(Entry(n, None, p.note, p.name) for p in managed_lists for n in p.networks)
    return State(
        "gcp-firewall",
        "gcp/acme/allow",
        ("web",),
        entries,
        traits=LISTS,
        managed_lists=managed_lists,
        wanted_settings=SETTINGS,
        max_ranges=room,
    )


def whole(*networks, mark=WEB) -> Diff:
    return Diff(keep=tuple(Marked(Entry(n), mark) for n in networks))


def writes(state: State, *wanted) -> list[tuple[str, str]]:
    return [(s.kind, s.resource.rpartition("/")[2]) for s in operations(state, whole(*wanted), owner="acme")]


def test_lists_open_first_then_close_then_go():
    d, six, seven = networks("8.8.8.4", "2600::6", "2600::7")
    state = rule(listed(A), listed(B, name="allow-2"), listed(C, d, name="allow-3"))
    made = writes(state, A, C, six)
    assert made == [("create", "allow-v6"), ("replace", "allow-3"), ("delete", "allow-2")]
    state = rule(listed(A, B), listed(six, name="allow-v6"))
    assert writes(state, A, six, seven) == [("replace", "allow-v6"), ("replace", "allow")]


def test_a_list_s_write_says_what_stood_there_and_what_will():
    (operation,) = operations(rule(listed(A, B)), whole(A), owner="acme")
    assert (operation.kind, operation.managed, operation.was) == ("replace", listed(A), listed(A, B))
    first, second = (OwnedEntry(f"8.8.8.{n}/32", None, "acme", ("web",), "qatech") for n in (1, 2))
    assert operation.before == Contents((first, second), (("ports", "443/tcp"),))
    assert operation.after == Contents((first,), (("ports", "443/tcp"),))
    (operation,) = operations(rule(), whole(A), owner="acme")
    assert (operation.kind, operation.before) == ("create", Contents())


def test_what_a_write_to_a_group_opens_and_closes():
    old, kept, new = Entry(A, HTTPS), Entry(B, HTTPS), Entry(C, HTTPS)
    state = group((old, LEAVES), (kept, WEB))
    change = Diff(add=(Marked(new, WEB),), remark=(Marked(kept, LEAVES),), remove=(Marked(old, LEAVES),))
    made = [(s.kind, opens(s), closes(s)) for s in operations(state, change, owner="acme")]
    assert made == [("add", {new}, set()), ("tag", set(), set()), ("remove", set(), {old})]


def test_what_a_write_to_a_list_opens_and_closes():
    state = rule(listed(A, B), listed(C, name="allow-2"), room=3)
    d = networks("8.8.8.4")[0]
    made = [(s.kind, opens(s), closes(s)) for s in operations(state, whole(A, d), owner="acme")]
    assert made == [
        ("replace", {Entry(d)}, set()),
        ("replace", set(), {Entry(B)}),
        ("delete", set(), {Entry(C)}),
    ]
    (operation,) = operations(rule(), whole(A), owner="acme")
    assert (operation.kind, opens(operation), closes(operation)) == ("create", {Entry(A)}, set())


def test_all_of_an_owner_s_lists_are_told_and_no_others():
    theirs = ManagedList("allow-2", (C,), (("description", "by hand"),), SETTINGS)
    both = listed(A, mark=Mark("acme", ("ops", "web"), "qatech"))
    assert owned_texts(rule(both, theirs), owner="acme") == (
        "rule allow",
        "ports 443/tcp",
        "8.8.8.1/32 for ops,web from qatech",
    )


def test_a_list_says_of_each_range_whose_it_is_and_since_when_it_leaves():
    note = rule_note("acme", {A: LEAVES, B: WEB, C: Mark("acme", ("web",), "static")})
    held = list_contents(ManagedList("allow", (A, B, C), note, SETTINGS), owner="acme", traits=LISTS)
    assert held.texts() == [
        "ports 443/tcp",
        f"8.8.8.1/32 for web from qatech{GONE}",
        "8.8.8.2/32 for web from qatech",
        "8.8.8.3/32 for web from static",
    ]
    assert list_contents(None, owner="acme", traits=LISTS) == Contents()


def test_a_setting_that_is_not_set_has_no_text():
    managed = ManagedList("allow", (), (), (("ports", "443/tcp"), ("target_tags", "")))
    assert list_contents(managed, owner="acme", traits=LISTS) == Contents((), (("ports", "443/tcp"),))


def test_an_entry_whose_tags_were_half_lost_has_a_text_all_the_same():
    entry = Entry(A, HTTPS, (("ipsync:owner", "acme"),))
    state = State("aws-security-group", GROUP, ("web",), (entry,), traits=ENTRIES)
    assert owned_texts(state, owner="acme") == ("8.8.8.1/32 443/tcp for ? from ?",)
    assert told(state, Diff(remark=(Marked(Entry(A, HTTPS), WEB),))) == [
        ("tag", ("8.8.8.1/32 443/tcp for ? from ?",), (A_WEB,))
    ]
