"""What became of a write is told by what is there now: on the spot, and of an earlier run's open intents at the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ipsync.engine.run import Run
from ipsync.layout import base_name, belongs
from ipsync.model import State
from ipsync.plan import World
from ipsync.steps import observed, part_texts


def settle_open_intents(run: Run, world: World) -> None:
    """Record of each intent that an earlier run left open what is really there; what can't be read stays open."""
    configured = {t.name for t in run.config.targets}
    for intent in run.open_intents:
        resource = str(intent["resource"])
        now = lines_now(resource, world.states, run.config.owner)
        if now is not None:
            run.record(
                "recovered", intent=intent["seq"], resource=resource, result=compared(now, intent), now=list(now)
            )
        elif intent.get("target") not in configured:
            reason = "its target is no longer in the config; look at the resource by hand"
            run.record("recovered", intent=intent["seq"], resource=resource, result="unknown", reason=reason)
    run.open_intents = ()


def compared(now: Sequence[str], intent: Mapping[str, object]) -> str:
    """Compare what is there with what an intent says: applied, failed (as before), or partial."""
    if list(now) == intent.get("after"):
        return "applied"
    return "failed" if list(now) == intent.get("before") else "partial"


def lines_now(resource: str, states: Iterable[State], owner: str) -> tuple[str, ...] | None:
    """Return what is ours on a resource or in one of its lists, as intents have it; None if it wasn't read."""
    for state in states:
        if state.resource == resource and not state.listed:
            return observed(state, owner=owner)
        folder, _, name = resource.rpartition("/")
        if state.listed and state.resource.rpartition("/")[0] == folder and belongs(name, base_name(state)):
            part = next((p for p in state.parts if p.name == name), None)
            return part_texts(part, owner=owner)
    return None
