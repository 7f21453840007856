"""What a run has to say: the plan, what became of it, and the exit code that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from ipsync.core.exit_codes import ExitCode
from ipsync.core.model import Status, Verdict
from ipsync.core.plan import Plan, TargetChange
from ipsync.core.sharding import Share
from ipsync.core.waves import GUARD, PROBLEMS, WaveReport

AS_WISHED = {Status.IN_SYNC, Status.APPLIED}
FAILED = {Status.ERROR, Status.PARTIAL, Status.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `mode` is plan, sync or apply; `checkpoint` is the audit log's head, `SEQ:HASH`, if there is one."""

    run: str
    mode: str
    created_at: datetime
    plan: Plan
    checkpoint: str = ""
    notices: tuple[str, ...] = ()
    refused: bool = False
    waves: tuple[WaveReport, ...] = ()
    share: Share | None = None


def statuses(plan: Plan) -> list[dict[str, object]]:
    """Return how each target stands at each resource, as `run-ended` records it.

    Where many `resources` of a target are in sync, they are counted: of thousands they are nearly all, in every run.
    """
    well = Counter(e.target for e in plan.target_changes if e.status is Status.IN_SYNC)
    found: dict[tuple[str, str], dict[str, object]] = {}
    for each in plan.target_changes:
        many = well[each.target] if each.status is Status.IN_SYNC else 1
        where = {"resource": each.resource} if many == 1 else {"resources": many}
        key = (each.target, "" if many > 1 else each.resource)
        found.setdefault(key, {"target": each.target, "status": each.status.value, **where})
    return list(found.values())


def exit_code(report: Report, *, detailed: bool) -> ExitCode:
    """Return the contract's exit code (section 1): the first that holds of 4, 1, 3, 2, 0.

    A target left half done or unknown is 4 even when it is alone, since 1 says that nothing was touched; so are
    targets that wait for a wave, and a wave whose check didn't pass.
    """
    found = {e.status for e in report.plan.target_changes}
    half_done = bool(found & {Status.PARTIAL, Status.UNKNOWN, Status.HELD}) or unproven(report)
    if half_done or (found & AS_WISHED and found & FAILED):
        return ExitCode.PARTIAL
    if found & FAILED or any(f.error for f in report.plan.feeds):
        return ExitCode.FAILED
    if report.refused or Status.BLOCKED in found or any(objects(e) for e in report.plan.target_changes):
        return ExitCode.REFUSED
    return ExitCode.PENDING if detailed and Status.CHANGE in found else ExitCode.DONE


def unproven(report: Report) -> bool:
    """Tell whether a check of a wave was asked and didn't pass."""
    return any(w.state in PROBLEMS and not all(p.passed for p in w.proofs) for w in report.waves)


def objects(target_change: TargetChange) -> bool:
    """Tell whether a guard holds something of an element back, be it the whole or one change of several."""
    whole = any(v.verdict is not Verdict.ALLOW and not v.change for v in target_change.violations)
    return bool(target_change.waiting) or (whole and target_change.status is not Status.APPLIED)


def approvable(report: Report) -> bool:
    """Tell whether an approval would let something through."""
    target_changes = report.plan.target_changes
    return any(h.verdict is Verdict.NEEDS_APPROVAL for e in target_changes for h in e.waiting) or any(
        e.status is Status.BLOCKED and {v.verdict for v in e.violations} <= {Verdict.NEEDS_APPROVAL, Verdict.ALLOW}
        for e in target_changes
    )


def written(report: Report) -> bool:
    """Tell whether something was written, or may have been: then the plan's id is another one by now."""
    return bool({e.status for e in report.plan.target_changes} & {Status.APPLIED, Status.PARTIAL, Status.UNKNOWN})


def approving(report: Report) -> tuple[str, ...]:
    """Return the ids that let through all that an approval can: the plan's, for as long as it is that.

    Once something was written, those of the changes and waves that wait: they stay.
    """
    if not approvable(report):
        return ()
    if not written(report):
        return (report.plan.id,)
    return waiting(report)


def waiting(report: Report) -> tuple[str, ...]:
    """Return the ids of the waves and changes that wait for an approval."""
    target_changes = report.plan.target_changes
    large = [v.change for e in target_changes for v in e.violations if v.guard == GUARD]
    changes = [h.id for e in target_changes for h in e.waiting if h.verdict is Verdict.NEEDS_APPROVAL]
    return tuple(dict.fromkeys([*large, *changes]))


@dataclass(frozen=True, slots=True)
class Summary:
    """The plan's totals: entries to add, remove and leaving; elements in sync, blocked, failed and held by a wave."""

    add: int
    remove: int
    leaving: int
    in_sync: int
    blocked: int
    failed: int
    held: int = 0


def summarize(target_changes: tuple[TargetChange, ...]) -> Summary:
    """Count what the elements of a plan would do and how they stand."""
    return Summary(
        add=sum(len(e.add) for e in target_changes),
        remove=sum(len(e.remove) for e in target_changes),
        leaving=sum(len(e.leaving) for e in target_changes),
        in_sync=sum(e.status in AS_WISHED and not e.waiting for e in target_changes),
        blocked=sum(e.status is Status.BLOCKED or bool(e.waiting) for e in target_changes),
        failed=sum(e.status in FAILED for e in target_changes),
        held=sum(e.status is Status.HELD for e in target_changes),
    )
