"""What became of a write is told by what is there now: on the spot, and of an earlier run's open intents at the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ipsync.core.contents import Contents, is_as
from ipsync.core.events import Recovered
from ipsync.core.model import State
from ipsync.core.operations import list_contents, owned_contents
from ipsync.core.placement import base_name, belongs
from ipsync.core.plan import Observed
from ipsync.engine.run import Run


def recover_open_intents(run: Run, observed: Observed) -> None:
    """Record of each intent that an earlier run left open what is really there.

    Only of this owner's, and only where a target of this config names the resource and it was read: one log may serve
    several configs, and each recovers its own. What isn't recovered stays open.
    """
    named = [s for s in observed.states if s.targets]
    for intent in run.open_intents:
        if intent.get("owner", run.config.owner) != run.config.owner:
            continue
        resource = str(intent["resource"])
        now = held_now(resource, named, run.config.owner)
        if now is not None:
            seq, result = int(str(intent["seq"])), compared(now, intent)
            run.emit(Recovered(intent=seq, resource=resource, result=result, now=now))
        elif not _read_here(run, str(intent.get("target")), resource):
            run.progress.notices.append(_left_open(intent))


def _read_here(run: Run, target: str, resource: str) -> bool:
    """Tell whether a run of this config may read what an intent wrote: its target is there, and at that place."""
    place = resource.rpartition("/")[0]
    configured = (*run.config.targets, *run.config.elsewhere)
    return any(t.name == target and t.where.may_be_at(place) for t in configured)


def _left_open(intent: Mapping[str, object]) -> str:
    return (
        f"{intent['resource']}: what became of the write #{intent['seq']} of {intent.get('at')} (run {intent.get('run')}, "
        f"target {intent.get('target')}) is not known, and no target of this config reads that resource. The next sync with a "
        f"config that has the target finds it out; where no config has it any more, look at the resource by hand, or put the "
        f"target back into this config for one sync"
    )


def compared(now: Contents, intent: Mapping[str, object]) -> str:
    """Compare what is there with what an intent of either version says: applied, failed (as before), or partial."""
    if is_as(now, intent, "after"):
        return "applied"
    return "failed" if is_as(now, intent, "before") else "partial"


def held_now(resource: str, states: Iterable[State], owner: str) -> Contents | None:
    """Return what is ours on a resource or in one of its lists, as intents have it; None if it wasn't read."""
    for state in sorted(states, key=lambda s: s.resource != resource):  # a rule's own state before that of a like name
        if state.resource == resource and not state.traits.whole_lists:
            return owned_contents(state, owner=owner)
        folder, _, name = resource.rpartition("/")
        if state.traits.whole_lists and state.resource.rpartition("/")[0] == folder and belongs(name, base_name(state)):
            managed = next((p for p in state.managed_lists if p.name == name), None)
            return list_contents(managed, owner=owner, traits=state.traits)
    return None
