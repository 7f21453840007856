"""Appending to the audit log, durably, in one chain, by one writer.

Every record is on disk before `record` returns. After a failed write or fsync nothing more is recorded in this
run, and so nothing more is written to a cloud: what the kernel does with dirty pages after a failed fsync is
not to be relied on, so it isn't tried again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ipsync.errors import JournalError
from ipsync.journal.files import lines_backwards, rotated, sync_folder
from ipsync.journal.lock import Lock
from ipsync.journal.record import GENESIS, Record, canonical, fault, seal

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
LOCK_TIMEOUT = 10.0
STDOUT = "-"
READ_ONLY = {"plan", "check"}
"""Modes of runs that write to no cloud."""
UNKNOWN = "unknown"
"""An outcome that tells nothing: its intent stays open, until a later run has looked what is really there."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A record's place in the chain; kept elsewhere as `SEQ:HASH`, it proves that no end was cut off."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: these stand in every record."""

    owner: str
    actor: str
    run: str
    clock: Callable[[], datetime]
    key: str | None = None


class Journal:
    """An open audit log. `pending` holds the intents, of any run, of which nobody knows yet what became of them."""

    def __init__(self, author: Author, path: Path | None, handle: int, lock: Lock | None) -> None:
        self._author, self._path, self._handle, self._lock = author, path, handle, lock
        self._head = Checkpoint(0, GENESIS)
        self._broken = ""
        self._lines: list[bytes] = []
        self.pending: dict[int, Record] = {}

    @classmethod
    def open(  # noqa: PLR0913 - what stands in every record, by name
        cls,
        path: str | Path,
        *,
        owner: str,
        actor: str,
        run: str,
        clock: Callable[[], datetime],
        hmac_key: str | None = None,
        max_bytes: int = MAX_BYTES,
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> Journal:
        """Take the lock, mend a torn end, check the last record, and be ready to append.

        Raises JournalError if the log is held, can't be written, or its last record doesn't hold.
        """
        author = Author(owner, actor, run, clock, hmac_key)
        if str(path) == STDOUT:
            return cls(author, None, sys.stdout.fileno(), None)
        where = Path(path)
        lock = Lock(where, run=run, timeout=lock_timeout)
        try:
            return cls._opened(where, author, lock, max_bytes)
        except OSError as error:
            lock.release()
            raise JournalError(f"{where}: {error.strerror}; no audit, no write") from None
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, author: Author, lock: Lock, max_bytes: int) -> Journal:
        _rotate(path, author, max_bytes)
        fresh = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        journal = cls(author, path, handle, lock)
        if fresh:
            sync_folder(path)
        torn = _cut_torn_end(handle)
        journal._continue()
        if torn:
            journal.record("recovered", torn_bytes=len(torn), torn_sha256=hashlib.sha256(torn).hexdigest())
        return journal

    def _continue(self) -> None:
        """Take up the chain where the last record, in this file or the one before it, left it."""
        path = self._path
        assert path is not None  # noqa: S101 - for the type checker: only files continue
        last = next(lines_backwards(path), None)
        older = rotated(path)
        if last is not None:
            self._head = _head(path, last, self._author)
        elif older:
            self._head = _head(older[-1], next(lines_backwards(older[-1]), b""), self._author)
            self.record("rotated", file=older[-1].name, records=_count(older[-1]), head=self._head.hash)
        self.pending = _pending([path, *reversed(older)])

    def record(self, event: str, **fields: object) -> Checkpoint:
        """Append one record and return its place; it is on disk when this returns. Raises JournalError."""
        if self._broken:
            raise JournalError(self._broken)
        if event == "run-ended":
            fields["open"] = sorted(self.pending)
        body = {
            "v": 1,
            "seq": self._head.seq + 1,
            "at": self._author.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "run": self._author.run,
            "event": event,
            "owner": self._author.owner,
            "actor": self._author.actor,
            **fields,
            "prev": self._head.hash,
        }
        record = seal(body, key=self._author.key)
        line = canonical(record) + b"\n"
        self._append(line)
        self._lines.append(line)
        self._head = Checkpoint(record["seq"], record["hash"])
        _settle(self.pending, record)
        return self._head

    def runs_before(self, count: int) -> list[list[Record]]:
        """Return the records of the last runs that could write, newest first, each in order; none on standard output."""
        runs: list[list[Record]] = []
        records: list[Record] = []
        files = [self._path, *reversed(rotated(self._path))] if self._path else []
        for record in _backwards(files):
            records.insert(0, record)
            if record.get("event") == "run-started":
                runs += [records] if record.get("mode") not in READ_ONLY else []
                records = []
            if len(runs) == count:
                break
        return runs

    def uncopied(self) -> bytes:
        """Return the records that no copy holds yet: from the last `copied` one on, which itself came after its copy."""
        if self._path is None:
            return b"".join(self._lines)
        found: list[bytes] = []
        for line in (line for path in [self._path, *reversed(rotated(self._path))] for line in lines_backwards(path)):
            found.append(line + b"\n")
            if fault(line, key=self._author.key)[0].get("event") == "copied":
                break
        return b"".join(reversed(found))

    def _append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            if self._path is not None:
                os.fsync(self._handle)
        except OSError as error:
            where = self._path or "standard output"
            self._broken = f"{where}: can't be written: {error.strerror}; no audit, no write: this run ends here"
            raise JournalError(self._broken) from None

    def close(self) -> None:
        """Close the file and let the next writer in."""
        if self._path is not None:
            os.close(self._handle)
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NullJournal:
    """Records nothing: for a plan where the log can't be written, which needs none."""

    pending: Mapping[int, Record] = {}

    def record(self, event: str, **fields: object) -> Checkpoint:
        """Do nothing."""
        del event, fields
        return Checkpoint(0, GENESIS)

    def runs_before(self, count: int) -> list[list[Record]]:
        """Know of no run."""
        del count
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


