"""The writes: in which order, and with texts that say whether each of them was carried out."""

from __future__ import annotations

from datetime import timedelta

from factory import GROUP, HTTPS, NOW, networks

from ipsync.diff import Diff, Marked
from ipsync.model import Entry, Part, State
from ipsync.ownership import Mark, entry_note, rule_note
from ipsync.steps import observed, part_texts, steps

A, B, C = networks("8.8.8.1", "8.8.8.2", "8.8.8.3")
EARLIER = NOW - timedelta(hours=1)
WEB, OPS = Mark("acme", ("web",), "qatech"), Mark("acme", ("ops",), "uptime")
LEAVES = Mark("acme", ("web",), "qatech", EARLIER)
A_WEB, A_OPS = "8.8.8.1/32 443/tcp for web from qatech", "8.8.8.1/32 443/tcp for ops from uptime"
GONE = " leaving since 2026-01-31T08:00:00Z"


def group(*marked: tuple[Entry, Mark]) -> State:
    entries = tuple(Entry(e.network, e.service, entry_note(mark)) for e, mark in marked)
    return State("aws-security-group", GROUP, ("web", "ops"), entries)


def told(state: State, change: Diff, **how: bool) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(s.kind, s.before, s.after) for s in steps(state, change, owner="acme", **how)]


def test_a_write_that_only_changes_whose_an_entry_is_says_so():
    entry = Entry(A, HTTPS)
    change = Diff(remark=(Marked(entry, OPS),))
    assert told(group((entry, WEB)), change) == [("note", (A_WEB,), (A_OPS,))]


def test_between_two_calls_for_one_entry_stands_neither_mark():
    entry = Entry(A, HTTPS)
    change = Diff(remark=(Marked(entry, OPS),))
    assert told(group((entry, LEAVES)), change) == [
        ("note", (A_WEB + GONE,), (A_OPS + GONE,)),
        ("unnote", (A_OPS + GONE,), (A_OPS,)),
    ]


def test_doors_open_first_and_close_last_unless_the_quota_asks_otherwise():
    old, kept, new = Entry(A, HTTPS), Entry(B, HTTPS), Entry(C, HTTPS)
    state = group((old, LEAVES), (kept, WEB))
    change = Diff(add=(Marked(new, WEB),), remark=(Marked(kept, LEAVES),), remove=(Marked(old, LEAVES),))
    assert [kind for kind, *_ in told(state, change)] == ["add", "note", "remove"]
    assert [kind for kind, *_ in told(state, change, remove_first=True)] == ["remove", "note", "add"]


def test_each_write_begins_where_the_one_before_ended():
    old, kept, new = Entry(A, HTTPS), Entry(B, HTTPS), Entry(C, HTTPS)
    state = group((old, LEAVES), (kept, LEAVES))
    change = Diff(add=(Marked(new, WEB),), remark=(Marked(kept, OPS),), remove=(Marked(old, LEAVES),))
    made = told(state, change)
    assert made[0][1] == observed(state, owner="acme")
    assert [before for _, before, _ in made[1:]] == [after for _, _, after in made[:-1]]
    assert made[-1][2] == ("8.8.8.2/32 443/tcp for ops from uptime", "8.8.8.3/32 443/tcp for web from qatech")


def test_a_batch_is_as_large_as_a_call_may_be():
    new = tuple(Marked(Entry(n, HTTPS), WEB) for n in (A, B, C))
    state = State("aws-security-group", GROUP, ("web",), batch=2)
    assert [len(s.entries) for s in steps(state, Diff(add=new), owner="acme")] == [2, 1]


def test_a_list_says_of_each_range_whose_it_is_and_since_when_it_leaves():
    note = rule_note("acme", {A: LEAVES, B: WEB, C: Mark("acme", ("web",), "static")})
    texts = part_texts(Part("allow", (A, B, C), note, (("ports", "443/tcp"),)), owner="acme")
    assert texts == (
        "ports 443/tcp",
        f"8.8.8.1/32 for web from qatech{GONE}",
        "8.8.8.2/32 for web from qatech",
        "8.8.8.3/32 for web from static",
    )
    assert part_texts(None, owner="acme") == ()


def test_an_entry_whose_tags_were_half_lost_has_a_text_all_the_same():
    entry = Entry(A, HTTPS, (("ipsync:owner", "acme"),))
    state = State("aws-security-group", GROUP, ("web",), (entry,))
    assert observed(state, owner="acme") == ("8.8.8.1/32 443/tcp for ? from ?",)
    assert told(state, Diff(remark=(Marked(Entry(A, HTTPS), WEB),))) == [
        ("note", ("8.8.8.1/32 443/tcp for ? from ?",), (A_WEB,))
    ]
