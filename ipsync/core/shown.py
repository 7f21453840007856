"""What people see of one resource's plan under each of its targets, and that every write is among it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ipsync.core.diff import Diff
from ipsync.core.judgement import Judgement
from ipsync.core.marking import Marked
from ipsync.core.marks import mark_of
from ipsync.core.model import Entry, Held, Leaving, Operation, State, Status, Verdict, Violation
from ipsync.core.operations import closes, entry_text, opens
from ipsync.core.plan import ResourceChange, TargetChange


class Mine:
    """Which part of a resource's diff is shown under one of its targets."""

    def __init__(self, target: str, state: State, change: Diff, owner: str) -> None:
        self._target, self._state, self._owner = target, state, owner
        self.change = change
        self.held = sum(self.owns(m) for m in (*change.keep, *change.remark))

    def owns(self, item: Marked) -> bool:
        """Tell whether this is done in the target's name; what nobody is known for is the first target's."""
        named = [t for t in (item.by, *item.mark.targets) if t in self._state.targets]
        return self._target == (named[0] if named else self._state.targets[0])

    def of(self, items: Iterable[Marked]) -> list[Marked]:
        """Return those that are shown here."""
        return [m for m in items if self.owns(m)]

    def entries(self, items: Iterable[Marked]) -> tuple[Entry, ...]:
        """Return the entries of those that are shown here."""
        return tuple(m.entry for m in self.of(items))

    def leaving(self) -> tuple[Leaving, ...]:
        """Return what is leaving."""
        return tuple(leaving for marked, leaving in self.change.leaving if self.owns(marked))

    def returns(self) -> tuple[Entry, ...]:
        """Return what was leaving and is wanted again."""
        return tuple(m.entry for m in self.of(self.change.remark) if self._was_leaving(m))

    def remarked(self) -> tuple[Entry, ...]:
        """Return what neither leaves nor comes back, and only changes its words; a list's are said of it as a whole."""
        if self._state.traits.whole_lists:
            return ()
        return tuple(m.entry for m in self.of(self.change.remark) if m.mark.since is None and not self._was_leaving(m))

    def moves_marks(self) -> bool:
        """Tell whether something of this target's begins to leave, comes back, or changes words of its own."""
        starts = any(m.mark.since for m in self.of(self.change.remark))
        return bool(starts or self.returns() or self.remarked())

    def sources(self) -> tuple[tuple[Entry, str], ...]:
        """Return why each entry that moves is or was wanted."""
        moving = [*self.change.add, *self.change.remove, *(m for m, _ in self.change.leaving)]
        return tuple((m.entry, m.why or m.mark.origin) for m in self.of(moving))

    def _was_leaving(self, item: Marked) -> bool:
        old = mark_of(item.entry, owner=self._owner, traits=self._state.traits)
        return item.mark.since is None and old is not None and old.since is not None


@dataclass(frozen=True, slots=True)
class ListChanges:
    """What happens to a resource's physical lists besides their entries; shown under the target that leads."""

    settings: tuple[tuple[str, str, str, str], ...] = ()
    deletes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def beside(self, other: ListChanges) -> ListChanges:
        """Return these changes and another's, each once."""
        return ListChanges(
            settings=tuple(dict.fromkeys((*self.settings, *other.settings))),
            deletes=tuple(dict.fromkeys((*self.deletes, *other.deletes))),
            marks=tuple(dict.fromkeys((*self.marks, *other.marks))),
        )


NO_LISTS = ListChanges()


def list_changes(operations: Iterable[Operation]) -> ListChanges:
    """Return the settings of each list that is made or changed, the lists that go, and those that are only marked."""
    listed = [s for s in operations if s.managed]
    return ListChanges(
        settings=tuple(item for s in listed for item in operation_settings(s)),
        deletes=tuple(s.managed.name for s in listed if s.managed and s.kind == "delete"),
        marks=tuple(s.managed.name for s in listed if s.managed and _only_marked(s)),
    )


