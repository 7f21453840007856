"""Times as people write them, read as instants: `2026-01-31`, RFC 3339 with any offset, or how long ago. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ipsync.core.errors import UsageError

_AGO = re.compile(r"(?:[0-9]+[smhdw])+")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_LENGTHS = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
    timedelta(microseconds=1),
)
"""How long a day, an hour, … is: what a time that is given to that precision stands for."""

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""The edges of Python's calendar."""


def span(option: str, text: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the first instant that the text means and the first one after it; without an offset it is UTC.

    A date means the whole day, `09:00` a minute, `24h` the instant 24 hours before now. Raises UsageError.
    """
    try:
        if _AGO.fullmatch(text):
            then = now - timedelta(seconds=sum(int(n) * _UNITS[u] for n, u in re.findall("([0-9]+)([a-z])", text)))
            return then, then + _LENGTHS[-1]
        if found := _TIME.fullmatch(text):
            return _read(found)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{option} {text}: not a time; write a date (2026-01-31), a time (2026-01-31T09:00:00Z, or with an offset such as "
        f"+02:00), or how long ago (24h, 7d)"
    )


def instant(text: object) -> datetime | None:
    """Return a record's time, or None where it holds none."""
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _read(found: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, *rest, fraction, offset = found.groups()
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{offset.upper()}").tzinfo if offset else UTC
    known = [int(n) for n in rest if n is not None]
    day, hour, minute, second = [*(known or [1]), 0, 0, 0][:4]
    begin = datetime(int(year), int(month or 1), day, hour, minute, second, tzinfo=zone)
    begin += timedelta(microseconds=int(fraction.ljust(6, "0")[:6]) if fraction else 0)
    return begin, _behind(begin, len(known) + bool(fraction), whole_month=bool(month))


def _behind(begin: datetime, known: int, *, whole_month: bool) -> datetime:
    try:
        if known:
            return begin + _LENGTHS[known - 1]
        month = (begin + timedelta(days=31)).replace(day=1)
        return month if whole_month else begin.replace(year=begin.year + 1)
    except (ValueError, OverflowError):
        return LAST