def open_optional(
    path: str | Path,
    *,
    owner: str,
    actor: str,
    run: str,
    clock: Callable[[], datetime],
    hmac_key: str | None = None,
) -> Journal | NullJournal:
    """Open the log for a command that only reads the clouds: it records itself where it can."""
    if str(path) == STDOUT:
        return NullJournal()  # standard output is the report's
    try:
        return Journal.open(path, owner=owner, actor=actor, run=run, clock=clock, hmac_key=hmac_key, lock_timeout=0)
    except JournalError as error:
        log.warning("this run is not recorded, and needn't be: %s", error)
        return NullJournal()


# ── taking up an existing log ────────────────────────────────────────────────


def _rotate(path: Path, author: Author, max_bytes: int) -> None:
    """Rename a file that has grown too large; the next one's first record then names it. Nothing is written over."""
    if not path.exists() or path.stat().st_size < max_bytes:
        return
    with path.open("rb") as file:
        first, _ = fault(file.readline(), key=None)  # for its number alone; `audit verify` judges it
    last = _head(path, next(lines_backwards(path), b""), author)
    name = path.with_name(f"{path.name}.{first.get('seq', 0)}-{last.seq}")
    if os.path.lexists(name):
        log.warning("%s is not rotated, and grows: %s is there already; move that file away", path, name)
        return
    path.rename(name)
    sync_folder(path)


def _cut_torn_end(handle: int) -> bytes:
    """Cut off what a crash left of a last line, and return it."""
    size = os.fstat(handle).st_size
    torn = b""
    position = size
    while position:
        start = max(0, position - 65536)
        block = os.pread(handle, position - start, start)
        newline = block.rfind(b"\n")
        torn = block[newline + 1 :] + torn
        if newline >= 0:
            break
        position = start
    if torn:
        os.ftruncate(handle, size - len(torn))
        os.fsync(handle)
    return torn


def _head(path: Path, line: bytes, author: Author) -> Checkpoint:
    record, why = fault(line, key=author.key)
    if why:
        raise JournalError(
            f"{path}: the last record doesn't hold: {why}. The log was changed, or the key is another one. "
            f"See `ipsync audit verify`; move the file away to begin a new log"
        )
    return Checkpoint(int(record["seq"]), str(record["hash"]))


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _settle(pending: dict[int, Record], record: Record) -> None:
    if record["event"] == "intent":
        pending[int(record["seq"])] = record
    elif _settles(record):
        pending.pop(int(record.get("intent", 0)), None)


def _settles(record: Record) -> bool:
    """Tell whether a record ends an intent. What a later run couldn't find out, none will: that ends it too."""
    event = record.get("event")
    return event == "recovered" or (event == "outcome" and record.get("result") != UNKNOWN)


def _pending(newest_first: list[Path]) -> dict[int, Record]:
    """Return the intents that nothing settled, reading back only to the last `run-ended`, which lists older ones."""
    intents: dict[int, Record] = {}
    settled: set[int] = set()
    wanted: set[int] | None = None
    for record in _backwards(newest_first):
        seq = int(record.get("seq", 0))
        if _settles(record):
            settled.add(int(record.get("intent", 0)))
        elif record.get("event") == "intent" and (wanted is None or seq in wanted):
            intents[seq] = record
            (wanted or set()).discard(seq)
        elif record.get("event") == "run-ended" and wanted is None:
            wanted = set(record.get("open", ()))
        if wanted is not None and not wanted - settled:
            break
    return {seq: record for seq, record in sorted(intents.items()) if seq not in settled}


def _backwards(newest_first: list[Path]) -> Iterator[Record]:
    for path in newest_first:
        for line in lines_backwards(path):
            yield fault(line, key=None)[0]
