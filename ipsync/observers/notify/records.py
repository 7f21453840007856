"""What the audit log keeps of a message: what it said, and what the sink knows by now, for the next run to go on from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ipsync.core.events import Notified
from ipsync.core.marks import format_time
from ipsync.observers.notify.memory import Told
from ipsync.observers.notify.message import Message

MOST = 20
"""Things told that a record names, and subjects of each."""


def about(message: Message) -> list[Mapping[str, object]]:
    """Return what a message said, without its texts: what they told stands in the run's own records."""
    return [
        {"word": change.word, "state": change.state, "subjects": list(change.subjects[:MOST])}
        for change in message.changes[:MOST]
    ]


def told_of(known: Iterable[Told]) -> list[Mapping[str, object]]:
    """Return what a sink knows, as a record holds it."""
    return [
        {
            "key": list(each.key),
            "since": format_time(each.since),
            "at": format_time(each.at),
            "times": each.times,
            "over": each.over,
        }
        for each in known
    ]


def remembered(records: Sequence[Mapping[str, Any]], kind: str, sink: str) -> tuple[Told, ...]:
    """Return what a sink knows by the newest record of it, of those that a log holds."""
    own = (r for r in records if Notified.names(r) and (r.get("kind"), r.get("sink")) == (kind, sink))
    return tuple(_read(next(own, {}).get("told", ())))


def _read(items: Iterable[Mapping[str, Any]]) -> Iterator[Told]:
    """Yield what is whole; what isn't is told once more."""
    for item in items:
        try:
            since, at = (datetime.fromisoformat(item[name]) for name in ("since", "at"))
            word, *rest = map(str, item["key"])
            yield Told((word, *rest), since, at, int(item["times"]), over=bool(item["over"]))
        except (KeyError, TypeError, ValueError):
            continue
