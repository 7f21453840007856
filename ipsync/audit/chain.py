"""The chain of records: each is sealed with the hash of the one before, and on disk before anything rests on it.

After a failed write or fsync nothing more is recorded in this run, and so nothing more is written to a cloud: what the
kernel does with dirty pages after a failed fsync is not to be relied on, so it isn't tried again.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ipsync.audit import history
from ipsync.audit.keys import Key
from ipsync.audit.record import GENESIS, VERSION, Record, seal
from ipsync.audit.trouble import UNRECORDED, remedy
from ipsync.core import events
from ipsync.core.canonical import canonical
from ipsync.core.errors import AuditLogError
from ipsync.core.events import RunEnded
from ipsync.core.marks import format_time


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

    def sealed(self, name: str, fields: Mapping[str, object], head: Checkpoint) -> Record:
        """Return an event of that name, with what it holds, as the record that follows a place."""
        body = {
            "v": VERSION,
            "seq": head.seq + 1,
            "at": format_time(self.clock()),
            "run": self.run,
            "event": name,
            "owner": self.owner,
            "actor": self.actor,
            **fields,
            "prev": head.hash,
        }
        return seal(body, key=self.key)


class Chain(ABC):
    """A chain that this process appends to. `open` are the intents of which nobody knows yet what became of them."""

    def __init__(self, author: Author, handle: int) -> None:
        self.author, self.handle = author, handle
        self.head = Checkpoint(0, GENESIS)
        self.open = history.Open()
        self.writes_of_others = 0
        """How often others may have written to a cloud since this was opened."""
        self._size = 0
        self._broken = ""

    @abstractmethod
    def append(self, event: events.Record) -> Checkpoint:
        """Append an event and return its place. Raises AuditLogError."""

    @abstractmethod
    def look(self) -> None:
        """Take up what others appended. Raises AuditLogError where that doesn't hold."""

    @abstractmethod
    def files(self) -> list[Path]:
        """Return the log's files, the current one first."""

    @abstractmethod
    def uncopied(self) -> bytes:
        """Return the records that no copy holds yet: those after the one that the last `copied` record names."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what holds the chain."""

    def _write(self, event: events.Record) -> bytes:
        if self._broken:
            raise AuditLogError(self._broken)
        fields = event.fields()
        if event.name == RunEnded.name:
            fields = self.open.ended(fields)
        record = self.author.sealed(event.name, fields, self.head)
        line = canonical(record) + b"\n"
        self._put(line)
        self.open.take(record, self._size)
        self._size += len(line)
        self.head = Checkpoint(record["seq"], record["hash"])
        return line

    def _put(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self.handle, rest) :]
            self._keep()
        except OSError as error:
            why = f"{error.strerror}{remedy(Path(str(self)), error)}"
            self._broken = f"{self}: can't be written: {why}; {UNRECORDED}"
            raise AuditLogError(self._broken) from None

    @abstractmethod
    def _keep(self) -> None:
        """Make durable what was written, where that can be."""


class StreamChain(Chain):
    """A log on standard output, for a cluster that collects it: it begins anew with each run."""

    def __init__(self, author: Author) -> None:
        super().__init__(author, sys.stdout.fileno())
        self._lines: list[bytes] = []

    def __str__(self) -> str:
        return "standard output"

    def append(self, event: events.Record) -> Checkpoint:
        """Append an event and return its place."""
        self._lines.append(self._write(event))
        return self.head

    def look(self) -> None:
        """Nobody else appends."""

    def files(self) -> list[Path]:
        """There is none."""
        return []

    def uncopied(self) -> bytes:
        """Return everything that was written."""
        return b"".join(self._lines)

    def close(self) -> None:
        """Standard output is everybody's."""

    def _keep(self) -> None:
        """Who collects it keeps it."""
