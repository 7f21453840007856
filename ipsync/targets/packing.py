"""The marks of many ranges in few characters: for a rule's description of 2,048, for a list's tags of 256.

`marks=3A.STATIC.2026-01-31T09:00:00Z.LEAVING`: how many characters stand for a range (3) and the salt of their hashes
(A); the ranges that the config lists; when the first of the others began to leave; and each of those with the
seconds since the one before it. A place in a bitmap would be shorter, but people edit rules: a range that somebody
adds or takes out must not shift the marks of the others.

Four characters tell seconds up to twelve days, so a range costs seven, and 256 of them find room beside names of 190.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ipsync.core.addresses import canonical, sort_key
from ipsync.core.model import Network

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""base64url (RFC 4648, section 5): nothing that a description's words are split at."""
WIDTHS = (3, 4, 5, 6)
RANGE_COST = 7
"""Characters of a range that leaves: three of its hash and four of its time."""
FRAME = len("3A..2026-01-31T09:00:00Z.")
LONG_GAP = 2**20
"""Seconds from which a gap takes a fifth character."""
SPARE = 32
"""Characters kept for gaps that are longer: enough for those of a year."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MORE = 32
"""This bit of a digit says that another one follows; the five below it are the number's."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is marked of one range: that the config lists it, and since when it leaves."""

    static: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """Marks as they were read; `of` tells a range's."""

    width: int = 0
    salt: str = ""
    stamps: Mapping[str, Stamp] = field(default_factory=dict, hash=False)

    def of(self, network: Network) -> Stamp:
        """Return a range's mark; what isn't marked has an empty one."""
        if not self.width:
            return Stamp()
        return self.stamps.get(_hash(network, self.width, self.salt), Stamp())


def room(free: int, times: Collection[datetime]) -> int:
    """Return how many ranges' marks fit into `free` characters, even if all of them leave, each at its own time."""
    span = int((max(times) - min(times)).total_seconds()) if times else 0
    gaps = span // LONG_GAP + span // LONG_GAP // 32
    return max(1, (free - FRAME - SPARE - gaps) // RANGE_COST)


def pack(stamps: Mapping[Network, Stamp]) -> str:
    """Write the marks of a rule's ranges, the unmarked ones included: no mark may look like theirs."""
    marked = {n: s for n, s in stamps.items() if s.static or s.since}
    width, salt = next((w, s) for w in WIDTHS for s in ALPHABET if _tells_apart(stamps, marked, w, s))
    static = "".join(_hash(n, width, salt) for n in sorted(marked, key=sort_key) if not marked[n].since)
    leaving = sorted((s.since, sort_key(n), n) for n, s in marked.items() if s.since)
    if not leaving:
        return f"{width}{salt}.{static}.."
    first = before = leaving[0][0]
    items = []
    for since, _, network in leaving:
        gap = _number(int((since - before).total_seconds()))
        items.append(gap + _flagged(_hash(network, width, salt), static=marked[network].static))
        before = since
    return f"{width}{salt}.{static}.{first.astimezone(UTC).strftime(_TIME)}.{''.join(items)}"


def unpack(text: str) -> Packed:
    """Read what `pack` wrote; anything else says nothing of any range."""
    try:
        head, static, first, leaving = text.split(".")
        width, salt = int(head[:1]), head[1:]
        if width not in WIDTHS or salt not in ALPHABET or len(salt) != 1:
            return Packed()
        listed = [static[i : i + width] for i in range(0, len(static), width)]
        stamps = {h: Stamp(static=True) for h in listed} | dict(_leaving(leaving, first, width))
    except (ValueError, IndexError, OverflowError):
        return Packed()
    return Packed(width, salt, stamps)


def _leaving(text: str, first: str, width: int) -> Iterator[tuple[str, Stamp]]:
    if not text:
        return
    digits, since = iter(text), datetime.strptime(first, _TIME).replace(tzinfo=UTC)
    for digit in digits:
        gap, place, value = 0, 0, ALPHABET.index(digit)
        while value & _MORE:
            gap, place, value = gap | (value & ~_MORE) << place, place + 5, ALPHABET.index(next(digits, ""))
        since += timedelta(seconds=gap | value << place)
        code = "".join(next(digits, "") for _ in range(width))
        if len(code) != width:
            raise ValueError(text)
        yield _unflagged(code), Stamp(static=_is_flagged(code), since=since)


def _tells_apart(ranges: Iterable[Network], marked: Collection[Network], width: int, salt: str) -> bool:
    hashes = {n: _hash(n, width, salt) for n in ranges}
    seen: dict[str, int] = {}
    for text in hashes.values():
        seen[text] = seen.get(text, 0) + 1
    return all(seen[hashes[n]] == 1 for n in marked)


def _hash(network: Network, width: int, salt: str) -> str:
    """Return `width` characters; the first one's highest bit stays free for the flag."""
    digest = hashlib.sha256(f"{salt}{canonical(network)}".encode()).digest()
    return ALPHABET[digest[0] & 31] + "".join(ALPHABET[byte & 63] for byte in digest[1:width])


def _flagged(text: str, *, static: bool) -> str:
    return ALPHABET[ALPHABET.index(text[0]) | 32] + text[1:] if static else text


def _unflagged(text: str) -> str:
    return ALPHABET[ALPHABET.index(text[0]) & 31] + text[1:]


def _is_flagged(text: str) -> bool:
    return ALPHABET.index(text[0]) >= 32  # noqa: PLR2004 - the sixth bit


def _number(value: int) -> str:
    digits = []
    while value >= _MORE:
        digits.append(ALPHABET[value & 31 | _MORE])
        value >>= 5
    return "".join(digits) + ALPHABET[value]
