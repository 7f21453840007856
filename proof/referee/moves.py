"""How much one write moves: what the guards allow unasked, what a human approved, and whether it fits (contract 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ipsync.core.configured import Limits
from ipsync.core.model import Network
from proof.referee import limits
from proof.referee.facts import Contents, Course, Facts, Write
from proof.referee.marks import STATIC
from proof.referee.wanted import claimed_by, kept, operators_word, wanted_by

Foul = Iterator[str]


def guards_are_heard(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 4: what moves more than a guard allows waits for a human who looked at just that."""
    if course.disturbed:
        return
    held = networks_of(facts, write.resource, facts.held.get(write.resource, {}))
    sent = [*course.done(write.resource), write]
    came = frozenset(h.hole.network for w in sent for h in w.opened.values()) - held
    there = held | _taken_over(facts, write.resource)
    new = frozenset(n for n in came if not limits.inside(n, there))
    if _fresh(write, there) and not _approved(facts, "add", write.resource, new):
        yield from _named(write, _each(facts, write, limits.too_many_added, held, new))
    yield from _removals(facts, write, held, sent)


def _removals(facts: Facts, write: Write, held: frozenset[Network], sent: Sequence[Write]) -> Foul:
    """Judge what feeds dropped, all of it together, due or not; and apart from it what the operator took out."""
    stays = networks_of(facts, write.resource, write.after)
    gone = held - stays
    seen = [*write.before.values(), *(h for w in sent for h in w.closed.values())]
    word = {h.hole.network for h in seen if operators_word(facts, write.resource, h)}
    lost = frozenset(n for n in gone & _closed_networks(write) if not limits.inside(n, stays))
    if lost - word and not _approved(facts, "remove", write.resource, lost - word):
        going = ((gone | _leaving(facts, write)) & held) - word
        more = _lately(facts, write.resource, held, going)
        yield from _named(write, _each(facts, write, limits.too_many_removed, held, going, more, stays))
    if lost & word and not _approved(facts, "remove", write.resource, lost & word):
        yield from _named(write, _each(facts, write, limits.too_many_taken, held, gone & word))


def _named(write: Write, fouls: Foul) -> Foul:
    yield from (f"{write.place}: {why}" for why in fouls)


def it_fits(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 4, `capacity`: what doesn't fit is refused before any write."""
    del facts
    for version in (4, 6):
        after = sum(h.hole.network.version == version for h in write.after.values())
        more = any(h.hole.network.version == version for k, h in write.opened.items() if k not in write.before)
        if write.limit and more and after > write.limit and not course.disturbed:
            yield f"{write.place}: {after} entries of IPv{version} are sent where {write.limit} fit"
    if write.crowded and not course.disturbed:
        yield f"{write.place}: a rule is made where the project holds as many as it may"


def networks_of(facts: Facts, resource: str, contents: Contents) -> frozenset[Network]:
    """Return the networks that this config holds there; orphans and strangers never count."""
    return frozenset(h.hole.network for key, h in contents.items() if kept(facts, resource, key, h.mark))


def _taken_over(facts: Facts, resource: str) -> frozenset[Network]:
    """Return what a target takes over in this pass as it is: this owner's, of another name, and wanted on just that port.

    Contract 4: entries are counted, not entry × port, and one that was covered already isn't added. It is no measure
    of what was held: that is an orphan's lot.
    """
    here = facts.held.get(resource, {}).values()
    mine = [h.hole for h in here if h.mark and h.mark.owner == facts.config.owner]
    return frozenset(hole.network for hole in mine if wanted_by(facts, resource, hole))


def _closed_networks(write: Write) -> frozenset[Network]:
    return frozenset(h.hole.network for h in write.closed.values())


def _fresh(write: Write, held: frozenset[Network]) -> bool:
    return any(h.hole.network not in held for h in write.opened.values())


def _leaving(facts: Facts, write: Write) -> frozenset[Network]:
    here = {h.hole for key, h in write.before.items() if kept(facts, write.resource, key, h.mark)}
    staying = {hole.network for hole in here if claimed_by(facts, write.resource, hole)}
    return frozenset(hole.network for hole in here) - staying


def _lately(facts: Facts, resource: str, held: frozenset[Network], going: frozenset[Network]) -> frozenset[Network]:
    """Return what doesn't count as held: what came less than a grace before the first of them began to leave."""
    grace = facts.config.grace
    if not grace:
        return frozenset()
    mine = {k: h for k, h in facts.held.get(resource, {}).items() if kept(facts, resource, k, h.mark)}
    marks = [h.mark for h in mine.values() if h.hole.network in going]
    first = min([m.since for m in marks if m and m.since], default=facts.now)
    times = {key: facts.added.get((resource, key)) for key in mine}
    old = {h.hole.network for key, h in mine.items() if (at := times[key]) is None or at <= first - grace}
    return held - old


def _approved(facts: Facts, action: str, resource: str, networks: frozenset[Network]) -> bool:
    return all((action, resource, n) in facts.approved for n in networks)


def _each(
    facts: Facts,
    write: Write,
    judge: Callable[..., str],
    held: frozenset[Network],
    moved: frozenset[Network],
    *more: frozenset[Network],
) -> Foul:
    """Ask the limits of every target that names the resource, selected or not, healthy or not; the first word counts."""
    for target in facts.targets(write.resource):
        here = [limit for name, limit in target.limits if name != STATIC or target.static] or [Limits()]
        for limit in here:
            if why := judge(held, moved, limit, *more):
                yield f"{why} (by {target.name})"
                return
