"""Notifications around a command that makes one pass: it ends when everybody is told, or when it has waited enough."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ipsync import app
from ipsync.cli.invocation import command
from ipsync.core.configured import Config
from ipsync.core.signals import Subscriber

log = logging.getLogger(__name__)

STDOUT = "-"
LAST_CALL = 20.0
"""Seconds that a run which ends waits at most until everybody is told; the next run goes on from the log."""
SPARE = 3.0
"""Seconds before a signal's patience ends: by then a message that is broken off has said so."""


@contextmanager
def telling(
    config: Config, left: Callable[[], float], *, targets: Sequence[str] = (), observers: Sequence[Subscriber] = ()
) -> Iterator[Sequence[Subscriber]]:
    """Add what tells people to the observers of a pass; at the end wait for it, while a signal's patience lasts."""
    teller = app.notifier(config, only=targets, approve=command("sync", targets=targets), observers=observers)
    if teller is None:
        yield observers
        return
    if config.audit_path == STDOUT:
        log.warning("notify: audit.path is -, so what was told is not remembered: each run tells again what lasts")
    try:
        yield [*observers, teller.hear]
    finally:
        teller.close(within=min(LAST_CALL, left() - SPARE))
