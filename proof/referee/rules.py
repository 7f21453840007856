"""One write: a promise a function. Each yields what is wrong, as a sentence; nothing if all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

from proof.referee.facts import Contents, Course, Facts, Held, Mark, Write
from proof.referee.moves import guards_are_heard, it_fits
from proof.referee.wanted import (
    claimed_by,
    healthy,
    kept,
    named,
    operators_word,
    origins,
    renamed,
    wanted_again,
    wanted_by,
    ways,
)

SKEW = timedelta(hours=48)
"""A mark that is further in the future comes from a wrong clock; up to this it may be our own clock that is behind."""
Foul = Iterator[str]
Rule = Callable[[Facts, Course, Write], Foul]


def may_be_touched(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 2: a feed that fails freezes each target that uses it; `--target` leaves the others alone."""
    del course
    if not any(healthy(facts, t) for t in facts.targets(write.resource)):
        yield f"{write.place}: written, though no target that may be touched names it"
    if write.resource in facts.blocked:
        yield f"{write.place}: written, though something stands in the way of managing it"
    for key, held in _taken_from(write).items():
        frozen = [t.name for t in named(facts, write.resource, held.mark) if not healthy(facts, t)]
        if (
            frozen
            and not _stays_its_own(facts, write, key)
            and not any(healthy(facts, t) for t in named(facts, write.resource, held.mark))
        ):
            yield f"{key} {held.hole.network}: belongs to {', '.join(frozen)}, which may not be touched in this pass"
    for key, (old, new) in write.remarked.items():
        gone = _names(old) - _names(new)
        frozen = [t.name for t in named(facts, write.resource, old) if t.name in gone and not healthy(facts, t)]
        if frozen:
            yield f"{key}: taken from {', '.join(frozen)}, which may not be touched in this pass"


