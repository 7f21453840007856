"""What `ipsync run` keeps from pass to pass: the config that it goes by, and who hears of it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ipsync import app, daemon
from ipsync.cli import options
from ipsync.cli.invocation import command
from ipsync.cli.reporting import Tell
from ipsync.cli.telling import LAST_CALL, SPARE
from ipsync.core.configured import Config
from ipsync.core.errors import IpsyncError
from ipsync.core.exit_codes import ExitCode
from ipsync.core.report import Report, exit_code
from ipsync.core.sharding import Shard
from ipsync.core.signals import ConfigRead, Leadership, Subscriber
from ipsync.daemon import Pace
from ipsync.observers.watch import Watched

if TYPE_CHECKING:
    from ipsync.election.elector import Elector

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
        elector: Elector | None = None,
    ) -> None:
        self.config = self._first = config
        self._path, self._targets, self._stop, self._wrote = path, targets, stop, wrote
        self._elector = elector
        self._standing: Leadership | None = None
        self._watched, self._observers, self._again = watched, watched.observers, command("sync", targets=targets)
        self._teller = app.notifier(config, only=targets, approve=self._again, observers=self._observers)

    def serve(self, again: Event, tell: Tell) -> None:
        """Make passes until asked to end. `again` asks for the config to be read again, `tell` shows each report."""
        if self._elector:
            self._elector.start()
        daemon.serve(
            self.one_pass,
            every=self.config.every,
            jitter=self.config.jitter,
            stop=self._stop,
            tell=self.telling(tell),
            failed=failed,
            reload=daemon.Reload(again, self.reload),
            may_begin=self.may_begin,
        )

    def one_pass(self) -> Report:
        """Make one pass."""
        self._wrote.clear()
        self._watched.began()
        try:
            return app.sync_once(
                self.config,
                only=self._targets,
                stop=self._elector.term if self._elector else self._stop,
                writing=self._wrote.set,
                observers=self._hearing(),
            )
        finally:
            gc.collect()  # a command never comes to it (cli/__init__.py), and here a hundred passes' waste would gather

    def reports_aside(self) -> bool:
        """Tell whether reports go to stderr, by the config that holds."""
        return options.reports_aside(self.config, "text")

    def may_begin(self) -> bool:
        """Tell whether this worker makes the passes, and let the observers know when that changes."""
        if self._elector is None:
            return True
        before, self._standing = self._standing, self._elector.standing
        if self._standing != before:
            app.tell(self._hearing(), self._standing)
            if self._standing.leads:  # what people were told meanwhile, another worker has written down
                self._hand_over(self.config, known=False)
        return self._standing.leads

    def reload(self) -> Pace | None:
        """Read the config again, and return the pace from now on; None, with every error told, where it is refused."""
        try:
            fresh = read(self._path, self._targets, self.config.shard)
        except IpsyncError as error:
            for line in error.lines:
                log.error("config refused, the one that was read before stays in force: %s", line)  # noqa: TRY400 - it says all
            app.tell(self._hearing(), ConfigRead(self.config, error.lines))
            return None
        log.info("%s", self._said(fresh))
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
        """Let another replica take over, and wait until everybody is told, while a signal's patience lasts."""
        if self._elector:
            self._elector.close()
        if self._teller:
            self._teller.close(within=min(LAST_CALL, left() - SPARE))

    def _said(self, fresh: Config) -> str:
        text = f"{self._path} was read again"
        if fresh.digest == self.config.digest:
            return f"{text}; it says the same as before"
        return "; ".join((f"{text}, and is in force from now on", *self._stays(fresh)))

    def _stays(self, fresh: Config) -> Iterator[str]:
        """Say what holds until the next start: others rely on it while this worker runs."""
        if fresh.listen != self._first.listen:
            yield "a change of `listen` takes effect at the next start"
        if self._elector and fresh.owner != self._first.owner:
            yield f"until the next start it keeps to the Lease {self._elector.standing.lease}, although the owner has changed"

    def _hearing(self) -> Sequence[Subscriber]:
        return [*self._observers, self._teller.hear] if self._teller else self._observers

    def _hand_over(self, fresh: Config, *, known: bool = True) -> None:
        """Let others tell people from now on; with what the ones before have told, or by what the log says of it."""
        before, self.config = self._teller, fresh
        if before:
            before.close(within=HANDOVER)
        self._teller = app.notifier(
            fresh,
            only=self._targets,
            approve=self._again,
            observers=self._observers,
            before=before if known else None,
        )


def elector(config: Config, lease: str | None, stop: Event) -> Elector:
    """Return what elects one of several replicas. Raises UsageError where its package isn't installed."""
    from ipsync.election import kubernetes
    from ipsync.election.elector import Elector

    store = kubernetes.store(lease or kubernetes.default_name(config.owner))
    return Elector(store, identity=kubernetes.identity(), stop=stop)


def failed(report: Report | None) -> bool:
    """Tell whether a pass came to nothing: it was broken off, or no target is as wished and some have failed."""
    return report is None or exit_code(report, detailed=False) is ExitCode.FAILED
