"""Lists: together they hold exactly what is wanted, one family each, never too many, and nothing moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import NOW, hosts, networks
from hypothesis import given
from hypothesis import strategies as st

from ipsync.layout import Replacement, belongs, replacements
from ipsync.model import Part, State
from ipsync.ownership import Mark, rule_note

MARK = Mark("acme", ("web",), "qatech")
POOL = [*hosts(30), *networks(*(f"2600::{i:x}" for i in range(1, 31)))]
SETTINGS = (("ports", "443/tcp"),)


def state(*parts: Part, room: int = 4) -> State:
    return State(
        "gcp-firewall", "gcp/acme/allow", ("web",), listed=True, parts=parts, wanted_settings=SETTINGS, max_ranges=room
    )


def carried_out(before: State, changes: list[Replacement]) -> State:
    parts = {p.name: p for p in before.parts}
    for change in changes:
        parts.pop((change.was or change.want).name, None)
        if change.want:
            parts[change.want.name] = change.want
    return state(*parts.values(), room=before.max_ranges)


wishes = st.lists(st.sampled_from(POOL), unique=True, max_size=40)


@given(st.lists(wishes, min_size=1, max_size=5), st.integers(1, 8))
def test_lists_hold_exactly_what_is_wanted_and_nothing_moves(history, room):
    now = state(room=room)
    for wish in history:
        before = {n: p.name for p in now.parts for n in p.networks}
        now = carried_out(now, replacements(now, dict.fromkeys(wish, MARK), owner="acme"))
        where = {n: p.name for p in now.parts for n in p.networks}
        assert set(where) == set(wish)
        assert sum(len(p.networks) for p in now.parts) == len(wish)
        assert all(1 <= len(p.networks) <= room for p in now.parts)
        assert all(len({n.version for n in p.networks}) == 1 for p in now.parts)
        assert all(("-v6" in p.name) == (p.networks[0].version == 6) for p in now.parts)
        assert all(where[n] == name for n, name in before.items() if n in where)
        assert replacements(now, dict.fromkeys(wish, MARK), owner="acme") == []


def test_a_foreign_list_is_stepped_around_and_never_changed():
    theirs = Part("allow-2", networks("9.9.9.9"), (("description", "by hand"),))
    changes = replacements(state(theirs, room=1), dict.fromkeys(hosts(3), MARK), owner="acme")
    assert [c.want.name for c in changes] == ["allow", "allow-3", "allow-4"]


def test_lists_change_in_the_order_of_their_numbers():
    changes = replacements(state(room=1), dict.fromkeys([*hosts(11), *POOL[-2:]], MARK), owner="acme")
    numbered = [f"allow-{i}" for i in range(2, 12)]
    assert sorted(c.want.name for c in changes) == sorted(["allow", *numbered, "allow-v6", "allow-v6-2"])
    assert [c.want.name for c in changes if "v6" not in c.want.name] == ["allow", *numbered]


@pytest.mark.parametrize(
    ("name", "mine"),
    [("allow", 1), ("allow-v6", 1), ("allow-2", 1), ("allow-v6-12", 1), ("allow-web", 0), ("allow-", 0), ("allo", 0)],
)
def test_names_that_a_rule_may_have(name, mine):
    assert belongs(name, "allow") == bool(mine)


def test_settings_and_marks_alone_are_a_reason_to_write():
    listed = networks("8.8.8.8")
    ours = Part("allow", listed, rule_note("acme", {listed[0]: MARK}), (("ports", "80/tcp"),))
    (change,) = replacements(state(ours), {listed[0]: MARK}, owner="acme")
    assert change.want.settings == SETTINGS
    marked = Part("allow", listed, ours.note, SETTINGS)
    (change,) = replacements(state(marked), {listed[0]: Mark("acme", ("web",), "qatech", NOW)}, owner="acme")
    assert change.want.networks == listed
    assert replacements(state(marked), {listed[0]: MARK}, owner="acme") == []


@given(st.text(max_size=400), st.booleans())
def test_no_description_of_a_rule_of_ours_crashes_or_moves_anything(text, whole):
    listed = networks("8.8.8.8", "9.9.9.9")
    description = ("ipsync owner=acme " + text)[:2048] if not whole else text
    held = Part("allow", listed, (("description", description),), SETTINGS)
    for change in replacements(state(held), dict.fromkeys(listed, MARK), owner="acme"):
        assert change.want is not None
        assert change.want.networks == listed or change.was is None


def test_a_name_that_somebody_else_holds_is_stepped_over():
    now = replace(state(room=1), taken=("allow-2", "allow-v6-2", "allow-v6-3"))
    wanted = dict.fromkeys([*hosts(3), *POOL[-2:]], MARK)
    made = {c.want.name for c in replacements(now, wanted, owner="acme")}
    assert made == {"allow", "allow-3", "allow-4", "allow-v6", "allow-v6-4"}
