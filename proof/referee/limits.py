"""The guards' words, counted anew from the contract's section 4: what may be believed, and how much may move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from ipsync.core.configured import Limits, Threshold
from ipsync.core.model import Network

RESERVED = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48"),
    )
]
"""Of IANA's special-purpose registries what a list is ever seen to hold by mistake; IPv6 is 2000::/3 besides."""
UNICAST = ip_network("2000::/3")


# ── what may be believed ─────────────────────────────────────────────────────


def refusal(listed: Sequence[Network], limit: Limits) -> str:
    """Return why a feed's list may not be used under these limits; nothing if it may."""
    if not listed:
        return "it is empty"
    if len(set(listed)) > limit.max_addresses:
        return "it lists too many"
    wide = [n for n in listed if n.prefixlen < (limit.min_prefix_v4 if n.version == 4 else limit.min_prefix_v6)]
    special = [n for n in listed if _special(n) and not _within(n, limit.allow_special_use)]
    large = covered(listed, 4) > limit.max_coverage_v4 or covered(listed, 6) > limit.max_coverage_v6
    return "it lists what is too wide" if wide else "special use" if special else "it covers too much" if large else ""


def _special(network: Network) -> bool:
    public = network.version == 4 or network.subnet_of(UNICAST)  # type: ignore[arg-type]
    return not public or any(network.version == r.version and network.overlaps(r) for r in RESERVED)


def _within(network: Network, wide: Iterable[Network]) -> bool:
    return any(network.version == w.version and network.subnet_of(w) for w in wide)  # type: ignore[arg-type]


# ── how much may move ────────────────────────────────────────────────────────


def too_many_removed(
    before: frozenset[Network],
    going: frozenset[Network],
    limit: Limits,
    lately: frozenset[Network] = frozenset(),
    there: frozenset[Network] = frozenset(),
) -> str:
    """Return why so much may not go unasked, in entries or in addresses; nothing if it may.

    before   what is held when the pass begins
    going    everything that is leaving, due or not, and what has gone in this pass
    lately   what came less than a grace before the first of them began to leave: it doesn't count as held
    there    what is there besides, and may cover what goes

    In addresses, the limit's count stands for so many entries of the mean size.
    """
    staying, counted = (before | there) - going, before - lately
    lost = {n for n in going & counted if not inside(n, staying)}
    most = _most(limit.max_removals, len(counted))
    if len(lost) > most:
        return f"max-removals: {len(lost)} of {len(counted)} entries go, more than {most}"
    return _too_much_removed(before, frozenset(lost), limit, counted)


def too_many_taken(before: frozenset[Network], going: frozenset[Network], limit: Limits) -> str:
    """Return why the operator may not take out so many entries unasked; how wide they are is the operator's own affair."""
    lost, most = {n for n in going if not inside(n, before - going)}, _most(limit.max_removals, len(before))
    return (
        f"max-removals: {len(lost)} of {len(before)} entries are taken out, more than {most}"
        if len(lost) > most
        else ""
    )


def _too_much_removed(
    before: frozenset[Network], lost: frozenset[Network], limit: Limits, counted: frozenset[Network]
) -> str:
    for version in (4, 6):
        held, less = covered(counted, version), covered(before, version) - covered(before - lost, version)
        most = max(limit.max_removals.count * _mean(before, version), limit.max_removals.percent * held // 100)
        if less > most:
            return f"max-removals: {less} of {held} addresses of IPv{version} go, more than {most}"
    return ""


def _mean(networks: frozenset[Network], version: int) -> int:
    """Return how many addresses an entry of this family covers in the mean, rounded up."""
    number = sum(n.version == version for n in networks)
    return -(-covered(networks, version) // number) if number else 0


def too_many_added(before: frozenset[Network], new: frozenset[Network], limit: Limits) -> str:
    """Return why so much may not come unasked; nothing if it may. Where nothing is held, no list is too long."""
    if not before:
        return ""
    fresh = {n for n in new - before if not inside(n, before)}
    most = _most(limit.max_additions, len(before))
    if len(fresh) > most:
        return f"max-additions: {len(fresh)} come to {len(before)}, more than {most}"
    for version in (4, 6):
        held, after = covered(before, version), covered(before | new, version)
        if after - held > most_growth(limit, version, held):
            return f"max-growth: {after - held} addresses of IPv{version} come to {held}"
    return ""


def most_growth(limit: Limits, version: int, held: int) -> int:
    """Return by how many addresses of a family a resource may grow at once."""
    count = limit.max_growth.ipv4 if version == 4 else limit.max_growth.ipv6
    return max(count, limit.max_growth.percent * held // 100)


def _most(threshold: Threshold, held: int) -> int:
    return max(threshold.count, threshold.percent * held // 100)


def inside(network: Network, others: Iterable[Network]) -> bool:
    """Tell whether others cover a network whole, alone or together."""
    near = [n for n in others if n.version == network.version and n.overlaps(network)]
    return covered([*near, network], network.version) == covered(near, network.version)


def covered(networks: Iterable[Network], version: int) -> int:
    """Count the addresses of one family that networks cover together."""
    return sum(last - first + 1 for first, last in _spans(networks, version))


def _spans(networks: Iterable[Network], version: int) -> Iterator[tuple[int, int]]:
    ends = sorted((int(n.network_address), int(n.broadcast_address)) for n in networks if n.version == version)
    current: tuple[int, int] | None = None
    for first, last in ends:
        if current and first <= current[1] + 1:
            current = current[0], max(last, current[1])
        else:
            if current:
                yield current
            current = first, last
    if current:
        yield current
