"""What people read of many resources: the same change once, with where it is made; what is in sync, counted.

What is the same may still name each resource: in the ids of what waits there, and in what a cloud says of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ipsync.core.model import Held, Status, Violation
from ipsync.core.plan import Orphan, TargetChange
from ipsync.core.waves import GUARD
from ipsync.core.words import count, few, without_names

NAMED = 3
"""So many resources of a group are named; `-v` lists each by itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """A change of one target that is the same on several resources."""

    changes: tuple[TargetChange, ...]

    @property
    def change(self) -> TargetChange:
        """Return the first of them, which stands for all."""
        return self.changes[0]

    @property
    def resources(self) -> tuple[str, ...]:
        """Return where they are made."""
        return tuple(change.resource for change in self.changes)

    @property
    def where(self) -> str:
        """Return where the change is made: `1,284 groups of 212 accounts`; the resource itself where it is one."""
        return self.resources[0] if len(self.changes) == 1 else counted([(self.change, self.resources)])

    @property
    def named(self) -> str:
        """Return the names of the first few, and how many more there are."""
        alike = len({_words(change) for change in self.changes}) == 1
        return few(self.resources, NAMED) + ("" if alike else "; what follows names the first of them")

    def ids(self, held: Held) -> tuple[str, ...]:
        """Return the ids of a change that waits: one for each resource."""
        number = self.change.waiting.index(held)
        return tuple(change.waiting[number].id for change in self.changes)


def grouped(changes: Iterable[TargetChange]) -> list[Group]:
    """Put together what is the same but for the resource and its names, in the order of the first of each."""
    found: dict[TargetChange, list[TargetChange]] = {}
    for change in changes:
        found.setdefault(_nameless(change), []).append(change)
    return [Group(tuple(same)) for same in found.values()]


def _nameless(change: TargetChange) -> TargetChange:
    """Return the change as it would be read of any resource: without its names, and the ids that are made of them."""
    return replace(
        change,
        resource="",
        held=0,
        waiting=tuple(replace(h, id="") for h in change.waiting),
        violations=tuple(_nameless_word(v, change.resource) for v in change.violations),
        error=change.error and without_names(change.error, change.resource),
    )


def _nameless_word(violation: Violation, resource: str) -> Violation:
    """Return a guard's word without names; the id of a wave is made of no resource."""
    id_ = violation.change if violation.guard == GUARD else ""
    return replace(violation, detail=without_names(violation.detail, resource), change=id_)


def _words(change: TargetChange) -> tuple[str | None, ...]:
    """Return what may name a resource in what is read of it."""
    return (change.error, *(v.detail for v in change.violations))


def lost(orphans: Iterable[Orphan], *, verbose: bool) -> list[tuple[Orphan, str]]:
    """Put together orphans that are the same but for the resource, each with where it is; `verbose` keeps them apart."""
    found: dict[Orphan, list[str]] = {}
    for orphan in orphans:
        found.setdefault(orphan if verbose else replace(orphan, resource=""), []).append(orphan.resource)
    return [(orphan, _at(resources)) for orphan, resources in found.items()]


def _at(resources: Sequence[str]) -> str:
    several = f"{count(len(resources), 'resource')}: " if len(resources) > 1 else ""
    return several + few(resources, NAMED)


def told_and_calm(changes: Iterable[TargetChange]) -> tuple[list[TargetChange], list[TargetChange]]:
    """Part what there is something to say of from what is just in sync."""
    told: list[TargetChange] = []
    calm: list[TargetChange] = []
    for change in changes:
        (calm if _is_calm(change) else told).append(change)
    return told, calm


def in_sync(calm: Sequence[TargetChange]) -> str:
    """Say how many resources are in sync: `1,284 groups of 212 accounts and 3 rules of 1 project`."""
    kinds: dict[tuple[str, str], dict[str, TargetChange]] = {}
    for change in calm:
        kinds.setdefault((change.noun, change.holder), {})[change.resource] = change
    return counted([(next(iter(found.values())), tuple(found)) for found in kinds.values()])


def counted(kinds: Iterable[tuple[TargetChange, Sequence[str]]]) -> str:
    """Count resources, and of how many accounts or projects they are: the second word of their names."""
    return " and ".join(_counted(change, resources) for change, resources in kinds)


def _counted(change: TargetChange, resources: Sequence[str]) -> str:
    number = count(len(resources), change.noun)
    if not change.holder:
        return number
    holders = Counter(resource.split("/")[1] for resource in resources if "/" in resource)
    return f"{number} of {count(len(holders), change.holder)}"


def _is_calm(change: TargetChange) -> bool:
    if change.status is not Status.IN_SYNC:
        return False
    said = (change.leaving, change.violations, change.waiting, change.marks, change.settings, change.error)
    return not any(said)
