"""A whole pass: was all of it shown, does the exit code tell what failed, and is what is wanted open or told as held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from ipsync.core.model import Network
from ipsync.targets.gcp.where import GcpRule
from proof.referee.facts import Contents, Course, Facts, Held, Hole, Line, Told, Write
from proof.referee.moves import guards_are_heard
from proof.referee.rules import may_go
from proof.referee.wanted import claimed_by, healthy, named, ours, wants_there

Foul = Iterator[str]
After = Mapping[str, Contents]
Rule = Callable[[Facts, Course, Told, After], Foul]
FAILED = {"error", "partial", "unknown"}
STUCK = {"blocked", "held"} | FAILED


def all_was_shown(facts: Facts, course: Course, told: Told, after: After) -> Foul:
    """Contract 3: what sync writes, the report shows, under an element of that resource, with the entry or setting."""
    del facts, after
    for write in (w for w, carried_out in course.sent if carried_out):
        lines = told.of(write.resource)
        if not any(line.status != "in-sync" for line in lines):
            yield f"{write.place}: written, and no element of the report shows that anything changed there"
            continue
        yield from _entries_shown(write, lines)


def _entries_shown(write: Write, lines: list[Line]) -> Foul:
    added, removed = _listed(lines, "add"), _listed(lines, "remove")
    if write.made and not any(line.settings for line in lines):
        yield f"{write.place}: made, and the report doesn't say with which ports, tags, network and priority"
    name = write.place.rpartition("/")[2]
    if write.deleted and not any(name in line.deletes for line in lines):
        yield f"{write.place}: deleted, and the report doesn't say so"
    before, now = ({(h.hole.network, h.hole.way) for h in side.values()} for side in (write.before, write.after))
    settings = any(line.settings for line in lines)
    for network, way in now - before:
        moved = settings and any(n == network for n, _ in before)
        if not moved and not {(network, way), (network, None)} & added:
            yield f"{write.place}: let {network} {way} in, and the report doesn't list it"
    for network, way in before - now:
        moved = settings and any(n == network for n, _ in now)
        if not moved and not {(network, way), (network, None)} & removed:
            yield f"{write.place}: closed {network} {way}, and the report doesn't list it"


def _listed(lines: list[Line], what: str) -> set[tuple[Network, str | None]]:
    return {item for line in lines for item in getattr(line, what)}


def the_exit_code_tells(facts: Facts, course: Course, told: Told, after: After) -> Foul:
    """Contract 1: what failed isn't told as done, and what was touched isn't told as untouched."""
    del after
    asked = {f for t in facts.config.targets if t.name in facts.selected for f in t.feeds}
    dead = sorted(f for f in asked if facts.served.get(f) is None)
    if dead and told.code in {0, 2, 3}:
        yield f"exit {told.code}, and {', '.join(dead)} gave nothing that can be read"
    unread = sorted(facts.unread & facts.selected)
    if unread and told.code in {0, 2, 3}:
        yield f"exit {told.code}, and what {', '.join(unread)} names can't be read"
    for resource in {w.resource for w, _ in course.sent}:
        failed = [w for w in course.failed(resource) if not _made_good(w, course.done(resource))]
        if failed and resource not in course.again and (told.code in {0, 2} or not _told_as_stuck(told, resource)):
            yield f"exit {told.code}, and a write to {failed[0].place} failed that no element tells"
        if course.done(resource) and told.code == 1:
            yield f"exit 1 says that nothing was touched, and {resource} was"


def _made_good(failed: Write, later: list[Write]) -> bool:
    """Tell whether what a failed write was to do was done by another one."""
    wished = set(failed.after.values())
    return any(w.place == failed.place and wished == set(w.after.values()) for w in later)


def _told_as_stuck(told: Told, resource: str) -> bool:
    return any(line.status in STUCK for line in told.of(resource))


def _of_unread(told: Told, target: str, resource: str) -> list[Line]:
    """Return what is said of a target whose resources aren't known yet: its place's line, `aws/ACCOUNT/REGION`.

    The account is `-` where only a reading tells which it is.
    """
    place = resource.rpartition("/")[0]
    return [
        line
        for line in told.lines
        if line.target == target and ("/-/" in line.resource or (line.resource == place and line.status in FAILED))
    ]


def all_is_open_or_told(facts: Facts, course: Course, told: Told, after: After) -> Foul:
    """Contract 2 and 4: what a healthy target wants is open at rest, or said to be held, and by a guard that is about it."""
    if course.disturbed:
        return
    for target in (t for t in facts.config.targets if healthy(facts, t)):
        for resource in (r for r, names in facts.naming.items() if target.name in names):
            held = after.get(resource, {})
            missing = [h for h in wants_there(facts, target, resource) if not _covered(h, held, target.where)]
            lines = [line for line in (*told.of(resource), *_of_unread(told, target.name, resource)) if _excuses(line)]
            silent = [h for h in missing if not any(_speaks_of(line, target.name, h) for line in lines)]
            if silent:
                yield f"{target.name}: {_some(silent)} is wanted on {resource} and neither open nor told as held"
            elif missing and _held_for_another_reason(lines) and not _too_much(facts, resource, held, missing):
                yield f"{target.name}: {_some(missing)} stays outside of {resource} for the sake of a removal"


def _speaks_of(line: Line, target: str, hole: Hole) -> bool:
    """Tell whether a line that tells of trouble is about a target; what two want is listed under one of them.

    So are the settings of a rule that several share.
    """
    return line.target == target or line.settings or any(n == hole.network for n, _ in line.add | line.waiting)


def _excuses(line: Line) -> bool:
    """Tell whether a line tells of trouble; that settings wait for a sibling who can't be asked is said without a verdict."""
    waits = any(verdict != "allow" or guard == "settings" for guard, verdict in line.guards)
    return waits or line.status in STUCK


