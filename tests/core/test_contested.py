"""What somebody undoes in each of three runs is told; anything less is not."""

from __future__ import annotations

import pytest
from factory import GROUP, Stage, aws_target, config

from ipsync.core.contested import RUNS_BEFORE, contested

A, B = "8.8.8.8/32", "8.8.4.4/32"


def plan():
    return Stage(config(aws_target()), lists={"qatech": [A, B]}).plan().plan


def run(*after: str, before: tuple[str, ...] = (), resource: str = GROUP, result: str = "applied"):
    intent = {"event": "intent", "seq": 1, "resource": resource, "before": list(before), "after": list(after)}
    return [{"event": "run-started", "seq": 0}, intent, {"event": "outcome", "seq": 2, "intent": 1, "result": result}]


PUT = f"{A} 443/tcp"


def test_what_each_of_the_runs_before_put_there_is_contested():
    ((resource, text),) = contested(plan(), [run(PUT)] * RUNS_BEFORE).items()
    assert resource == GROUP
    assert text.startswith(f"web: {GROUP} is contested: {PUT} was put there")


@pytest.mark.parametrize(
    "odd",
    [
        run(),
        run(f"{B} 443/tcp"),
        run(PUT, result="failed"),
        run(PUT, resource="aws/1/eu-north-1/sg-other"),
        run(f"{PUT} leaving since 2026-01-31T09:00:00Z", before=(PUT,)),
    ],
    ids=["nothing to do", "another entry", "not applied", "another group", "only marked"],
)
@pytest.mark.parametrize("place", range(RUNS_BEFORE))
def test_one_run_without_it_and_nothing_is_contested(odd, place):
    runs = [run(PUT)] * RUNS_BEFORE
    runs[place] = odd
    assert contested(plan(), runs) == {}


def test_too_few_runs_tell_nothing():
    assert contested(plan(), [run(PUT)] * (RUNS_BEFORE - 1)) == {}


def test_many_entries_are_counted_not_listed():
    (text,) = contested(plan(), [run(*(f"{n} 443/tcp" for n in (A, B)))] * RUNS_BEFORE).values()
    assert "8.8.4.4/32 443/tcp, 8.8.8.8/32 443/tcp was put" in text
