"""One pass, top to bottom: fetch, read, plan, guard, record, apply, verify.

0. List the places that the config's entries lead to: accounts, regions, projects (expand.py).
1. Fetch every feed and list every scope at once; a failure becomes a value, never an empty list (read.py).
2. Recover what an earlier run left open: what became of an intent is answered by what is really there (recover.py).
3. Plan. Where something is to be added, read those resources whole (foreign entries, quotas) and plan again.
4. For a plan, stop here: no object that can write has been made.
5. Apply resource by resource: intent on disk, write, outcome on disk. A lost reply is read back (apply.py).
6. Read each scope again and compare with what was intended. What changed under our feet is planned once more.

Where the config has waves, 5 and 6 are done wave by wave, each verified before the next (waves.py). While a proof is
waited for, others may write; where one of them did, the pass begins again at 1 with what is left (docs/decisions/0033).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ipsync.core import places
from ipsync.core.contested import contested
from ipsync.core.errors import PlanFileError
from ipsync.core.events import Approval, RunEnded, RunStarted
from ipsync.core.holds import foreseen
from ipsync.core.model import Held, Verdict
from ipsync.core.plan import Observed, Plan
from ipsync.core.planfile import SavedPlan, moved
from ipsync.core.report import Report, statuses
from ipsync.core.signals import Contested, Recorded
from ipsync.engine import beside, divide
from ipsync.engine.carrying import Wish
from ipsync.engine.expand import expand
from ipsync.engine.read import observe, observed_now, planned
from ipsync.engine.recover import recover_open_intents
from ipsync.engine.run import Change, Clouds, Recorder, Run, tell
from ipsync.engine.turn import Heard, Turn
from ipsync.engine.waves import Rollout, holding, in_waves, let_past
from ipsync.targets import pace

Approvals = frozenset[str]
"""Ids that a human approved: of plans, and of changes that wait."""

ROUNDS = 3
"""How often one sync plans, where others write while it waits; what is left then is the next run's."""
ANEW = "another run wrote to a cloud while this one waited, so the rest was planned anew"

__all__ = [
    "Approvals",
    "Change",
    "Clouds",
    "Heard",
    "Recorded",
    "Recorder",
    "Run",
    "Turn",
    "apply",
    "plan",
    "sync",
    "tell",
]


def plan(run: Run) -> Report:
    """Read feeds and clouds and say what a sync would change. Makes nothing that can write."""
    run = _started(run, "plan")
    now = run.clock()
    made, observed = observe(run, now)
    undone = _contested(run, made)
    found = beside.found(run, made)
    waves = foreseen(made, run.config, run.standing, now=now, selected=run.selected, beside=found)
    return _ended(run, observed, Report(run.id, "plan", now, made, notices=tuple(undone.values()), waves=waves))


def sync(run: Run, *, approve: Approvals = frozenset()) -> Report:
    """Plan, then apply what the guards allow; what changed meanwhile is planned and applied once more.

    `approve` holds ids of plans and of changes that wait: each lets go what was looked at, and nothing else.
    """
    run = _started(run, "sync")
    done = _round(run, approve, again=True)
    for number in range(1, ROUNDS):
        if not done.rollout.moved:
            break
        run = run.refreshed()
        run.progress.notices.append(ANEW)
        run.progress.beside = None
        done = _round(run, done.given, again=number < ROUNDS - 1, before=done)
    notices = (*done.approvals, *done.undone)
    report = Report(run.id, "sync", done.at, done.rollout.plan, notices=notices, waves=done.rollout.waves)
    return _ended(run, done.observed, report)


@dataclass(frozen=True, slots=True)
class _Round:
    """One planning of a sync, and what came of it together with the rounds before.

    given      the approvals, and the changes that they let go: those go on in the next round, where they still wait
    approvals  what people are to be told of the approvals, and `undone` of what somebody undoes
    """

    at: datetime
    observed: Observed
    rollout: Rollout
    given: Approvals
    approvals: tuple[str, ...]
    undone: tuple[str, ...]


def _round(run: Run, given: Approvals, *, again: bool, before: _Round | None = None) -> _Round:
    """Read, plan and carry out."""
    now = run.clock()
    made, observed = observe(run, now)
    undone = _contested(run, made)
    let_go = frozenset(let_past(run, made, given) if made.id in given else ())
    approved = _approved(run, made, given, idle=before is None)
    told = before.approvals if before else _approval_notices(run, given, made)
    rollout = in_waves(run, made, Wish(given, approved, observed), again=again)
    done = rollout.after(before.rollout) if before else rollout
    return _Round(now, observed, done, given | approved | let_go, told, tuple(undone.values()))


