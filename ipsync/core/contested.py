"""Targets that somebody undoes as fast as ipsync makes them: told from what the audit log says of the runs before.

Nothing rests on it but a notice: where there is no log, or it was moved away, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipsync.core.contents import Contents, contents
from ipsync.core.events import Intent, Outcome, intent_of
from ipsync.core.plan import Plan, ResourceChange
from ipsync.core.words import few

RUNS_BEFORE = 3
"""So often in a row somebody must have undone it: once or twice may be a rollout."""
SHOWN = 3
Run = Sequence[Mapping[str, Any]]


def contested(plan: Plan, runs: Sequence[Run]) -> dict[str, str]:
    """Return what to tell people of each resource whose change every one of the runs before made as well.

    `runs` are the records of the last runs that could write; too few of them, and nothing is contested.
    """
    if len(runs) < RUNS_BEFORE:
        return {}
    made = [_made(run) for run in runs[:RUNS_BEFORE]]
    found = {resource_change.state.resource: _again(resource_change, made) for resource_change in plan.changes}
    targets = {
        resource_change.state.resource: ", ".join(resource_change.state.targets) for resource_change in plan.changes
    }
    return {resource: _text(targets[resource], resource, lines) for resource, lines in found.items() if lines}


def _again(resource_change: ResourceChange, made: Sequence[set[tuple[str, str]]]) -> list[str]:
    planned = {(s.resource, line) for s in resource_change.operations for line in _put(s.before, s.after)}
    return sorted({line for _, line in planned.intersection(*made)})


def _made(run: Run) -> set[tuple[str, str]]:
    done = {intent_of(r) for r in run if Outcome.names(r) and r.get("result") == "applied"}
    intents = [r for r in run if Intent.names(r) and r["seq"] in done]
    return {(i["resource"], line) for i in intents for line in _put(contents(i, "before"), contents(i, "after"))}


def _put(before: Contents, after: Contents) -> frozenset[str]:
    """Return what a write puts there, be it an entry or a rule's settings; a new mark alone is nothing."""
    return after.let_in() - before.let_in()


def _text(targets: str, resource: str, lines: Sequence[str]) -> str:
    return (
        f"{targets}: {resource} is contested: {few(lines, SHOWN)} was put there in each of the last "
        f"{RUNS_BEFORE} runs and is gone again. Somebody undoes it between the runs: the cloud's own log says who; 'Beside Terraform' in the "
        f"documentation says what helps"
    )
