"""The marks of a prefix list's entries: what the description says, what tags say later, and that none is ever lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import NOW, hosts, networks
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.marks import format_time
from ipsync.core.traits import Mark
from ipsync.targets.aws import prefix_list_tags as list_tags
from ipsync.targets.aws.prefix_list_marks import ListEntryMarks, described
from ipsync.targets.aws.prefix_list_tags import Leaf, read, write
from ipsync.targets.packing import Stamp, pack
from ipsync.targets.tag_marks import DESCRIPTION, FEED, SINCE, TARGET

MARKS = ListEntryMarks()
WEB, EDGE, API = ("web", "qatech"), ("edge", "qatech"), ("api", "static")
A, B = networks("8.8.4.4", "8.8.8.8")


def text_of(mark: Mark) -> str:
    return dict(MARKS.note(mark))[DESCRIPTION]


# ── the description ──────────────────────────────────────────────────────────


def test_a_mark_survives_what_ec2_keeps_beside_an_entry():
    mark = Mark("acme", ("web",), "qatech", added=NOW)
    assert text_of(mark) == "ipsync owner=acme target=web feed=qatech added=2026-01-31T09:00:00Z"
    assert MARKS.mark(((DESCRIPTION, text_of(mark)),), owner="acme") == mark
    assert MARKS.mark(((DESCRIPTION, text_of(mark)),), owner="umbrella") is None


def test_the_longest_names_fit_a_description():
    assert len(text_of(Mark("o" * 32, ("t" * 64,), "f" * 64, added=NOW))) <= 255


def test_what_tags_say_wins_over_the_description():
    mark = Mark("acme", ("edge",), "cdn", NOW, NOW - timedelta(days=9))
    was = text_of(Mark("acme", ("web",), "qatech", added=NOW - timedelta(days=9)))
    note = ((DESCRIPTION, was), (FEED, "cdn"), (SINCE, format_time(NOW)), (TARGET, "edge"))
    assert MARKS.mark(note, owner="acme") == mark


def test_what_leaves_since_before_it_was_added_by_a_clock_that_was_ahead_does_leave():
    """Else it would begin anew in each run, and each would write."""
    since = NOW - timedelta(1)
    note = ((DESCRIPTION, text_of(Mark("acme", ("web",), "qatech", added=NOW))), (SINCE, format_time(since)))
    assert MARKS.mark(note, owner="acme").since == since


@pytest.mark.parametrize(
    "text", ["", "by hand", "ipsync", "ipsync target=web", "ipsync owner=acme owner=acme", "Ipsync owner=acme"]
)
def test_what_people_write_is_nobody_s(text):
    assert described(text) is None


# ── the list's tags ──────────────────────────────────────────────────────────


def test_few_addresses_are_written_as_people_do():
    later = NOW + timedelta(hours=1)
    leaves = {A: Leaf(WEB, WEB, NOW), B: Leaf(WEB, WEB, NOW), networks("2600::/32")[0]: Leaf(WEB, WEB, later)}
    assert write("acme", leaves) == {
        "ipsync:acme:leaving:1": "2026-01-31T09:00:00Z 8.8.4.4 8.8.8.8 2026-01-31T10:00:00Z 2600::/32"
    }
    assert write("acme", {A: Leaf(WEB, WEB)}) == {}


def test_a_renamed_target_costs_one_tag_however_many_entries_there_are():
    leaves = {n: Leaf(WEB, EDGE) for n in hosts(1000)}
    assert write("acme", leaves) == {"ipsync:acme:for:1": "edge/qatech/web/qatech"}


def test_as_many_as_a_list_holds_can_all_leave_each_at_its_own_time_and_be_renamed():
    leaves = {n: Leaf(WEB, EDGE, NOW + timedelta(minutes=7 * i)) for i, n in enumerate(hosts(1000))}
    tags = write("acme", leaves)
    assert len(tags) < list_tags.MOST
    said = read(tags, "acme")
    assert {n: said.of(n, WEB) for n in leaves} == leaves


def test_each_owner_s_tags_are_its_own():
    tags = {**write("acme", {A: Leaf(WEB, WEB, NOW)}), "Name": "edge", "ipsync:owner": "acme"}
    assert read(tags, "acme").of(A, WEB).since == NOW
    assert read(tags, "acm").of(A, WEB).since is None


@pytest.mark.parametrize(
    "value", ["", "x", "8.8.4.4 2026", "3A.x", "a/b", "a/b/c/d/e", "3A.!!!..", "2026-99-99T09:00:00Z 8.8.4.4"]
)
def test_what_can_t_be_read_says_nothing(value):
    tags = {"ipsync:acme:leaving:1": value, "ipsync:acme:for:1": value}
    assert read(tags, "acme").of(A, WEB) == Leaf(WEB, WEB)


def test_of_two_times_the_later_holds():
    """A run was killed between setting a tag and taking another away: it stays longer, never shorter."""
    earlier, later = (f"{format_time(at)} 8.8.4.4" for at in (NOW, NOW + timedelta(hours=2)))
    packed, packed_later = (pack({A: Stamp(since=at)}) for at in (NOW, NOW + timedelta(hours=2)))
    for first, second in ((later, earlier), (earlier, packed_later), (later, packed), (packed, packed_later)):
        tags = {"ipsync:acme:leaving:1": first, "ipsync:acme:leaving:2": second}
        assert read(tags, "acme").of(A, WEB).since == NOW + timedelta(hours=2)


LEAVES = st.lists(
    st.builds(
        Leaf,
        st.sampled_from([WEB, EDGE]),
        st.sampled_from([WEB, EDGE, API]),
        st.none() | st.integers(0, 10**7).map(lambda s: NOW + timedelta(seconds=s)),
    ),
    max_size=150,
)


@given(LEAVES)
def test_no_mark_is_ever_lost(made):
    leaves = dict(zip(hosts(len(made)), made, strict=True))
    tags = write("acme", leaves)
    assert all(len(value) <= list_tags.VALUE and len(key) <= 128 for key, value in tags.items())
    said = read(tags, "acme")
    assert {n: said.of(n, leaf.described) for n, leaf in leaves.items()} == leaves
