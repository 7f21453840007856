"""Resources of one scope are written at once where their kind can; nothing closes before everything is open."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from datetime import timedelta

from factory import GROUP, Stage, aws_target, config

from ipsync import engine

A, B = "8.8.8.8/32", "8.8.4.4/32"
PLACE = GROUP.rpartition("/")[0]
GROUPS = tuple(f"sg-{number:017d}" for number in range(4))


def many(*names: str) -> Stage:
    stage = Stage(config(aws_target(where={"groups": names}), grace=timedelta(0)), lists={"qatech": [A]})
    stage.cloud.groups = {f"{PLACE}/{name}": {} for name in names}
    return stage


def test_groups_of_one_region_are_written_at_once():
    """Each write waits for another one that is under way: one by one, they would wait in vain."""
    stage, meeting = many(*GROUPS), threading.Barrier(2, timeout=20)
    stage.cloud.before = lambda _operation: meeting.wait()
    assert {e.status.value for e in stage.sync().plan.target_changes} == {"applied"}
    assert stage.cloud.writes == len(GROUPS)


def test_each_write_has_its_intent_before_and_its_outcome_after():
    stage = many(*GROUPS)
    known = []
    stage.cloud.before = lambda operation: known.append(
        operation.resource in {r["resource"] for r in stage.log.events("intent")}
    )
    stage.sync()
    assert known == [True] * len(GROUPS)
    assert sorted(r["intent"] for r in stage.log.events("outcome")) == sorted(
        r["seq"] for r in stage.log.events("intent")
    )


def test_nothing_closes_before_everything_is_open_in_every_group():
    stage = many(*GROUPS)
    stage.sync()
    stage.lists["qatech"], kinds = [B], []
    stage.cloud.before = lambda operation: kinds.append(operation.kind)
    stage.sync()
    assert (kinds.count("add"), kinds.count("remove")) == (len(GROUPS), len(GROUPS))
    assert "add" not in kinds[kinds.index("remove") :]


def test_what_can_write_is_made_once_a_scope_and_let_go_after_its_last_write():
    stage, made = many(*GROUPS), []
    writer = stage.cloud.writer

    class Writer:
        def __init__(self, target):
            self._inner = writer(target)
            made.append(weakref.ref(self))

        def execute(self, operation):
            return self._inner.execute(operation)

    run = stage.run()
    alive = []
    clouds = replace(run.clouds, writer=Writer, pause=lambda _s: alive.append([m() is not None for m in made]))
    engine.sync(replace(run, clouds=clouds))
    assert len(made) == 1
    assert alive[-1] == [False]
