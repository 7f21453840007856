"""Marks: written and read back alike, and authorising nothing that isn't theirs."""

from __future__ import annotations

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from factory import ENTRIES, LISTS, NOW, entry_note, hosts, networks, rule_note
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.errors import UsageError
from ipsync.core.marks import (
    STATIC,
    format_time,
    mark_of,
    parse_time,
)
from ipsync.core.model import Entry
from ipsync.core.traits import Mark
from ipsync.targets.gcp.marks import DESCRIPTION, DESCRIPTION_LIMIT
from ipsync.targets.tag_marks import FEED, OWNER, SINCE, TARGET

A, B, C = networks("1.1.1.1", "8.8.8.8", "2600::1")
names = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
moments = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda t: t.replace(microsecond=0)
)


def is_ours(note, *, owner: str) -> bool:
    return LISTS.list_marks.targets(note, owner=owner) is not None


@given(owner=names, target=names, origin=names, since=moments)
def test_tags_read_back_as_they_were_written(owner, target, origin, since):
    mark = Mark(owner, (target,), origin, since)
    assert mark_of(Entry(A, note=entry_note(mark)), owner=owner, traits=ENTRIES) == mark


def test_only_tags_authorise_an_aws_rule_whatever_its_description_says():
    forged = rule_note("acme", {A: Mark("acme", ("web",), "qatech")})
    assert mark_of(Entry(A, note=forged), owner="acme", traits=ENTRIES) is None
    mark = Mark("acme", ("web",), "qatech")
    edited = tuple(sorted({**dict(entry_note(mark)), DESCRIPTION: "edited by hand"}.items()))
    assert mark_of(Entry(A, note=edited), owner="acme", traits=ENTRIES) == mark


def test_another_owner_and_none_are_not_ours():
    note = entry_note(Mark("other", ("web",), "qatech"))
    assert mark_of(Entry(A, note=note), owner="acme", traits=ENTRIES) is None
    assert mark_of(Entry(A), owner="acme", traits=ENTRIES) is None
    assert mark_of(Entry(A), owner="acme", traits=LISTS) is None
    assert not is_ours((), owner="acme")
    assert not is_ours(rule_note("other", {}), owner="acme")
    assert not is_ours(((DESCRIPTION, "ipsync target=web"),), owner="acme")
    assert not is_ours(((DESCRIPTION, "made by hand owner=acme"),), owner="acme")


def test_tags_are_the_contract_s():
    note = dict(entry_note(Mark("acme", ("web",), "qatech", NOW)))
    assert note == {
        OWNER: "acme",
        FEED: "qatech",
        TARGET: "web",
        SINCE: "2026-01-31T09:00:00Z",
        DESCRIPTION: "ipsync acme: qatech for web",
    }


def test_a_description_reads_well_and_back():
    marks = {
        A: Mark("acme", ("web",), "qatech", NOW),
        B: Mark("acme", ("web",), STATIC),
        C: Mark("acme", ("web",), "qatech", NOW + timedelta(hours=1)),
    }
    note = rule_note("acme", marks)
    assert dict(note)[DESCRIPTION] == (
        "ipsync owner=acme target=web feed=qatech static=8.8.8.8 "
        "leaving=1.1.1.1@2026-01-31T09:00:00Z;2600::1@2026-01-31T10:00:00Z"
    )
    assert {n: mark_of(Entry(n, note=note), owner="acme", traits=LISTS) for n in marks} == marks


@given(st.integers(0, 256), st.integers(0, 256), st.integers(1, 4))
def test_a_full_rule_s_marks_always_fit(leaving, static, times):
    listed = hosts(256)
    marks = {n: Mark("acme", ("web",), "qatech") for n in listed}
    marks |= {n: Mark("acme", ("web",), STATIC) for n in listed[: min(static, 256 - leaving)]}
    for i, network in enumerate(listed[256 - leaving :]):
        marks[network] = Mark("acme", ("web",), "qatech", NOW + timedelta(hours=i % times))
    note = rule_note("acme", marks)
    assert len(dict(note)[DESCRIPTION]) <= DESCRIPTION_LIMIT
    if static + leaving <= 256:
        assert {n: mark_of(Entry(n, note=note), owner="acme", traits=LISTS) for n in marks} == marks


@given(st.text(max_size=300))
def test_no_description_crashes(text):
    mark_of(Entry(A, note=((DESCRIPTION, text),)), owner="acme", traits=LISTS)
    mark_of(Entry(A, note=((DESCRIPTION, "ipsync owner=acme " + text),)), owner="acme", traits=LISTS)


