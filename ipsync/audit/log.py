"""The audit log as a run sees it: append records, durably, in one chain, and ask what earlier runs left.

Two locks (docs/decisions/0015): the log's file is held for each append only (file_chain.py); who writes to clouds also
holds the right to do so, which one run at a time has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ipsync.audit import history
from ipsync.audit.chain import Author, Chain, Checkpoint, StreamChain
from ipsync.audit.file_chain import FileChain
from ipsync.audit.keys import Key
from ipsync.audit.lock import SyncLock
from ipsync.audit.record import Record
from ipsync.core import events

MAX_BYTES = 64 * 1024 * 1024
LOCK_TIMEOUT = 10.0
"""Seconds to wait for another run, and for another process's append."""
STDOUT = "-"


class AuditLog:
    """An open audit log."""

    file_chain: ClassVar[type[FileChain]] = FileChain

    def __init__(self, chain: Chain, lock: SyncLock | None = None) -> None:
        self._chain, self._lock = chain, lock

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
            return cls(StreamChain(author))
        where = Path(path)
        lock = SyncLock(where, run=run, timeout=lock_timeout) if writes else None
        try:
            return cls(cls.file_chain(author, where, patience=lock_timeout, max_bytes=max_bytes), lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    def record(self, event: events.Record) -> Checkpoint:
        """Append one record and return its place; it is on disk when this returns. Raises AuditLogError."""
        return self._chain.append(event)

    @property
    def pending(self) -> dict[int, Record]:
        """The intents, of any run and any config, of which nobody knows yet what became of them."""
        return self._chain.open.intents

    @property
    def places(self) -> list[Record]:
        """What the last run that ended knew of the places where something is held (places.py)."""
        return self._chain.open.places

    @property
    def waves(self) -> list[Record]:
        """The newest word of any run on each wave and check (core/standing.py)."""
        return list(self._chain.open.waves.values())

    def runs_before(self, count: int, *, config: str | None = None) -> list[list[Record]]:
        """Return the records of the last runs that could write, newest first, each in order.

        With a `config` file's path, only this owner's with that file: several may share a log.
        """
        by = None if config is None else (self._chain.author.owner, config)
        return history.runs_before(self._chain.files(), count, by=by)

    def feeds_before(self, names: Iterable[str], *, config: str) -> dict[str, Record]:
        """Return the last record of each of these feeds, of this owner's runs with that config file that could write."""
        return history.feeds_before(self._chain.files(), names, by=(self._chain.author.owner, config))

    def notified_before(self, *, config: str) -> list[Record]:
        """Return the newest record of what each receiver of this owner and that config file was told, the newest first."""
        return history.notified_before(self._chain.files(), self._chain.open, by=(self._chain.author.owner, config))

    def uncopied(self) -> bytes:
        """Return the records that no copy holds yet: those after the one that the last `copied` record names."""
        return self._chain.uncopied()

    @property
    def writes_of_others(self) -> int:
        """How often other runs may have written to a cloud since this was opened, as far as it was looked."""
        return self._chain.writes_of_others

    @contextmanager
    def letting_others_write(self, given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Let other runs write to clouds meanwhile, as while a vendor's test goes on; then wait for the right again.

        Afterwards this log knows what they recorded: what was read before is old where one of them has written.
        Raises AuditLogError where another run doesn't let go, or the wait for the right is `given_up`.
        """
        if self._lock is None:
            yield
            return
        with self._lock.let_go(given_up):
            yield
        self._chain.look()

    def close(self) -> None:
        """Close the file and let the next run in."""
        self._chain.close()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
