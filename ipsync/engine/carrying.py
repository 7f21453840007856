"""Carry out a plan, or a wave of it; what changed under our feet is planned and carried out once more."""

from __future__ import annotations

from dataclasses import dataclass

from ipsync.core.plan import Observed, Plan
from ipsync.core.waves import freed
from ipsync.engine.apply import carry_out
from ipsync.engine.outcomes import second_try, with_results
from ipsync.engine.read import plan_again
from ipsync.engine.run import Run


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be carried out, as it was when the run had planned it.

    given     what a human approved: ids of plans, of changes and of waves
    approved  the ids of the changes that this lets go
    observed  what is planned from again; None where a plan may be applied as it is, or not at all
    """

    given: frozenset[str]
    approved: frozenset[str]
    observed: Observed | None = None


def carried_out(run: Run, made: Plan, wish: Wish, *, only: set[str] | None = None, wave: str = "") -> Plan:
    """Return the plan with what became of it; `only` names the resources of one wave."""
    results = carry_out(run, made, approved=wish.approved, only=only)
    done = with_results(made, results, approved=wish.approved)
    stale = {r.resource for r in results if r.stale}
    if not stale or wish.observed is None or run.stopping():
        return done
    again = freed(plan_again(run, wish.observed, run.clock()))
    # What is shared with a later wave by now is that wave's: nothing is written there yet.
    still = {c.resource for c in again.target_changes if c.resource in stale and c.wave == wave}
    approved = again.approvals(wish.given)
    retried = carry_out(run, again, approved=approved, only=still)
    return second_try(done, with_results(again, retried, approved=approved), results)
