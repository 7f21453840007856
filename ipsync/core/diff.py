"""One resource: what is wanted and what is there become what to add, mark, keep and remove.

Pure, and the one place that decides about a single entry. The rules, in order:
1. an entry that any healthy target wants stays, and loses its leaving mark;
2. an entry that a frozen target may want is held as it is;
3. an entry of ours whose target doesn't name this resource is an orphan: reported, left alone;
4. what the operator took out of the target that the mark names (a port, a static address, a feed that the config
   still has) goes at once;
5. what a feed dropped leaves: marked now, removed by the first run after the grace.

A name that is gone from the config was renamed, for all that can be known: a feed's leavers keep their grace, and
what had begun to leave for a target goes on leaving for the one that now names the resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ipsync.core.addresses import entry_key
from ipsync.core.coverage import covers
from ipsync.core.desired import Desired
from ipsync.core.leaving import Fate, fate, leaving
from ipsync.core.marking import Marked, NewMarks, Policy, kept_mark, list_mark, why
from ipsync.core.marks import mark_of
from ipsync.core.model import Entry, Leaving, State
from ipsync.core.traits import Mark


@dataclass(frozen=True, slots=True)
class Diff:
    """Everything one resource needs. `remark` holds kept entries with their new marks.

    `taken_out` are those of `remove` that the operator took out of the config, feeds apart; `aged` are entries whose time of
    addition is of no more use; `still` are those of `keep` that a frozen target may want: no mark of theirs changes.
    """

    add: tuple[Marked, ...] = ()
    remove: tuple[Marked, ...] = ()
    remark: tuple[Marked, ...] = ()
    keep: tuple[Marked, ...] = ()
    leaving: tuple[tuple[Marked, Leaving], ...] = ()
    satisfied: tuple[Marked, ...] = ()
    orphaned: tuple[Marked, ...] = ()
    taken_out: frozenset[Entry] = frozenset()
    aged: frozenset[Entry] = frozenset()
    still: frozenset[Entry] = frozenset()

    @property
    def after(self) -> dict[Entry, Mark]:
        """Return what this owner holds when the diff is carried out, with its marks."""
        kept = {m.entry: m.mark for m in (*self.keep, *self.orphaned)}
        return kept | {m.entry: m.mark for m in (*self.remark, *self.add)}

    def without(self, held: frozenset[Entry]) -> Diff:
        """Return the diff that leaves these entries as they are: not added, not removed."""
        waiting = [m for m in self.remove if m.entry in held]
        return replace(
            self,
            add=tuple(m for m in self.add if m.entry not in held),
            remove=tuple(m for m in self.remove if m.entry not in held),
            keep=_sorted([*self.keep, *waiting]),
        )


def diff(state: State, desired: Desired, policy: Policy) -> Diff:
    """Compare one resource with what is desired of it."""
    owned, foreign = _split(state, policy.owner)
    kept, remarked = _wanted(owned, desired, state, policy)
    fates = [fate(m, state, policy) for m in owned if m.entry not in desired]
    held = {m.entry for m in owned}
    fresh = NewMarks(state, policy, first=all(f.kind == "orphan" for f in fates) and not kept and not remarked)
    missing = [fresh.marked(entry, by) for entry, by in desired.items() if entry not in held]
    covered = {m.entry for m in missing if any(covers(other, m.entry) for other in foreign)}
    return Diff(
        add=_sorted(m for m in missing if m.entry not in covered),
        satisfied=_sorted(m for m in missing if m.entry in covered),
        keep=_sorted([*kept, *(f.marked for f in fates if f.kind in {"held", "leaving"})]),
        remark=_sorted([*remarked, *(f.marked for f in fates if f.kind == "begins")]),
        remove=_sorted(f.marked for f in fates if f.kind in {"due", "taken-out"}),
        orphaned=_sorted(f.marked for f in fates if f.kind == "orphan"),
        leaving=leaving(fates),
        taken_out=frozenset(f.marked.entry for f in fates if f.kind == "taken-out"),
        aged=_aged(owned, fates, policy),
        still=frozenset(f.marked.entry for f in fates if f.kind == "held"),
    )


def _aged(owned: Sequence[Marked], fates: Sequence[Fate], policy: Policy) -> frozenset[Entry]:
    """Return the entries that are older than a grace before the first of the leaving ones began to leave."""
    first = min((f.marked.mark.since or policy.now for f in fates), default=policy.now)
    oldest = first - (policy.grace or timedelta(0))
    return frozenset(m.entry for m in owned if m.mark.added and m.mark.added <= oldest)


def _split(state: State, owner: str) -> tuple[list[Marked], list[Entry]]:
    """Tell ours from others'.

    A range that someone put into a second list of ours too has left since its first mark, and is for all whom the marks name:
    one of them may not be asked now, and its name must stay.
    """
    owned: dict[Entry, Marked] = {}
    foreign = []
    for entry in state.entries:
        mark = mark_of(entry, owner=owner, traits=state.traits)
        known = owned.get(entry)
        if mark and known:
            first = known if known.mark.since else Marked(entry, mark)
            names = tuple(sorted({*known.mark.targets, *mark.targets}))
            owned[entry] = replace(first, mark=replace(first.mark, targets=names))
        elif mark:
            owned[entry] = Marked(entry, mark)
        elif not mark and not state.traits.whole_lists:
            foreign.append(entry)  # a foreign list of that name is no place for a wanted address, whatever it holds
    return list(owned.values()), foreign


def _wanted(
    owned: Sequence[Marked], desired: Desired, state: State, policy: Policy
) -> tuple[list[Marked], list[Marked]]:
    kept: list[Marked] = []
    remarked: list[Marked] = []
    for item in owned:
        by = desired.get(item.entry)
        if by is None:
            continue
        mark = list_mark(item.mark, by, policy) if state.traits.whole_lists else kept_mark(item.mark, by, policy)
        target = next((name for name in item.mark.targets if name in by), next(iter(by)))
        found = policy.sharing.isdisjoint(item.mark.targets)
        new = Marked(item.entry, mark, target, why(by, target), found=found)
        (kept if mark == item.mark else remarked).append(new)
    return kept, remarked


def _sorted(items: Iterable[Marked]) -> tuple[Marked, ...]:
    return tuple(sorted(items, key=lambda m: entry_key(m.entry)))
