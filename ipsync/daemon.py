"""The long-running worker: a pass at once, then one every interval, until a signal asks for an end.

Built on `schedule`, with two of its habits mended: it looks at the wall clock (set back by a day, the next run
came a day late), and an exception in a job stops it from being scheduled again.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import time
from collections.abc import Callable
from threading import Event, Timer
from types import FrameType

import schedule

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
"""Seconds between two looks at the schedule, so that a suspended machine catches up soon."""
PATIENCE = 25.0
"""Seconds from the signal to the end at the latest: Kubernetes kills after 30 (terminationGracePeriodSeconds)."""
UNKNOWN, UNTOUCHED = 4, 1
"""The exit codes where something may be half done, and where nothing was begun (the contract's section 1)."""


class SteadyJob(schedule.Job):
    """A job that is due by the monotonic clock, whatever happens to the wall clock."""

    due = 0.0

    @property
    def should_run(self) -> bool:
        """Tell whether the job is due."""
        return time.monotonic() >= self.due

    def _schedule_next_run(self) -> None:
        asked = dt.datetime.now()  # noqa: DTZ005 - the same naive clock that schedule itself reads
        super()._schedule_next_run()
        if self.next_run is not None:  # for the type checker: super() has just set it
            self.due = time.monotonic() + (self.next_run - asked).total_seconds()


def serve(one_pass: Callable[[], object], *, every: float, jitter: float, stop: Event) -> None:
    """Call `one_pass` at once and then every `every` to `every + jitter` seconds, until `stop` is set.

    A pass that raises is logged and doesn't end the loop.
    """
    scheduler = schedule.Scheduler()
    job = SteadyJob(interval=round(every), scheduler=scheduler)
    if round(jitter):
        job.to(round(every + jitter))
    job.seconds.do(_guarded, one_pass)
    job.due = time.monotonic()
    while not stop.is_set():
        scheduler.run_pending()
        stop.wait(min(LONGEST_WAIT, max(0.0, job.due - time.monotonic())))


def _guarded(one_pass: Callable[[], object]) -> None:
    try:
        one_pass()
    except Exception:
        log.exception("this pass failed; the next one comes as scheduled")


def stop_on_signals(stop: Event, *, begun: Callable[[], bool] = lambda: True) -> None:
    """Let SIGTERM and SIGINT ask for an end after the write in flight; a second one changes nothing.

    Where a feed or a cloud doesn't answer, the process ends without it after `PATIENCE` seconds. If it has `begun` to
    write, with the exit code for "unknown": the intent is in the audit log, and the next run settles it as it does
    after a kill. If not, nothing was touched, and the code says that.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            return
        log.warning(
            "%s: ending after the write in flight, in %g s at the latest", signal.Signals(number).name, PATIENCE
        )
        stop.set()
        watchdog = Timer(PATIENCE, _give_up, [begun])
        watchdog.daemon = True
        watchdog.start()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def _give_up(begun: Callable[[], bool]) -> None:
    wrote = begun()
    left = "the next run reads back what became of it" if wrote else "nothing was written, and nothing was begun"
    log.error("a feed or a cloud hasn't answered in %g s: ending without it; %s", PATIENCE, left)
    logging.shutdown()
    os._exit(UNKNOWN if wrote else UNTOUCHED)
