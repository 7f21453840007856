"""What keeps a bad feed, or a bug, from opening or closing the wrong door (contract, section 4).

Each guard is a pure function from what it looks at to violations; no violation means: allow.
Counts are in addresses, not in address × port, and hold at any size of list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ipsync.core.addresses import canonical, special_use
from ipsync.core.configured import Limits, Threshold
from ipsync.core.model import Capacity, Network, Snapshot, Verdict, Violation
from ipsync.core.spans import coverage
from ipsync.core.words import count, few

SHOWN = 5
"""How many offenders a message names before it counts the rest."""


def check_snapshot(snapshot: Snapshot, limits: Limits) -> list[Violation]:
    """Judge one feed's list as one target uses it: empty, max-addresses, min-prefix, max-coverage, special-use."""
    found = [
        _empty_feed(snapshot),
        _too_many(snapshot, limits),
        _too_wide(snapshot, limits),
        *(_too_much(snapshot, limits, family) for family in (4, 6)),
        _special(snapshot, limits),
    ]
    return [violation for violation in found if violation]


def _refuse(guard: str, detail: str) -> Violation:
    return Violation(guard, Verdict.REFUSE, detail)


def _empty_feed(snapshot: Snapshot) -> Violation | None:
    if snapshot.networks:
        return None
    return _refuse("empty", f"feed {snapshot.feed} lists no address; an empty list is never applied")


def _too_many(snapshot: Snapshot, limits: Limits) -> Violation | None:
    number = len(snapshot.networks)
    if number <= limits.max_addresses:
        return None
    detail = f"feed {snapshot.feed} lists {count(number, 'address')}, more than {limits.max_addresses:,}"
    return _refuse("max-addresses", f"{detail}; {raise_limit('max-addresses')}")


def _too_wide(snapshot: Snapshot, limits: Limits) -> Violation | None:
    floors = {4: limits.min_prefix_v4, 6: limits.min_prefix_v6}
    wide = [n for n in snapshot.networks if n.prefixlen < floors[n.version]]
    if not wide:
        return None
    rule = f"/{limits.min_prefix_v4} for IPv4, /{limits.min_prefix_v6} for IPv6"
    detail = f"feed {snapshot.feed} lists {some(wide)}, wider than allowed ({rule})"
    return _refuse("min-prefix", f"{detail}; {raise_limit('min-prefix', 'lower')}")


def _too_much(snapshot: Snapshot, limits: Limits, family: int) -> Violation | None:
    most = limits.max_coverage_v4 if family == 4 else limits.max_coverage_v6  # noqa: PLR2004 - the IP version
    covered = coverage(snapshot.networks, family)
    if covered <= most:
        return None
    detail = f"feed {snapshot.feed} covers {amount(covered, family)}, more than {amount(most, family)}"
    return _refuse("max-coverage", f"{detail}; {raise_limit('max-coverage')}")


def amount(addresses: int, family: int) -> str:
    """Write a number of addresses of one family for people: IPv6 in the widest of /32, /48 and /64 that it fills."""
    prefix = next((p for p in (32, 48, 64) if addresses >= 1 << (128 - p)), 128)
    if family == 4 or prefix == 128:  # noqa: PLR2004 - the IP version, and a single address
        return f"{addresses:,} IPv{family} address{'' if addresses == 1 else 'es'}"
    whole, rest = divmod(addresses, 1 << (128 - prefix))
    return f"{whole:,} × /{prefix}{' and more' if rest else ''} of IPv6"


def raise_limit(key: str, word: str = "raise") -> str:
    """Say how a limit is changed, by the key that holds it."""
    return (
        f"if that is right, {word} guards.{key} (it is read from the target, else from the feed, else from the top of the "
        f"config)"
    )


def _special(snapshot: Snapshot, limits: Limits) -> Violation | None:
    allowed = limits.allow_special_use
    named = [(n, special_use(n)) for n in snapshot.networks if not _inside(n, allowed)]
    offenders = [f"{canonical(n)} ({name})" for n, name in named if name]
    if not offenders:
        return None
    detail = f"feed {snapshot.feed} lists {few(offenders, SHOWN)}, which no vendor connects from"
    return _refuse("special-use", f"{detail}; in a lab, set allow_special_use on the feed")


