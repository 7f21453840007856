"""Saved plans: applied as they were, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import rfc8785
from factory import GROUP, NOW, RULE, Stage, aws_target, config, gcp_target, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync import engine
from ipsync.core import planfile
from ipsync.core.canonical import digest
from ipsync.core.errors import PlanFileError, Stale
from ipsync.core.model import Entry, Service
from ipsync.core.report import exit_code
from ipsync.render.json import document

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


@pytest.mark.parametrize("gone", [[GROUP], [RULE], [GROUP, RULE]])
def test_the_refusal_names_what_has_moved(gone):
    stage = staged()
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    data = saved(stage)
    if GROUP in gone:
        stage.cloud.groups[GROUP].popitem()
    if RULE in gone:
        del stage.cloud.lists[RULE]
    with pytest.raises(PlanFileError) as caught:
        applied(stage, data)
    assert f"changed since the plan was made: {', '.join(gone)}. Make a new plan" in str(caught.value)


def test_the_refusal_says_what_cannot_be_read():
    stage = staged()
    data = saved(stage)
    stage.cloud.unreadable = {t.scope for t in stage.config.targets if t.name == "web"}
    with pytest.raises(
        PlanFileError, match=r"made, or can't be read now \(aws/-/eu-north-1: .*\): aws/1/eu-north-1/sg-1\."
    ):
        applied(stage, data)


def test_of_many_resources_that_have_moved_some_are_named():
    saved_plan, now = saw(12)
    text = planfile.moved(saved_plan, now)
    assert text.startswith("not applied, nothing was written: changed since the plan was made: aws/1/eu-north-1/sg-00")
    assert "sg-09 and 2 more. Make a new plan" in text


def saw(number):
    """A saved plan over as many resources as are asked for, and one in which there are none of them."""
    observed = {f"aws/1/eu-north-1/sg-{n:02}": "sha256:0" for n in range(number)}
    made = staged().plan().plan
    return planfile.SavedPlan("sha256:0", NOW, frozenset(), {}, observed), replace(made, changes=())


@pytest.mark.parametrize("edit", [lambda d: d[:-9], lambda d: b"{}", lambda d: d.replace(b"8.8.8.8", b"8.8.8.9")])
def test_each_refusal_says_that_nothing_was_written(edit):
    stage = staged()
    with pytest.raises(PlanFileError, match=r"^not applied, nothing was written: "):
        applied(stage, edit(saved(stage)))


def test_the_refusal_says_what_else_it_may_be_when_nothing_of_ours_has_moved():
    stage = staged()
    data = saved(stage)
    stage.cloud.put(GROUP, Entry(networks(A)[0], Service("tcp", 443, 443)))
    with pytest.raises(PlanFileError, match="plan was made: what others hold there, a guard's verdict"):
        applied(stage, data)


def test_what_moves_after_the_last_look_is_refused_as_drift_and_not_planned_again():
    stage = staged()
    data = saved(stage)

    def someone_is_faster(operation):
        if operation.kind == "add":
            raise Stale("changed since it was read")

    stage.cloud.before = someone_is_faster
    report = applied(stage, data)
    assert [(e.target, e.status.value, [v.guard for v in e.violations]) for e in report.plan.target_changes] == [
        ("web", "blocked", ["drift"]),
        ("edge", "applied", []),
    ]
    assert exit_code(report, detailed=False) == 3
    assert stage.held() == []
    assert len(stage.log.events("plan")) == 2, "the saved one, and the same derived again"


def test_applying_it_twice_is_refused():
    stage = staged()
    data = saved(stage)
    applied(stage, data)
    with pytest.raises(PlanFileError):
        applied(stage, data)


def test_it_says_everything_that_it_was_made_from():
    stage = Stage(config(aws_target(feeds=("cdn",)), gcp_target()), lists={"qatech": [A, B], "cdn": "no answer"})
    stage.config = replace(stage.config, feeds=tuple(replace(f, insecure=f.name == "cdn") for f in stage.config.feeds))
    report = stage.plan()
    data = planfile.dump(document(report), report.plan, stage.config, selected=frozenset({"web", "edge"}))
    found = planfile.load(data, stage.config, now=NOW)
    assert (found.id, found.created_at, found.selected) == (report.plan.id, NOW, {"web", "edge"})
    assert found.feeds == {f.name: f for f in report.plan.feeds}
    assert [(f.error, f.insecure) for f in found.feeds.values()] == [("no answer", True), (None, False)]
    assert found.observed.keys() == {RULE}


def test_it_is_canonical_json_with_a_line_s_end():
    stage = staged()
    report = stage.plan()
    data = planfile.dump({**document(report), "ü": "ä"}, report.plan, stage.config, selected=frozenset({"web"}))
    assert data == rfc8785.dumps(json.loads(data)) + b"\n"


def test_a_plan_without_a_time_is_not_saved():
    stage = staged()
    report = stage.plan()
    with pytest.raises(PlanFileError, match=r"^the plan has no time of creation$"):
        planfile.dump({**document(report), "created_at": ""}, report.plan, stage.config, selected=frozenset())


FIRST, LAST = NOW - timedelta(minutes=5), NOW + timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("now", [FIRST - SECOND, LAST, NOW + timedelta(days=100)])
def test_it_expires(now):
    stage = staged()
    data = saved(stage)
    with pytest.raises(PlanFileError, match="valid from 2026-01-31T09:00:00Z to 2026-01-31T10:00:00Z"):
        planfile.load(data, stage.config, now=now)


@pytest.mark.parametrize("now", [FIRST, LAST - SECOND])
def test_it_holds_for_an_hour_and_five_minutes_of_a_slow_clock(now):
    stage = staged()
    assert planfile.load(saved(stage), stage.config, now=now)


def restated(data: bytes, **changes: object) -> bytes:
    """Return the plan file that an ipsync which says this would have written."""
    body = {**json.loads(data), **changes}
    del body["digest"]
    return rfc8785.dumps({**body, "digest": digest(body)}) + b"\n"


def test_another_version_s_plan_is_refused():
    stage = staged()
    with pytest.raises(PlanFileError, match=r"made by ipsync 0\.0\.1, this is"):
        planfile.load(restated(saved(stage), tool_version="0.0.1"), stage.config, now=NOW)


@pytest.mark.parametrize("field", ["expires_at", "created_at"])
def test_a_time_that_is_none_is_refused(field):
    stage = staged()
    with pytest.raises(PlanFileError, match="valid from"):
        planfile.load(restated(saved(stage), **{field: "soon"}), stage.config, now=NOW)


def test_another_config_is_refused():
    stage = staged()
    data = saved(stage)
    with pytest.raises(PlanFileError, match="another config"):
        planfile.load(data, replace(stage.config, digest="sha256:other"), now=NOW)


def test_it_is_valid_for_as_long_as_somebody_asked():
    stage = staged()
    report = stage.plan()
    data = planfile.dump(
        document(report), report.plan, stage.config, selected=frozenset({"web"}), lifetime=timedelta(hours=4)
    )
    assert planfile.load(data, stage.config, now=NOW + timedelta(hours=4) - SECOND)
    with pytest.raises(PlanFileError, match="to 2026-01-31T13:00:00Z"):
        planfile.load(data, stage.config, now=NOW + timedelta(hours=4))


def keyed(stage: Stage, key: str | None) -> Stage:
    stage.config = replace(stage.config, audit_hmac_key=key)
    return stage


def test_where_the_log_has_a_key_nobody_without_it_can_make_a_plan_file():
    stage = keyed(staged(), "k1")
    data = saved(stage)
    assert json.loads(data)["digest"].startswith("hmac-sha256:")
    assert planfile.load(data, stage.config, now=NOW).id
    edited = rfc8785.dumps({**json.loads(data), "selected": ["web"]}) + b"\n"
    with pytest.raises(PlanFileError, match="edited or cut"):
        planfile.load(edited, stage.config, now=NOW)
    forged = restated(data, selected=["web"])
    for other, config_ in ((forged, stage), (saved(staged()), stage), (data, keyed(staged(), "k2")), (data, staged())):
        with pytest.raises(PlanFileError) as caught:
            planfile.load(other, config_.config, now=NOW)
        key = " (or made without the key in audit.hmac_key)" if config_.config.audit_hmac_key else ""
        said = f"{planfile.UNTOUCHED} this is not a plan file as ipsync wrote it: it was edited or cut{key}. {planfile.AGAIN}"
        assert str(caught.value) == said


BODY = sorted(set(json.loads(saved(staged()))) - {"digest"})


@pytest.mark.parametrize("value", [None, 0, "", [], {}, ["x"], [{"name": "x"}]])
@pytest.mark.parametrize("field", BODY)
def test_a_file_with_a_right_digest_and_wrong_values_is_refused_or_changes_nothing(field, value):
    stage = staged()
    data = restated(saved(stage), **{field: value})
    try:
        found = planfile.load(data, stage.config, now=NOW)
    except PlanFileError:
        return
    was = planfile.load(saved(stage), stage.config, now=NOW)
    assert replace(found, id=was.id, selected=was.selected, observed=was.observed) == was, "those the engine compares"


def test_a_file_that_lacks_something_is_refused():
    stage = staged()
    for field in ("feeds", "selected", "id", "owner", "config_digest", "tool_version", "expires_at", "observed"):
        body = json.loads(saved(stage))
        del body["digest"], body[field]
        with pytest.raises(PlanFileError, match="not a plan file as ipsync wrote it"):
            planfile.load(rfc8785.dumps({**body, "digest": digest(body)}) + b"\n", stage.config, now=NOW)


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
    with pytest.raises(PlanFileError, match="edited or cut"):
        planfile.load(data, staged().config, now=NOW)
