"""Tells which resources are alike but for the place they are at: what is planned for one then holds for all.

A company's projects mostly hold the same rules. Whole lists are dear to compare, mark by mark, so it is done once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ipsync.core.model import ManagedList, State
from ipsync.core.placement import overflow_of

_REST = [f.name for f in fields(State) if f.name not in {"resource", "entries", "managed_lists"}]
"""What a state holds beside its name and what equality leaves out parts of."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What all that is planned of a resource at rest depends on, but for the place."""

    name: str
    unknown: frozenset[str]
    entries: tuple[object, ...]
    lists: tuple[tuple[ManagedList, str], ...]
    rest: tuple[object, ...]

    def __hash__(self) -> int:
        """Look at few of what equality compares: each network costs a microsecond, and most resources are alike."""
        return hash((self.name, len(self.entries), *((p.name, p.note, len(p.networks)) for p, _ in self.lists)))


def likeness(state: State, unknown: frozenset[str]) -> Likeness | None:
    """Return what a resource at rest must be alike in to be planned alike; None where that isn't all.

    `unknown`: the targets that may name it. Entries that stand by themselves are seen at a glance (in_sync.py); a list
    whose name may be another's overflow is judged by what else is at its place.
    """
    name = state.resource.rpartition("/")[2]
    if not state.traits.whole_lists or overflow_of(name):
        return None
    entries = tuple((e, e.note, e.provider_id) for e in state.entries)
    lists = tuple((p, p.blocker) for p in state.managed_lists)
    return Likeness(name, unknown, entries, lists, tuple(getattr(state, field) for field in _REST))
