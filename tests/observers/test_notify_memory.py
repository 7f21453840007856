"""What is news to somebody: a state once, again after a day, its end; and never a storm, whatever comes and goes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync.observers.notify.happenings import Happening
from ipsync.observers.notify.memory import CROWD, MOST, Told, news
from ipsync.observers.notify.records import remembered, told_of

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
DAY = timedelta(hours=24)


def state(
    target: str = "web", resource: str = "aws/1", *, word: str = "failed", more: tuple[str, ...] = ()
) -> Happening:
    return Happening(word, target, f"{resource} broke", (word, target, resource, *more), resource)


class Somebody:
    """Goes on from pass to pass, as a sink does."""

    def __init__(self) -> None:
        self.known: tuple[Told, ...] = ()

    def hears(self, *states: Happening, after: timedelta = timedelta(0), saw=lambda _key: True):
        found = news(self.known, states, saw=saw, now=NOW + after, every=DAY)
        self.known = found.known
        return len(found.began), len(found.again), len(found.ended)


def test_a_state_is_told_once_and_again_after_a_day_and_when_it_ends():
    somebody = Somebody()
    hours = [0, 1, 23, 24, 25, 47, 48, 49, 50]
    told = [somebody.hears(*([state()] if h < 49 else []), after=timedelta(hours=h)) for h in hours]
    assert told == [(1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]


def test_what_was_not_looked_at_has_not_ended():
    somebody = Somebody()
    somebody.hears(state("web"), state("edge"))
    assert somebody.hears(saw=lambda key: key[1] == "edge") == (0, 0, 1)
    assert somebody.hears(state("web"), saw=lambda _key: True) == (0, 0, 0)


def test_another_resource_of_the_same_target_is_news():
    somebody = Somebody()
    assert somebody.hears(state(resource="aws/1")) == (1, 0, 0)
    assert somebody.hears(state(resource="aws/1"), state(resource="aws/2")) == (1, 0, 0)


def test_what_comes_back_is_told_again_but_not_for_ever():
    somebody = Somebody()
    told = [somebody.hears(*([state()] if n % 2 == 0 else []), after=timedelta(minutes=15 * n)) for n in range(20)]
    assert Counter(told) == {(1, 0, 0): MOST, (0, 0, 1): MOST, (0, 0, 0): 20 - 2 * MOST}
    assert somebody.hears(state(), after=timedelta(hours=30)) == (1, 0, 0)


def test_a_crowd_is_one_state_and_its_members_are_no_news():
    somebody = Somebody()
    many = [state(resource=f"aws/{n}") for n in range(CROWD + 10)]
    assert somebody.hears(*many) == (CROWD + 10, 0, 0)
    assert [each.key for each in somebody.known] == [("failed", "web")]
    assert somebody.hears(*many[:3], state(resource="aws/other")) == (0, 0, 0)
    assert somebody.hears() == (0, 0, 1)


def test_what_was_told_by_itself_is_no_news_in_a_crowd_and_after_it():
    somebody = Somebody()
    many = [state(f"web-{n}", f"aws/{n}") for n in range(CROWD + 10)]
    somebody.hears(many[0])
    assert somebody.hears(*many) == (CROWD + 10, 0, 0)
    assert {each.key for each in somebody.known if not each.over} == {("failed", "web-0", "aws/0"), ("failed",)}
    assert somebody.hears(many[0]) == (0, 0, 0)
    assert somebody.hears() == (0, 0, 1)


def test_what_is_known_goes_through_a_record_and_back():
    somebody = Somebody()
    somebody.hears(state(), state(more=("change:1",), word="blocked"))
    somebody.hears(state())
    record = {"event": "notified", "kind": "slack", "sink": "slack x", "told": told_of(somebody.known)}
    assert remembered([{"event": "feed"}, record], "slack", "slack x") == somebody.known
    assert remembered([record], "slack", "another") == ()


@pytest.mark.parametrize("broken", [{}, {"key": 1}, {"key": [], "at": "x"}, {"key": ["failed"], "at": 7, "since": 7}])
def test_what_a_log_holds_wrongly_is_told_once_more(broken):
    assert remembered([{"event": "notified", "kind": "slack", "sink": "s", "told": [broken]}], "slack", "s") == ()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sets(st.integers(0, 3)), st.integers(1, 600)), max_size=60))
def test_never_a_storm(passes):
    """However four states come and go, none is told more often than so many times within any `remind_every`."""
    somebody, minutes, told = Somebody(), 0, []
    for present, pause in passes:
        minutes += pause
        found = news(
            somebody.known,
            [state(resource=f"aws/{n}") for n in sorted(present)],
            saw=lambda _key: True,
            now=NOW + timedelta(minutes=minutes),
            every=DAY,
        )
        somebody.known = found.known
        told += [(minutes, item.key) for item in (*found.began, *found.again)]
    for at, key in told:
        assert sum(k == key and at <= t < at + DAY.total_seconds() / 60 for t, k in told) <= MOST
