"""What a run's status and result prove. Only one pair proves anything; every other one says why not."""

from __future__ import annotations

from collections.abc import Iterable

from ipsync.core.words import few
from ipsync.verification.base import Result, State
from ipsync.verification.qatech.answers import Run, RunState, RunTestCase

UNDER_WAY = {"INITIATED", "RUNNING"}
SHOWN = 3


def started(run: Run) -> Result:
    """Judge a run that has just begun. One without tests ends as if all were well, and proves nothing."""
    if run.test_count < 1:
        detail = "the run has no tests, so it proves nothing; is something switched on in its test plan?"
        return Result("failed", run.short_id, run.url, detail=detail)
    return Result("running", run.short_id, run.url)


def judged(run: RunState, *, url: str = "") -> Result:
    """Judge a run by what is told of it now. `url` is its address, which only its start is sure to tell."""
    state, detail = _judged(run)
    names = tuple(one.name for one in broken(run.run_test_cases))
    if state == "passed" and names:  # they were skipped: nothing failed in it
        names, detail = (), f"not run in it: {few(names, SHOWN)}"
    return Result(state, run.short_id, run.url or url, names, detail)


def broken(test_cases: Iterable[RunTestCase]) -> list[RunTestCase]:
    """Return the test cases that ended and did not pass."""
    return [one for one in test_cases if one.result == "SKIPPED" or _failed(one)]


def _failed(one: RunTestCase) -> bool:
    return one.result == "FAILED" or one.status in {"ERROR", "CANCELLED"}


def _judged(run: RunState) -> tuple[State, str]:
    if run.status == "CANCELLED":
        return "cancelled", "somebody cancelled the run at QA.tech"
    if run.status == "ERROR":
        return "unknown", "the run ended with an error at QA.tech; it proves nothing"
    if run.status == "COMPLETED":
        return _completed(run)
    # A word that QA.tech adds one day is no end that we know of: asked again until the deadline, never taken for passed.
    return "running", "" if run.status in UNDER_WAY else f"its status is {run.status}, which is not known"


def _completed(run: RunState) -> tuple[State, str]:
    if run.result == "FAILED":
        return "failed", ""
    if run.result == "SKIPPED":
        return "failed", "its tests were skipped, so it proves nothing"
    if run.result is None:
        return "running", "it is completed, and its result is not there yet"
    if run.result != "PASSED":
        return "unknown", f"its result is {run.result}, which is not known"
    if any(_failed(one) for one in run.run_test_cases):
        return "unknown", "it is said to have passed, with tests that failed; look at the run at QA.tech"
    return "passed", ""
