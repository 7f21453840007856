"""Lists: together they hold exactly what is wanted, one family each, never too many, and nothing moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import LISTS, NOW, hosts, networks, rule_note
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync.core.marks import mark_of
from ipsync.core.model import Entry, ManagedList, State
from ipsync.core.placement import Replacement, belongs, replacements, without_service
from ipsync.core.traits import Mark

MARK = Mark("acme", ("web",), "qatech")
POOL = [*hosts(30), *networks(*(f"2600::{i:x}" for i in range(1, 31)))]
SETTINGS = (("ports", "443/tcp"),)


def state(*managed_lists: ManagedList, room: int = 4) -> State:
    return State(
        "gcp-firewall",
        "gcp/acme/allow",
        ("web",),
        traits=LISTS,
        managed_lists=managed_lists,
        wanted_settings=SETTINGS,
        max_ranges=room,
    )


def carried_out(before: State, changes: list[Replacement]) -> State:
    managed_lists = {p.name: p for p in before.managed_lists}
    for change in changes:
        managed_lists.pop((change.was or change.want).name, None)
        if change.want:
            managed_lists[change.want.name] = change.want
    return state(*managed_lists.values(), room=before.max_ranges)


wishes = st.lists(st.sampled_from(POOL), unique=True, max_size=40)


@given(st.lists(wishes, min_size=1, max_size=5), st.integers(1, 8))
def test_lists_hold_exactly_what_is_wanted_and_nothing_moves(history, room):
    now = state(room=room)
    for wish in history:
        before = {n: p.name for p in now.managed_lists for n in p.networks}
        now = carried_out(now, replacements(now, dict.fromkeys(wish, MARK), owner="acme"))
        where = {n: p.name for p in now.managed_lists for n in p.networks}
        assert set(where) == set(wish)
        assert sum(len(p.networks) for p in now.managed_lists) == len(wish)
        assert all(1 <= len(p.networks) <= room for p in now.managed_lists)
        assert all(len({n.version for n in p.networks}) == 1 for p in now.managed_lists)
        assert all(("-v6" in p.name) == (p.networks[0].version == 6) for p in now.managed_lists)
        assert all(where[n] == name for n, name in before.items() if n in where)
        assert replacements(now, dict.fromkeys(wish, MARK), owner="acme") == []


def test_a_foreign_list_is_stepped_around_and_never_changed():
    theirs = ManagedList("allow-2", networks("9.9.9.9"), (("description", "by hand"),))
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
    ours = ManagedList("allow", listed, rule_note("acme", {listed[0]: MARK}), (("ports", "80/tcp"),))
    (change,) = replacements(state(ours), {listed[0]: MARK}, owner="acme")
    assert change.want.settings == SETTINGS
    marked = ManagedList("allow", listed, ours.note, SETTINGS)
    (change,) = replacements(state(marked), {listed[0]: Mark("acme", ("web",), "qatech", NOW)}, owner="acme")
    assert change.want.networks == listed
    assert replacements(state(marked), {listed[0]: MARK}, owner="acme") == []


@given(st.text(max_size=400), st.booleans())
def test_no_description_of_a_rule_of_ours_crashes_or_moves_anything(text, whole):
    listed = networks("8.8.8.8", "9.9.9.9")
    description = ("ipsync owner=acme " + text)[:2048] if not whole else text
    held = ManagedList("allow", listed, (("description", description),), SETTINGS)
    for change in replacements(state(held), dict.fromkeys(listed, MARK), owner="acme"):
        assert change.want is not None
        assert change.want.networks == listed or change.was is None


def test_a_name_that_somebody_else_holds_is_stepped_over():
    now = replace(state(room=1), taken=("allow-2", "allow-v6-2", "allow-v6-3"))
    wanted = dict.fromkeys([*hosts(3), *POOL[-2:]], MARK)
    made = {c.want.name for c in replacements(now, wanted, owner="acme")}
    assert made == {"allow", "allow-3", "allow-4", "allow-v6", "allow-v6-4"}


# ── descriptions that are full ───────────────────────────────────────────────

LEAVING = {n: Mark("acme", ("web",), "qatech", NOW + timedelta(minutes=15 * i)) for i, n in enumerate(hosts(1000))}


def test_a_list_takes_no_more_than_its_description_can_tell_of():
    changes = replacements(state(room=5000), dict.fromkeys(hosts(1000), MARK), owner="acme")
    sizes = [len(c.want.networks) for c in changes]
    assert sum(sizes) == 1000
    assert 256 <= max(sizes) < 300
    assert len(sizes) == 4
    full = state(*(c.want for c in changes), room=5000)
    left = replacements(full, LEAVING, owner="acme")
    assert [(c.was.name, c.want.networks) for c in left] == [(c.want.name, c.want.networks) for c in changes], (
        "none moves"
    )
    assert marks_of(carried_out(full, left)) == LEAVING


def marks_of(now: State) -> dict[object, Mark | None]:
    return {
        n: mark_of(Entry(n, note=p.note), owner="acme", traits=LISTS) for p in now.managed_lists for n in p.networks
    }


def test_a_list_that_an_older_version_filled_stays_as_it_is_while_its_marks_fit():
    held = ManagedList("allow", hosts(1000), rule_note("acme", dict.fromkeys(hosts(1000), MARK)), SETTINGS)
    now = state(held, room=5000)
    assert replacements(now, dict.fromkeys(hosts(1000), MARK), owner="acme") == []
    few = dict.fromkeys(hosts(1000), MARK) | dict(list(LEAVING.items())[:200])
    (change,) = replacements(now, few, owner="acme")
    assert change.want.networks == held.networks
    (more,) = replacements(now, dict.fromkeys(hosts(1001), MARK), owner="acme")
    assert (more.was, more.want.networks) == (None, hosts(1, first=1000))


def test_what_its_description_cant_tell_of_any_more_moves_and_is_let_in_elsewhere_first():
    held = ManagedList("allow", hosts(1000), rule_note("acme", dict.fromkeys(hosts(1000), MARK)), SETTINGS)
    now = state(held, room=5000)
    changes = {c.want.name: c for c in replacements(now, LEAVING, owner="acme")}
    stays = set(changes["allow"].want.networks)
    assert 256 <= len(stays) < 300
    assert {n for name, c in changes.items() if name != "allow" for n in c.want.networks} == set(hosts(1000)) - stays
    assert all(c.was is None for name, c in changes.items() if name != "allow"), "so that they can all be made first"
    after = carried_out(now, list(changes.values()))
    assert marks_of(after) == LEAVING
    assert replacements(after, LEAVING, owner="acme") == []
    killed = carried_out(now, [changes["allow-2"]])
    again = replacements(killed, LEAVING, owner="acme")
    assert "allow-2" not in {c.want.name for c in again}
    assert marks_of(carried_out(killed, again)) == LEAVING


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 300)), min_size=1, max_size=3))
def test_no_mark_is_ever_lost_and_a_second_run_writes_nothing(history):
    now = state(room=5000)
    for size, leaving, days in history:
        wish = dict.fromkeys(hosts(size), MARK)
        times = [NOW + timedelta(days=days) * i / max(leaving, 1) for i in range(leaving)]
        wish |= {n: replace(MARK, since=t.replace(microsecond=0)) for n, t in zip(hosts(leaving), times, strict=True)}
        now = carried_out(now, replacements(now, wish, owner="acme"))
        assert marks_of(now) == wish
        assert replacements(now, wish, owner="acme") == []


# ── services that one family has ─────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "four", "six"),
    [
        ("443/tcp,icmp", "443/tcp,icmp", "443/tcp"),
        ("443/tcp,icmpv6", "443/tcp", "443/tcp,icmpv6"),
        ("443/tcp,icmp,icmpv6", "443/tcp,icmp", "443/tcp,icmpv6"),
        ("all", "all", "all"),
        ("1,58,6", "1,6", "58,6"),
    ],
)
def test_a_service_goes_with_the_family_that_it_suits(asked, four, six):
    now = replace(state(), wanted_settings=(("ports", asked), ("priority", "5")))
    wish = dict.fromkeys([POOL[0], POOL[-1]], MARK)
    changes = replacements(now, wish, owner="acme")
    assert {c.want.name: dict(c.want.settings)["ports"] for c in changes} == {"allow": four, "allow-v6": six}
    after = replace(now, managed_lists=tuple(c.want for c in changes))
    assert replacements(after, wish, owner="acme") == []


def test_a_family_without_any_service_gets_no_list_and_loses_the_one_it_had():
    now = replace(state(), wanted_settings=(("ports", "icmp"),))
    wish = dict.fromkeys([POOL[0], POOL[-1]], MARK)
    (change,) = replacements(now, wish, owner="acme")
    assert (change.want.name, without_service(now)) == ("allow", {6})
    old = ManagedList("allow-v6", (POOL[-1],), rule_note("acme", {POOL[-1]: MARK}), SETTINGS)
    changes = replacements(replace(now, managed_lists=(old,)), wish, owner="acme")
    assert [(c.was, c.want.name if c.want else None) for c in changes] == [(None, "allow"), (old, None)]
    assert without_service(replace(now, wanted_settings=())) == frozenset()


# ── what comes and what goes are there together for a moment ─────────────────


@given(st.lists(wishes, min_size=2, max_size=5), st.integers(1, 8))
def test_a_list_has_room_for_what_comes_beside_what_goes(history, room):
    """Else the list that opens first, and closes then, would hold more than Google takes, or than fits its marks."""
    now = state(room=room)
    for wish in history:
        changes = replacements(now, dict.fromkeys(wish, MARK), owner="acme")
        both = [set(c.was.networks) | set(c.want.networks) for c in changes if c.was and c.want]
        assert all(len(networks) <= room for networks in both)
        now = carried_out(now, changes)
