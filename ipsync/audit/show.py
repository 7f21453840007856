"""Reading the log: which records, and what belongs to them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ipsync.audit.files import all_files
from ipsync.audit.record import Record
from ipsync.audit.times import FIRST, LAST, instant, span
from ipsync.audit.trouble import unreadable
from ipsync.audit.words import added, taken
from ipsync.core import events
from ipsync.core.contents import OwnedEntry, contents
from ipsync.core.errors import AuditLogError, UsageError
from ipsync.core.events import Approval, Intent, Outcome, Recovered
from ipsync.core.words import count

log = logging.getLogger(__name__)


def show(  # noqa: PLR0913 - filters, by name
    path: Path,
    *,
    run: str | None = None,
    target: str | None = None,
    address: str | None = None,
    since: str | None = None,
    until: str | None = None,
    event: str | None = None,
) -> Iterator[Record]:
    """Yield the records that fit every filter, as they stand in the log.

    `since` and `until` are times as people write them (times.py), both inclusive. Raises UsageError for a filter
    that can't be meant, AuditLogError where there is no log or it can't be read.
    """
    fits = _filter(run=run, target=target, address=address, since=since, until=until, event=event)
    return (record for record in _records(path) if fits(record))


def explained(path: Path, **filters: str | None) -> Iterator[Record]:
    """Yield the same records, each intent with the `approvals` that held in its run and its `outcomes`.

    That answers who let something in, why, and whether it worked, although the other records fit no filter. An
    outcome may stand anywhere behind its intent (a later run recovers it), so the whole log is read first.
    """
    if all(filters.get(name) is None for name in ("target", "address", "event")):
        yield from show(path, **filters)
        return
    fits = _fitting(**filters)
    found: list[Record] = []
    intents: dict[object, Record] = {}
    approvals: dict[object, list[Record]] = {}
    for record in _records(path):
        number = record.get(events.INTENT)
        if Approval.names(record) and record.get("holds"):
            approvals.setdefault(record.get("run"), []).append(record)
        if (Outcome.names(record) or Recovered.names(record)) and number in intents:
            intents[number]["outcomes"].append(record)
        fitting = fits(record)
        if Intent.names(record):
            intents.pop(record.get("seq"), None)  # logs of several runs in one file may count anew
        if Intent.names(record) and fitting:
            record |= {"approvals": list(approvals.get(record.get("run"), ())), "outcomes": []}
            intents[record.get("seq")] = record
        found += [record] if fitting else []
    yield from found


def _fitting(**filters: str | None) -> Callable[[Record], bool]:
    """Return what tells whether a record fits. An outcome that is asked for also fits by what its intent names."""
    if filters.get("event") not in {Outcome.name, Recovered.name}:
        return _filter(**filters)
    about = _filter(target=filters.get("target"), address=filters.get("address"))
    rest = _filter(**{**filters, "target": None, "address": None})
    theirs: set[object] = set()

    def fits(record: Record) -> bool:
        if Intent.names(record):
            (theirs.add if about(record) else theirs.discard)(record.get("seq"))
        return rest(record) and (about(record) or record.get(events.INTENT) in theirs)

    return fits


def _records(path: Path) -> Iterator[Record]:
    files = all_files(path)
    if not files:
        raise AuditLogError(
            f"{path}: there is no audit log here; name another with --path, or with -c the config that has it"
        )
    damaged = 0
    for file in files:
        for line in _lines(file):
            record = _record(line)
            damaged += record is None
            if record is not None:
                yield record
    if damaged:
        lines = count(damaged, "line")
        log.warning("%s: %s can't be read as records; `ipsync audit verify` names the first", path, lines)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise unreadable(file, error) from error


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


# ── filters ──────────────────────────────────────────────────────────────────


def _filter(**asked: str | None) -> Callable[[Record], bool]:
    """Check the filters at once, before anything is read, and return what tells whether a record fits them all."""
    run, target, event = asked.get("run"), asked.get("target"), asked.get("event")
    wanted = _network(address) if (address := asked.get("address")) is not None else None
    if event is not None and event not in events.NAMES:
        raise UsageError(f"--event {event}: no such kind of record; there are: {', '.join(events.NAMES)}")
    during = _period(asked.get("since"), asked.get("until"))
    return lambda record: (
        (run is None or record.get("run") == run)
        and (event is None or record.get("event") == event)
        and during(record)
        and (target is None or _names(record, target))
        and (wanted is None or _holds(record, wanted))
    )


def _period(since: str | None, until: str | None) -> Callable[[Record], bool]:
    """Return what tells whether a record lies between the two, both included; one without a time lies in no period."""
    if since is None and until is None:
        return lambda _record: True
    now = datetime.now(UTC)
    first = FIRST if since is None else span("--since", since, now=now)[0]
    behind = LAST if until is None else span("--until", until, now=now)[1]
    if first >= behind:
        raise UsageError(f"--since {since} is later than --until {until}: no record can lie between them")
    return lambda record: (at := instant(record.get("at"))) is not None and first <= at < behind


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"--address {text}: not an address or a network; write it like 203.0.113.7 or 203.0.113.0/24"
        ) from None


def _names(record: Mapping[str, Any], target: str) -> bool:
    listed = record.get("targets") or record.get("verdicts") or ()
    named = record.get("target") == target or any(item.get("target") == target for item in listed)
    return named or any(target in entry.targets for entry in _changed(record))


def _holds(record: Mapping[str, Any], wanted: Any) -> bool:
    entries = _changed(record) if Intent.names(record) else contents(record, "now").entries
    return any(_inside(entry.cidr, wanted) for entry in entries)


def _changed(record: Mapping[str, Any]) -> tuple[OwnedEntry, ...]:
    return (*added(record).entries, *taken(record).entries)


def _inside(text: str, wanted: Any) -> bool:
    try:
        held = ip_network(text)
    except ValueError:
        return False
    return held.version == wanted.version and (wanted.subnet_of(held) or held.subnet_of(wanted))
