"""The texts that config values are written in: networks, names, URLs, paths, headers."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from ipsync.core.addresses import LONGEST, parse
from ipsync.core.errors import AddressError
from ipsync.core.model import Network
from ipsync.values.amounts import duration as duration  # noqa: PLC0414 - the command line reads durations too
from ipsync.values.expressions import select
from ipsync.values.shown_values import Shown, pattern, text_schema

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
RESERVED = {"static"}
HIGHEST_PORT = 65535
OUR_HEADERS = {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
"""Headers that the fetch's safety rests on."""


# ── networks ─────────────────────────────────────────────────────────────────


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


def listen(value: object) -> tuple[str, int]:
    """Read where to listen: an address of this machine, or localhost, and a port; port 0 takes any that is free."""
    match = re.fullmatch(_LISTEN, value, re.ASCII) if isinstance(value, str) else None
    if not match or int(match[3]) > HIGHEST_PORT:
        raise Shown(value, "is not an address and a port; write it like 127.0.0.1:9464, or null to serve nothing")
    host = match[2] or match[1]
    if ":" in host:
        try:
            host = str(IPv6Address(host))
        except ValueError:
            raise Shown(value, "holds no IPv6 address; write it like [::1]:9464") from None
    return host, int(match[3])


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


def hook(value: str) -> str:
    """Check where messages are posted to. The address may let whoever knows it post there, so it is never shown."""
    try:
        parts = urlsplit(value)
        fine = bool(parts.hostname) and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("is not an https:// address (of plain ASCII, without spaces)")
    if plain_http(value):
        raise ValueError("is plain http to another machine, where anybody on the way could read it; use https://")
    return value


def slack_hook(value: str) -> str:
    """Check the URL of a Slack incoming webhook, or of what plays one on this machine."""
    if not re.fullmatch(f"{_SLACK}|{_HTTP}{_HERE}{_PORT}{_REST}", value):
        raise ValueError(
            "is not the URL of a Slack incoming webhook; it looks like https://hooks.slack.com/services/T…/B…/… "
            "(at api.slack.com/apps: the app's page Incoming Webhooks)"
        )
    return hook(value)


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


