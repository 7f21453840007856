"""What the log's end says of the runs before. However long the log is, no more than its end is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ipsync.audit.files import holding, line_at, lines_backwards, placed_backwards
from ipsync.audit.record import Record
from ipsync.core import standing
from ipsync.core.events import (
    Copied,
    FeedRead,
    Intent,
    Notified,
    Outcome,
    Recovered,
    RunEnded,
    RunStarted,
    intent_of,
)

READ_ONLY = {"plan", "check"}
"""Modes of runs that write to no cloud."""
UNKNOWN = "unknown"
"""An outcome that tells nothing: its intent stays open, until a later run has looked what is really there."""
PLACES_IN = "places_in"
"""The field of a `run-ended` that points to the one which lists the `places`: its number, and the byte where it begins."""
NOTIFIED_IN = "notified_in"
"""The field that points to the newest `notified` of each receiver in the same way: it may be a day old, behind large records."""
LOOK_BACK = 4 * 1024 * 1024
"""Bytes of the log's end that are searched for the last runs that could write. Only a notice rests on them."""
LONG = LOOK_BACK // 8
"""No record counts as more: one of twenty thousand resources that a guard blocks is as long as all that is looked through."""


@dataclass(slots=True)
class Open:
    """The intents that nothing closed, by number, and where in its file each stands."""

    intents: dict[int, Record] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    places: list[Record] = field(default_factory=list)
    """What the last `run-ended` knows of the places that hold something; each hands it on to the next."""
    places_at: list[int] | None = None
    """Which `run-ended` lists them, and where in its file it stands: while they are the same, others point to it."""
    waves: dict[standing.Key, Record] = field(default_factory=dict)
    """The newest word on each wave and each of its checks; a `run-ended` hands all of them on."""
    notified: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    """Where the newest record of what each receiver was told stands, by number and byte; it holds all that still lasts."""

    def take(self, record: Record, position: int) -> None:
        """Follow one more record of the log."""
        if Intent.names(record):
            self.intents[int(record["seq"])] = record
            self.positions[int(record["seq"])] = position
        elif closes(record):
            self.intents.pop(intent_of(record), None)
        elif RunEnded.names(record):
            if PLACES_IN not in record:
                self.places, self.places_at = record.get("places", []), [int(record["seq"]), position]
        elif Notified.names(record):
            self.notified[_receiver(record)] = [int(record["seq"]), position]
        elif word := standing.taken(record):
            self.waves[word[0]] = word[1]

    def older(self, words: Iterable[Record]) -> None:
        """Take what an older record says of waves, where nothing newer does."""
        for each in words:
            if word := standing.taken(each):
                self.waves.setdefault(word[0], word[1])

    def ended(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return what a `run-ended` holds: what is open, by number and by the byte where each begins, and what is handed on.

        Where a run knows the same places as the one before, or says nothing of them, the record that lists them is
        pointed to: of a thousand accounts they are half a megabyte.
        """
        seqs = sorted(self.intents)
        places = [self.positions[seq] for seq in seqs if seq in self.positions]
        where = {"open_at": places} if seqs and len(places) == len(seqs) else {}
        waves = {"waves": list(self.waves.values())} if self.waves else {}
        told = {NOTIFIED_IN: sorted(self.notified.values())} if self.notified else {}
        same = self.places and self.places_at and fields.get("places", self.places) == self.places
        said = {k: v for k, v in fields.items() if k != "places"} | {PLACES_IN: self.places_at} if same else fields
        return {"open": seqs, **where, **waves, **told, **said}


def closes(record: Record) -> bool:
    """Tell whether a record ends an intent. What a later run couldn't find out, none will: that ends it too."""
    return Recovered.names(record) or (Outcome.names(record) and record.get("result") != UNKNOWN)


def open_intents(newest_first: Sequence[Path]) -> Open:
    """Return what nothing closed, reading back to the last `run-ended`, which says where older ones stand.

    Logs of before that word was written are read back until each is found.
    """
    found, closed = Open(), set[int]()
    wanted: set[int] | None = None
    for position, record in _backwards(newest_first):
        seq = int(record.get("seq", 0))
        if closes(record):
            closed.add(intent_of(record))
        elif Intent.names(record) and (wanted is None or seq in wanted):
            found.take(record, position)
            (wanted or set()).discard(seq)
        elif RunEnded.names(record) and wanted is None:
            wanted = set(record.get("open", ())) - closed
            found.places, found.places_at = _places(record, position, newest_first)
            found.older(record.get("waves", ()))
            for older, seq, where in _messages(record, newest_first):
                found.notified.setdefault(_receiver(older), [seq, where])
            for older, where in _told(record, wanted, newest_first):
                found.take(older, where)
                wanted.discard(int(older["seq"]))
        elif wanted is None and Notified.names(record):
            found.notified.setdefault(_receiver(record), [seq, position])
        elif wanted is None:
            found.older([record])
        if wanted is not None and not wanted - closed:
            break
    left = sorted(seq for seq in found.intents if seq not in closed)
    found.intents = {seq: found.intents[seq] for seq in left}
    found.positions = {seq: found.positions[seq] for seq in left}
    return found


def _places(ended: Record, position: int, files: Sequence[Path]) -> tuple[list[Record], list[int] | None]:
    """Return the places that a `run-ended` knows of, and which record lists them: itself, or the one it points to.

    Where that one can't be found any more, nothing is known of them (core/places.py).
    """
    if PLACES_IN not in ended:
        return ended.get("places", []), [int(ended.get("seq", 0)), position]
    for record, seq, at in _pointed([ended[PLACES_IN]], files):
        if RunEnded.names(record):
            return record.get("places", []), [seq, at]
    return [], None


def _messages(ended: Record, files: Sequence[Path]) -> Iterator[tuple[Record, int, int]]:
    """Yield the newest record of each receiver's messages that a `run-ended` points to, and where it stands."""
    return (found for found in _pointed(ended.get(NOTIFIED_IN, ()), files) if Notified.names(found[0]))


def _receiver(notified: Record) -> tuple[str, ...]:
    return tuple(str(notified.get(key)) for key in ("owner", "config", "kind", "sink"))


def _pointed(pointers: object, files: Sequence[Path]) -> Iterator[tuple[Record, int, int]]:
    """Yield the records that stand where pointers say, each with its number and byte."""
    for pointer in pointers if isinstance(pointers, list) else ():
        match pointer:
            case [int(seq), int(at)] if record := _at(files, seq, at):
                yield record, seq, at


def _at(newest_first: Sequence[Path], seq: int, position: int) -> Record:
    """Return the record of that number, if it is the one that begins at that byte of its file; else an empty one."""
    file = holding(newest_first, seq)
    record = parsed(line_at(file, position)) if file and position >= 0 else {}
    return record if record.get("seq") == seq else {}


def _told(ended: Record, wanted: Iterable[int], files: Sequence[Path]) -> Iterator[tuple[Record, int]]:
    """Yield the open intents that stand where a `run-ended` says they do; the others are to be searched for."""
    places = dict(zip(ended.get("open", ()), ended.get("open_at", ()), strict=False))
    for seq in sorted(wanted):
        record = _at(files, seq, int(places[seq])) if seq in places else {}
        if Intent.names(record):
            yield record, int(places[seq])


def runs_before(newest_first: Sequence[Path], count: int, *, by: tuple[str, str] | None = None) -> list[list[Record]]:
    """Return the records of the last runs that could write, newest first, each in order.

    With `by`, an owner and a config file, those of others on the same log are left out. A plan may stand amid a sync's records, so they are told apart by their run. No more than LOOK_BACK bytes are read.
    """
    found: list[list[Record]] = []
    runs: dict[object, list[Record]] = {}
    for _, record in _backwards(newest_first, limit=LOOK_BACK):
        run = record.get("run")
        runs.setdefault(run, []).append(record)
        if RunStarted.names(record):
            records = runs.pop(run)[::-1]
            found += [records] if _ours(record, by) and record.get("mode") not in READ_ONLY else []
        if len(found) == count:
            break
    return found


def _ours(started: Record, by: tuple[str, str] | None) -> bool:
    """Tell whether a `run-started` is of an owner with a config file, or doesn't say with which."""
    return by is None or (started.get("owner"), started.get("config", by[1])) == by


def feeds_before(
    newest_first: Sequence[Path], names: Iterable[str], *, by: tuple[str, str] | None = None
) -> dict[str, Record]:
    """Return the last record of each of these feeds, of runs that could write; of one that is missing, nothing.

    No more than LOOK_BACK bytes are read. `by` is as for `runs_before`.
    """
    missing, found = set(names), dict[str, Record]()
    runs: dict[object, list[Record]] = {}
    for _, record in _backwards(newest_first, limit=LOOK_BACK) if missing else ():
        if FeedRead.names(record):
            runs.setdefault(record.get("run"), []).append(record)
        elif RunStarted.names(record):
            read = runs.pop(record.get("run"), [])
            if record.get("mode") in READ_ONLY or not _ours(record, by):
                continue
            found |= {str(r.get("feed")): r for r in reversed(read) if r.get("feed") in missing}
            missing -= found.keys()
            if not missing:
                break
    return found


def notified_before(newest_first: Sequence[Path], known: Open, *, by: tuple[str, str]) -> list[Record]:
    """Return the newest record of what each receiver of an owner with a config file was told, the newest first.

    In a log of before `run-ended` pointed to them they are searched for, in LOOK_BACK bytes at most.
    """
    told = sorted((at for receiver, at in known.notified.items() if receiver[:2] == by), reverse=True)
    found = [record for record, *_ in _pointed(told, newest_first) if Notified.names(record)]
    return found or [
        record
        for _, record in _backwards(newest_first, limit=LOOK_BACK)
        if Notified.names(record) and (record.get("owner"), record.get("config")) == by
    ]


def uncopied(newest_first: Sequence[Path]) -> bytes:
    """Return the records that no copy holds: those after the number that the last `copied` names (`through`).

    Others may have appended between a copy and the record of it. A `copied` of before that word was written came
    right after its copy, which it isn't part of.
    """
    found: list[bytes] = []
    through: int | None = None
    for line in (line for path in newest_first for line in lines_backwards(path)):
        record = parsed(line)
        if through is None and Copied.names(record):
            through = int(record.get("through", int(record["seq"]) - 1))
        if through is not None and int(record.get("seq", 0)) <= through:
            break
        found.append(line + b"\n")
    return b"".join(reversed(found))


def last_number(data: bytes) -> int:
    """Return the number of the last of these records; 0 where there is none."""
    return int(parsed(data.rstrip(b"\n").rpartition(b"\n")[2]).get("seq", 0))


def _backwards(newest_first: Iterable[Path], *, limit: int | None = None) -> Iterator[tuple[int, Record]]:
    read = 0
    for path in newest_first:
        for position, line in placed_backwards(path):
            read += min(len(line), LONG)
            if limit is not None and read > limit:
                return
            yield position, parsed(line)


def parsed(line: bytes) -> Record:
    """Return a line's record, or an empty one; whether it holds is for `audit verify` to say."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
