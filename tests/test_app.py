"""From a config to one finished run: what observers hear of it, from its first record to how it ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import NOW, Stage, aws_target, config

from ipsync import app
from ipsync.audit import AuditLog, buckets
from ipsync.core.errors import AuditLogError, PlanFileError
from ipsync.core.events import Copied, Record, RunEnded, RunStarted
from ipsync.core.signals import Event, PassEnded

A = "8.8.8.8/32"


@pytest.fixture
def stage(tmp_path, monkeypatch):
    made = replace(config(aws_target()), audit_path=str(tmp_path / "audit.jsonl"))
    found = Stage(made, lists={"qatech": [A]})
    monkeypatch.setattr(app, "fetch_feed", found.fetch)
    monkeypatch.setattr(app.registry, "open_reader", found.cloud.reader)
    monkeypatch.setattr(app.registry, "open_writer", found.cloud.writer)
    return found


@pytest.fixture
def heard():
    return []


@pytest.fixture
def observers(heard):
    return (lambda event, _recorded: heard.append(event),)


def ended(heard: list[Event]) -> PassEnded:
    assert [isinstance(event, PassEnded) for event in heard].count(True) == 1
    assert isinstance(heard[-1], PassEnded)
    return heard[-1]


@pytest.mark.parametrize("mode", ["plan", "sync"])
def test_a_pass_ends_with_its_report(stage, heard, observers, mode):
    once = app.plan_once if mode == "plan" else app.sync_once
    report = once(stage.config, clock=lambda: NOW, observers=observers)
    assert (ended(heard).mode, ended(heard).report, ended(heard).error) == (mode, report, None)
    assert ended(heard).seconds >= 0
    assert [type(e) for e in heard if isinstance(e, Record)][:: 3 if mode == "plan" else 5] == [RunStarted, RunEnded]
    assert stage.cloud.writes == (mode == "sync")


def test_a_copy_in_the_object_store_is_heard_too(stage, heard, observers, monkeypatch):
    monkeypatch.setattr(buckets, "upload", lambda target, name, data: f"{target}/{name}")
    report = app.sync_once(replace(stage.config, audit_objects="s3://audit"), observers=observers)
    (copied,) = [event for event in heard if isinstance(event, Copied)]
    assert (copied.object.startswith("s3://audit/acme/"), copied.through) == (True, 6)
    assert report.checkpoint.startswith("7:")
    assert ended(heard).report == report


def test_a_pass_that_can_not_be_recorded_ends_with_its_error(stage, heard, observers, monkeypatch):
    opened = AuditLog.open
    held = opened(stage.config.audit_path, owner="acme", actor="me", run="other", clock=lambda: NOW)
    monkeypatch.setattr(AuditLog, "open", lambda path, **how: opened(path, **how, lock_timeout=0))
    with held, pytest.raises(AuditLogError, match="held by run other") as caught:
        app.sync_once(stage.config, observers=observers)
    assert heard == [PassEnded("sync", ended(heard).seconds, error=caught.value)]


def test_a_plan_file_that_is_refused_is_recorded_and_ends_with_its_error(stage, heard, observers):
    with pytest.raises(PlanFileError) as caught:
        app.apply_once(stage.config, b"{}", observers=observers)
    assert heard[:2] == [RunStarted(mode="apply"), RunEnded(mode="apply", refused=str(caught.value))]
    assert ended(heard).error is caught.value
    assert stage.cloud.writes == 0


def test_a_saved_plan_is_applied_in_the_hearing_of_observers(stage, heard, observers):
    report = app.plan_once(stage.config, clock=lambda: NOW)
    data = app.save(report, stage.config)
    done = app.apply_once(stage.config, data, clock=lambda: NOW, observers=observers)
    assert ended(heard).report == done
    assert next(e.plan for e in heard if isinstance(e, RunStarted)) == report.plan.id
    assert stage.held() == [A]
