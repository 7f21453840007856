"""The texts that config values are written in: durations, ports, networks, names, URLs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ipsync.addresses import parse
from ipsync.errors import AddressError
from ipsync.model import Network, Service

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
RESERVED = {"static"}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}
LONGEST = 366 * 86400
"""Seconds of the longest duration: a typo of a year and more is not a wish."""


def seconds(value: object) -> float:
    """Read a duration: `90s`, `15m`, `72h`, `1d12h`; a bare number is seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        total = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        total = float(sum(int(n) * _UNITS[u] for n, u in re.findall(r"([0-9]+)([smhdw])", value)))
    else:
        raise ValueError("is not a duration; write it like 90s, 15m, 72h or 3d")
    if not 0 <= total <= LONGEST:
        raise ValueError("is longer than a year, or negative")
    return total


def grace(value: object) -> timedelta | None:
    """Read `removal.grace`: a duration, or `never`."""
    return None if value == "never" else timedelta(seconds=seconds(value))


def size(value: object) -> int:
    """Read a size in bytes: 5242880, or `5MiB`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9]{1,12})(|B|KiB|MiB)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("is not a size; write it like 5MiB")
    return int(match[1]) * _SIZES[match[2]]


def service(value: object) -> Service:
    """Read a port or a range with its protocol, or `all`."""
    if value in {"all", "icmp", "icmpv6"}:
        return Service(str(value))
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/(tcp|udp|sctp)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("is not a port; write it like 443/tcp, 8000-8100/tcp, 53/udp, icmp or all")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= 65535:  # noqa: PLR2004 - the last port there is
        raise ValueError("is not a range of ports from 1 to 65535, the smaller one first")
    return Service(match[3], first, last)


def network(value: object) -> Network:
    """Read an address or a network."""
    try:
        return parse(value)
    except AddressError as error:
        raise ValueError(str(error)) from None


def static_network(value: object) -> Network:
    """Read a network for `static`: any but the whole internet."""
    found = network(value)
    if found.prefixlen == 0:
        raise ValueError("is the whole internet; a static address may be any network but /0")
    return found


def name(value: str) -> str:
    """Check a name that becomes a tag's value and a word in a description."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", value):
        raise ValueError("is not a name; use up to 64 letters, digits, dots, dashes and underscores")
    if value in RESERVED:
        raise ValueError(f"is a word that ipsync uses itself; choose another name than {value}")
    return value


def url(value: str) -> str:
    """Check an http or https URL without credentials."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an https:// address")
    if parts.username or parts.password:
        raise ValueError("holds credentials; put them into headers, from a variable like ${TOKEN}")
    _ = parts.port
    return value


def endpoint(value: str) -> str:
    """Check an emulator's endpoint: plain http only on this machine."""
    if urlsplit(url(value)).scheme == "http" and urlsplit(value).hostname not in LOOPBACK:
        raise ValueError("is plain http to another machine; credentials would go there in the clear")
    return value


def _text(pattern: str, what: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {what}")
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"pattern": f"^(?:{pattern})$"})]


def _schema(kind: Any, *examples: object, **extra: object) -> Any:
    return WithJsonSchema({"type": kind, "examples": list(examples), **extra})


Duration = Annotated[float, BeforeValidator(seconds), _schema(["string", "integer"], "30s", "15m")]
Grace = Annotated[timedelta | None, BeforeValidator(grace), _schema(["string", "integer"], "72h", "0s", "never")]
Size = Annotated[int, BeforeValidator(size), _schema(["string", "integer"], "5MiB")]
Ports = Annotated[Service, BeforeValidator(service), _schema("string", "443/tcp", "8000-8100/tcp", "all")]
Cidr = Annotated[Network, BeforeValidator(network), _schema("string", "10.0.0.0/8")]
StaticCidr = Annotated[Network, BeforeValidator(static_network), _schema("string", "198.51.100.7/32")]
Name = Annotated[str, AfterValidator(name)]
Url = Annotated[str, AfterValidator(url)]
Endpoint = Annotated[str, AfterValidator(endpoint)]
Owner = _text(r"[a-z0-9-]{1,32}", "an owner: 1 to 32 of a-z, 0-9 and -")
Region = _text(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}", "an AWS region; write it like eu-north-1")
Group = _text(r"sg-[0-9a-f]{8,17}", "a security group's id; write it like sg-0123456789abcdef0")
Vpc = _text(r"vpc-[0-9a-f]{8,17}", "a VPC's id; write it like vpc-0123456789abcdef0")
Role = _text(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", "a role's ARN; like arn:aws:iam::111122223333:role/ipsync"
)
Project = _text(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "a GCP project's id (not its name or number)")
NetworkName = _text(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", "a VPC network's name")
Rule = _text(
    r"[a-z](?:[-a-z0-9]{0,54}[a-z0-9])?",
    "a firewall rule's name: a-z, 0-9 and -, at most 56 characters (ipsync appends -v6 and numbers)",
)
Tag = _text(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", "a network tag")
Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