def operation_settings(operation: Operation) -> list[tuple[str, str, str, str]]:
    """Return (rule, setting, from, to) of a list that is made or set anew."""
    if not operation.managed or operation.kind == "delete":
        return []
    old, new = dict(operation.was.settings) if operation.was else {}, dict(operation.managed.settings)
    keys = sorted(k for k in {*old, *new} if old.get(k, "") != new.get(k, ""))
    return [(operation.managed.name, k, old.get(k, ""), new.get(k, "")) for k in keys]


def _only_marked(operation: Operation) -> bool:
    return (
        operation.kind == "replace"
        and not opens(operation)
        and not closes(operation)
        and not operation_settings(operation)
    )


def shown_target_change(  # noqa: PLR0913 - what an element is made of
    blank: TargetChange,
    mine: Mine,
    judgement: Judgement,
    resource_change: ResourceChange | None,
    lists: ListChanges,
    told: Sequence[Violation],
    *,
    held_lists: ListChanges = NO_LISTS,
) -> TargetChange:
    """Return the element of a target that this run acts for.

    `lists` go without an approval; `held_lists` would go with one, and are shown where something of the target's waits:
    who approves must see with what a list will open.
    """
    change, marked = mine.change, mine.moves_marks() or lists != NO_LISTS
    own = frozenset(m.entry for m in mine.of([*change.add, *change.remove]))
    waiting = tuple(h for h in judgement.held if own & set(h.entries)) if resource_change else ()
    if waiting or judgement.stops:
        lists = lists.beside(held_lists)
    leaves, moves = mine.leaving(), bool(resource_change and (own or marked or lists != NO_LISTS))
    goes = moves and bool(marked or own - {e for h in waiting for e in h.entries})
    violations = _concerning(judgement.violations, waiting, moves=moves, leaves=bool(leaves))
    return replace(
        blank,
        status=_status(moves=moves, goes=goes, stops=judgement.stops, violations=violations),
        add=mine.entries(change.add),
        remove=mine.entries(change.remove),
        leaving=leaves,
        starts_leaving=tuple(m.entry for m in mine.of(change.remark) if m.mark.since),
        returns=mine.returns(),
        satisfied=mine.entries(change.satisfied),
        settings=lists.settings,
        deletes=lists.deletes,
        marks=(*map(entry_text, mine.remarked()), *lists.marks) if resource_change else (),
        waiting=waiting,
        sources=mine.sources(),
        violations=(*violations, *told),
    )


def _concerning(
    violations: Sequence[Violation], waiting: Sequence[Held], *, moves: bool, leaves: bool
) -> tuple[Violation, ...]:
    ids = {h.id for h in waiting}
    return tuple(
        v
        for v in violations
        if (v.change in ids if v.change else moves or leaves or v.guard in {"ownership", "family"})
    )


def _status(*, moves: bool, goes: bool, stops: bool, violations: Sequence[Violation]) -> Status:
    owned = any(v.guard == "ownership" and v.verdict is Verdict.REFUSE for v in violations)
    if owned or (moves and (stops or not goes)):
        return Status.BLOCKED
    return Status.CHANGE if moves else Status.IN_SYNC


def accounted(resource_change: ResourceChange, target_changes: Sequence[TargetChange]) -> None:
    """Raise ValueError if a write isn't shown under a target that this run acts for: such a plan must not be made."""
    acting = [e for e in target_changes if e.status in {Status.CHANGE, Status.BLOCKED, Status.IN_SYNC} and not e.error]
    added = {x for e in acting for x in e.add}
    removed = {x for e in acting for x in e.remove}
    marked = {x for e in acting for x in (*e.starts_leaving, *e.returns)}
    named = {n for e in acting for n in (*e.marks, *e.deletes, *(s[0] for s in e.settings))}
    for operation in (*resource_change.operations, *resource_change.allowed()):
        words = {entry_text(x) for x in operation.entries}
        noted = operation.kind not in {"tag", "untag"} or words <= {*map(entry_text, marked), *named}
        listed = not operation.managed or bool(opens(operation) or closes(operation)) or operation.managed.name in named
        if not (opens(operation) <= added and closes(operation) <= removed and noted and listed):
            raise ValueError(f"{operation.kind} {operation.resource} is shown under no target")
