"""The chain in a file that others append to as well: held for one append, and taken up where the last writer left it."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from ipsync.audit import history
from ipsync.audit.chain import Author, Chain, Checkpoint
from ipsync.audit.files import all_files, cut_torn_end, has_name, lines_backwards, numbers, rotated, sync_folder
from ipsync.audit.keys import doesnt_hold, opened_with
from ipsync.audit.lock import released, taken
from ipsync.audit.opening import open_log
from ipsync.audit.record import GENESIS, fault
from ipsync.audit.trouble import UNRECORDED, trouble
from ipsync.core import events
from ipsync.core.errors import AuditLogError
from ipsync.core.events import Intent, Rotated, TornEnd

log = logging.getLogger(__name__)
LOOK = "look with `ipsync audit verify`"
AFTER_ANOTHER = "it doesn't follow the record before it"


class FileChain(Chain):
    """An open log file. `_size` are its bytes that the head and the open intents speak of, once it was looked at."""

    def __init__(self, author: Author, path: Path, *, patience: float, max_bytes: int) -> None:
        """Mend a torn end, check the last record, and begin a new file where this one is too large or has another key.

        Raises AuditLogError if the file can't be used, or its last record doesn't hold.
        """
        super().__init__(author, open_log(path))
        self.path, self._patience = path, patience
        self._looked = False
        self._key = author.key
        """What the last record was sealed with."""
        try:
            with self._turn():
                self._rotate(max_bytes)
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        return str(self.path)

    def append(self, event: events.Record) -> Checkpoint:
        """Append an event and return its place; it is on disk when this returns. Raises AuditLogError."""
        if self._broken:
            raise AuditLogError(self._broken)
        with self._turn():
            self._write(event)
        return self.head

    def look(self) -> None:
        """Take up what others appended. Raises AuditLogError where that doesn't hold."""
        with self._turn():
            pass

    def files(self) -> list[Path]:
        """Return the log's files, the current one first."""
        return [self.path, *reversed(rotated(self.path))]

    def uncopied(self) -> bytes:
        """Return the records that no copy holds yet."""
        return history.uncopied(self.files())

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)

    def _keep(self) -> None:
        os.fsync(self.handle)

    # ── one append at a time ─────────────────────────────────────────────────

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the file, with the chain taken up where its last writer left it, whoever that was."""
        try:
            self._seize()
            try:
                self._catch_up()
                yield
            finally:
                released(self.handle)
        except OSError as error:
            raise trouble(self.path, error) from None

    def _seize(self) -> None:
        """Lock the file that has the log's name now: another run may have rotated ours away."""
        while True:
            if not taken(self.handle, self.path, timeout=self._patience):
                held = f"another process has kept it locked for more than {self._patience:g} s"
                raise AuditLogError(f"{self}: {held} (`fuser {quote(str(self))}` tells which one); {UNRECORDED}")
            if has_name(self.handle, self.path):
                return
            fresh = open_log(self.path)
            os.close(self.handle)
            self.handle, self._looked = fresh, False

    def _catch_up(self) -> None:
        known, torn = self.head, cut_torn_end(self.handle)
        size = os.fstat(self.handle).st_size
        if self._looked:
            gone = size < self._size
            for line in os.pread(self.handle, size - self._size, self._size).splitlines() if not gone else ():
                self._follow(line)
        else:
            self._size, self._looked = size, True
            self._take_up()
            gone = self.head.seq < known.seq
            self.writes_of_others += known.seq > 0  # in a new file; what the one before got since isn't looked for
        if gone:
            what = f"records #{known.seq} and before were taken away while this run was writing"
            raise AuditLogError(f"{self}: {what}; {LOOK}")
        if torn:
            self._write(TornEnd(torn_bytes=len(torn), torn_sha256=hashlib.sha256(torn).hexdigest()))

    def _take_up(self) -> None:
        """Take up the chain where the last record, in this file or the one before it, left it."""
        last, older = next(lines_backwards(self.path), None), rotated(self.path)
        self.head, self._key = Checkpoint(0, GENESIS), self.author.key
        if last is not None:
            self._judge_last(self.path, last)
        elif older:
            self._judge_last(older[-1], next(lines_backwards(older[-1]), b""))
        self.open = history.open_intents([self.path, *reversed(older)])
        if older and last is None:
            self._begin_after(older[-1])

    def _begin_after(self, older: Path) -> None:
        first, last = numbers(self.path, older) or (0, 0)
        rekeyed = self._key != self.author.key or None
        self._write(Rotated(file=older.name, records=last - first + 1, head=self.head.hash, rekeyed=rekeyed))
        self._key = self.author.key

    def _judge_last(self, file: Path, line: bytes) -> None:
        record, self._key, why = opened_with(line, (self.author.key, *self.author.keys_before))
        if why:
            raise doesnt_hold(file, why, all_files(self.path), run=self.author.run)
        self.head = Checkpoint(int(record["seq"]), str(record["hash"]))

    def _follow(self, line: bytes) -> None:
        """Take up one record that another process appended."""
        record, why = fault(line, key=self.author.key)
        if why or record.get("prev") != self.head.hash:
            what = f"a record that another process appended doesn't hold: {why or AFTER_ANOTHER}"
            raise AuditLogError(f"{self}: {what}; {LOOK}")
        self.open.take(record, self._size)
        self.writes_of_others += Intent.names(record)
        self._size += len(line) + 1
        self.head = Checkpoint(int(record["seq"]), str(record["hash"]))

    # ── a new file ───────────────────────────────────────────────────────────

    def _rotate(self, max_bytes: int) -> None:
        """Rename a file that has grown too large, or has a key of before; nothing is written over.

        The next file's first record names it.
        """
        rekeyed = self._key != self.author.key
        if not self._size or (self._size < max_bytes and not rekeyed):
            return
        name = self.path.with_name(f"{self.path.name}.{self._first_number()}-{self.head.seq}")
        if not os.path.lexists(name):
            self.path.rename(name)
            sync_folder(self.path)
            self._seize()
            self._catch_up()
        elif rekeyed:
            raise AuditLogError(f"{self} can't go on with another key: {name} is there already; move that file away")
        else:
            log.warning("%s is not rotated, and grows: %s is there already; move that file away", self, name)

    def _first_number(self) -> int:
        """Return the number of the file's first record, whether it holds or not: `audit verify` judges it."""
        with self.path.open("rb") as file:
            first, _ = fault(file.readline(), key=None)
        return int(first.get("seq", 0))
