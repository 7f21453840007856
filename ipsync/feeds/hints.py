"""What a text that is no address seems to be: so that its error says what to write, or what isn't read.

Nothing here makes an address of anything: what is refused stays refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any

from ipsync.core.words import few

SHOWN = 4
LONGEST = 100
"""Characters of a text that is looked at: the longest range has 81."""
_RANGE = re.compile(r"([0-9A-Fa-f:.]{2,39})\s*(?:-|–|\.\.\.?|\bto\b)\s*([0-9A-Fa-f:.]{1,39})", re.ASCII)
_MASK = re.compile(r"([0-9.]{7,15})[/\s]\s*([0-9.]{7,15})", re.ASCII)
_WILD = re.compile(r"((?:[0-9]{1,3}\.){1,3})\*(?:\.\*)*", re.ASCII)
_PORT = re.compile(r"[0-9.]{7,15}:[0-9]{1,5}|\[[0-9A-Fa-f:.]{2,39}\](?::[0-9]{1,5})?", re.ASCII)
_URL = re.compile(r"[a-z]{2,10}://", re.IGNORECASE)


def hint(text: object) -> str:
    """Return what to say beside the error on a text, beginning with `; `, or nothing."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return ""
    for guess in (_spaces, _range, _mask, _wildcard, _several, _other):
        if found := guess(text):
            return f"; {found}"
    return ""


def _spaces(text: str) -> str:
    return "it is an address with spaces around it" if text != text.strip() and _is_address(text.strip()) else ""


def _range(text: str) -> str:
    match = _RANGE.fullmatch(text.strip())
    if not match:
        return ""
    last = match[2]
    if last.isdigit() and "." in match[1]:  # 34.88.10.0-15
        last = match[1].rpartition(".")[0] + "." + last
    try:
        first, end = ip_address(match[1]), ip_address(last)
    except ValueError:
        return ""
    if first.version != end.version or int(first) > int(end):
        return "it is a range that ends before it begins"
    networks: list[Any] = list(summarize_address_range(first, end))
    return f"ranges aren't read; as networks it would be {_listed(networks)}"


def _mask(text: str) -> str:
    match = _MASK.fullmatch(text.strip())
    if not match or not _is_netmask(match[2]):
        return ""
    try:
        return f"netmasks aren't read; as a network it would be {ip_network(f'{match[1]}/{match[2]}', strict=False)}"
    except ValueError:
        return ""


def _is_netmask(text: str) -> bool:
    try:
        bits = int(IPv4Address(text)) ^ 0xFFFFFFFF
    except ValueError:
        return False
    return bits & (bits + 1) == 0 and bits != 0xFFFFFFFF  # noqa: PLR2004 - ones, then zeros, and not zeros alone


def _wildcard(text: str) -> str:
    match = _WILD.fullmatch(text.strip())
    numbers = match[1].strip(".").split(".") if match else []
    try:
        network = IPv4Network(f"{'.'.join([*numbers, '0', '0', '0'][:4])}/{8 * len(numbers)}") if numbers else None
    except ValueError:
        return ""
    return f"wildcards aren't read; as a network it would be {network}" if network else ""


def _several(text: str) -> str:
    words = re.split(r"[\s,;|]+", text.strip())
    found = [word for word in words if _is_address(word)]
    if not found or len(words) == 1:
        return ""
    if len(found) == len(words):
        return "it holds several addresses; only one an entry, or a line, is read"
    if re.match(r"\S+\s*(?:;|//)", text):
        return "comments begin with # alone"
    return f"only an address and nothing else is read, so neither columns nor names beside it ({found[0]})"


def _other(text: str) -> str:
    start = text.strip()
    if start.startswith((";", "//", "!", "--")):
        return "comments begin with # alone"
    if _URL.match(start):
        return "it is a URL"
    if _PORT.fullmatch(start):
        return "it has brackets or a port, and only an address is read; ports stand in the target"
    if "\0" in start:
        return "it seems to be UTF-16; only UTF-8 is read"
    if "%" in start and _is_address(start.partition("%")[0]):
        return "it has a zone (%), which belongs to one machine"
    return ""


def _is_address(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _listed(networks: Sequence[IPv4Network | IPv6Network]) -> str:
    return few([str(n) for n in networks], SHOWN)
