"""Marks: written and read back alike, and authorising nothing that isn't theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factory import NOW, hosts, networks
from hypothesis import given
from hypothesis import strategies as st

from ipsync.model import Entry
from ipsync.ownership import (
    DESCRIPTION,
    DESCRIPTION_LIMIT,
    FEED,
    OWNER,
    SINCE,
    STATIC,
    TARGET,
    Mark,
    entry_note,
    format_time,
    mark_of,
    parse_time,
    rule_is_ours,
    rule_note,
)

A, B, C = networks("1.1.1.1", "8.8.8.8", "2600::1")
names = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
moments = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda t: t.replace(microsecond=0)
)


@given(owner=names, target=names, origin=names, since=moments)
def test_tags_read_back_as_they_were_written(owner, target, origin, since):
    mark = Mark(owner, (target,), origin, since)
    assert mark_of(Entry(A, note=entry_note(mark)), owner=owner, listed=False) == mark


def test_only_tags_authorise_an_aws_rule_whatever_its_description_says():
    forged = rule_note("acme", {A: Mark("acme", ("web",), "qatech")})
    assert mark_of(Entry(A, note=forged), owner="acme", listed=False) is None
    mark = Mark("acme", ("web",), "qatech")
    edited = tuple(sorted({**dict(entry_note(mark)), DESCRIPTION: "edited by hand"}.items()))
    assert mark_of(Entry(A, note=edited), owner="acme", listed=False) == mark


def test_another_owner_and_none_are_not_ours():
    note = entry_note(Mark("other", ("web",), "qatech"))
    assert mark_of(Entry(A, note=note), owner="acme", listed=False) is None
    assert mark_of(Entry(A), owner="acme", listed=False) is None
    assert mark_of(Entry(A), owner="acme", listed=True) is None
    assert not rule_is_ours(rule_note("other", {}), owner="acme")
    assert not rule_is_ours(((DESCRIPTION, "ipsync target=web"),), owner="acme")
    assert not rule_is_ours(((DESCRIPTION, "made by hand owner=acme"),), owner="acme")


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
    assert {n: mark_of(Entry(n, note=note), owner="acme", listed=True) for n in marks} == marks


@given(st.integers(0, 256), st.integers(0, 256), st.integers(1, 4))
def test_a_full_rule_s_marks_always_fit(leaving, static, times):
    listed = hosts(256)
    marks = {n: Mark("acme", ("web",), "qatech") for n in listed}
    marks |= {n: Mark("acme", ("web",), STATIC) for n in listed[: min(static, 256 - leaving)]}
    for i, network in enumerate(listed[256 - leaving :]):
        marks[network] = Mark("acme", ("web",), "qatech", NOW + timedelta(hours=i % times))
    note = rule_note("acme", marks)
    assert len(dict(note)[DESCRIPTION]) <= DESCRIPTION_LIMIT
    if leaving + static <= 220:
        assert {n: mark_of(Entry(n, note=note), owner="acme", listed=True) for n in marks} == marks


def test_what_does_not_fit_stays_unmarked_latest_first():
    marks = {n: Mark("acme", ("web",), "qatech", NOW + timedelta(seconds=i)) for i, n in enumerate(hosts(256))}
    note = rule_note("acme", marks)
    read = {n: mark_of(Entry(n, note=note), owner="acme", listed=True) for n in marks}
    kept = [n for n in marks if read[n].since]
    assert kept == list(marks)[: len(kept)]
    assert 30 < len(kept) < 256
    assert all(read[n].since in {marks[n].since, None} for n in marks)


@given(st.text(max_size=300))
def test_no_description_crashes(text):
    mark_of(Entry(A, note=((DESCRIPTION, text),)), owner="acme", listed=True)
    mark_of(Entry(A, note=((DESCRIPTION, "ipsync owner=acme " + text),)), owner="acme", listed=True)


def test_times_are_utc_seconds_and_nothing_else():
    assert format_time(NOW) == "2026-01-31T09:00:00Z"
    assert parse_time("2026-01-31T09:00:00Z") == NOW
    assert [parse_time(t) for t in ("", "2026-01-31", "2026-01-31T09:00:00", "2026-13-31T09:00:00Z")] == [None] * 4
