"""The guards' words, counted anew from the contract's section 4: what may be believed, and how much may move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from ipsync.model import Limits, Network, Threshold

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
MAX_GROWTH = {4: 4096, 6: 16 * 2**80}
"""Addresses by which a resource may grow at once: 4,096 of IPv4, sixteen /48 of IPv6; or by 100 %."""
MAX_COVERAGE = {4: 2**18, 6: 16 * 2**96}
"""Addresses that a feed may list: one /14 of IPv4, sixteen /32 of IPv6."""


# ── what may be believed ─────────────────────────────────────────────────────


def refusal(listed: Sequence[Network], limit: Limits) -> str:
    """Return why a feed's list may not be used under these limits; nothing if it may."""
    if not listed:
        return "it is empty"
    if len(set(listed)) > limit.max_addresses:
        return "it lists too many"
    wide = [n for n in listed if n.prefixlen < (limit.min_prefix_v4 if n.version == 4 else limit.min_prefix_v6)]
    special = [n for n in listed if _special(n) and not _within(n, limit.allow_special_use)]
    large = [v for v in (4, 6) if covered(listed, v) > most_coverage(limit, v)]
    return "it lists what is too wide" if wide else "special use" if special else "it covers too much" if large else ""


def _special(network: Network) -> bool:
    public = network.version == 4 or network.subnet_of(UNICAST)  # type: ignore[arg-type]
    return not public or any(network.version == r.version and network.overlaps(r) for r in RESERVED)


def _within(network: Network, wide: Iterable[Network]) -> bool:
    return any(network.version == w.version and network.subnet_of(w) for w in wide)  # type: ignore[arg-type]


def most_coverage(limit: Limits, version: int) -> int:
    """Return how many addresses of a family a feed may cover."""
    return int(getattr(limit, f"max_coverage_v{version}", None) or MAX_COVERAGE[version])


# ── how much may move ────────────────────────────────────────────────────────


def too_many_removed(before: frozenset[Network], going: frozenset[Network], limit: Limits) -> str:
    """Return why so much may not go unasked, in entries or in addresses; nothing if it may.

    before   what counts as held before the first of them began to leave
    going    everything that is leaving, due or not, and what has gone in this pass
    """
    staying = before - going
    lost = {n for n in going & before if not _inside(n, staying)}
    most = _most(limit.max_removals, len(before))
    if len(lost) > most:
        return f"max-removals: {len(lost)} of {len(before)} entries go, more than {most}"
    for version in (4, 6):
        held, less = covered(before, version), covered(before, version) - covered(staying, version)
        if less > _most(limit.max_removals, held):
            return f"max-removals: {less} of {held} addresses of IPv{version} go"
    return ""


def too_many_added(before: frozenset[Network], new: frozenset[Network], limit: Limits) -> str:
    """Return why so much may not come unasked; nothing if it may. Where nothing is held, no list is too long."""
    if not before:
        return ""
    fresh = {n for n in new - before if not _inside(n, before)}
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
    asked = getattr(limit, "max_growth", None)
    count = MAX_GROWTH[version] if version == 6 or asked is None else asked.count
    percent = 100 if asked is None else asked.percent
    return max(count, percent * held // 100)


def _most(threshold: Threshold, held: int) -> int:
    return max(threshold.count, threshold.percent * held // 100)


def _inside(network: Network, others: Iterable[Network]) -> bool:
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
