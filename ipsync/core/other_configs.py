"""Lists of this owner that another config of the owner keeps: they are left alone.

Where marks stand on whole lists, one owner's configs can be told apart by what the marks name alone. A further list
(`allow-2` beside `allow`) has a name that another config may have chosen for a list of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ipsync.core.marks import mark_of
from ipsync.core.model import ManagedList, State
from ipsync.core.placement import marked_for, overflow_of
from ipsync.core.plan import Orphan


def without_strays(state: State, owner: str) -> tuple[State, list[Orphan]]:
    """Take out further lists whose marks name nobody of this config: another config's list may have such a name.

    What the list under the very rule name is marked for is known too: its target was renamed (see operations.py).
    """
    if not state.traits.whole_lists or not state.targets:
        return state, []
    marks = {p.name: marked_for(state, p, owner=owner) for p in state.managed_lists}
    base = state.resource.rpartition("/")[2]
    known = {*state.targets, *(marks.get(base) or ())}
    strays = {name for name, by in marks.items() if by is not None and name != base and not known & set(by)}
    if not strays:
        return state, []
    kept = replace(
        state,
        managed_lists=tuple(p for p in state.managed_lists if p.name not in strays),
        entries=tuple(e for e in state.entries if e.provider_id not in strays),
        taken=tuple(sorted({*state.taken, *strays})),
    )
    folder = state.resource.rpartition("/")[0]
    lost = [(e, mark_of(e, owner=owner, traits=state.traits)) for e in state.entries if e.provider_id in strays]
    return kept, [Orphan.of(f"{folder}/{e.provider_id}", e, mark) for e, mark in lost if mark]


def kept_elsewhere(state: State, states: Iterable[State], targets: Collection[str], *, owner: str) -> str | None:
    """Say why a list is another config's: it is the overflow of one that is marked for none of this config's targets."""
    folder, _, name = state.resource.rpartition("/")
    stem = overflow_of(name)
    if not state.traits.whole_lists:
        return None
    own = _marked_for(state, state.managed_lists, owner)
    if not stem or not own or own & set(targets):
        return None
    others = [p for s in states if s.resource == f"{folder}/{stem}" for p in s.managed_lists]
    if not own & _marked_for(state, others, owner):
        return None
    return (
        f"rule {name} is the overflow of rule {stem}, which another config of this owner "
        f"keeps for {', '.join(sorted(own))}; choose another `rule:`"
    )


def _marked_for(state: State, lists: Iterable[ManagedList], owner: str) -> set[str]:
    return {t for p in lists for t in marked_for(state, p, owner=owner) or ()}
