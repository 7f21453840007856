"""What networks cover together, as spans of addresses: how many addresses, and whether another network lies inside."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import itemgetter

from ipsync.core.addresses import REMEMBERED
from ipsync.core.model import Network


def coverage(networks: Iterable[Network], family: int) -> int:
    """Count the distinct addresses of one family (4, 6) that networks cover together."""
    return sum(last - first + 1 for first, last in _merged(n for n in networks if n.version == family))


class Covered:
    """Tells whether networks, together, cover another one whole."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._spans = _spans(frozenset(networks))

    def __contains__(self, network: Network) -> bool:
        """Look for the one span that begins at the network or before it: neighbours are merged already."""
        spans, (first, last) = self._spans[network.version], _span(network)
        near = bisect_right(spans, first, key=itemgetter(0)) - 1
        return near >= 0 and last <= spans[near][1]


def _merged(networks: Iterable[Network]) -> list[tuple[int, int]]:
    """Return the spans of addresses that networks cover together, in order."""
    spans: list[tuple[int, int]] = []
    for first, last in sorted(map(_span, networks)):
        if spans and first <= spans[-1][1] + 1:
            spans[-1] = spans[-1][0], max(spans[-1][1], last)
        else:
            spans.append((first, last))
    return spans


@lru_cache(maxsize=256)  # of thousands of groups that change, most hold the same, and merging is dear
def _spans(networks: frozenset[Network]) -> Mapping[int, list[tuple[int, int]]]:
    return {family: _merged(n for n in networks if n.version == family) for family in (4, 6)}


@lru_cache(maxsize=REMEMBERED)
def _span(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)
