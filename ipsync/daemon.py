"""The long-running worker: a pass at once, then one every interval, until a signal asks for an end.

Built on `schedule`, with two of its habits mended: it looks at the wall clock (set back by a day, the next run
came a day late), and an exception in a job stops it from being scheduled again.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event, Timer
from types import FrameType
from typing import TypeVar

import schedule

from ipsync.core.errors import IpsyncError
from ipsync.core.exit_codes import ExitCode

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds between two looks at the schedule, so that a suspended machine catches up soon."""
PATIENCE = 25.0
"""Seconds from the signal to the end at the latest: Kubernetes kills after 30 (terminationGracePeriodSeconds)."""


class SteadyJob(schedule.Job):
    """A job that is due by the monotonic clock, whatever happens to the wall clock."""

    due = 0.0

    @property
    def should_run(self) -> bool:
        """Tell whether the job is due."""
        return time.monotonic() >= self.due

    def _schedule_next_run(self) -> None:
        asked = datetime.now()  # noqa: DTZ005 - the same naive clock that schedule itself reads
        super()._schedule_next_run()
        if self.next_run is not None:  # for the type checker: super() has just set it
            self.due = time.monotonic() + (self.next_run - asked).total_seconds()


def serve(
    one_pass: Callable[[], T],
    *,
    every: float,
    jitter: float,
    stop: Event,
    tell: Callable[[T | None, datetime | None], object] = lambda _made, _next: None,
) -> None:
    """Call `one_pass` at once and then every `every` to `every + jitter` seconds, until `stop` is set.

    After each pass `tell` gets what it returned and when the next one comes, if one does. A pass that raises is
    logged, tells None, and doesn't end the loop.
    """
    made: list[T | None] = []
    scheduler = schedule.Scheduler()
    job = SteadyJob(interval=round(every), scheduler=scheduler)
    if round(jitter):
        job.to(round(every + jitter))
    job.seconds.do(lambda: made.append(_guarded(one_pass)))
    job.due = time.monotonic()
    while not stop.is_set():
        scheduler.run_pending()
        while made:
            tell(
                made.pop(), None if stop.is_set() else datetime.now(UTC) + timedelta(seconds=job.due - time.monotonic())
            )
        stop.wait(min(LONGEST_WAIT, max(0.0, job.due - time.monotonic())))


def _guarded(one_pass: Callable[[], T]) -> T | None:
    try:
        return one_pass()
    except IpsyncError as error:
        log.error("this pass failed; the next one comes as scheduled: %s", error)  # noqa: TRY400 - it says all
    except Exception:
        log.exception("this pass failed; the next one comes as scheduled")
    return None


def stop_on_signals(
    stop: Event, *, wrote: Event | None = None, untouched: int = ExitCode.FAILED
) -> Callable[[], float]:
    """Let SIGTERM, SIGINT and SIGHUP ask for an end after the write in flight; a second one changes nothing.

    SIGHUP comes when a terminal is closed; where it is ignored (`nohup`), it stays so.
    Where a cloud doesn't answer, the process ends without it after `PATIENCE` seconds, with the exit code for
    "unknown": the intent is in the audit log, and the next run settles it as it does after a kill. Where nothing was
    intended yet (`wrote` isn't set), nothing is in doubt, and the exit code is `untouched`.
    Returns what tells how many seconds are left until then: as many as one likes while no signal came.
    """
    ends = [math.inf]

    def give_up() -> None:
        doubtful = wrote is None or wrote.is_set()
        _give_up("the next run reads back what became of it" if doubtful else "nothing was written")
        os._exit(ExitCode.PARTIAL if doubtful else untouched)

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            return
        log.warning(
            "%s: ending after the write in flight, in %g s at the latest", signal.Signals(number).name, PATIENCE
        )
        stop.set()
        ends[0] = time.monotonic() + PATIENCE
        watchdog = Timer(PATIENCE, give_up)
        watchdog.daemon = True
        watchdog.start()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, ask)
    return lambda: ends[0] - time.monotonic()


def _give_up(rest: str) -> None:
    log.error("a feed or a cloud hasn't answered in %g s: ending without it; %s", PATIENCE, rest)
    logging.shutdown()