def header_name(value: str) -> str:
    """Check a header's name, and that it isn't one that the fetch's safety rests on."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", value):
        raise ValueError("is not a header's name; write it like Authorization")
    if value.lower() in OUR_HEADERS:
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


def _text(form: str, what: str, *, key: bool = False) -> Any:
    compiled = re.compile(form, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Shown(value, f"is not {what}")
        return value

    if key:  # a pattern would make pydantic write patternProperties, which let every other key pass
        return Annotated[str, AfterValidator(check)]
    return _described(check, form)


def _described(check: Callable[[str], str], form: str) -> Any:
    """Make a type of a check, and describe it in the schema as far as a pattern can."""
    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"pattern": pattern(form)})]


def _unique(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_V6 = r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*"
_CIDR = f"{_V4}(?:/(?:3[0-2]|[12]?[0-9]))?|{_V6}(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^][/?#:@\s]+)"
_PORT = r"(?::(?:0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)?"
_PORT_OR_0 = r"0*(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_USER = r"(?:[^][/?#\s]+@)?"
_HTTP, _HTTPS = "[hH][tT][tT][pP]://", "[hH][tT][tT][pP][sS]://"
_LISTEN = rf"(localhost|{_V4}|\[({_V6})\]):([0-9]{{1,5}})"
_LISTEN_SCHEMA = rf"(?:localhost|{_V4}|\[{_V6}\]):{_PORT_OR_0}"
_REST = "(?:[/?#][!-~]*)?"
_HERE = r"(?:[lL][oO][cC][aA][lL][hH][oO][sS][tT]|127\.0\.0\.1|\[::1\])"
PLAIN_HTTP = f"^{_HTTP}"
PLAIN_HTTP_HERE = rf"^{_HTTP}{_HERE}(?:[:/?#]|$)"
"""In the schema: a URL that is plain http, and one to this machine."""
_SLACK = r"https://hooks\.slack(?:-gov)?\.com/services/[A-Z0-9]{3,24}/[A-Z0-9]{3,24}/[A-Za-z0-9]{8,64}"
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}"
_RESERVED: dict[str, Any] = {"not": {"enum": sorted(RESERVED)}}

Cidr = Annotated[Network, BeforeValidator(network), text_schema(_CIDR, "10.0.0.0/8", maxLength=LONGEST)]
StaticCidr = Annotated[
    Network,
    BeforeValidator(static_network),
    text_schema(_CIDR, "198.51.100.7/32", maxLength=LONGEST, **{"not": {"pattern": "/0$"}}),
]
Unique = AfterValidator(_unique)
FeedName = Annotated[str, AfterValidator(name)]
Name = Annotated[str, AfterValidator(name), Field(json_schema_extra={"pattern": pattern(_NAME), **_RESERVED})]
Url = _described(url, f"(?:{_HTTP}|{_HTTPS}){_HOST}{_PORT}{_REST}")
Endpoint = _described(endpoint, f"(?:{_HTTPS}{_HOST}|{_HTTP}{_HERE}){_PORT}{_REST}")
Listen = Annotated[
    tuple[str, int], BeforeValidator(listen), text_schema(_LISTEN_SCHEMA, "127.0.0.1:9464", "0.0.0.0:9464")
]
Hook = _described(hook, f"(?:{_HTTPS}{_USER}{_HOST}|{_HTTP}{_USER}{_HERE}){_PORT}{_REST}")
SlackHook = _described(slack_hook, f"{_SLACK}|{_HTTP}{_HERE}{_PORT}{_REST}")
FilePath = _described(file_path, "[^~].*")
CaFile = _described(ca_file, "[^~].*")
Select = _described(select, "[^ ].*| .*[^ ].*")
HeaderName = Annotated[str, AfterValidator(header_name)]
HeaderValue = _described(header_value, "[!-~](?:[ -~]*[!-~])?")
Owner = _text(r"[a-z0-9-]{1,32}", "an owner; use 1 to 32 of a-z, 0-9 and -")
Region = _text(r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}", "an AWS region; write it like eu-north-1")
Group = _text(
    r"sg-[0-9a-f]{8,17}", "a security group's id; write it like sg-0123456789abcdef0 (sg- and 8 to 17 of 0-9 and a-f)"
)
PrefixList = _text(
    r"pl-[0-9a-f]{8,17}", "a prefix list's id; write it like pl-0123456789abcdef0 (pl- and 8 to 17 of 0-9 and a-f)"
)
Vpc = _text(r"vpc-[0-9a-f]{8,17}", "a VPC's id; write it like vpc-0123456789abcdef0")
Role = _text(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+",
    "a role's ARN; write it like arn:aws:iam::111122223333:role/ipsync",
)
RoleName = _text(
    r"[\w+=,.@/-]{1,512}", "a role's name; write it like ipsync, with its path where it has one: ops/ipsync"
)
Unit = _text(
    r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r-[0-9a-z]{4,32}",
    "an organizational unit's id, or a root's; write it like ou-ab12-11112222",
)
ExternalId = _text(r"[\w+=,.@:/-]{1,1224}", "an external id; use up to 1224 letters, digits and +=,.@:/-_")
Profile = _text(r"[^\x00-\x1f]{1,200}", "a profile's name")
TagKey = _text(r"[^\x00-\x1f]{1,128}", "a tag's key; use 1 to 128 characters", key=True)
TagValue = _text(r"[^\x00-\x1f]{0,256}", "a tag's value; use up to 256 characters")
Project = _text(
    r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "a GCP project's id; write it like acme-staging (not its name or number)",
)
LABEL_KEY = "[a-z](?:[-_a-z0-9]{0,62})"
Folder = _text(r"[1-9][0-9]{0,19}", 'a folder\'s number; write it like "123456789012", in quotes')
LabelKey = _text(LABEL_KEY, "a label's key; use a-z, 0-9, - and _, a letter first", key=True)
LabelValue = _text(r"[-_a-z0-9]{0,63}", "a label's value; use a-z, 0-9, - and _")
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