def _held_for_another_reason(lines: list[Line]) -> bool:
    """Tell whether only a removal's guard holds something: that never holds back what is to be let in."""
    guards = {guard for line in lines for guard, verdict in line.guards if verdict != "allow"}
    return guards == {"max-removals"} and not any(line.status in FAILED for line in lines)


def _too_much(facts: Facts, resource: str, held: Contents, missing: list[Hole]) -> bool:
    """Tell whether letting in what is missing would be more than a guard allows."""
    made = {f"to come {n}": Held(h) for n, h in enumerate(missing)}
    return any(guards_are_heard(facts, Course(), Write(resource, resource, held, {**held, **made})))


def what_is_due_is_gone(facts: Facts, course: Course, told: Told, after: After) -> Foul:
    """Contract 2: what nobody wants is marked as leaving, and gone when it is due, or the report says what holds it."""
    if course.disturbed:
        return
    for resource, held in after.items():
        if not _all_is_known(facts, resource) or _blocked(facts, told, resource):
            continue
        for key, item in held.items():
            mine = any(healthy(facts, t) for t in named(facts, resource, item.mark))
            if not mine or claimed_by(facts, resource, item.hole):
                continue
            if may_go(facts, resource, item):
                yield f"{key} {item.hole.network}: is due by its mark, {item.mark}, and is still there"
            elif item.mark and not item.mark.since:
                yield f"{key} {item.hole.network}: nobody wants it, and it isn't marked as leaving"


def _all_is_known(facts: Facts, resource: str) -> bool:
    """Tell whether nothing about a resource is in doubt: where a target is frozen, more than its own may have to wait."""
    return not facts.doubtful(resource) and all(healthy(facts, t) for t in facts.targets(resource))


def _blocked(facts: Facts, told: Told, resource: str) -> bool:
    """Tell whether the report says that something holds a resource back, be it a guard or a fault."""
    lines = told.of(resource)
    return resource in facts.blocked or not lines or any(_excuses(line) for line in lines)


def orphans_are_named(facts: Facts, course: Course, told: Told, after: After) -> Foul:
    """Contract 2: what belongs to no target any more is reported as orphaned, and what belongs to one is not."""
    if course.disturbed:
        return
    orphaned = {resource for resource, _ in told.orphaned}
    for resource in orphaned & after.keys():
        for network in (n for r, n in told.orphaned if r == resource):
            mine = [h for h in after[resource].values() if h.hole.network == network]
            if mine and all(ours(facts, resource, h.mark) for h in mine):
                yield f"{network} on {resource} is told as orphaned, and belongs to a target of this config"


RULES: tuple[Rule, ...] = (
    all_was_shown,
    the_exit_code_tells,
    all_is_open_or_told,
    what_is_due_is_gone,
    orphans_are_named,
)


# ── what lets something in ───────────────────────────────────────────────────


def _covered(hole: Hole, held: Contents, where: object) -> bool:
    """Tell whether a hole is open, by whomever: on AWS a stranger's wider entry does it too."""
    if isinstance(where, GcpRule):
        return any(
            h.hole == hole and h.mark for h in held.values()
        )  # a stranger's rule of that name is no place for it
    return any(_wider(h.hole, hole) for h in held.values())


def _wider(wide: Hole, narrow: Hole) -> bool:
    if wide.network.version != narrow.network.version:
        return False
    return narrow.network.subnet_of(wide.network) and _includes(wide.way, narrow.way)  # type: ignore[arg-type]


@lru_cache(maxsize=1000)
def _includes(wide: str, narrow: str) -> bool:
    """Tell whether one service includes another: all ports, or a range of the same protocol."""
    if wide in {"all", narrow}:
        return True
    (ports, _, protocol), (inner, _, other) = wide.rpartition("/"), narrow.rpartition("/")
    if not ports or not inner or protocol != other:
        return False
    first, _, last = ports.partition("-")
    low, _, high = inner.partition("-")
    return int(first) <= int(low) and int(high or low) <= int(last or first)


def _some(holes: list[Hole]) -> str:
    texts = sorted(f"{h.network} {h.way}" for h in holes)
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
