"""The texts that config values are written in: durations, ports, networks, names, URLs."""

from __future__ import annotations

import os.path
import re
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ipsync.addresses import parse
from ipsync.errors import AddressError
from ipsync.model import Network, Service

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
RESERVED = {"static"}
LONGEST = 366 * 86400
"""Seconds of the longest duration: a typo of a year and more is not a wish."""
LONGEST_FETCH = 600
MOST_BYTES = 100 * 1024**2
LAST_PORT = 65535
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+", re.ASCII)
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}
_COVERED = re.compile(r"([0-9]{1,39})|(?:([0-9]{1,9}) ?x ?)?/([0-9]{1,3})", re.ASCII)
_SERVICE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/(tcp|udp|sctp)", re.ASCII)
_OUR_HEADERS = {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
"""Headers that the fetch's safety rests on."""


class Shown(ValueError):
    """An error whose text names the value; `discreet` says the same without it."""

    def __init__(self, value: object, text: str, *, told: str = "") -> None:
        short = repr(value) if len(repr(value)) <= 60 else repr(value)[:59] + "…"  # noqa: PLR2004 - fits a line
        super().__init__(told or f"{short} {text}")
        self.discreet = text


# ── durations and sizes ──────────────────────────────────────────────────────


def duration(value: object) -> float:
    """Read a duration in seconds: `90s`, `15m`, `72h`, `1d12h`; only 0 needs no unit."""
    if value == 0 and type(value) is int:
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        hint = "; a bare number could be anything, so add the unit" if isinstance(value, int | float) else ""
        raise Shown(value, f"is not a duration; write it like 90s, 15m, 72h or 1d12h{hint}")
    total = float(sum(int(n) * _UNITS[u] for n, u in re.findall(r"([0-9]+)([smhdw])", value)))
    if total > LONGEST:
        raise Shown(value, "is longer than a year; write a shorter duration")
    return total


def grace(value: object) -> timedelta | None:
    """Read `removal.grace`: a duration, or `never`."""
    return None if value == "never" else timedelta(seconds=duration(value))


def timeout(value: object) -> float:
    """Read a feed's timeout: a duration, or seconds."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    total = float(value) if plain else duration(value)  # type: ignore[arg-type]  # checked a line above
    if not 0 < total <= LONGEST_FETCH:
        raise Shown(value, f"is not a time to wait for a feed; write 1s to {LONGEST_FETCH}s")
    return total


def every(value: object) -> float:
    """Read `schedule.every`: at least ten seconds, since less would be a load test of the vendor."""
    total = duration(value)
    if total < 10:  # noqa: PLR2004 - as above
        raise Shown(value, "is too often; write 10s or longer")
    return total


def size(value: object) -> int:
    """Read a size in bytes: 5242880, or `5MiB`."""
    text = str(value) if type(value) is int else value
    match = re.fullmatch(r"([0-9]{1,12})(|B|KiB|MiB)", text, re.ASCII) if isinstance(text, str) else None
    total = int(match[1]) * _SIZES[match[2]] if match else 0
    if not 0 < total <= MOST_BYTES:
        raise Shown(value, "is not a size; write it like 5MiB (up to 100MiB), or in bytes")
    return total


def covered(value: object, *, bits: int) -> int:
    """Read how many addresses are covered: a number, one network's size (`/14`), or that of several (`16x/48`)."""
    text = str(value) if type(value) is int else value
    match = _COVERED.fullmatch(text) if isinstance(text, str) else None
    prefix = int(match[3]) if match and match[3] else bits
    total = int(match[1] or match[2] or 1) << max(bits - prefix, 0) if match else -1
    if prefix > bits or not 0 <= total <= 1 << bits:
        example = "262144, /14 or 4x/16" if bits == 32 else "/32 or 16x/48"  # noqa: PLR2004 - IPv4's
        raise Shown(value, f"is not a number of addresses; write it like {example}")
    return total


# ── ports and networks ───────────────────────────────────────────────────────


def service(value: object) -> Service:
    """Read a port or a range with its protocol, `icmp`, `icmpv6` or `all`."""
    if isinstance(value, str) and value in {"all", "icmp", "icmpv6"}:
        return Service(value)
    match = _SERVICE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise Shown(value, "is not a port; write it like 443/tcp, 8000-8100/tcp, 53/udp, icmp or all")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= LAST_PORT:
        raise Shown(value, f"is not a range of ports from 1 to {LAST_PORT}, the smaller one first")
    return Service(match[3], first, last)


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


def network(value: object) -> Network:
    """Read an address or a network."""
    try:
        return parse(value)
    except AddressError as error:
        text = "is not an address or a network; write it like 198.51.100.7 or 198.51.100.0/24, host bits zero"
        raise Shown(value, text, told=str(error)) from None


def static_network(value: object) -> Network:
    """Read a network for `static`: any but the whole internet."""
    found = network(value)
    if found.prefixlen == 0:
        raise ValueError("is the whole internet; a static address may be any network but /0")
    return found


# ── names, URLs, paths, headers ──────────────────────────────────────────────


def name(value: str) -> str:
    """Check a name that becomes a tag's value and a word in a description."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", value):
        raise Shown(value, "is not a name; use up to 64 letters, digits, dots, dashes and underscores")
    if value in RESERVED:
        raise ValueError("is a word that ipsync uses itself; choose another name than static")
    return value


def url(value: str) -> str:
    """Check an http or https URL without credentials."""
    try:
        parts = urlsplit(value)
        fine = bool(parts.hostname) and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        raise ValueError("is not a URL; check the host and the port") from None
    if "@" in parts.netloc:
        raise ValueError("holds credentials; put them into headers, from a variable like ${TOKEN}")
    if not fine or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("is not an https:// address (of plain ASCII, without spaces)")
    return value


def plain_http(value: object) -> bool:
    """Say whether a URL is http to another machine, where anybody on the way can change the answer."""
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def endpoint(value: str) -> str:
    """Check an emulator's endpoint: plain http only on this machine."""
    if plain_http(url(value)):
        raise ValueError("is plain http to another machine, where credentials would go in the clear; use https://")
    return value


def file_path(value: str) -> str:
    """Check a path: nobody expands a `~` here, and a folder named so would be a surprise."""
    if not value or value.startswith("~"):
        raise ValueError("is not a path; ~ is not expanded, write ${HOME}/… instead")
    return value


def ca_file(value: str) -> str:
    """Check that a CA bundle can be read."""
    if not (os.path.isfile(file_path(value)) and os.access(value, os.R_OK)):  # noqa: PTH113 - Path's raises on odd paths
        raise ValueError("there is no such file that can be read; a relative path starts at the working folder")
    return value


def select(value: str) -> str:
    """Check a JMESPath expression."""
    if value in {"@", "ipAddresses"}:
        return value
    import jmespath  # noqa: PLC0415 - the preset needs none

    try:
        jmespath.compile(value)
    except jmespath.exceptions.LexerError as error:
        raise _no_select(value, error.lexer_position) from None
    except jmespath.exceptions.ParseError as error:
        raise _no_select(value, error.lex_position) from None
    except (jmespath.exceptions.JMESPathError, ValueError, RecursionError):
        raise _no_select(value, None) from None
    return value


def _no_select(value: str, position: int | None) -> Shown:
    place = f", wrong from character {position + 1}" if isinstance(position, int) and position < len(value) else ""
    return Shown(value, f"is not a JMESPath{place}; write it like prefixes[].ip_prefix")


def header_name(value: str) -> str:
    """Check a header's name, and that it isn't one that the fetch's safety rests on."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", value):
        raise ValueError("is not a header's name; write it like Authorization")
    if value.lower() in _OUR_HEADERS:
        raise ValueError("is a header that ipsync sets itself; leave it out")
    return value


def header_value(value: str) -> str:
    """Check a header's value; it may be a secret, so it is never shown."""
    if not re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", value):
        raise ValueError(
            "can't be a header's value: it is empty, holds a line break or other special character, or begins or ends "
            "with a space (a variable that was read from a file often ends in a line break)"
        )
    return value


# ── as types ─────────────────────────────────────────────────────────────────

_FROM_VARIABLE = r"\$\{"
"""Editors check the file before variables are filled in."""


def _text(pattern: str, what: str, *, key: bool = False) -> Any:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Shown(value, f"is not {what}")
        return value

    if key:  # a pattern would make pydantic write patternProperties, which let every other key pass
        return Annotated[str, AfterValidator(check)]
    return Annotated[
        str, AfterValidator(check), Field(json_schema_extra={"pattern": f"^(?:{pattern})$|{_FROM_VARIABLE}"})
    ]


def _schema(kind: Any, *examples: object, pattern: str = "", maximum: int | None = None) -> Any:
    shape: dict[str, Any] = {"pattern": f"^(?:{pattern})$|{_FROM_VARIABLE}"} if pattern else {}
    bounds = {} if maximum is None else {"minimum": 0, "maximum": maximum}
    return WithJsonSchema({"type": kind, "examples": list(examples), **shape, **bounds})


def _unique(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


_SPAN = r"(?:[0-9]+[smhdw])+"
_PORT = r"[0-9]{1,5}(?:-[0-9]{1,5})?/(?:tcp|udp|sctp)|icmp|icmpv6|all"
_CIDR = r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?"

Duration = Annotated[float, BeforeValidator(duration), _schema(["string", "integer"], "60s", "0s", pattern=_SPAN)]
Every = Annotated[float, BeforeValidator(every), _schema("string", "15m", pattern=_SPAN)]
Timeout = Annotated[float, BeforeValidator(timeout), _schema(["string", "number"], "30s", pattern=_SPAN)]
Grace = Annotated[
    timedelta | None,
    BeforeValidator(grace),
    _schema(["string", "integer"], "72h", "0s", "never", pattern=f"{_SPAN}|never"),
]
Size = Annotated[int, BeforeValidator(size), _schema(["string", "integer"], "5MiB", pattern="[0-9]+(?:B|KiB|MiB)?")]
_AMOUNT = r"[0-9]{1,39}|(?:[0-9]{1,9} ?x ?)?/[0-9]{1,3}"
CoveredV4 = Annotated[
    int,
    BeforeValidator(partial(covered, bits=32)),
    _schema(["string", "integer"], 262144, "/14", "4x/16", pattern=_AMOUNT, maximum=2**32),
]
CoveredV6 = Annotated[
    int,
    BeforeValidator(partial(covered, bits=128)),
    _schema(["string", "integer"], "/32", "16x/48", pattern=_AMOUNT, maximum=2**128),
]
Port = Annotated[Service, BeforeValidator(service), _schema("string", "443/tcp", "8000-8100/tcp", "all", pattern=_PORT)]
Ports = Annotated[list[Port], Field(min_length=1), AfterValidator(services)]
Cidr = Annotated[Network, BeforeValidator(network), _schema("string", "10.0.0.0/8", pattern=_CIDR)]
StaticCidr = Annotated[Network, BeforeValidator(static_network), _schema("string", "198.51.100.7/32", pattern=_CIDR)]
Unique = AfterValidator(_unique)
FeedName = Annotated[str, AfterValidator(name)]
Name = Annotated[
    str, AfterValidator(name), Field(json_schema_extra={"pattern": r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$|\$\{"})
]
Url = Annotated[str, AfterValidator(url), Field(json_schema_extra={"pattern": rf"^https?://|{_FROM_VARIABLE}"})]
Endpoint = Annotated[str, AfterValidator(endpoint)]
FilePath = Annotated[str, AfterValidator(file_path)]
CaFile = Annotated[str, AfterValidator(ca_file)]
Select = Annotated[str, AfterValidator(select)]
HeaderName = Annotated[str, AfterValidator(header_name)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
Owner = _text(r"[a-z0-9-]{1,32}", "an owner; use 1 to 32 of a-z, 0-9 and -")
Region = _text(r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}", "an AWS region; write it like eu-north-1")
Group = _text(
    r"sg-[0-9a-f]{8,17}", "a security group's id; write it like sg-0123456789abcdef0 (sg- and 8 to 17 of 0-9 and a-f)"
)
Vpc = _text(r"vpc-[0-9a-f]{8,17}", "a VPC's id; write it like vpc-0123456789abcdef0")
Role = _text(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+",
    "a role's ARN; write it like arn:aws:iam::111122223333:role/ipsync",
)
ExternalId = _text(r"[\w+=,.@:/-]{1,1224}", "an external id; use up to 1224 letters, digits and +=,.@:/-_")
Profile = _text(r"[^\x00-\x1f]{1,200}", "a profile's name")
TagKey = _text(r"[^\x00-\x1f]{1,128}", "a tag's key; use 1 to 128 characters", key=True)
TagValue = _text(r"[^\x00-\x1f]{0,256}", "a tag's value; use up to 256 characters")
Project = _text(
    r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "a GCP project's id; write it like acme-staging (not its name or number)",
)
NetworkName = _text(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", "a VPC network's name; write it like default")
Rule = _text(
    r"[a-z](?:[-a-z0-9]{0,54}[a-z0-9])?",
    "a firewall rule's name; use a-z, 0-9 and -, at most 56 characters (ipsync appends -v6 and numbers)",
)
Objects = _text(
    r"(?:s3|gs)://[a-z0-9][a-z0-9._-]{1,221}(?:/[^?#\s]*)?",
    "a bucket; write it like s3://bucket/prefix or gs://bucket/prefix",
)
Tag = _text(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", "a network tag; write it like web")
ServiceAccount = _text(
    r"[a-zA-Z0-9][\w.-]*@[a-z0-9.-]+", "a service account; write it like web@acme-staging.iam.gserviceaccount.com"
)
Percent = Annotated[int, Field(ge=0, le=100)]
MorePercent = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