def apply(run: Run, saved: SavedPlan, *, approve: Approvals = frozenset()) -> Report:
    """Apply a saved plan and only that: refused with PlanFileError, before any write, if what it rests on has moved.

    The plan is a pure function of its inputs, so it is derived again from the saved feeds, the saved time and
    the clouds as they are now: the same id means the same writes, and the guards have looked at them again.
    """
    run = _started(run, "apply", saved.id)
    observed = observed_now(run, saved.feeds, saved.created_at)
    recover_open_intents(run, observed)
    made, _ = planned(run, observed)
    if made.id != saved.id:
        run.emit(RunEnded(mode="apply", refused="what the plan rests on has changed since it was made"))
        raise PlanFileError(moved(saved, made))
    approved = _approved(run, made, approve)
    done = in_waves(run, made, Wish(approve, approved), again=False)
    notices = _approval_notices(run, approve, made)
    return _ended(
        run, observed, Report(run.id, "apply", saved.created_at, done.plan, notices=notices, waves=done.waves)
    )


def _contested(run: Run, made: Plan) -> dict[str, str]:
    """Tell what somebody undoes between the runs, by resource."""
    undone = contested(made, run.earlier)
    run.signal(Contested(undone))
    return undone


def _approved(run: Run, made: Plan, given: Approvals, *, idle: bool = True) -> frozenset[str]:
    """Record each approval, `idle` ones too, and return the ids of the changes that they let go."""
    waves = holding(run, made, given)
    for each in sorted(given):
        held = sorted({*made.approvals(frozenset({each})), *(i for i in waves if each in {i, made.id})})
        if held or idle:
            run.emit(Approval(plan=each, current=made.id, holds=each == made.id or bool(held), changes=held))
    return made.approvals(given)


def _started(run: Run, mode: str, saved: str | None = None) -> Run:
    """Record the start, and return the run with each target at each of its places."""
    pace.ends_with(run.stop)
    shard = str(run.config.shard) if run.config.shard else None
    run.emit(RunStarted(mode=mode, config=run.config.source or None, plan=saved, shard=shard))
    run, listed = expand(run)
    run.progress.notices += listed
    return run


def _ended(run: Run, observed: Observed, report: Report) -> Report:
    left = places.notices(run.places, run.config, observed, selected=run.selected, others=run.others)
    idle = divide.idle(run, report.plan)
    said = (*run.config.notices, *report.notices, *run.progress.notices, *idle, *left, *_stopped(run))
    notices = tuple(dict.fromkeys(said))
    held = places.after(run.places, run.config, observed, report.plan)
    head = run.emit(
        RunEnded(
            mode=report.mode,
            targets=statuses(report.plan),
            interrupted=run.stopping(),
            notices=notices or None,
            places=places.written(held) if held or run.places else None,
        )
    )
    return replace(report, notices=notices, checkpoint=f"{head.seq}:{head.hash}" if head.seq else "", share=run.share)


def _stopped(run: Run) -> tuple[str, ...]:
    if not run.stopping():
        return ()
    said = "what it had begun is told above" if run.progress.wrote else "nothing was written"
    return (f"{run.ended_by} ended this run early: {said}; the next run does the rest",)


def _approval_notices(run: Run, given: Approvals, made: Plan) -> tuple[str, ...]:
    """Say of each approval that lets nothing go why it doesn't."""
    known = {h.id: h for w in made.changes for h in w.held}
    given = given - holding(run, made, given).keys()
    return tuple(text for each in sorted(given) if (text := _idle(each, made, known.get(each))))


def _idle(given: str, made: Plan, held: Held | None) -> str:
    if given == made.id or (held and held.verdict is not Verdict.REFUSE):
        return ""
    if held:
        return f"{given} was refused by a guard, and a refusal can't be approved"
    kind = next((k for k in ("change", "wave") if given.startswith(f"{k}:")), "plan")
    now = f", but the plan is now {made.id}" if kind == "plan" else ", and nothing that waits now has this id"
    return f"the approval names {kind} {given}{now}: it lets nothing go; look at what waits now, then approve that"
