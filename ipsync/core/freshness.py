"""Since when a feed lists just this, or can't be read: handed on from run to run in the audit log's records of it. Pure.

Where there is no log, or it was moved away, a feed is as young as the first run that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ipsync.core.configured import Feed
from ipsync.core.events import FeedRead
from ipsync.core.marks import format_time
from ipsync.core.words import count


def dated(read: FeedRead, earlier: Mapping[str, Any] | None, now: datetime) -> FeedRead:
    """Return the record with what an earlier one (as it was read from a log) says of the time before."""
    known = earlier or {}
    listed = known.get("listed") if known.get("rejected") else _listed(known)
    if read.rejected is not None:
        since = _since(known) if known.get("rejected") else None
        return replace(read, since=since or format_time(now), listed=listed)
    held = listed or {}
    if held.get("digest") == read.digest:
        return replace(read, since=held.get("since") or format_time(now))
    return replace(read, since=format_time(now), before=held.get("digest"))


def unchanged(feed: Feed, read: FeedRead, now: datetime) -> str:
    """Say that a feed has listed the same for longer than its `max_unchanged_age`; empty where it hasn't."""
    since = _time(read.since)
    if feed.max_unchanged_age is None or read.rejected is not None or since is None:
        return ""
    age = now - since
    if age <= timedelta(seconds=feed.max_unchanged_age):
        return ""
    return (
        f"feed {feed.name} has listed the same {count(read.count or 0, 'address')} since {read.since} ({_days(age)}), longer "
        f"than its max_unchanged_age ({_days(timedelta(seconds=feed.max_unchanged_age))}): is this still the list that the "
        f"vendor keeps, and not a copy of it? If not, change the feed's url; if so, raise its max_unchanged_age"
    )


def failing(read: FeedRead, grace: timedelta | None, now: datetime) -> str:
    """Say that a feed can't be read for longer than `removal.grace`, and what that means; empty where it isn't so."""
    since = _time(read.since)
    if read.rejected is None or since is None or not grace or now - since <= grace:
        return ""  # with a grace of nothing, or for ever, nothing is leaving
    return (
        f"feed {read.feed} can't be used since {read.since} ({_days(now - since)}), longer than removal.grace "
        f"({_days(grace)}): its targets are frozen, so addresses that it dropped before can't leave, and those it has "
        f"listed since aren't let in; the last error: {read.rejected}"
    )


def _listed(record: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what an accepted feed's record says of its list; logs of before `since` was written give its own time."""
    since = _since(record)
    return {"digest": str(record["digest"]), "since": since} if record.get("digest") and since else None


def _since(record: Mapping[str, Any]) -> str | None:
    """Return since when a record's state lasts, if that is a time."""
    return next((text for name in ("since", "at") if _time(text := record.get(name))), None)


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _days(span: timedelta) -> str:
    """Return a duration in its largest unit: `31d`, `7h`, `90s`."""
    seconds = int(span.total_seconds())
    units = (("d", 2 * 86400, 86400), ("h", 2 * 3600, 3600), ("m", 2 * 60, 60))
    return next((f"{seconds // unit}{name}" for name, least, unit in units if seconds >= least), f"{seconds}s")
