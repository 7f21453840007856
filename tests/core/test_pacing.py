"""What leaves is never more than a cloud lets through, in any stretch of time, whatever the cloud throttles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsync.core import pacing
from ipsync.core.pacing import LEAST, RECOVERY, TICK, Limit

limits = st.builds(Limit, burst=st.integers(1, 60), rate=st.floats(0.5, 50))
AWS = Limit(50, 5)


def departures(limit, moves):
    """Let calls leave as soon as they may, after idle times, some of them throttled; return when each left."""
    bucket, now, left = pacing.full(limit, 0.0), 0.0, []
    for idle, refused in moves:
        now += idle
        now += pacing.wait(bucket, now)
        bucket = pacing.taken(bucket, now)
        left.append(now)
        if refused:
            bucket = pacing.throttled(bucket, now, left=now)
    return left


@given(limit=limits, moves=st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60))
def test_no_stretch_of_time_holds_more_than_burst_and_rate(limit, moves):
    left = departures(limit, moves)
    for first, start in enumerate(left):
        for last in range(first, len(left)):
            allowed = limit.burst + limit.rate * (left[last] - start)
            assert last - first + 1 <= allowed + 1e-6


@given(limit=st.builds(Limit, burst=st.integers(2, 60), rate=st.floats(0.5, 50)), count=st.integers(1, 300))
def test_while_nobody_else_is_seen_the_whole_of_it_is_used(limit, count):
    left = departures(limit, [(0, False)] * count)
    at_once = min(count, limit.burst)
    assert left[at_once - 1] == 0
    if count > limit.burst:
        assert left[-1] == pytest.approx(TICK + (count - limit.burst) / limit.rate)


@given(offset=st.floats(0, 1), delays=st.lists(st.floats(0, 0.1), min_size=300, max_size=300))
def test_a_cloud_that_adds_its_tokens_once_a_second_throttles_nothing(offset, delays):
    """At a moment of the second that we don't know, of calls that are on their way for 0 to 100 ms."""
    tokens, second = AWS.burst, 0
    arrivals = sorted(at + late for at, late in zip(departures(AWS, [(0, False)] * 300), delays, strict=True))
    for at in arrivals:
        while second + offset <= at:
            tokens, second = min(AWS.burst, tokens + AWS.rate), second + 1
        assert tokens >= 1
        tokens -= 1


def test_a_throttle_halves_the_pace_and_time_gives_it_back():
    bucket = pacing.throttled(pacing.full(AWS, 0), 0, left=0)
    assert (bucket.tokens, bucket.share) == (0, 0.5)
    assert pacing.wait(bucket, 0) == pytest.approx(1 / 2.5)
    later = pacing.filled(bucket, RECOVERY)
    assert later.share == 1
    assert later.full
    assert not bucket.full


def test_calls_that_were_under_way_together_slow_down_once():
    bucket = pacing.throttled(pacing.full(AWS, 0), 1, left=0.9)
    assert pacing.throttled(bucket, 1.1, left=0.95) == bucket
    assert pacing.throttled(bucket, 1.5, left=1.2).share < bucket.share


@given(times=st.integers(1, 50))
def test_a_greedy_neighbour_leaves_us_a_share(times):
    bucket = pacing.full(AWS, 0)
    for second in range(times):
        bucket = pacing.throttled(bucket, second, left=second)
    assert bucket.share >= LEAST
    assert pacing.wait(bucket, times) <= 1 / (AWS.rate * LEAST)


def test_time_that_seems_to_go_back_changes_nothing():
    bucket = pacing.taken(pacing.full(AWS, 5), 5)
    assert pacing.filled(bucket, 4) is bucket
