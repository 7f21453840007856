"""One resource: what is wanted and what is there become what to add, mark, keep and remove.

Pure, and the one place that decides about a single entry. The rules, in order:
1. an entry that any target wants stays, and loses its leaving mark;
2. an entry that a frozen target may want is held as it is;
3. an entry of ours whose target no longer names this resource is an orphan: reported, left alone;
4. what the operator took out of the config (a port, a static address, a whole feed) goes at once;
5. what a feed dropped leaves: marked now, removed by the first run after the grace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ipsync.addresses import sort_key
from ipsync.model import Entry, Leaving, Network, Service, State, Target
from ipsync.ownership import STATIC, Mark, entry_note, mark_of

CLOCK_SKEW = timedelta(hours=48)
"""A leaving mark further than this in the future comes from a wrong clock, and is set anew.

Up to this it is believed, since it may be our own clock that is behind: setting the mark anew would then let the
address go that much too early. Believing a wrong one keeps it that much longer at the most."""

Wants = Mapping[Entry, Mapping[str, frozenset[str]]]
"""Each wanted entry, by target, with its origins: names of feeds, or STATIC."""


@dataclass(frozen=True, slots=True)
class Marked:
    """An entry with the mark it has (or, where it is wanted, shall have)."""

    entry: Entry
    mark: Mark


@dataclass(frozen=True, slots=True)
class Diff:
    """Everything one resource needs. `remark` holds kept entries with their new marks."""

    add: tuple[Marked, ...] = ()
    remove: tuple[Marked, ...] = ()
    remark: tuple[Marked, ...] = ()
    keep: tuple[Marked, ...] = ()
    leaving: tuple[tuple[Marked, Leaving], ...] = ()
    satisfied: tuple[Marked, ...] = ()
    orphaned: tuple[Marked, ...] = ()

    @property
    def after(self) -> dict[Entry, Mark]:
        """Return what this owner holds when the diff is carried out, with its marks."""
        kept = {m.entry: m.mark for m in (*self.keep, *self.orphaned)}
        return kept | {m.entry: m.mark for m in (*self.remark, *self.add)}


def wants(targets: Sequence[Target], lists: Mapping[str, Sequence[Network]], *, listed: bool) -> Wants:
    """Return what the targets want of one resource: (feeds' networks and static ones) × services."""
    found: dict[Entry, dict[str, frozenset[str]]] = {}
    for target in targets:
        origins: dict[Network, frozenset[str]] = {}
        sources = [(feed, lists[feed]) for feed in target.feeds] + [(STATIC, target.static)]
        for origin, networks in sources:
            for network in networks:
                origins[network] = origins.get(network, frozenset()) | {origin}
        for network, names in origins.items():
            for service in (None,) if listed else target.services:
                found.setdefault(Entry(network, service), {})[target.name] = names
    return found


@dataclass(frozen=True, slots=True)
class Policy:
    """What the decisions about one resource rest on, besides the resource itself."""

    owner: str
    now: datetime
    grace: timedelta | None
    targets: Sequence[Target]
    frozen: frozenset[str]


def diff(state: State, wanted: Wants, policy: Policy) -> Diff:
    """Compare one resource with what is wanted of it."""
    owned, foreign = _split(state, policy.owner)
    kept, remarked = _wanted(owned, wanted)
    fates = [_fate(m, state, policy) for m in owned if m.entry not in wanted]
    held = {m.entry for m in owned}
    missing = [_new(entry, by, policy) for entry, by in wanted.items() if entry not in held]
    covered = _Cover(foreign)
    return Diff(
        add=_sorted(m for m in missing if not covered.allows(m.entry)),
        satisfied=_sorted(m for m in missing if covered.allows(m.entry)),
        keep=_sorted([*kept, *(f.marked for f in fates if f.kind in {"hold", "left"})]),
        remark=_sorted([*remarked, *(f.marked for f in fates if f.kind == "mark")]),
        remove=_sorted(f.marked for f in fates if f.kind == "remove"),
        orphaned=_sorted(f.marked for f in fates if f.kind == "orphan"),
        leaving=_leaving(fates),
    )


def _split(state: State, owner: str) -> tuple[list[Marked], list[Entry]]:
    """Tell ours from others'. A range that someone put into a second list of ours too has left since its first mark."""
    owned: dict[Entry, Marked] = {}
    foreign = []
    for entry in state.entries:
        mark = mark_of(entry, owner=owner, listed=state.listed)
        known = owned.get(entry)
        if mark and not (known and known.mark.since):
            owned[entry] = Marked(entry, mark)
        elif (
            not mark and not state.listed
        ):  # a foreign list of that name is no place for a wanted address, whatever it holds
            foreign.append(entry)
    return list(owned.values()), foreign


def _wanted(owned: Sequence[Marked], wanted: Wants) -> tuple[list[Marked], list[Marked]]:
    kept, remarked = [], []
    for item in owned:
        if item.entry not in wanted:
            continue
        mark = _current(item.mark, wanted[item.entry])
        if mark == item.mark:
            kept.append(item)
        else:
            remarked.append(Marked(item.entry, mark))
    return kept, remarked


def _current(mark: Mark, by: Mapping[str, frozenset[str]]) -> Mark:
    """Return the mark as it should read: not leaving, and naming a target and an origin that still want it."""
    targets = mark.targets if len(mark.targets) == 1 and mark.targets[0] in by else (next(iter(by)),)
    origins = by[targets[0]]
    origin = mark.origin if mark.origin in origins else _first(origins)
    return replace(mark, targets=targets, origin=origin, since=None)


def _first(origins: frozenset[str]) -> str:
    feeds = sorted(origins - {STATIC})
    return feeds[0] if feeds else STATIC


def _new(entry: Entry, by: Mapping[str, frozenset[str]], policy: Policy) -> Marked:
    target = next(iter(by))
    mark = Mark(policy.owner, (target,), _first(by[target]))
    return Marked(replace(entry, note=entry_note(mark)), mark)


# ── an entry that nobody wants ───────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Fate:
    kind: str  # hold, orphan, remove, mark, left (already marked, not due)
    marked: Marked
    until: datetime | None = None


def _fate(item: Marked, state: State, policy: Policy) -> _Fate:
    if _may_be_wanted(item, state, policy):
        return _Fate("hold", item)
    names = {t.name for t in policy.targets}
    if not state.listed and not names & set(item.mark.targets):
        return _Fate("orphan", item)
    if _operators_word(item, state, policy):
        return _Fate("remove", item)
    return _graced(item, policy)


def _may_be_wanted(item: Marked, state: State, policy: Policy) -> bool:
    """Tell whether a target whose feed can't be read now might want this entry."""
    return any(
        state.listed or item.entry.service in t.services or t.name in item.mark.targets
        for t in policy.targets
        if t.name in policy.frozen
    )


def _operators_word(item: Marked, state: State, policy: Policy) -> bool:
    services: set[Service | None] = {s for t in policy.targets for s in t.services}
    feeds = {f for t in policy.targets for f in t.feeds}
    dropped_port = not state.listed and item.entry.service not in services
    origins = set(item.mark.origin.split(","))  # of a static address: STATIC, which no feed may be named
    return dropped_port or ("" not in origins and not origins & feeds)


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
    return Marked(item.entry, replace(item.mark, since=since))


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
