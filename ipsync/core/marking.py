"""What the mark of an entry shall say: whose it is, for which target, from which feed, and since when it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from ipsync.core.configured import Target
from ipsync.core.marks import STATIC
from ipsync.core.model import Entry, State
from ipsync.core.traits import Mark


@dataclass(frozen=True, slots=True)
class Marked:
    """An entry with the mark it has (or, where it is wanted, shall have).

    `by` is the target in whose name this is done and shown; `why` is what asks for it: feeds, or STATIC. `found` says
    that it is wanted, or may be, but was marked for a target that doesn't name the resource: it is no measure of what
    was held.
    """

    entry: Entry
    mark: Mark
    by: str = ""
    why: str = ""
    found: bool = False


@dataclass(frozen=True)  # no slots: what all entries of a resource ask for is worked out once
class Policy:
    """What the decisions about one resource rest on, besides the resource itself.

    `targets` are all that name the resource, or may name it; `frozen` those that can't be asked what they want now.
    `feeds` and `names` are all feeds and targets of the config.
    """

    owner: str
    now: datetime
    grace: timedelta | None
    targets: Sequence[Target]
    frozen: frozenset[str]
    feeds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @cached_property
    def healthy(self) -> list[Target]:
        """Return the targets that this run acts for."""
        return [t for t in self.targets if t.name not in self.frozen]

    @cached_property
    def sharing(self) -> frozenset[str]:
        """Return the names of the targets that name the resource, or may name it."""
        return frozenset(t.name for t in self.targets)


def kept_mark(mark: Mark, by: Mapping[str, frozenset[str]], policy: Policy) -> Mark:
    """Return the mark as it should read: not leaving, and naming a target and an origin that still want it.

    What is marked for a frozen target keeps its name: that target can't be asked whether it gives the entry up.
    """
    if policy.frozen and policy.frozen & policy.sharing & set(mark.targets):
        return replace(mark, since=None)
    targets = mark.targets if len(mark.targets) == 1 and mark.targets[0] in by else (next(iter(by)),)
    origins = by[targets[0]]
    origin = mark.origin if mark.origin in origins else _first_origin(origins)
    if (targets, origin, None) == (mark.targets, mark.origin, mark.since):
        return mark  # most are true already, and making a new one is dear
    return replace(mark, targets=targets, origin=origin, since=None)


def list_mark(mark: Mark | None, by: Mapping[str, frozenset[str]], policy: Policy) -> Mark:
    """Return the mark of a range that is wanted in a list."""
    held = mark or Mark(policy.owner, (), "")
    feeds = "" if held.origin == STATIC else held.origin
    only_static = all(origins == {STATIC} for origins in by.values())
    return list_words(replace(held, origin=STATIC if only_static else "", since=None), feeds, policy)


def list_words(mark: Mark, feeds: str, policy: Policy) -> Mark:
    """Return a range's mark with a list's words, which are one for all its ranges: who shares it, and their feeds.

    They rest on the config and not on what single ranges said, or two targets would write each other's names over.
    Only what a frozen target's name and `feeds` say stays: it can't be asked.
    """
    sharing = policy.healthy
    frozen = policy.frozen & policy.sharing & set(mark.targets)
    names = {f for t in sharing for f in t.feeds} | {f for f in feeds.split(",") if f and frozen}
    origin = mark.origin if mark.origin == STATIC else ",".join(sorted(names))
    return replace(mark, targets=tuple(sorted({t.name for t in sharing} | frozen)), origin=origin)


def _first_origin(origins: frozenset[str]) -> str:
    feeds = sorted(origins - {STATIC})
    return feeds[0] if feeds else STATIC


def why(by: Mapping[str, frozenset[str]], target: str) -> str:
    """Say what asks for an entry: the target's feeds or `static`, and which other targets want it too."""
    others = [name for name in by if name != target]
    also = f"; also for {', '.join(others)}" if others else ""
    return ", ".join(sorted(by[target])) + also


@dataclass(frozen=True, slots=True)
class NewMarks:
    """Marks what is new. What comes to others that were there says when: see guards.py, `held before`."""

    state: State
    policy: Policy
    first: bool

    def marked(self, entry: Entry, by: Mapping[str, frozenset[str]]) -> Marked:
        """Return a new entry with its mark. `by` holds the targets that want it, and why each does."""
        target = next(iter(by))
        mark = Mark(self.policy.owner, (target,), _first_origin(by[target]))
        if self.state.traits.whole_lists:
            mark = list_mark(None, by, self.policy)
        if not self.first and self.policy.grace:
            mark = replace(mark, added=self.policy.now)
        marks = self.state.traits.entries
        return Marked(replace(entry, note=marks.note(mark)) if marks else entry, mark, target, why(by, target))
