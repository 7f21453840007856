"""What is desired of one resource: one value, whoever makes it; diff, guards and operations go by it alone.

A sync makes it from what feeds list and what the config says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipsync.core.configured import Target
from ipsync.core.marks import STATIC
from ipsync.core.model import BOTH, Entry, Network, Service, suits

Desired = Mapping[Entry, Mapping[str, frozenset[str]]]
"""Each desired entry, by target, with its origins: names of feeds, or STATIC."""


def desired(
    targets: Sequence[Target],
    lists: Mapping[str, Sequence[Network]],
    *,
    ports: bool,
    families: frozenset[int] = BOTH,
) -> Desired:
    """Return what the targets want of one resource: (feeds' networks and static ones) × services of their family.

    `families` are the IP versions that the resource can hold.
    """
    found: dict[Entry, dict[str, frozenset[str]]] = {}
    for target in targets:
        origins: dict[Network, frozenset[str]] = {}
        sources = [(feed, lists[feed]) for feed in target.feeds] + [(STATIC, target.static)]
        for origin, networks in sources:
            for network in (n for n in networks if n.version in families):
                origins[network] = origins.get(network, frozenset()) | {origin}
        for network, names in origins.items():
            for service in _services(target, network, ports=ports):
                found.setdefault(Entry(network, service), {})[target.name] = names
    return found


def _services(target: Target, network: Network, *, ports: bool) -> Sequence[Service | None]:
    """Return what a target lets this source in to: icmp exists in IPv4 alone, icmpv6 in IPv6 (IANA)."""
    fitting = [s for s in target.services if suits(s.protocol, network.version)]
    return fitting if ports else [None] if fitting or not target.services else []