def _inside(network: Network, allowed: Iterable[Network]) -> bool:
    return any(a.version == network.version and network.subnet_of(a) for a in allowed)  # type: ignore[arg-type]


# ── one resource: what it really loses and gains ─────────────────────────────


@dataclass(frozen=True, slots=True)
class Impact:
    """What a plan would do to one resource, in distinct networks that this owner holds there.

    before   held now, orphans apart
    lately   of these, what was added less than a grace before the first of the leaving ones began to leave: it is no
             measure of how many may leave, or a list blown up by strangers could be robbed of all that was there
    staying  held on, and not leaving
    lost     what feeds dropped, due or not, and nothing that stays covers
    taken    where the operator took something out of the config: all that goes, what feeds dropped and is due as well,
             and nothing that stays covers
    new      what is added, and nothing that is there covers
    """

    before: frozenset[Network]
    lately: frozenset[Network] = frozenset()
    staying: frozenset[Network] = frozenset()
    lost: frozenset[Network] = frozenset()
    taken: frozenset[Network] = frozenset()
    new: frozenset[Network] = frozenset()


def allowed(threshold: Threshold, held: int) -> int:
    """Return the larger of the count and the percentage (rounded down) of what is held."""
    return max(threshold.count, threshold.percent * held // 100)


def too_many_leave(move: Impact, gone: frozenset[Network], limits: Sequence[Limits]) -> str | None:
    """Return why these are too many to lose at once, under the strictest of the limits; None where they aren't.

    Judged twice (contract, section 4): in entries, and for each family in addresses covered, where the limit's count
    stands for so many entries of the mean size.
    """
    found = [too_many_go(move, gone, limits), *(_too_much_leaves(move, gone, limits, family) for family in (4, 6))]
    return next((reason for reason in found if reason), None)


def too_many_go(move: Impact, gone: frozenset[Network], limits: Sequence[Limits]) -> str | None:
    """Return why these are too many entries to lose at once; for what the operator takes out, that is all."""
    held = move.before - move.lately
    most = min(allowed(limit.max_removals, len(held)) for limit in limits)
    if len(gone) <= most:
        return None
    if not move.lately:
        return f"{len(gone)} of {count(len(held), 'address')}, more than {most}"
    young = f"{len(move.lately)} that were added shortly before don't count"
    return f"{count(len(gone), 'address')} where {len(held)} were held ({young}), more than {most}"


def _too_much_leaves(move: Impact, gone: frozenset[Network], limits: Sequence[Limits], family: int) -> str | None:
    stays = coverage(move.before - gone, family)
    lost = coverage(move.before | gone, family) - stays
    if not lost:
        return None
    before = [n for n in move.before if n.version == family]
    held, mean = coverage(move.before - move.lately, family), -(-coverage(before, family) // len(before))
    most = min(max(lim.max_removals.count * mean, lim.max_removals.percent * held // 100) for lim in limits)
    if lost <= most:
        return None
    return f"{amount(lost, family)} of {amount(held, family)} covered, more than {amount(most, family)}"


def too_many_come(move: Impact, limits: Sequence[Limits]) -> list[tuple[str, str]]:
    """Return (guard, why) for what is too much to add at once to a resource that holds something already."""
    if not move.before or not move.new:
        return []
    found = [_additions(move, limits), *(_growth(move, limits, family) for family in (4, 6))]
    return [item for item in found if item]


def _additions(move: Impact, limits: Sequence[Limits]) -> tuple[str, str] | None:
    held, new = len(move.before), len(move.new)
    most = min(allowed(limit.max_additions, held) for limit in limits)
    return ("max-additions", f"adds {count(new, 'address')} to {held}, more than {most}") if new > most else None


def _growth(move: Impact, limits: Sequence[Limits], family: int) -> tuple[str, str] | None:
    held = coverage(move.before, family)
    more = coverage(move.before | move.new, family) - held
    most = min(_growth_limit(limit, held, family) for limit in limits)
    if more <= most:
        return None
    text = f"lets in {amount(more, family)} besides the {amount(held, family)} held, more than {amount(most, family)}"
    return "max-growth", text


def _growth_limit(limit: Limits, held: int, family: int) -> int:
    count = limit.max_growth.ipv4 if family == 4 else limit.max_growth.ipv6  # noqa: PLR2004 - the IP version
    return max(count, limit.max_growth.percent * held // 100)


def check_capacity(
    capacity: Iterable[Capacity], *, added: Sequence[Network], removed: Sequence[Network], remove_first: bool
) -> list[Violation]:
    """Judge whether the rules fit before any is written; `added` and `removed` have one item a rule.

    Additions come first, so both must fit at once, unless `remove_first` allows removing first (contract, 5.3).
    A limit that was only assumed, and that more rules than that refute, limits nothing: the cloud itself has the word.
    """
    found = []
    for room in capacity:
        if refuted(room):
            continue
        more = sum(n.version == room.family for n in added)
        fewer = sum(n.version == room.family for n in removed)
        peak = room.used + more - (fewer if remove_first else 0)
        if more and peak > room.limit:
            found.append(_refuse("capacity", _capacity_detail(room, more, fewer)))
    return found


def no_room_yet(
    capacity: Iterable[Capacity], *, added: Sequence[Network], removed: Sequence[Network]
) -> dict[int, str]:
    """Say of each family why what is added doesn't fit while no more than `removed` has gone before it."""
    found = {}
    for room in capacity:
        more, fewer = (sum(n.version == room.family for n in networks) for networks in (added, removed))
        if more and not refuted(room) and room.used + more - fewer > room.limit:
            what = room.what or f"IPv{room.family} rules"
            found[room.family] = (
                f"{room.used} of {room.limit} {what} are in use, and {more} more fit only once what waits is removed"
            )
    return found


def check_lists(capacity: Iterable[Capacity], *, created: int) -> list[Violation]:
    """Judge whether lists that are to be made fit (GCP: a project's quota of firewall rules), before any is written.

    `created` counts all that are made before one is deleted. A limit that is only assumed can warn, not refuse.
    """
    found = []
    for room in capacity:
        if room.family == 0 and created and room.used + created > room.limit:
            verdict = Verdict.ALLOW if room.assumed else Verdict.REFUSE
            found.append(Violation("capacity", verdict, _lists_detail(room, created)))
    return found


def _lists_detail(room: Capacity, created: int) -> str:
    if room.assumed:
        text = f"{room.used} {room.what} are there, and {created} more must be made; the quota is assumed to be {room.limit}"
        return f"{text}, since {room.assumed}"
    text = f"{room.used} of {room.limit} {room.what} are in use, and {created} more must be made"
    return f"{text}; raise the quota, delete rules that nobody needs, or raise `max_ranges` so that fewer are needed"


def too_many_by(capacity: Iterable[Capacity], added: Sequence[Network]) -> dict[int, int]:
    """Return by how many the additions of each family don't fit beside what is there: no more removals may come first."""
    rooms = [(room, sum(n.version == room.family for n in added)) for room in capacity if not refuted(room)]
    over = {room.family: room.used + more - room.limit for room, more in rooms if more}
    return {family: number for family, number in over.items() if number > 0}


def refuted(room: Capacity) -> bool:
    """Tell whether what is there shows that an assumed limit isn't the real one."""
    return bool(room.assumed) and room.used > room.limit


def hangs_on_assumption(capacity: Iterable[Capacity], added: Sequence[Network]) -> bool:
    """Tell whether the verdict hangs on a limit that was only assumed: then the real one is worth asking for."""
    return bool(too_many_by([room for room in capacity if room.assumed], added))


def _capacity_detail(room: Capacity, more: int, fewer: int) -> str:
    fits = room.used + more - fewer <= room.limit and fewer
    way = room.way or "raise the quota, or delete rules that nobody needs"
    way = f"set remove_first: true to remove before adding, or {way}" if fits else way
    limit = f"{room.limit} (assumed: {room.assumed})" if room.assumed else f"{room.limit}"
    what = room.what or f"IPv{room.family} rules"
    return f"{room.used} of {limit} {what} are in use, and the change needs {more} more; {way}"


def some(networks: Iterable[Network]) -> str:
    """Name a few networks in their order, and count the rest."""
    ordered = sorted(networks, key=lambda n: (n.version, n))
    return few([canonical(n) for n in ordered], SHOWN)
