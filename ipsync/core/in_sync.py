"""Sees at a glance that a resource holds exactly what is wanted, with true marks: most do, and nothing more is built.

One answer serves all resources that the same targets name. Only what takes entries one by one is looked at; "no" says
nothing: the whole comparison (diff.py) then decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from ipsync.core.canonical import digest
from ipsync.core.desired import Desired
from ipsync.core.model import Entry, Note, State
from ipsync.core.operations import entry_text
from ipsync.core.traits import EntryMarks

Asking = frozenset[tuple[str, str]]
"""Who may be named by the mark of a wanted entry: a target that wants it, and an origin that asks for it there."""


class InSync:
    """What the same targets want, ready to be compared with many resources."""

    def __init__(self, desired: Desired, marks: EntryMarks, *, owner: str, oldest: datetime) -> None:
        """`oldest`: when an entry must have been added after, for that time to be worth keeping (diff.py, `aged`)."""
        self._marks, self._owner, self._oldest = marks, owner, oldest
        self.digest = digest(sorted([entry_text(e), sorted(map(list, _asking(by)))] for e, by in desired.items()))
        self._asking = {entry: _asking(by) for entry, by in desired.items()}
        self._entries = frozenset(desired)
        sets = set(self._asking.values())
        self._all = next(iter(sets)) if len(sets) == 1 else None
        self._last: tuple[tuple[Entry, ...] | None, Counter[str] | None] = (None, None)

    def held(self, state: State) -> Counter[str] | None:
        """Return how many entries each target holds; None where the resource isn't surely as wanted."""
        last = self._last
        if last[0] is not state.entries:  # what is at rest shares its entries (at_rest.py)
            last = self._last = (state.entries, self._compared(state.entries))
        return None if state.conflict or last[1] is None else last[1].copy()

    def _compared(self, entries: tuple[Entry, ...]) -> Counter[str] | None:
        if len(entries) != len(self._entries) or frozenset(entries) != self._entries:
            return None
        found: Counter[str] = Counter()
        for (note, asking), number in self._notes(entries).items():
            target = self._target(note, asking)
            if target is None:
                return None
            found[target] += number
        return found

    def _notes(self, entries: Iterable[Entry]) -> Mapping[tuple[Note, Asking], int]:
        """Count the different notes: there are few of them, however many entries there are."""
        if self._all is None:
            return Counter((e.note, self._asking[e]) for e in entries)
        return {(note, self._all): number for note, number in Counter(e.note for e in entries).items()}

    def _target(self, note: Note, asking: Asking) -> str | None:
        mark = self._marks.mark(note, owner=self._owner)
        if mark is None or mark.since or len(mark.targets) != 1 or (mark.added and mark.added <= self._oldest):
            return None
        return mark.targets[0] if (mark.targets[0], mark.origin) in asking else None


def _asking(by: Mapping[str, Iterable[str]]) -> Asking:
    return frozenset((target, origin) for target, origins in by.items() for origin in origins)
