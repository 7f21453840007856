"""What somebody was told already, and so what is news to them: the rule that keeps messages from becoming a storm. Pure.

A state is told when it begins, again after `remind_every`, and when it ends. One that comes and goes is told at most
MOST times in that time; what was left out is told once it is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ipsync.observers.notify.happenings import Happening, Key

MOST = 3
"""How often one state is told as begun within `remind_every`."""
CROWD = 50
"""So many states of one word are told each by itself; beyond that, those of one target are one, or all are."""


@dataclass(frozen=True, slots=True)
class Told:
    """A state that was told: since when it lasts, when it was last told, how often it began since; or that it is over."""

    key: Key
    since: datetime
    at: datetime
    times: int = 1
    over: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of states now, and what is known once that was told."""

    began: tuple[Happening, ...]
    again: tuple[Happening, ...]
    ended: tuple[Told, ...]
    known: tuple[Told, ...]

    def __bool__(self) -> bool:
        return bool(self.began or self.again or self.ended)


def news(
    known: Iterable[Told], states: Sequence[Happening], *, saw: Callable[[Key], bool], now: datetime, every: timedelta
) -> News:
    """Compare what was told with what is so now. `saw` tells whether a state was looked at."""
    told = {each.key: each for each in known}
    present = _gathered(states)
    began, again, after = list[Happening](), list[Happening](), dict[Key, Told]()
    for key, items in present.items():
        before = _covering(told, key)
        if before and now - before.at < every and (not before.over or before.times >= MOST):
            after[before.key] = before
        else:
            fresh = before is None or before.over
            (began if fresh else again).extend(items)
            after[key] = _told(key, before, now=now, every=every)
    gone = [each for key, each in told.items() if key not in after and not _lasts(key, present)]
    ended = _alone([each for each in gone if not each.over and saw(each.key)])
    over = {each.key for each in gone if saw(each.key)}
    kept = [replace(each, over=each.over or each.key in over) for each in told.values() if each.key not in after]
    lasting = [each for each in kept if not each.over or now - each.at < every]
    return News(tuple(began), tuple(again), ended, (*after.values(), *lasting))


def _told(key: Key, before: Told | None, *, now: datetime, every: timedelta) -> Told:
    if before is None:
        return Told(key, now, now)
    recent = now - before.at < every
    return Told(key, now if before.over else before.since, now, before.times + 1 if recent else 1)


def _covering(told: Mapping[Key, Told], key: Key) -> Told | None:
    """Return what was told of a state, by itself or among others."""
    found = [told[key[:length]] for length in range(len(key), 0, -1) if key[:length] in told]
    return next((each for each in found if not each.over), found[0] if found else None)


def _lasts(key: Key, present: Iterable[Key]) -> bool:
    """Tell whether a state lasts as part of a crowd that is now one, or a crowd in what is left of it."""
    return any(key[: len(other)] == other or other[: len(key)] == key for other in present)


def _alone(ended: Sequence[Told]) -> tuple[Told, ...]:
    """Leave out what ended with the crowd that it was part of."""
    keys = {each.key for each in ended}
    return tuple(each for each in ended if not any(each.key[:length] in keys for length in range(1, len(each.key))))


def _gathered(states: Iterable[Happening]) -> dict[Key, list[Happening]]:
    """Group states by key; where there is a crowd of one word, by target, and if need be by the word alone."""
    items = [state for state in states if state.key]
    for length in (2, 1):
        crowded = {word for word, count in Counter(state.key[0] for state in _firsts(items)).items() if count > CROWD}
        items = [replace(s, key=s.key[:length]) if s.key[0] in crowded else s for s in items]
    found: dict[Key, list[Happening]] = {}
    for state in items:
        found.setdefault(state.key, []).append(state)
    return found


def _firsts(items: Iterable[Happening]) -> Iterable[Happening]:
    return {item.key: item for item in items}.values()
