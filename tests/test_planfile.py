"""Saved plans: applied as they were, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import GROUP, NOW, Stage, aws_target, config, gcp_target, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync import engine, planfile
from ipsync.errors import PlanFileError
from ipsync.model import Entry, Service
from ipsync.render.json import document
from ipsync.report import exit_code

A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"


def staged() -> Stage:
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B, C, D]})
    stage.config = replace(stage.config, digest="sha256:c")
    return stage


def saved(stage: Stage) -> bytes:
    report = stage.plan()
    return planfile.dump(document(report), report.plan, stage.config, selected=frozenset({"web", "edge"}))


def applied(stage: Stage, data: bytes, **kwargs):
    return engine.apply(stage.run(), planfile.load(data, stage.config, now=stage.now), **kwargs)


def test_a_saved_plan_does_exactly_what_it_says_even_when_the_feed_has_moved_on():
    stage = staged()
    data = saved(stage)
    stage.lists["qatech"] = "down"
    stage.now += timedelta(minutes=50)
    report = applied(stage, data)
    assert exit_code(report, detailed=False) == 0
    assert stage.held() == sorted([A, B, C, D])
    assert stage.ranges() == sorted([A, B, C, D])


def test_it_is_refused_when_a_target_has_moved():
    stage = staged()
    data = saved(stage)
    stage.cloud.put(GROUP, Entry(networks(A)[0], Service("tcp", 443, 443)))
    with pytest.raises(PlanFileError, match="nothing was written"):
        applied(stage, data)
    assert stage.cloud.writes == 0
    assert stage.log.records[-1]["event"] == "run-ended"


def test_applying_it_twice_is_refused():
    stage = staged()
    data = saved(stage)
    applied(stage, data)
    with pytest.raises(PlanFileError):
        applied(stage, data)


@pytest.mark.parametrize("minutes", [-10, 60, 100000])
def test_it_expires(minutes):
    stage = staged()
    data = saved(stage)
    with pytest.raises(PlanFileError, match="valid from"):
        planfile.load(data, stage.config, now=NOW + timedelta(minutes=minutes))


def test_another_config_is_refused():
    stage = staged()
    data = saved(stage)
    with pytest.raises(PlanFileError, match="another config"):
        planfile.load(data, replace(stage.config, digest="sha256:other"), now=NOW)


def test_stale_during_apply_is_not_planned_again():
    stage = staged()
    data = saved(stage)
    stage.cloud.before = lambda _s: stage.cloud.put(GROUP, Entry(networks(A)[0], Service("tcp", 443, 443)))
    report = applied(stage, data)
    assert exit_code(report, detailed=False) in {1, 4}
    assert [r["result"] for r in stage.log.events("outcome")].count("stale") == 1


def test_an_approval_goes_with_the_plan_it_names():
    stage = staged()
    stage.config = replace(stage.config, grace=timedelta(0))
    stage.sync()
    stage.lists["qatech"] = [A, B]
    data = saved(stage)
    identity = planfile.load(data, stage.config, now=NOW).id
    assert exit_code(applied(stage, data), detailed=False) == 3
    assert len(stage.held()) == 4
    assert exit_code(applied(stage, data, approve=identity), detailed=False) == 0
    assert stage.held() == sorted([A, B])


DATA = saved(staged())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_one_edited_byte_is_refused(position, change):
    edited = bytearray(DATA)
    edited[position] ^= change
    with pytest.raises(PlanFileError):
        planfile.load(bytes(edited), staged().config, now=NOW)


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(PlanFileError):
        planfile.load(data, staged().config, now=NOW)
