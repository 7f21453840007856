"""Exit codes: the contract's order, 4, 1, 3, 2, 0."""

from __future__ import annotations

import pytest
from factory import NOW

from ipsync.core.model import Status, Verdict, Violation
from ipsync.core.plan import FeedResult, Plan, TargetChange
from ipsync.core.report import Report, exit_code, statuses, summarize

S = Status


def report(*statuses: Status, violations: tuple[Violation, ...] = (), error: str | None = None) -> Report:
    target_changes = tuple(
        TargetChange(f"t{i}", "k", f"r{i}", s, violations=violations) for i, s in enumerate(statuses)
    )
    return Report("r", "plan", NOW, Plan("acme", (FeedResult("f", "u", None, error),), target_changes, ()))


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([S.IN_SYNC], 0),
        ([S.APPLIED], 0),
        ([S.CHANGE], 0),
        ([S.BLOCKED], 3),
        ([S.BLOCKED, S.IN_SYNC], 3),
        ([S.ERROR], 1),
        ([S.ERROR, S.BLOCKED], 1),
        ([S.ERROR, S.CHANGE], 1),
        ([S.ERROR, S.IN_SYNC], 4),
        ([S.ERROR, S.APPLIED, S.BLOCKED], 4),
        ([S.PARTIAL], 4),
        ([S.UNKNOWN], 4),
    ],
)
def test_the_first_that_holds_wins(statuses, code):
    assert exit_code(report(*statuses), detailed=False) == code


@pytest.mark.parametrize(("status", "code"), [(S.CHANGE, 2), (S.IN_SYNC, 0), (S.BLOCKED, 3), (S.ERROR, 1)])
def test_detailed_says_that_changes_are_pending(status, code):
    assert exit_code(report(status), detailed=True) == code


def test_a_broken_feed_is_a_failure_even_without_targets():
    assert exit_code(report(error="down"), detailed=False) == 1


def test_a_warning_is_no_refusal():
    warning = Violation("max-removals", Verdict.ALLOW, "many are leaving")
    assert exit_code(report(S.IN_SYNC, violations=(warning,)), detailed=False) == 0
    refusal = Violation("max-removals", Verdict.NEEDS_APPROVAL, "many")
    assert exit_code(report(S.IN_SYNC, violations=(refusal,)), detailed=False) == 3
    assert exit_code(report(S.APPLIED, violations=(refusal,)), detailed=False) == 0


def test_the_summary_counts_elements_by_how_they_stand():
    total = summarize(report(S.IN_SYNC, S.APPLIED, S.BLOCKED, S.ERROR, S.PARTIAL, S.UNKNOWN).plan.target_changes)
    assert (total.in_sync, total.blocked, total.failed) == (2, 1, 3)


def test_a_run_ends_with_each_status_and_the_number_of_what_is_in_sync():
    """A worker over a thousand accounts wrote two megabytes of `in-sync` into its log in each pass."""
    found = [("web", "r1", S.IN_SYNC), ("web", "r2", S.ERROR), ("web", "r3", S.IN_SYNC), ("edge", "r4", S.IN_SYNC)]
    found += [("web", "r5", S.APPLIED), ("web", "r6", S.APPLIED)]
    plan = Plan("acme", (), tuple(TargetChange(name, "k", where, s) for name, where, s in found), ())
    assert statuses(plan) == [
        {"target": "web", "status": "in-sync", "resources": 2},
        {"target": "web", "resource": "r2", "status": "error"},
        {"target": "edge", "resource": "r4", "status": "in-sync"},
        {"target": "web", "resource": "r5", "status": "applied"},
        {"target": "web", "resource": "r6", "status": "applied"},
    ]
