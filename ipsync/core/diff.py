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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ipsync.core.addresses import sort_key
from ipsync.core.configured import Target
from ipsync.core.desired import Desired
from ipsync.core.marks import STATIC, mark_of
from ipsync.core.model import Entry, Leaving, Service, State
from ipsync.core.traits import Mark, Traits

CLOCK_SKEW = timedelta(hours=48)
"""A leaving mark further than this in the future comes from a wrong clock, and is set anew.

Up to this it is believed, since it may be our own clock that is behind: setting the mark anew would then let the
address go that much too early. Believing a wrong one keeps it that much longer at the most."""


@dataclass(frozen=True, slots=True)
class Marked:
    """An entry with the mark it has (or, where it is wanted, shall have).

    `by` is the target in whose name this is done and shown; `why` is what asks for it: feeds, or STATIC. `found` says
    that it is wanted but was marked for a target that doesn't name the resource: it is no measure of what was held.
    """

    entry: Entry
    mark: Mark
    by: str = ""
    why: str = ""
    found: bool = False


@dataclass(frozen=True, slots=True)
class Diff:
    """Everything one resource needs. `remark` holds kept entries with their new marks.

    `word` are those of `remove` that the operator took out of the config, feeds apart; `aged` are entries whose time of
    addition is of no more use; `still` are those of `keep` that a frozen target may want: no mark of theirs changes.
    """

    add: tuple[Marked, ...] = ()
    remove: tuple[Marked, ...] = ()
    remark: tuple[Marked, ...] = ()
    keep: tuple[Marked, ...] = ()
    leaving: tuple[tuple[Marked, Leaving], ...] = ()
    satisfied: tuple[Marked, ...] = ()
    orphaned: tuple[Marked, ...] = ()
    word: frozenset[Entry] = frozenset()
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


@dataclass(frozen=True, slots=True)
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

    @property
    def healthy(self) -> list[Target]:
        """Return the targets that this run acts for."""
        return [t for t in self.targets if t.name not in self.frozen]


def diff(state: State, desired: Desired, policy: Policy) -> Diff:
    """Compare one resource with what is desired of it."""
    owned, foreign = _split(state, policy.owner)
    kept, remarked = _wanted(owned, desired, state, policy)
    fates = [_fate(m, state, policy) for m in owned if m.entry not in desired]
    held = {m.entry for m in owned}
    fresh = _Fresh(state, policy, first=all(f.kind == "orphan" for f in fates) and not kept and not remarked)
    missing = [fresh.marked(entry, by) for entry, by in desired.items() if entry not in held]
    covered = _Cover(foreign)
    return Diff(
        add=_sorted(m for m in missing if not covered.allows(m.entry)),
        satisfied=_sorted(m for m in missing if covered.allows(m.entry)),
        keep=_sorted([*kept, *(f.marked for f in fates if f.kind in {"hold", "left"})]),
        remark=_sorted([*remarked, *(f.marked for f in fates if f.kind == "mark")]),
        remove=_sorted(f.marked for f in fates if f.kind in {"remove", "word"}),
        orphaned=_sorted(f.marked for f in fates if f.kind == "orphan"),
        leaving=_leaving(fates),
        word=frozenset(f.marked.entry for f in fates if f.kind == "word"),
        aged=_aged(owned, fates, policy),
        still=frozenset(f.marked.entry for f in fates if f.kind == "hold"),
    )


def _aged(owned: Sequence[Marked], fates: Sequence[_Fate], policy: Policy) -> frozenset[Entry]:
    """Return the entries that are older than a grace before the first of the leaving ones began to leave."""
    first = min((f.marked.mark.since or policy.now for f in fates), default=policy.now)
    oldest = first - (policy.grace or timedelta(0))
    return frozenset(m.entry for m in owned if m.mark.added and m.mark.added <= oldest)


