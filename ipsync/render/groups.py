"""What people read of many resources: the same change once, with where it is made; what is in sync, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ipsync.core.model import Status
from ipsync.core.plan import TargetChange
from ipsync.core.words import few

NAMED = 3
"""So many resources of a group are named; `-v` lists each by itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """A change of one target that is the same on several resources: the first of them, and the names of all."""

    change: TargetChange
    resources: tuple[str, ...]

    @property
    def where(self) -> str:
        """Return where the change is made: `1,284 groups of 212 accounts`; the resource itself where it is one."""
        return self.resources[0] if len(self.resources) == 1 else counted([(self.change, self.resources)])

    @property
    def named(self) -> str:
        """Return the names of the first few, and how many more there are."""
        return few(self.resources, NAMED)


def grouped(changes: Iterable[TargetChange]) -> list[Group]:
    """Put together what is the same but for the resource, in the order of the first of each."""
    found: dict[TargetChange, list[TargetChange]] = {}
    for change in changes:
        found.setdefault(replace(change, resource="", held=0), []).append(change)
    return [Group(same[0], tuple(c.resource for c in same)) for same in found.values()]


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
    number = many(len(resources), change.noun)
    if not change.holder:
        return number
    holders = Counter(resource.split("/")[1] for resource in resources if "/" in resource)
    return f"{number} of {many(len(holders), change.holder)}"


def many(number: int, noun: str) -> str:
    """Return `1 group`, `1,284 groups`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _is_calm(change: TargetChange) -> bool:
    if change.status is not Status.IN_SYNC:
        return False
    said = (change.leaving, change.violations, change.waiting, change.marks, change.settings, change.error)
    return not any(said)
