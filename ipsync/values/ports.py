"""Ports and protocols, as they are written in the config and as other tools write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ipsync.core.model import Service
from ipsync.values.shown_values import Shown, text_schema

LAST_PORT = 65535
WHOLE = {"all": "all", "icmp": "icmp", "icmpv6": "icmpv6", "icmp6": "icmpv6", "ipv6-icmp": "icmpv6"}
"""What has no ports; IANA calls ICMP for IPv6 `ipv6-icmp`, iptables `icmpv6`, many others `icmp6`."""
_FIRST = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?[/:](tcp|udp|sctp)", re.ASCII | re.IGNORECASE)
_LAST = re.compile(r"(tcp|udp|sctp)[/:]([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII | re.IGNORECASE)
_PLAIN = "is not a port; write it like 443/tcp, 8000-8100/tcp, 53/udp, icmp or all"


def service(value: object) -> Service:
    """Read a port or a range with its protocol, `icmp`, `icmpv6` or `all`.

    `tcp:443`, `tcp/443` and `443/TCP` mean the same everywhere, and so are read; port 0 only as the beginning of a
    range, which is how other tools write all ports.
    """
    text = value.lower() if isinstance(value, str) else ""
    if text in WHOLE:
        return Service(WHOLE[text])
    found = _parts(text)
    if not found:
        raise Shown(value, _why(str(value).lower()))
    protocol, first, last = found
    if not 0 <= first <= last <= LAST_PORT or last == 0:
        raise Shown(value, f"is not a range of ports from 1 to {LAST_PORT}, the smaller one first")
    return Service(protocol, first, last)


def _parts(text: str) -> tuple[str, int, int] | None:
    if match := _FIRST.fullmatch(text):
        return match[3], int(match[1]), int(match[2] or match[1])
    if match := _LAST.fullmatch(text):
        return match[1], int(match[2]), int(match[3] or match[2])
    return None


def _why(text: str) -> str:
    return next((told for guess, told in _GUESSES if re.fullmatch(guess, text)), _PLAIN)


_GUESSES = (
    (r"[0-9]{1,5}(?:-[0-9]{1,5})?", "is not a port; write it like 443/tcp, with its protocol"),
    (r"tcp|udp|sctp", "names no port; write all of them like 0-65535/tcp"),
    (r"any|\*|-1", "is not a port; write [all] for every protocol and port"),
    (r".*[/:]icmp(?:v?6)?|icmp(?:v?6)?[/:].*", "is not a port: icmp has none; write icmp (IPv4) or icmpv6 (IPv6)"),
    (
        r"esp|ah|gre|ipip|ipencap",
        "is a protocol that can't be named here; there are tcp, udp, sctp, icmp, icmpv6 and all",
    ),
    (r".*,.*", f"{_PLAIN}, one an entry"),
)
"""What is meant, where that can be guessed; the first that fits is told."""


def services(ports: list[Service]) -> list[Service]:
    """Check that no port is named twice, and that `all` stands alone."""
    if Service("all") in ports and len(ports) > 1:
        raise ValueError("all stands alone: it holds every other port already; write [all]")
    seen: list[Service] = []
    for port in ports:
        for other in seen:
            if port == other:
                raise Shown(str(port), "stands here twice; keep one", told=f"{port} stands here twice; keep one")
            if _overlap(port, other):
                text = "two of these overlap; write them as one range"
                raise Shown("", text, told=f"{other} and {port} overlap; write them as one range")
        seen.append(port)
    return ports


def _overlap(one: Service, other: Service) -> bool:
    if one.protocol != other.protocol or one.first is None or other.first is None:
        return False
    return one.first <= (other.last or 0) and other.first <= (one.last or 0)


# ── as types ─────────────────────────────────────────────────────────────────


def _any_case(words: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in words)


_NUMBER = r"0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_RANGE = rf"(?:{_NUMBER}|(?:0+|{_NUMBER})-{_NUMBER})"
ALL = _any_case("all")
"""The pattern of `all`."""


def form(*protocols: str) -> str:
    """Return the pattern of one port, of protocols with ports and those without."""
    named = "|".join(_any_case(p) for p in protocols)
    whole = "|".join(_any_case(w) for w in WHOLE)
    return rf"{_RANGE}[/:](?:{named})|(?:{named})[/:]{_RANGE}|{whole}"


Port = Annotated[
    Service,
    BeforeValidator(service),
    text_schema(form("tcp", "udp", "sctp"), "443/tcp", "8000-8100/tcp", "all"),
]
Ports = Annotated[list[Port], Field(min_length=1), AfterValidator(services)]
