"""Appending to the audit log, durably, in one chain, whoever else appends to it.

Every record is on disk before `record` returns. After a failed write or fsync nothing more is recorded in this
run, and so nothing more is written to a cloud: what the kernel does with dirty pages after a failed fsync is
not to be relied on, so it isn't tried again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ipsync.audit import history
from ipsync.audit.files import all_files, cut_torn_end, has_name, lines_backwards, numbers, rotated, sync_folder
from ipsync.audit.keys import Key, doesnt_hold, opened_with
from ipsync.audit.lock import Lock, released, taken
from ipsync.audit.opening import open_log
from ipsync.audit.record import GENESIS, VERSION, Record, fault, seal
from ipsync.audit.trouble import trouble
from ipsync.core import events
from ipsync.core.canonical import canonical
from ipsync.core.errors import AuditLogError
from ipsync.core.events import Rotated, RunEnded, TornEnd

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
LOCK_TIMEOUT = 10.0
"""Seconds to wait for another run, and for another process's append."""
STDOUT = "-"


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
    key: Key = None
    keys_before: tuple[Key, ...] = ()


class AuditLog:
    """An open audit log.

    The log's file is held for each append only, and what others appended meanwhile is taken up first.
    """

    def __init__(self, author: Author, path: Path | None, handle: int, lock: Lock | None, patience: float) -> None:
        self._author, self._path, self._handle, self._lock, self._patience = author, path, handle, lock, patience
        self._head = Checkpoint(0, GENESIS)
        self._size: int | None = None
        """The file's bytes that the head and the open intents speak of; None: the file is still to be looked at."""
        self._broken = ""
        self._lines: list[bytes] = []
        self._open = history.Open()
        self._key = author.key
        """What the last record was sealed with."""

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
        hmac_keys_before: Sequence[Key] = (),
        max_bytes: int = MAX_BYTES,
        lock_timeout: float = LOCK_TIMEOUT,
        writes: bool = True,
    ) -> AuditLog:
        """Mend a torn end, check the last record, and be ready to append.

        Where the last record was sealed with one of `hmac_keys_before`, the log goes on in a new file with this key.
        A run that `writes` to clouds also takes the lock that keeps other such runs out, until it is closed.
        Raises AuditLogError if the log is held, can't be written, or its last record doesn't hold.
        """
        author = Author(owner, actor, run, clock, hmac_key, tuple(hmac_keys_before))
        if str(path) == STDOUT:
            return cls(author, None, sys.stdout.fileno(), None, lock_timeout)
        where = Path(path)
        lock = Lock(where, run=run, timeout=lock_timeout) if writes else None
        try:
            return cls._opened(where, author, lock, max_bytes, lock_timeout)
        except BaseException:
            if lock:
                lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, author: Author, lock: Lock | None, max_bytes: int, patience: float) -> AuditLog:
        audit_log = cls(author, path, open_log(path), lock, patience)
        try:
            with audit_log._turn(path):
                audit_log._rotate(path, max_bytes)
        except BaseException:
            os.close(audit_log._handle)
            raise
        return audit_log

    @property
    def pending(self) -> dict[int, Record]:
        """The intents, of any run and any config, of which nobody knows yet what became of them."""
        return self._open.intents

    @property
    def places(self) -> list[Record]:
        """What the last run that ended knew of the places where something is held (places.py)."""
        return self._open.places

    # ── one append at a time ─────────────────────────────────────────────────

    @contextmanager
    def _turn(self, path: Path) -> Iterator[None]:
        """Hold the file, with the chain taken up where its last writer left it, whoever that was."""
        try:
            self._seize(path)
            try:
                self._catch_up(path)
                yield
            finally:
                released(self._handle)
        except OSError as error:
            raise trouble(path, error) from None

    def _seize(self, path: Path) -> None:
        """Lock the file that has the log's name now: another run may have rotated ours away."""
        while True:
            if not taken(self._handle, path, timeout=self._patience):
                raise AuditLogError(f"{path} is being written by another process for more than {self._patience:g} s")
            if has_name(self._handle, path):
                return
            fresh = open_log(path)
            os.close(self._handle)
            self._handle, self._size = fresh, None

    def _catch_up(self, path: Path) -> None:
        known, torn = self._head, cut_torn_end(self._handle)
        size = os.fstat(self._handle).st_size
        if self._size is None:
            self._size = size
            self._take_up(path)
            gone = self._head.seq < known.seq
        else:
            gone = size < self._size
            for line in os.pread(self._handle, size - self._size, self._size).splitlines() if not gone else ():
                self._follow(path, line)
        if gone:
            raise AuditLogError(f"{path}: records #{known.seq} and before were taken away while this run was writing")
        if torn:
            self._write(TornEnd(torn_bytes=len(torn), torn_sha256=hashlib.sha256(torn).hexdigest()))

    def _take_up(self, path: Path) -> None:
        """Take up the chain where the last record, in this file or the one before it, left it."""
        last, older = next(lines_backwards(path), None), rotated(path)
        self._head, self._key = Checkpoint(0, GENESIS), self._author.key
        if last is not None:
            self._judge_last(path, path, last)
        elif older:
            self._judge_last(path, older[-1], next(lines_backwards(older[-1]), b""))
        self._open = history.open_intents([path, *reversed(older)])
        if older and last is None:
            first, seq = numbers(path, older[-1]) or (0, 0)
            rekeyed = self._key != self._author.key or None
            self._write(Rotated(file=older[-1].name, records=seq - first + 1, head=self._head.hash, rekeyed=rekeyed))
            self._key = self._author.key

    def _judge_last(self, path: Path, file: Path, line: bytes) -> None:
        record, self._key, why = opened_with(line, (self._author.key, *self._author.keys_before))
        if why:
            raise doesnt_hold(file, why, all_files(path), run=self._author.run)
        self._head = Checkpoint(int(record["seq"]), str(record["hash"]))

    def _follow(self, path: Path, line: bytes) -> None:
        """Take up one record that another process appended."""
        record, why = fault(line, key=self._author.key)
        if why or record.get("prev") != self._head.hash:
            raise AuditLogError(f"{path}: a record that another process appended doesn't hold: {why or 'its `prev`'}")
        self._open.take(record, self._size or 0)
        self._size = (self._size or 0) + len(line) + 1
        self._head = Checkpoint(int(record["seq"]), str(record["hash"]))

    def _rotate(self, path: Path, max_bytes: int) -> None:
        """Rename a file that has grown too large, or has a key of before; nothing is written over.

        The next file's first record names it.
        """
        rekeyed = self._key != self._author.key
        if not self._size or (self._size < max_bytes and not rekeyed):
            return
        with path.open("rb") as file:
            first, _ = fault(file.readline(), key=None)  # for its number alone; `audit verify` judges it
        name = path.with_name(f"{path.name}.{first.get('seq', 0)}-{self._head.seq}")
        if os.path.lexists(name):
            if rekeyed:
                raise AuditLogError(
                    f"{path} can't go on with another key: {name} is there already; move that file away"
                )
            log.warning("%s is not rotated, and grows: %s is there already; move that file away", path, name)
            return
        path.rename(name)
        sync_folder(path)
        self._seize(path)
        self._catch_up(path)

    # ── records ──────────────────────────────────────────────────────────────

    def record(self, event: events.Record) -> Checkpoint:
        """Append one record and return its place; it is on disk when this returns. Raises AuditLogError."""
        if self._broken:
            raise AuditLogError(self._broken)
        if self._path is None:
            return self._write(event)
        with self._turn(self._path):
            return self._write(event)

    def _write(self, event: events.Record) -> Checkpoint:
        known = self._open.fields() if event.name == RunEnded.name else {}
        body = {
            "v": VERSION,
            "seq": self._head.seq + 1,
            "at": self._author.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "run": self._author.run,
            "event": event.name,
            "owner": self._author.owner,
            "actor": self._author.actor,
            **known,
            **event.fields(),
            "prev": self._head.hash,
        }
        record = seal(body, key=self._author.key)
        line = canonical(record) + b"\n"
        self._append(line)
        if self._path is None:
            self._lines.append(line)
        self._open.take(record, self._size or 0)
        self._size = (self._size or 0) + len(line)
        self._head = Checkpoint(record["seq"], record["hash"])
        return self._head

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
            raise AuditLogError(self._broken) from None

    # ── what was written before ──────────────────────────────────────────────

    def runs_before(self, count: int, *, config: str | None = None) -> list[list[Record]]:
        """Return the records of the last runs that could write, newest first, each in order.

        With a `config` file's path, only this owner's with that file: several may share a log.
        """
        by = None if config is None else (self._author.owner, config)
        return history.runs_before(self._files(), count, by=by)

    def feeds_before(self, names: Iterable[str], *, config: str) -> dict[str, Record]:
        """Return the last record of each of these feeds, of this owner's runs with that config file that could write."""
        return history.feeds_before(self._files(), names, by=(self._author.owner, config))

    def notified_before(self, *, config: str) -> list[Record]:
        """Return what was recorded of this owner's messages, for that config file, the newest first."""
        return history.notified_before(self._files(), by=(self._author.owner, config))

    def uncopied(self) -> bytes:
        """Return the records that no copy holds yet: those after the one that the last `copied` record names."""
        if self._path is None:
            return b"".join(self._lines)
        return history.uncopied(self._files())

    def _files(self) -> list[Path]:
        return [self._path, *reversed(rotated(self._path))] if self._path else []

    def close(self) -> None:
        """Close the file and let the next run in."""
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
