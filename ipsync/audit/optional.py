"""The log for what only reads the clouds: it records itself where it can, and needn't."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from ipsync.audit.chain import Checkpoint
from ipsync.audit.keys import Key
from ipsync.audit.log import STDOUT, AuditLog
from ipsync.audit.record import GENESIS, Record
from ipsync.core import events
from ipsync.core.errors import AuditLogError

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds to wait for another process's append: a plan is worth more than its record."""
NOWHERE = Checkpoint(0, GENESIS)


class NullAuditLog:
    """Records nothing: for a plan where the log can't be written."""

    pending: Mapping[int, Record] = {}
    places: Sequence[Record] = ()
    waves: Sequence[Record] = ()

    def record(self, event: events.Record) -> Checkpoint:
        """Do nothing."""
        del event
        return NOWHERE

    def runs_before(self, count: int, *, config: str | None = None) -> list[list[Record]]:
        """Know of no run."""
        del count, config
        return []

    def feeds_before(self, names: Iterable[str], *, config: str) -> dict[str, Record]:
        """Know of no feed."""
        del names, config
        return {}

    def notified_before(self, *, config: str) -> list[Record]:
        """Know of no message."""
        del config
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class OptionalAuditLog:
    """A log that is given up, with a warning, at the first record that can't be written."""

    def __init__(self, audit_log: AuditLog) -> None:
        self._audit_log = audit_log
        self._lost = False

    def record(self, event: events.Record) -> Checkpoint:
        """Append one record and return its place; number 0 where the log was given up."""
        if self._lost:
            return NOWHERE
        try:
            return self._audit_log.record(event)
        except AuditLogError as error:
            self._lost = True
            log.warning("the rest of this run is not recorded, and needn't be: %s", error)
            return NOWHERE

    @property
    def pending(self) -> Mapping[int, Record]:
        """The intents of which nobody knows yet what became of them."""
        return self._audit_log.pending

    @property
    def places(self) -> Sequence[Record]:
        """What the last run that ended knew of the places where something is held."""
        return self._audit_log.places

    @property
    def waves(self) -> Sequence[Record]:
        """The newest word on each wave and check."""
        return self._audit_log.waves

    def runs_before(self, count: int, *, config: str | None = None) -> list[list[Record]]:
        """Return the records of the last runs that could write, newest first."""
        return self._audit_log.runs_before(count, config=config)

    def feeds_before(self, names: Iterable[str], *, config: str) -> dict[str, Record]:
        """Return the last record of each of these feeds, of runs that could write."""
        return self._audit_log.feeds_before(names, config=config)

    def notified_before(self, *, config: str) -> list[Record]:
        """Return what was recorded of messages, the newest first."""
        return self._audit_log.notified_before(config=config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._audit_log.close()


def open_optional(  # noqa: PLR0913 - what stands in every record, by name
    path: str | Path,
    *,
    owner: str,
    actor: str,
    run: str,
    clock: Callable[[], datetime],
    hmac_key: str | None = None,
    hmac_keys_before: Sequence[Key] = (),
) -> OptionalAuditLog | NullAuditLog:
    """Open the log for appending alone: a run that writes to clouds meanwhile isn't kept waiting, nor waited for."""
    if str(path) == STDOUT:
        return NullAuditLog()  # standard output is the report's
    try:
        opened = AuditLog.open(
            path,
            owner=owner,
            actor=actor,
            run=run,
            clock=clock,
            hmac_key=hmac_key,
            hmac_keys_before=hmac_keys_before,
            lock_timeout=PATIENCE,
            writes=False,
        )
    except AuditLogError as error:
        log.warning("this run is not recorded, and needn't be: %s", error)
        return NullAuditLog()
    return OptionalAuditLog(opened)