def test_times_are_utc_seconds_and_nothing_else():
    assert format_time(NOW) == "2026-01-31T09:00:00Z"
    assert parse_time("2026-01-31T09:00:00Z") == NOW
    assert [parse_time(t) for t in ("", "2026-01-31", "2026-01-31T09:00:00", "2026-13-31T09:00:00Z")] == [None] * 4


def test_a_time_is_written_as_utc_wherever_the_machine_stands(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    written = format_time(NOW.astimezone())
    monkeypatch.undo()
    time.tzset()
    assert written == "2026-01-31T09:00:00Z"


def test_an_entry_without_its_other_tags_is_still_ours():
    mark = mark_of(Entry(A, note=((OWNER, "acme"),)), owner="acme", traits=ENTRIES)
    assert mark == Mark("acme", (), "")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("ipsync owner=acme", Mark("acme", (), "")),
        ("ipsync owner=acme target=a,b feed=x,y", Mark("acme", ("a", "b"), "x,y")),
        ("ipsync target=web owner=acme seen and approved feed=x", Mark("acme", ("web",), "x")),
        ("ipsync owner=acme feed=x=y target=,a,,b,", Mark("acme", ("a", "b"), "x=y")),
        ("ipsync owner=acme static=9.9.9.9,1.1.1.1", Mark("acme", (), STATIC)),
        ("ipsync owner=acme leaving=1.1.1.1@2026-01-31T09:00:00Z", Mark("acme", (), "", NOW)),
        ("ipsync owner=acme leaving=9.9.9.9,1.1.1.1@2026-01-31T09:00:00Z", Mark("acme", (), "", NOW)),
        ("ipsync owner=acme leaving=9.9.9.9@soon;1.1.1.1@2026-01-31T09:00:00Z", Mark("acme", (), "", NOW)),
        ("ipsync owner=acme leaving=1.1.1.1@soon", Mark("acme", (), "")),
        ("ipsync owner=acme leaving=1.1.1.1", Mark("acme", (), "")),
        ("ipsync owner=acme leaving=9.9.9.9@2026-01-31T09:00:00Z", Mark("acme", (), "")),
        ("ipsync owner=acmee", None),
        ("ipsync  owner", None),
        ("ipsyncowner=acme", None),
        (" ipsync owner=acme", None),
        ("IPSYNC owner=acme", None),
        ("by ipsync owner=acme", None),
    ],
)
def test_a_description_is_read_strictly_in_its_mark_and_kindly_in_the_rest(text, mark):
    note = ((DESCRIPTION, text),)
    assert mark_of(Entry(A, note=note), owner="acme", traits=LISTS) == mark
    assert is_ours(note, owner="acme") is (mark is not None)


def test_a_rule_of_several_targets_and_feeds_names_each_once():
    marks = {A: Mark("acme", ("b", "a"), "y,x"), B: Mark("acme", ("a",), "x"), C: Mark("acme", ("c",), "")}
    assert rule_note("acme", marks) == ((DESCRIPTION, "ipsync owner=acme target=a,b,c feed=x,y"),)


def text_of(marks) -> str:
    return dict(rule_note("acme", marks))[DESCRIPTION]


@pytest.mark.parametrize(("more", "hashed"), [(0, False), (1, True)])
def test_addresses_are_written_out_as_long_as_they_fit(more, hashed):
    static = networks(*(f"100.100.100.{i}" for i in range(100, 200)))
    room = DESCRIPTION_LIMIT - len(text_of({n: Mark("acme", ("",), STATIC) for n in static})) - len(" target=")
    marks = {n: Mark("acme", ("t" * (room + more),), STATIC) for n in static}
    text = text_of(marks)
    assert ("#" in text, len(text) == DESCRIPTION_LIMIT) == (hashed, not hashed)
    assert {n: mark_of(Entry(n, note=rule_note("acme", marks)), owner="acme", traits=LISTS) for n in marks} == marks


def test_a_short_hash_is_made_the_same_way_by_every_version():
    """Rules that exist carry these hashes: another way to make them would forget what is leaving."""
    text = text_of({n: Mark("acme", ("web",), "qatech", NOW) for n in hosts(240)})
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"8.0.0.0/32").digest())[:6].decode()
    assert text.startswith(f"ipsync owner=acme target=web feed=qatech leaving=#{digest},#")


def test_hashes_that_fill_the_description_to_its_last_character_all_stay():
    listed = hosts(240)
    room = DESCRIPTION_LIMIT - len(text_of({n: Mark("acme", ("",), "x", NOW) for n in listed})) - len(" target=")
    marks = {n: Mark("acme", ("t" * room,), "x", NOW) for n in listed}
    assert len(text_of(marks)) == DESCRIPTION_LIMIT
    assert {n: mark_of(Entry(n, note=rule_note("acme", marks)), owner="acme", traits=LISTS) for n in marks} == marks


