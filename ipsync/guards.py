"""What keeps a bad feed, or a bug, from opening or closing the wrong door (contract, section 4).

Each guard is a pure function from what it looks at to violations; no violation means: allow.
Counts are in addresses, not in address × port, and hold at any size of list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ipsync.addresses import canonical, special_use
from ipsync.model import Capacity, Limits, Network, Snapshot, Threshold, Verdict, Violation

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
    count = len(snapshot.networks)
    if count <= limits.max_addresses:
        return None
    detail = f"feed {snapshot.feed} lists {count} addresses, more than {limits.max_addresses}"
    return _refuse("max-addresses", f"{detail}; {_raise('max-addresses')}")


def _too_wide(snapshot: Snapshot, limits: Limits) -> Violation | None:
    floors = {4: limits.min_prefix_v4, 6: limits.min_prefix_v6}
    wide = [n for n in snapshot.networks if n.prefixlen < floors[n.version]]
    if not wide:
        return None
    rule = f"/{limits.min_prefix_v4} for IPv4, /{limits.min_prefix_v6} for IPv6"
    detail = f"feed {snapshot.feed} lists {_some(wide)}, wider than allowed ({rule})"
    return _refuse("min-prefix", f"{detail}; {_raise('min-prefix', 'lower')}")


def _too_much(snapshot: Snapshot, limits: Limits, family: int) -> Violation | None:
    most = limits.max_coverage_v4 if family == 4 else limits.max_coverage_v6  # noqa: PLR2004 - the IP version
    covered = coverage(snapshot.networks, family)
    if covered <= most:
        return None
    detail = f"feed {snapshot.feed} covers {amount(covered, family)}, more than {amount(most, family)}"
    return _refuse("max-coverage", f"{detail}; {_raise('max-coverage')}")


def coverage(networks: Iterable[Network], family: int) -> int:
    """Count the distinct addresses of one family (4, 6) that networks cover together."""
    total, end = 0, -1
    for first, last in sorted(_span(n) for n in networks if n.version == family):
        total += max(0, last - max(first, end + 1) + 1)
        end = max(end, last)
    return total


def _span(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def amount(addresses: int, family: int) -> str:
    """Write a number of addresses of one family for people: IPv6 in the widest of /32, /48 and /64 that it fills."""
    prefix = next((p for p in (32, 48, 64) if addresses >= 1 << (128 - p)), 128)
    if family == 4 or prefix == 128:  # noqa: PLR2004 - the IP version, and a single address
        return f"{addresses:,} IPv{family} addresses"
    whole, rest = divmod(addresses, 1 << (128 - prefix))
    return f"{whole:,} × /{prefix}{' and more' if rest else ''} of IPv6"


def _raise(key: str, word: str = "raise") -> str:
    return f"if that is right, {word} guards.{key} (the target's own wins over the feed's, and that over the top's)"


def _special(snapshot: Snapshot, limits: Limits) -> Violation | None:
    allowed = limits.allow_special_use
    named = [(n, special_use(n)) for n in snapshot.networks if not _inside(n, allowed)]
    offenders = [f"{canonical(n)} ({name})" for n, name in named if name]
    if not offenders:
        return None
    detail = f"feed {snapshot.feed} lists {_some_text(offenders)}, which no vendor connects from"
    return _refuse("special-use", f"{detail}; in a lab, set allow_special_use on the feed")


def _inside(network: Network, allowed: Iterable[Network]) -> bool:
    return any(a.version == network.version and network.subnet_of(a) for a in allowed)  # type: ignore[arg-type]


# ── one resource: before and after ───────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Movement:
    """What a plan would do to one resource, in addresses this owner holds there.

    before, after   distinct networks held now, and when the plan is carried out
    leaving         distinct networks that nobody wants any more, due or not
    """

    before: frozenset[Network]
    after: frozenset[Network]
    leaving: frozenset[Network]


def check_movement(move: Movement, limits: Sequence[Limits]) -> list[Violation]:
    """Judge one resource's movement under the strictest of the limits of the targets that name it."""
    found = [_emptied(move), _removals(move, limits), _additions(move, limits)]
    return [violation for violation in found if violation]


def allowed(threshold: Threshold, held: int) -> int:
    """Return the larger of the count and the percentage (rounded down) of what is held."""
    return max(threshold.count, threshold.percent * held // 100)


def _emptied(move: Movement) -> Violation | None:
    if move.after or not move.before:
        return None
    return _refuse("empty", f"this would remove all {len(move.before)} addresses; a target is never emptied")


def _removals(move: Movement, limits: Sequence[Limits]) -> Violation | None:
    held, gone = len(move.before), move.before - move.after
    most = min(allowed(limit.max_removals, held) for limit in limits)
    if len(gone) > most:
        detail = f"removes {len(gone)} of {held} addresses, more than {most}: {_some(gone)}"
        return Violation("max-removals", Verdict.NEEDS_APPROVAL, detail)
    leaving = move.leaving & move.before
    if len(leaving) > most:
        detail = f"{len(leaving)} of {held} addresses are leaving, more than {most}: will need an approval when due"
        return Violation("max-removals", Verdict.ALLOW, detail)
    return None


def _additions(move: Movement, limits: Sequence[Limits]) -> Violation | None:
    held, new = len(move.before), move.after - move.before
    most = min(allowed(limit.max_additions, held) for limit in limits)
    if not held or len(new) <= most:
        return None
    detail = f"adds {len(new)} addresses to {held}, more than {most}: {_some(new)}"
    return Violation("max-additions", Verdict.NEEDS_APPROVAL, detail)


def check_capacity(
    capacity: Iterable[Capacity], *, added: Sequence[Network], removed: Sequence[Network], swap: bool
) -> list[Violation]:
    """Judge whether the rules fit before any is written; `added` and `removed` have one item a rule.

    Additions come first, so both must fit at once, unless `swap` allows removing first (contract, 5.3).
    """
    found = []
    for room in capacity:
        more = sum(n.version == room.family for n in added)
        fewer = sum(n.version == room.family for n in removed)
        peak = room.used + more - (fewer if swap else 0)
        if more and peak > room.limit:
            found.append(_refuse("capacity", _capacity_detail(room, more, fewer)))
    return found


def needs_swap(capacity: Iterable[Capacity], added: Sequence[Network]) -> bool:
    """Tell whether the additions don't fit beside what is there: only then may a removal come first."""
    return any(room.used + sum(n.version == room.family for n in added) > room.limit for room in capacity)


def _capacity_detail(room: Capacity, more: int, fewer: int) -> str:
    fits = room.used + more - fewer <= room.limit and fewer
    way = "set swap: true to remove before adding, or raise" if fits else "raise"
    return (
        f"{room.used} of {room.limit} IPv{room.family} rules are in use and {more} more are needed; "
        f"{way} the quota, or free rules"
    )


def _some(networks: Iterable[Network]) -> str:
    ordered = sorted(networks, key=lambda n: (n.version, n))
    return _some_text([canonical(n) for n in ordered])


def _some_text(texts: Sequence[str]) -> str:
    rest = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
