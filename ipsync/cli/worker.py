"""What `ipsync run` keeps from pass to pass: the config that it goes by, and who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event

from ipsync import app
from ipsync.cli import options
from ipsync.cli.invocation import command
from ipsync.cli.reporting import Tell
from ipsync.cli.telling import LAST_CALL, SPARE
from ipsync.core.errors import IpsyncError
from ipsync.core.events import ConfigRead, Subscriber
from ipsync.core.exit_codes import ExitCode
from ipsync.core.model import Config
from ipsync.core.report import Report, exit_code
from ipsync.core.sharding import Shard
from ipsync.daemon import Pace
from ipsync.observers.watch import Watched

log = logging.getLogger(__name__)

HANDOVER = 5.0
"""Seconds that a config that was read again waits for the messages of the one before."""


def read(path: Path, targets: Sequence[str], shard: Shard | None = None) -> Config:
    """Read a config that a worker can go by. Raises UsageError with everything that is wrong."""
    config = options.load(path, shard)
    app.selection(config, targets)
    options.reports_aside(config, "text")
    return config


class Worker:
    """Makes passes by the config that holds, and reads it again when asked to."""

    def __init__(
        self,
        config: Config,
        path: Path,
        targets: Sequence[str],
        *,
        watched: Watched,
        stop: Event,
        wrote: Event,
    ) -> None:
        self.config = config
        self._path, self._targets, self._stop, self._wrote = path, targets, stop, wrote
        self._watched, self._observers, self._again = watched, watched.observers, command("sync", targets=targets)
        self._teller = app.notifier(config, only=targets, approve=self._again, observers=self._observers)

    def one_pass(self) -> Report:
        """Make one pass."""
        self._wrote.clear()
        self._watched.began()
        return app.sync_once(
            self.config,
            only=self._targets,
            stop=self._stop,
            writing=self._wrote.set,
            observers=self._hearing(),
        )

    def reload(self) -> Pace | None:
        """Read the config again, and return the pace from now on; None, with every error told, where it is refused."""
        try:
            fresh = read(self._path, self._targets, self.config.shard)
        except IpsyncError as error:
            for line in error.lines:
                log.error("config refused, the one of before stays: %s", line)  # noqa: TRY400 - it says all
            app.tell(self._hearing(), ConfigRead(self.config, error.lines))
            return None
        log.info("%s", _said(self._path, fresh, self.config))
        app.tell(self._hearing(), ConfigRead(fresh))
        self._hand_over(fresh)
        return Pace(fresh.every, fresh.jitter)

    def telling(self, tell: Tell) -> Tell:
        """Return what tells of a pass, and who watches of the wait after it."""

        def told(report: Report | None, next_at: datetime | None) -> None:
            self._watched.waits(next_at)
            tell(report, next_at)

        return told

    def close(self, left: Callable[[], float]) -> None:
        """Wait until everybody is told, while a signal's patience lasts."""
        if self._teller:
            self._teller.close(within=min(LAST_CALL, left() - SPARE))

    def _hearing(self) -> Sequence[Subscriber]:
        return [*self._observers, self._teller.hear] if self._teller else self._observers

    def _hand_over(self, fresh: Config) -> None:
        before, self.config = self._teller, fresh
        if before:
            before.close(within=HANDOVER)
        self._teller = app.notifier(
            fresh, only=self._targets, approve=self._again, observers=self._observers, before=before
        )


def failed(report: Report | None) -> bool:
    """Tell whether a pass came to nothing: it was broken off, or no target is as wished and some have failed."""
    return report is None or exit_code(report, detailed=False) is ExitCode.FAILED


def _said(path: Path, fresh: Config, before: Config) -> str:
    text = f"{path} was read again"
    if fresh.digest == before.digest:
        return f"{text}; it says the same as before"
    stays = "; where it listens takes effect at the next start" if fresh.listen != before.listen else ""
    return f"{text}, and holds from now on{stays}"