def read_back(marks):
    note = rule_note("acme", marks)
    assert len(dict(note)[DESCRIPTION]) <= DESCRIPTION_LIMIT
    return {n: mark_of(Entry(n, note=note), owner="acme", traits=LISTS) for n in marks}


@pytest.mark.parametrize("static", [0, 1, 128, 255, 256])
@pytest.mark.parametrize("leaving", [0, 1, 128, 255, 256])
@pytest.mark.parametrize("apart", [timedelta(0), timedelta(seconds=1), timedelta(minutes=15), timedelta(hours=30)])
def test_no_mark_of_a_full_rule_is_ever_left_out(static, leaving, apart):
    """From about 250 ranges the leaving ones used to stay unmarked, and so never left."""
    marks = {
        n: Mark("acme", ("web",), STATIC if i < static else "qatech", NOW + i * apart if i >= 256 - leaving else None)
        for i, n in enumerate(hosts(256))
    }
    assert read_back(marks) == marks


def test_marks_that_fit_nowhere_are_refused_not_left_out():
    marks = {n: Mark("acme", ("web",), "qatech", NOW + timedelta(days=i)) for i, n in enumerate(hosts(1000))}
    assert not LISTS.list_marks.fits("acme", marks)
    with pytest.raises(UsageError, match="lower `max_ranges`"):
        rule_note("acme", marks)


@given(st.integers(1, 20), st.integers(0, 400), st.randoms(use_true_random=False))
def test_as_many_ranges_as_there_is_room_for_can_all_leave(names, days, random):
    origin = ",".join(sorted(f"feed-{i:02}" for i in range(names)))
    times = [NOW + timedelta(seconds=random.randrange(days * 86400 + 1)) for _ in range(300)]
    marks = {n: Mark("acme", ("web", "web2"), origin, t) for n, t in zip(hosts(300), times, strict=True)}
    room = LISTS.list_marks.room("acme", marks)
    assert room > 200
    assert read_back(dict(list(marks.items())[:room])) == dict(list(marks.items())[:room])


# ── descriptions that others write ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("ipsync owner=acme owner=globex target=web", None),
        ("ipsync owner=globex target=web owner=acme", None),
        ("ipsync owner=acme owner=acme target=web feed=x", Mark("acme", ("web",), "x")),
        ("ipsync owner=acme target=web target=api feed=x", Mark("acme", (), "x")),
        ("ipsync owner=acme target=web feed=x feed=y", Mark("acme", ("web",), "")),
        ("ipsync owner=acme target=web feed=x static=1.1.1.1 static=9.9.9.9", Mark("acme", ("web",), "x")),
        (
            "ipsync owner=acme target=web leaving=1.1.1.1@2020-01-31T09:00:00Z leaving=9.9.9.9@2020-01-31T09:00:00Z",
            Mark("acme", ("web",), ""),
        ),
    ],
)
def test_what_stands_twice_with_two_values_says_nothing(text, mark):
    """Of two owners none may touch it, of two targets it is an orphan, and a doubtful time lets nothing go early."""
    note = ((DESCRIPTION, text),)
    assert mark_of(Entry(A, note=note), owner="acme", traits=LISTS) == mark
    assert is_ours(note, owner="acme") is (mark is not None)


WORDS = st.sampled_from(
    ["owner=acme", "owner=", "owner", "target=", "target=web", "target=,,", "feed=x", "feed==", "static=#", "static=1.1.1.1",
     "leaving=", "leaving=@", "leaving=;;@", "leaving=1.1.1.1@9999-12-31T23:59:59Z", "marks=", "marks=3", "marks=3A...",
     "marks=9Z.AAAA.2026-01-31T09:00:00Z.AAAA", "marks=3A.AAA.soon.____", "\u00a0", "=", "==", "\x00", "\ud800", "٣"]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=40), max_size=12), st.sampled_from([A, B, C]))
def test_no_words_behind_our_name_crash_or_make_another_owner(words, network):
    note = ((DESCRIPTION, ("ipsync owner=acme " + " ".join(words))[:DESCRIPTION_LIMIT]),)
    mark = mark_of(Entry(network, note=note), owner="acme", traits=LISTS)
    assert is_ours(note, owner="acme") is (mark is not None)
    if mark:
        assert mark.owner == "acme"
        assert all(mark.targets)
        rule_note("acme", {network: mark})