def _split(state: State, owner: str) -> tuple[list[Marked], list[Entry]]:
    """Tell ours from others'. A range that someone put into a second list of ours too has left since its first mark."""
    owned: dict[Entry, Marked] = {}
    foreign = []
    for entry in state.entries:
        mark = mark_of(entry, owner=owner, traits=state.traits)
        known = owned.get(entry)
        if mark and not (known and known.mark.since):
            owned[entry] = Marked(entry, mark)
        elif (
            not mark and not state.traits.whole_lists
        ):  # a foreign list of that name is no place for a wanted address, whatever it holds
            foreign.append(entry)
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
        mark = _list_mark(item.mark, by, policy) if state.traits.whole_lists else _current(item.mark, by, policy)
        target = next((name for name in item.mark.targets if name in by), next(iter(by)))
        found = not {t.name for t in policy.targets} & set(item.mark.targets)
        new = Marked(item.entry, mark, target, _why(by, target), found=found)
        (kept if mark == item.mark else remarked).append(new)
    return kept, remarked


def _current(mark: Mark, by: Mapping[str, frozenset[str]], policy: Policy) -> Mark:
    """Return the mark as it should read: not leaving, and naming a target and an origin that still want it.

    What is marked for a frozen target keeps its name: that target can't be asked whether it gives the entry up.
    """
    if policy.frozen & {t.name for t in policy.targets} & set(mark.targets):
        return replace(mark, since=None)
    targets = mark.targets if len(mark.targets) == 1 and mark.targets[0] in by else (next(iter(by)),)
    origins = by[targets[0]]
    origin = mark.origin if mark.origin in origins else _first(origins)
    return replace(mark, targets=targets, origin=origin, since=None)


def _list_mark(mark: Mark | None, by: Mapping[str, frozenset[str]], policy: Policy) -> Mark:
    """Return the mark of a range that is wanted in a list."""
    held = mark or Mark(policy.owner, (), "")
    feeds = "" if held.origin == STATIC else held.origin
    only_static = all(origins == {STATIC} for origins in by.values())
    return _list_words(replace(held, origin=STATIC if only_static else "", since=None), feeds, policy)


def _list_words(mark: Mark, feeds: str, policy: Policy) -> Mark:
    """Return a range's mark with a list's words, which are one for all its ranges: who shares it, and their feeds.

    They rest on the config and not on what single ranges said, or two targets would write each other's names over.
    Only what a frozen target's name and `feeds` say stays: it can't be asked.
    """
    sharing = policy.healthy
    frozen = policy.frozen & set(mark.targets) & {t.name for t in policy.targets}
    names = {f for t in sharing for f in t.feeds} | {f for f in feeds.split(",") if f and frozen}
    origin = mark.origin if mark.origin == STATIC else ",".join(sorted(names))
    return replace(mark, targets=tuple(sorted({t.name for t in sharing} | frozen)), origin=origin)


def _first(origins: frozenset[str]) -> str:
    feeds = sorted(origins - {STATIC})
    return feeds[0] if feeds else STATIC


def _why(by: Mapping[str, frozenset[str]], target: str) -> str:
    """Say what asks for an entry: the target's feeds or `static`, and which other targets want it too."""
    others = [name for name in by if name != target]
    also = f"; also for {', '.join(others)}" if others else ""
    return ", ".join(sorted(by[target])) + also


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Marks what is new. What comes to others that were there says when: see guards.py, `held before`."""

    state: State
    policy: Policy
    first: bool

    def marked(self, entry: Entry, by: Mapping[str, frozenset[str]]) -> Marked:
        target = next(iter(by))
        mark = Mark(self.policy.owner, (target,), _first(by[target]))
        if self.state.traits.whole_lists:
            mark = _list_mark(None, by, self.policy)
        if not self.first and self.policy.grace:
            mark = replace(mark, added=self.policy.now)
        marks = self.state.traits.entries
        return Marked(replace(entry, note=marks.note(mark)) if marks else entry, mark, target, _why(by, target))


# ── an entry that nobody wants ───────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Fate:
    kind: str  # hold, orphan, word, remove, mark, left (already marked, not due)
    marked: Marked
    until: datetime | None = None


def _fate(item: Marked, state: State, policy: Policy) -> _Fate:
    named = [t for t in policy.targets if t.name in item.mark.targets]
    if _may_be_wanted(item, state, policy):
        return _Fate("hold", replace(item, by=named[0].name if named else ""))
    if not named and not _renamed(item, state, policy):
        return _Fate("orphan", item)
    item = replace(item, by=(named or policy.healthy)[0].name, why=item.mark.origin)
    if named and _operators_word(item, state, named, policy.feeds):
        return _Fate("word", item)
    if state.traits.whole_lists:
        item = replace(item, mark=_list_words(item.mark, "", policy))
    return _graced(item, policy)


def _may_be_wanted(item: Marked, state: State, policy: Policy) -> bool:
    """Tell whether a target that can't be asked now might want this entry."""
    return any(
        state.traits.whole_lists or _has_ports(t, item.entry, state.traits) or t.name in item.mark.targets
        for t in policy.targets
        if t.name in policy.frozen
    )


