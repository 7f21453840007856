"""One pass, top to bottom: fetch, read, plan, guard, record, apply, verify.

1. Fetch every feed and survey every scope at once; a failure becomes a value, never an empty list (observe.py).
2. Settle what an earlier run left open: what became of an intent is answered by what is really there (settle.py).
3. Plan. Where something is to be added, read those resources whole (foreign entries, quotas) and plan again.
4. For a plan, stop here: no object that can write has been made.
5. Apply resource by resource: intent on disk, write, outcome on disk. A lost reply is read back (write.py).
6. Read each scope again and compare with what was intended. What changed under our feet is planned once more.
"""

from __future__ import annotations

from dataclasses import replace

from ipsync.contested import contested
from ipsync.engine.observe import observe, plan_again, planned, survey_all, world_of
from ipsync.engine.results import second_try, with_results
from ipsync.engine.run import Clouds, Recorded, Recorder, Run
from ipsync.engine.settle import settle_open_intents
from ipsync.engine.write import carry_out
from ipsync.errors import PlanFileError
from ipsync.plan import Plan
from ipsync.planfile import SavedPlan, moved
from ipsync.report import Report

__all__ = ["Clouds", "Recorded", "Recorder", "Run", "apply", "plan", "sync"]


def plan(run: Run) -> Report:
    """Read feeds and clouds and say what a sync would change. Makes nothing that can write."""
    run.record("run-started", mode="plan")
    now = run.clock()
    made, _ = observe(run, now)
    return _ended(run, Report(run.id, "plan", now, made, notices=tuple(contested(made, run.earlier).values())))


def sync(run: Run, *, approve: str | None = None) -> Report:
    """Plan, then apply what the guards allow; what changed meanwhile is planned and applied once more."""
    run.record("run-started", mode="sync")
    now = run.clock()
    made, world = observe(run, now)
    undone = contested(made, run.earlier)
    if approve:
        run.record("approval", plan=approve, current=made.id, holds=approve == made.id)
    results = carry_out(run, made, approved=approve == made.id)
    done = with_results(made, results, approved=approve == made.id)
    stale = {r.resource for r in results if r.stale}
    if stale and not run.stopping():
        again = plan_again(run, world, run.clock())
        retried = carry_out(run, again, approved=approve == again.id, only=stale)
        done = second_try(done, with_results(again, retried, approved=approve == again.id), results)
    notices = (*_approval_notices(approve, made), *undone.values())
    return _ended(run, Report(run.id, "sync", now, done, notices=notices))


def apply(run: Run, saved: SavedPlan, *, approve: str | None = None) -> Report:
    """Apply a saved plan and only that: refused with PlanFileError, before any write, if what it rests on has moved.

    The plan is a pure function of its inputs, so it is derived again from the saved feeds, the saved time and
    the clouds as they are now: the same id means the same writes, and the guards have looked at them again.
    """
    run.record("run-started", mode="apply", plan=saved.id)
    world = world_of(saved.feeds, survey_all(run), saved.created_at)
    settle_open_intents(run, world)
    made, _ = planned(run, world)
    if made.id != saved.id:
        run.record("run-ended", mode="apply", targets=[], refused="the world has moved since the plan was made")
        raise PlanFileError(moved(saved, made))
    if approve:
        run.record("approval", plan=approve, current=made.id, holds=approve == made.id)
    results = carry_out(run, made, approved=approve == made.id)
    done = with_results(made, results, approved=approve == made.id)
    return _ended(run, Report(run.id, "apply", saved.created_at, done, notices=_approval_notices(approve, made)))


def _ended(run: Run, report: Report) -> Report:
    statuses = [{"target": e.target, "resource": e.resource, "status": e.status.value} for e in report.plan.elements]
    notices = (*report.notices, *run.notices)
    said = {"notices": list(notices)} if notices else {}
    head = run.record("run-ended", mode=report.mode, targets=statuses, interrupted=run.stopping(), **said)
    return replace(report, notices=notices, checkpoint=f"{head.seq}:{head.hash}" if head.seq else "")


def _approval_notices(approve: str | None, made: Plan) -> tuple[str, ...]:
    if not approve or approve == made.id:
        return ()
    return (f"the approval names plan {approve}, but the plan is now {made.id}: look at it again, then approve that",)