def is_ours(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 5.1: what this owner did not make, and what belongs to no target of this config, is left alone."""
    del course
    for key, held in _taken_from(write).items():
        mark = held.mark
        if mark is None or mark.owner != facts.config.owner:
            yield f"{key} {held.hole.network}: touched, and {mark.owner if mark else 'nobody of ours'} made it"
        elif not kept(facts, write.resource, key, mark) and not _taken_over(facts, write, key):
            yield f"{key} {held.hole.network}: touched, and it is an orphan (for {', '.join(sorted(mark.targets))})"


def is_wanted(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 2: only what a healthy, selected target wants is let in, on the ports and settings that it asks for."""
    del course
    for key, held in write.opened.items():
        by = wanted_by(facts, write.resource, held.hole)
        if not by and not _carried_along(facts, write, key):
            yield f"{key} {held.hole.network} {held.hole.way}: let in, and no target that may be touched wants it"
        if key not in write.before and not _well_marked(facts, held, [t.name for t in by]):
            yield f"{key} {held.hole.network}: made with a mark that says something else: {held.mark}"


def is_due(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 2 and 4: what a feed drops keeps its grace; what the operator takes out goes at once; the rest stays."""
    del course
    for key, held in write.closed.items():
        if not kept(facts, write.resource, key, held.mark) or key in write.after:
            continue  # not ours: said elsewhere; still there: a GCP rule's settings change, which are the operator's word
        claims = [t.name for t in claimed_by(facts, write.resource, held.hole)]
        if claims and not _still_open(write, held):
            yield f"{key} {held.hole.network} {held.hole.way}: closed, and {', '.join(claims)} wants it or may want it"
        elif not _time_has_come(facts, write, held) and not _still_open(write, held):
            yield f"{key} {held.hole.network} {held.hole.way}: closed before its time; its mark says {held.mark}"


def marks_are_true(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 7: since when an address is leaving stands on the target, and is what grace is counted from."""
    del course
    for key, (old, new) in write.remarked.items():
        held = write.after[key]
        if new is None or new.owner != facts.config.owner:
            yield f"{key} {held.hole.network}: its mark was taken away"
            continue
        before, after = old.since if old else None, new.since
        wanted = wanted_again(facts, write.resource, held.hole)
        if after and after != before:
            yield from _begins_to_leave(facts, write, key, before)
        if before and not after and not wanted:
            yield f"{key} {held.hole.network}: no longer leaving, and no target that may be touched wants it"
        there = {name for h in facts.held.get(write.resource, {}).values() for name in _names(h.mark)}
        if strangers := _names(new) - _names(old) - there - {t.name for t in facts.targets(write.resource)}:
            yield f"{key} {held.hole.network}: marked for {', '.join(sorted(strangers))}, which doesn't name it"


def opens_before_it_closes(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 5.3: nothing closes anywhere on a resource before everything that can open there is open."""
    if any(t.remove_first for t in facts.targets(write.resource)) or write.resource in course.again:
        return
    if _comes(write) and any(_goes(w) for w in course.done(write.resource)):
        yield f"{write.place}: something is let in after something of the same resource was closed"
    missing = [w for w in course.failed(write.resource) if _comes(w) - _let_in(write, write.before)]
    if _goes(write) and missing:
        yield f"{write.place}: something is closed, and what was to be let in before isn't in"


def never_empty(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 5.2 and the guard `empty`: nothing is ever emptied, no empty list is ever sent, no rule replaced whole."""
    del course
    alone = any(t.remove_first for t in facts.targets(write.resource)) and _leaves_one_place(write)
    if write.whole or any(h.hole.network.prefixlen == 0 for h in write.opened.values()):
        yield f"{write.place}: opened to the whole internet"
    before, after = (
        [k for k, h in c.items() if kept(facts, write.resource, k, h.mark)] for c in (write.before, write.after)
    )
    if before and not after and not alone:  # among others, in a full group: `remove_first` asks for just that
        yield f"{write.resource}: emptied"


RULES: tuple[Rule, ...] = (
    may_be_touched,
    is_ours,
    is_wanted,
    is_due,
    marks_are_true,
    opens_before_it_closes,
    never_empty,
    guards_are_heard,
    it_fits,
)


# ── what a write touches ─────────────────────────────────────────────────────


def _taken_from(write: Write) -> dict[str, Held]:
    """Return what was there and is changed or closed, as it was."""
    changed = {k: write.before[k] for k in write.remarked}
    return {**write.closed, **changed}


def _leaves_one_place(write: Write) -> bool:
    """Tell whether what is closed makes room for one entry at most, of each family: had one stayed, none would fit."""
    closed = {h.hole.network.version for h in write.closed.values()}
    left = Counter(h.hole.network.version for h in write.after.values())
    return bool(write.limit) and all(left[family] + 1 >= write.limit for family in closed)


def _let_in(write: Write, contents: Contents) -> frozenset[object]:
    """Return what contents let in; of a GCP rule its sources alone, since it has one set of settings at a time."""
    if write.place.startswith("gcp/"):
        return frozenset(h.hole.network for h in contents.values())
    return frozenset(h.hole for h in contents.values())


def _comes(write: Write) -> frozenset[object]:
    return _let_in(write, write.after) - _let_in(write, write.before)


def _goes(write: Write) -> frozenset[object]:
    return _let_in(write, write.before) - _let_in(write, write.after)


def _still_open(write: Write, held: Held) -> bool:
    """Tell whether another rule of the resource goes on letting the same in."""
    return any(h.hole == held.hole for h in write.after.values())


def _names(mark: Mark | None) -> frozenset[str]:
    return mark.targets if mark else frozenset()


def _stays_its_own(facts: Facts, write: Write, key: str) -> bool:
    """Tell whether a frozen target's entry stays its own: only a sibling that may be touched says beside it that it wants it.

    A GCP rule has one description for all its sources: whoever shares it stands beside all of them, by the name it has now.
    """
    old, new = write.remarked.get(key, (None, None))
    if not old or not new or old.owner != new.owner:
        return False
    if not {t.name for t in named(facts, write.resource, old)} <= new.targets:
        return False
    same = write.place.startswith("gcp/") and old.since == new.since
    return same or (not new.since and wanted_again(facts, write.resource, write.after[key].hole))


def _taken_over(facts: Facts, write: Write, key: str) -> bool:
    """Tell whether an orphan gets a new name only, from a target that wants just this: a target was renamed."""
    held = write.after.get(key)
    if held is None or key in write.closed:
        return False
    return bool(named(facts, write.resource, held.mark)) and bool(wanted_by(facts, write.resource, held.hole))


def _carried_along(facts: Facts, write: Write, key: str) -> bool:
    """Tell whether a GCP rule's settings change under an address that is in its grace: the rule has one of each."""
    was, now = write.before.get(key), write.after[key]
    if was is None:
        return False
    asked_of = any(healthy(facts, t) for t in named(facts, write.resource, was.mark))
    if not asked_of and not renamed(facts, write.resource, key, was.mark):
        return False
    asked = {way for t in facts.targets(write.resource) for way in ways(t, now.hole.network.version)}
    return now.hole.way in asked and not claimed_by(facts, write.resource, now.hole)


def _well_marked(facts: Facts, held: Held, by: list[str]) -> bool:
    mark = held.mark
    if mark is None or mark.owner != facts.config.owner or not mark.targets:
        return False
    listed = [origins(facts, t, held.hole.network) for t in facts.config.targets if t.name in by]
    true_origin = not mark.origins or any(mark.origins & names for names in listed)
    return bool(mark.targets & set(by)) and true_origin


# ── when something may go ────────────────────────────────────────────────────


def may_go(facts: Facts, resource: str, held: Held) -> bool:
    """Tell whether what nobody wants may go now: its grace is over by its mark, or the operator took it out."""
    if operators_word(facts, resource, held):
        return True
    grace = facts.config.grace
    since = held.mark.since if held.mark else None
    return grace is not None and facts.now - (since or facts.now) >= grace


def _time_has_come(facts: Facts, write: Write, held: Held) -> bool:
    """Tell whether an entry may go, by its own mark or by that of the same source in another rule of the resource.

    Contract 2: the grace is how long an *address* stays allowed after the feed drops it. Somebody who puts it into a
    second rule by hand, where nothing says since when it is leaving, doesn't begin that anew.
    """
    here = facts.held.get(write.resource, {}).items() if write.place.startswith("gcp/") else ()
    same = [h for k, h in here if h.hole.network == held.hole.network and kept(facts, write.resource, k, h.mark)]
    return any(may_go(facts, write.resource, h) for h in (held, *same))


def _begins_to_leave(facts: Facts, write: Write, key: str, before: object) -> Foul:
    held = write.after[key]
    since = held.mark.since if held.mark else None
    elsewhere = {h.mark.since for h in write.before.values() if h.mark and h.hole.network == held.hole.network}
    if since is None or (abs(since - facts.now) > timedelta(minutes=1) and since not in elsewhere):
        yield f"{key} {held.hole.network}: leaving since {since}, and it is {facts.now}"
    believed = before is not None and before <= facts.now + SKEW
    if believed and since not in elsewhere:
        yield f"{key} {held.hole.network}: was leaving since {before}, and now since {since}"
    if claims := claimed_by(facts, write.resource, held.hole):
        yield f"{key} {held.hole.network}: leaving, and {', '.join(t.name for t in claims)} wants it or may want it"
