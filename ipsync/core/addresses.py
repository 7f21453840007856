"""Text to network, once and strictly; and which networks no vendor can connect from.

Python's `ipaddress` is too kind for a firewall: it takes integers, netmasks, host masks and zones, and its
`is_global` looks only at a network's end points. So the form is checked first, and the IANA registries are
carried as data and tested by overlap.
"""

from __future__ import annotations

import re
import reprlib
from contextlib import suppress
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from ipsync.core.errors import AddressError
from ipsync.core.model import Entry, Network

LONGEST = 43
"""Characters of the longest text: 39 of an IPv6 address and four of its prefix."""
_FORM = re.compile(r"[0-9A-Fa-f:.]+(?:/(?:0|[1-9][0-9]{0,2}))?", re.ASCII)
REMEMBERED = 65_536
"""How many networks are remembered: thousands of resources name the same few, and compare them over and over."""


class _Hashed:
    """Keeps its hash: `ipaddress` works it out anew each time, which was most of what comparing cost."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class _V4(_Hashed, IPv4Network):
    """An IPv4 network."""


class _V6(_Hashed, IPv6Network):
    """An IPv6 network."""


@lru_cache(maxsize=REMEMBERED)
def to_network(text: str, *, strict: bool = True) -> Network:
    """Return the network that a text names; the same text gives the same object.

    Raises ValueError for what `ipaddress` can't read, and where `strict`, for host bits that are set.
    """
    with suppress(ValueError):
        return (_V6 if ":" in text else _V4)(text, strict)
    return ip_network(text, strict=strict)  # which says what is wrong without taking sides for a family


def parse(text: object) -> Network:
    """Return the network that a text names; a bare address is its /32 or /128.

    Raises AddressError for everything else: a number, a netmask, a zone, leading zeros, host bits set.
    """
    if not isinstance(text, str):
        raise AddressError(f"{_shown(text)} is not a text but {_article(text)}")
    if len(text) > LONGEST or not _FORM.fullmatch(text):
        raise AddressError(f"{_shown(text)} is not an address with an optional decimal prefix")
    with suppress(ValueError):
        return to_network(text)
    raise AddressError(_why(text))  # outside of `except`: of 20,000 faults of a feed each would hold what it came from


@lru_cache(maxsize=REMEMBERED)
def canonical(network: Network) -> str:
    """Write a network as EC2 and we compare it: compressed, with its prefix."""
    return str(network)


@lru_cache(maxsize=REMEMBERED)
def sort_key(network: Network) -> tuple[int, int, int]:
    """Sort by family, then address, then prefix."""
    return network.version, int(network.network_address), network.prefixlen


def entry_key(entry: Entry) -> tuple[object, ...]:
    """Sort by family, then address, then ports."""
    return (*sort_key(entry.network), str(entry.service or ""))


def _shown(value: object) -> str:
    # repr makes up to forty bytes of one; of what may be megabytes, only the beginning is wanted.
    text = repr(value[: LONGEST + 10]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= LONGEST + 10 else text[: LONGEST + 7] + "…"


def _article(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")


def _why(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is not an IPv4 or IPv6 address or network"
    return f"{text!r} has host bits set; the network would be {meant}"


# ── networks that no vendor connects from ────────────────────────────────────

SPECIAL_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this network, RFC 791"),
        ("10.0.0.0/8", "private use, RFC 1918"),
        ("100.64.0.0/10", "shared address space, RFC 6598"),
        ("127.0.0.0/8", "loopback, RFC 1122"),
        ("169.254.0.0/16", "link local, RFC 3927"),
        ("172.16.0.0/12", "private use, RFC 1918"),
        ("192.0.0.0/24", "IETF protocol assignments, RFC 6890"),
        ("192.0.2.0/24", "documentation, RFC 5737"),
        ("192.31.196.0/24", "AS112, RFC 7535"),
        ("192.52.193.0/24", "AMT, RFC 7450"),
        ("192.88.99.0/24", "deprecated 6to4 relay anycast, RFC 7526"),
        ("192.168.0.0/16", "private use, RFC 1918"),
        ("192.175.48.0/24", "AS112, RFC 7534"),
        ("198.18.0.0/15", "benchmarking, RFC 2544"),
        ("198.51.100.0/24", "documentation, RFC 5737"),
        ("203.0.113.0/24", "documentation, RFC 5737"),
        ("224.0.0.0/4", "multicast, RFC 5771"),
        ("240.0.0.0/4", "reserved, RFC 1112"),
    )
)
"""IANA's IPv4 Special-Purpose Address Registry, and multicast."""

GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""All that IANA hands out (RFC 4291): outside of it lie mapped, NAT64, unique and link local, multicast …"""

SPECIAL_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("::/128", "unspecified, RFC 4291"),
        ("::1/128", "loopback, RFC 4291"),
        ("::ffff:0:0/96", "IPv4-mapped, RFC 4291"),
        ("64:ff9b::/96", "NAT64, RFC 6052"),
        ("64:ff9b:1::/48", "local-use NAT64, RFC 8215"),
        ("100::/64", "discard only, RFC 6666"),
        ("100:0:0:1::/64", "dummy prefix, RFC 9780"),
        ("2001::/32", "Teredo, RFC 4380"),
        ("2001::/23", "IETF protocol assignments, RFC 2928"),
        ("2001:db8::/32", "documentation, RFC 3849"),
        ("2002::/16", "6to4, RFC 3056"),
        ("2620:4f:8000::/48", "AS112, RFC 7534"),
        ("3fff::/20", "documentation, RFC 9637"),
        ("5f00::/16", "segment routing SIDs, RFC 9602"),
        ("fc00::/7", "unique local, RFC 4193"),
        ("fe80::/10", "link local, RFC 4291"),
        ("fec0::/10", "deprecated site local, RFC 3879"),
        ("ff00::/8", "multicast, RFC 4291"),
    )
)
"""IANA's IPv6 Special-Purpose Address Registry, and multicast."""


def _bounds(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


_RANGES = {
    4: tuple((*_bounds(block), name) for block, name in SPECIAL_V4),
    6: tuple((*_bounds(block), name) for block, name in SPECIAL_V6),
}


def special_use(network: Network) -> str | None:
    """Name the special-use block that a network overlaps, or None for plain public space."""
    first, last = _bounds(network)
    for low, high, name in _RANGES[network.version]:
        if first <= high and low <= last:
            return name
    if network.version == 4 or network.subnet_of(GLOBAL_UNICAST_V6):  # noqa: PLR2004 - the IP version
        return None
    return f"outside {GLOBAL_UNICAST_V6}, RFC 4291"