def _renamed(item: Marked, state: State, policy: Policy) -> bool:
    """Tell whether the target that an entry is marked for was renamed, for all that can be known.

    A list under the very name that the config has is ours to keep. An entry of its own may be another config's as well:
    only what had begun to leave goes on leaving, where no target has the old name.
    """
    if state.traits.whole_lists:
        return bool(policy.healthy)
    known = policy.names & set(item.mark.targets)
    fits = any(_has_ports(t, item.entry, state.traits) for t in policy.healthy)
    return bool(item.mark.since and item.mark.targets and fits and not known)


def _operators_word(item: Marked, state: State, named: Sequence[Target], configured: frozenset[str]) -> bool:
    """Tell whether the operator took this out of the target that the mark names: its port, static address or feed.

    A feed that the config doesn't have at all any more may have been renamed: that is no word.
    """
    if not state.traits.whole_lists and not any(_has_ports(t, item.entry, state.traits) for t in named):
        return True
    origins = set(item.mark.origin.split(","))  # of a static address: STATIC, which no feed may be named
    if STATIC in origins:
        return True
    return bool(origins) and origins <= configured - {f for t in named for f in t.feeds}


def _has_ports(target: Target, entry: Entry, traits: Traits) -> bool:
    """Tell whether a target has an entry's ports; where entries have none of their own, each target has them."""
    return not traits.ports or entry.service in target.services


def _graced(item: Marked, policy: Policy) -> _Fate:
    since = item.mark.since
    if since and since > policy.now + CLOCK_SKEW:
        since = None
    if policy.grace is None:
        return _Fate("left" if since else "mark", _leaving_since(item, since or policy.now))
    until = (since or policy.now) + policy.grace
    if policy.now >= until:
        return _Fate("remove", item)
    return _Fate("left" if since else "mark", _leaving_since(item, since or policy.now), until)


def _leaving_since(item: Marked, since: datetime) -> Marked:
    return replace(item, mark=replace(item.mark, since=since))


def _leaving(fates: Sequence[_Fate]) -> tuple[tuple[Marked, Leaving], ...]:
    found = [(f.marked, Leaving(f.marked.entry, f.until)) for f in fates if f.kind in {"mark", "left"}]
    return tuple(sorted(found, key=lambda pair: entry_key(pair[0].entry)))


# ── small helpers ────────────────────────────────────────────────────────────


class _Cover:
    """Tells whether a foreign entry of one resource already lets a source in."""

    def __init__(self, foreign: Sequence[Entry]) -> None:
        self._foreign = foreign

    def allows(self, entry: Entry) -> bool:
        return any(_covers(other, entry) for other in self._foreign)


def _covers(other: Entry, entry: Entry) -> bool:
    if other.network.version != entry.network.version:
        return False
    inside = entry.network.subnet_of(other.network)  # type: ignore[arg-type]
    return inside and service_covers(other.service, entry.service)


def service_covers(wide: Service | None, narrow: Service | None) -> bool:
    """Tell whether one service includes another: `all` includes everything, a range its ports."""
    if wide == narrow or (wide and wide.protocol == "all"):
        return True
    if not wide or not narrow or wide.protocol != narrow.protocol:
        return False
    if wide.first is None or wide.last is None or narrow.first is None or narrow.last is None:
        return False
    return wide.first <= narrow.first and narrow.last <= wide.last


def entry_key(entry: Entry) -> tuple[object, ...]:
    """Sort by family, then address, then ports."""
    return (*sort_key(entry.network), str(entry.service or ""))


def _sorted(items: Iterable[Marked]) -> tuple[Marked, ...]:
    return tuple(sorted(items, key=lambda m: entry_key(m.entry)))
