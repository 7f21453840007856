"""Many marks in few characters: read back as they were written, whatever people do to the ranges meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from factory import NOW, hosts, networks
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core.addresses import parse
from ipsync.targets import packing
from ipsync.targets.packing import ALPHABET, FRAME, RANGE_COST, Packed, Stamp, pack, room, unpack

POOL = [*hosts(40), *networks(*(f"2600::{i:x}" for i in range(1, 41)))]
moments = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda t: t.replace(microsecond=0)
)
stamps = st.dictionaries(st.sampled_from(POOL), st.builds(Stamp, st.booleans(), moments), max_size=80)


@given(stamps)
def test_marks_read_back_as_they_were_written(marks):
    read = unpack(pack(marks))
    assert {n: read.of(n) for n in marks} == marks


@given(stamps, st.sets(st.sampled_from(POOL)))
def test_a_range_that_somebody_adds_or_takes_out_shifts_no_mark(marks, taken_out):
    read = unpack(pack(marks))
    assert all(read.of(n) == marks[n] for n in marks.keys() - taken_out)


def test_of_a_thousand_ranges_that_others_add_hardly_one_looks_marked():
    marks = {n: Stamp(since=NOW) for n in hosts(256)}
    read = unpack(pack(marks))
    assert sum(read.of(n) != Stamp() for n in hosts(1000, first=1000)) <= 5


def test_the_same_marks_are_the_same_text_in_any_order():
    marks = {n: Stamp(since=NOW + timedelta(hours=i % 3)) for i, n in enumerate(hosts(100))}
    assert pack(marks) == pack(dict(reversed(marks.items())))


def test_hashes_that_meet_are_salted_anew_and_at_last_longer(monkeypatch):
    marks = dict.fromkeys(hosts(3000), Stamp()) | {n: Stamp(since=NOW) for n in hosts(300)}
    text = pack(marks)
    assert (text[0], text[1]) != ("3", "A")
    read = unpack(text)
    assert {n: read.of(n) for n in marks} == marks
    monkeypatch.setattr(
        packing, "_hash", lambda network, width, salt: ALPHABET[int(network.network_address) % 2] * width
    )
    with pytest.raises(StopIteration):
        pack(dict.fromkeys(hosts(3), Stamp(static=True)))


def test_what_is_written_stays_readable_by_every_later_version():
    """Rules that exist carry these: another way to write them would forget what is leaving."""
    a, b, c = (parse(text) for text in ("8.8.8.8", "8.8.4.4", "9.9.9.9"))
    text = "3A.Zfb.2026-01-31T09:00:00Z.AFllgk9HkC-"
    assert (
        pack({a: Stamp(static=True), b: Stamp(since=NOW), c: Stamp(static=True, since=NOW + timedelta(days=3))}) == text
    )


@given(
    st.text(max_size=60)
    | st.from_regex(r"[3-6][A-Za-z0-9_-]\.[A-Za-z0-9_-]{0,9}\.2026-01-31T09:00:00Z\.[A-Za-z0-9_-]{0,40}")
)
def test_no_text_crashes(text):
    unpack(text).of(POOL[0])


@pytest.mark.parametrize(
    "text",
    ["", "3A", "3A..", "2A...", "7A...", "3...", "3AB...", "3A...2", "3A..soon.AAAA", "3A..2026-01-31T09:00:00Z.AAA",
     "3A..2026-01-31T09:00:00Z.______", "3A..9999-12-31T23:59:59Z." + "_" * 12 + "B" + "AAA"],
)  # fmt: skip
def test_what_was_not_written_here_says_nothing(text):
    read = unpack(text)
    assert read.of(POOL[0]) == Stamp()
    assert not read.stamps or read == Packed(3, "A", read.stamps)


@pytest.mark.parametrize("free", [100, 500, 2000])
def test_room_is_what_the_worst_needs(free):
    fits = room(free, [NOW, NOW])
    worst = {n: Stamp(static=True, since=NOW + timedelta(seconds=i * (2**20 - 1))) for i, n in enumerate(hosts(fits))}
    assert len(pack(worst)) <= free
    assert free - FRAME - fits * RANGE_COST < 2 * packing.SPARE


def test_room_is_never_nothing():
    assert room(0, []) == 1
