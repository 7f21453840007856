"""Health: what a probe hears while the loop waits, works, hangs, or doesn't come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from factory import aws_target, config

from ipsync.core.rollout import Check, Command, Wave
from ipsync.core.signals import PassEnded, StageBegan
from ipsync.observers.health import Health


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_it_is_ready_once_the_first_pass_is_over(health):
    assert not health.ready
    health.began()
    health(StageBegan("read"), None)
    assert not health.ready
    health(PassEnded("sync", 1, error=RuntimeError()), None)
    assert health.ready


def test_a_pass_that_fails_before_anything_is_heard_is_over_too(health):
    health.began()
    health.waits(soon(900))
    assert health.ready


def test_while_it_waits_it_is_well_until_a_pass_is_overdue(health, clock):
    health.began()
    health.waits(soon(900))
    clock.now += 900 + 100
    assert health.complaint() is None
    clock.now += 100
    assert health.complaint() == "a pass is due for 200 s and doesn't begin"
    health.began()
    assert health.complaint() is None


def test_a_first_pass_that_never_begins_is_seen(health, clock):
    clock.now += 121
    assert health.complaint() == "a pass is due for 121 s and doesn't begin"


def test_a_long_pass_is_well_while_it_shows_signs_of_life(health, clock):
    health.began()
    for _ in range(50):
        clock.now += 600  # a feed's 30 s, and ten minutes
        health(StageBegan("open"), None)
        assert health.complaint() is None
    clock.now += 631
    assert health.complaint() == "a pass shows no sign of life for 631 s"


def test_at_the_end_it_is_well(health, clock):
    health.began()
    health.waits(None)
    clock.now += 1e6
    assert health.complaint() is None


def test_a_check_of_a_wave_may_take_its_time(clock):
    check = Check("smoke", Command(("/bin/true",)), timeout=1800)
    health = Health(replace(config(aws_target()), checks=(check,), waves=(Wave("canary", ("smoke",)),)), clock=clock)
    health.began()
    health(StageBegan("prove"), None)
    clock.now += 1800
    assert health.complaint() is None
    clock.now += 601
    assert "no sign of life" in health.complaint()
