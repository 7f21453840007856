"""The plan's nouns: everything a sync would do, as a value that people read and guards judge.

planner.py makes it. The id leaves the clock out, so that two runs that see the same world print the same id,
whenever they run; an approval names that id, or the id of one change that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Self

from ipsync.core.diff import Diff
from ipsync.core.guards import too_many_by
from ipsync.core.judgement import approvable, released
from ipsync.core.model import Entry, Held, Leaving, Operation, ReadFailure, Snapshot, State, Status, Verdict, Violation
from ipsync.core.operations import operations
from ipsync.core.traits import Mark


@dataclass(frozen=True, slots=True)
class FeedResult:
    """What came of fetching one feed: a snapshot, or why there is none."""

    name: str
    url: str
    snapshot: Snapshot | None
    error: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class TargetChange:
    """One target on one resource, as the plan shows it.

    settings  (rule, setting, from, to) of each list that changes; of one that is made, all it will open with, from ""
    deletes   the lists that are taken away whole
    marks     entries and lists whose marks alone change: who wants them, not what is let in
    waiting   the changes that a guard holds back, each with the id that approves it
    sources   why each entry that is added, removed or leaving is or was wanted: feeds, or `static`
    wave      the wave in which it is written (waves.py)
    noun, holder   what people call such a resource, and what it belongs to (traits.py)
    """

    target: str
    kind: str
    resource: str
    status: Status
    add: tuple[Entry, ...] = ()
    remove: tuple[Entry, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    starts_leaving: tuple[Entry, ...] = ()
    returns: tuple[Entry, ...] = ()
    satisfied: tuple[Entry, ...] = ()
    settings: tuple[tuple[str, str, str, str], ...] = ()
    deletes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    waiting: tuple[Held, ...] = ()
    sources: tuple[tuple[Entry, str], ...] = ()
    violations: tuple[Violation, ...] = ()
    held: int = 0
    error: str | None = None
    noun: str = "resource"
    holder: str = ""
    wave: str = ""


@dataclass(frozen=True)  # no slots: the writes are worked out once
class ResourceChange:
    """What is to be written to one resource, for the target `leader` and others that share it.

    `verdict` is the worst that a guard said of it; `stops` that nothing may be written there at all.
    """

    state: State
    change: Diff
    owner: str
    leader: str
    verdict: Verdict = Verdict.ALLOW
    held: tuple[Held, ...] = ()
    stops: bool = False
    seen: tuple[str, ...] = ()
    remove_first: bool = False
    keep_settings: bool = False

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Return all writes, those that wait for an approval included."""
        return self._operations(self.change)

    def allowed(self, approved: frozenset[str] = frozenset()) -> tuple[Operation, ...]:
        """Return the writes that may go now: without what a guard holds back and nobody approved."""
        return self._released(approved) if approved else self._unapproved

    @cached_property
    def _unapproved(self) -> tuple[Operation, ...]:
        return self._released(frozenset())

    def _released(self, approved: frozenset[str]) -> tuple[Operation, ...]:
        if self.stops:
            return ()
        freed = released(self.change, self.held, approved)
        whole = (freed.add, freed.remove) == (self.change.add, self.change.remove)
        return self.operations if whole else self._operations(freed)

    def _operations(self, change: Diff) -> tuple[Operation, ...]:
        """Return a change's writes. No more is removed first than must be for this very change to fit."""
        added = [m.entry.network for m in change.add]
        over = too_many_by(self.state.capacity, added) if self.remove_first and self.state.complete else {}
        return operations(self.state, change, owner=self.owner, removals_first=over, keep_settings=self.keep_settings)


@dataclass(frozen=True, slots=True)
class Orphan:
    """An entry of ours that belongs to no target any more."""

    resource: str
    entry: Entry
    target: str

    @classmethod
    def of(cls, resource: str, entry: Entry, mark: Mark) -> Self:
        """Return the orphan that an entry is, with the first target that its mark names."""
        return cls(resource, entry, mark.targets[0] if mark.targets else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a sync would do. `changes` holds what waits too, for an approval."""

    owner: str
    feeds: tuple[FeedResult, ...]
    target_changes: tuple[TargetChange, ...]
    orphaned: tuple[Orphan, ...]
    changes: tuple[ResourceChange, ...] = field(default=(), repr=False)
    id: str = ""

    def approvals(self, given: frozenset[str]) -> frozenset[str]:
        """Return the ids of the held changes that these approvals let go: the plan's own id stands for all of them."""
        known = approvable(h for w in self.changes for h in w.held)
        return known if self.id in given else known & given


@dataclass(frozen=True, slots=True)
class Observed:
    """What a plan is made from: the feeds and the clouds as they were read, and the time.

    `unread` are the scopes that this run didn't read, since no target in them is selected.
    """

    feeds: Mapping[str, FeedResult]
    states: Sequence[State]
    failures: Sequence[ReadFailure]
    now: datetime
    unread: frozenset[tuple[object, ...]] = frozenset()
