"""How much one write moves: what the guards allow unasked, what a human approved, and whether it fits (contract 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ipsync.model import Limits, Network
from proof.referee import limits
from proof.referee.facts import Contents, Course, Facts, Write
from proof.referee.marks import STATIC
from proof.referee.wanted import claimed_by, ours

Foul = Iterator[str]


def guards_are_heard(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 4: what moves more than a guard allows waits for a human who looked at just that."""
    if course.disturbed:
        return
    held = networks_of(facts, write.resource, facts.held.get(write.resource, {}))
    sent = [*course.done(write.resource), write]
    new = frozenset(h.hole.network for w in sent for h in w.opened.values()) - held
    if _fresh(write, held) and not _approved(facts, "add", write.resource, new):
        yield from (f"{write.place}: {why}" for why in _each(facts, write, limits.too_many_added, held, new))
    gone = held - networks_of(facts, write.resource, write.after)
    if gone & _closed_networks(write) and not _approved(
        facts, "remove", write.resource, gone & _closed_networks(write)
    ):
        going = (gone | _leaving(facts, write)) & held
        before = _held_before(facts, write.resource, held, going)
        yield from (f"{write.place}: {why}" for why in _each(facts, write, limits.too_many_removed, before, going))


def it_fits(facts: Facts, course: Course, write: Write) -> Foul:
    """Contract 4, `capacity`: what doesn't fit is refused before any write."""
    del facts
    for version in (4, 6):
        after = sum(h.hole.network.version == version for h in write.after.values())
        more = any(h.hole.network.version == version for k, h in write.opened.items() if k not in write.before)
        if write.limit and more and after > write.limit and not course.disturbed:
            yield f"{write.place}: {after} entries of IPv{version} are sent where {write.limit} fit"


def networks_of(facts: Facts, resource: str, contents: Contents) -> frozenset[Network]:
    """Return the networks that this config holds there; orphans and strangers never count."""
    return frozenset(h.hole.network for h in contents.values() if ours(facts, resource, h.mark))


def _closed_networks(write: Write) -> frozenset[Network]:
    return frozenset(h.hole.network for h in write.closed.values())


def _fresh(write: Write, held: frozenset[Network]) -> bool:
    return any(h.hole.network not in held for h in write.opened.values())


def _leaving(facts: Facts, write: Write) -> frozenset[Network]:
    here = {h.hole for h in write.before.values() if ours(facts, write.resource, h.mark)}
    staying = {hole.network for hole in here if claimed_by(facts, write.resource, hole)}
    return frozenset(hole.network for hole in here) - staying


def _held_before(
    facts: Facts, resource: str, held: frozenset[Network], going: frozenset[Network]
) -> frozenset[Network]:
    """Return what counts as held: not what was added less than a grace before the first of them began to leave."""
    grace = facts.config.grace
    if not grace:
        return held
    marks = [h.mark for h in facts.held.get(resource, {}).values() if h.hole.network in going]
    first = min([m.since for m in marks if m and m.since], default=facts.now)
    added = {n: facts.added.get((resource, n)) for n in held}
    return frozenset(n for n, at in added.items() if at is None or at <= first - grace)


def _approved(facts: Facts, action: str, resource: str, networks: frozenset[Network]) -> bool:
    return all((action, resource, n) in facts.approved for n in networks)


def _each(
    facts: Facts,
    write: Write,
    judge: Callable[[frozenset[Network], frozenset[Network], Limits], str],
    held: frozenset[Network],
    moved: frozenset[Network],
) -> Foul:
    """Ask the limits of every target that names the resource, selected or not, healthy or not; the first word counts."""
    for target in facts.targets(write.resource):
        here = [limit for name, limit in target.limits if name != STATIC or target.static] or [Limits()]
        for limit in here:
            if why := judge(held, moved, limit):
                yield f"{why} (by {target.name})"
                return
