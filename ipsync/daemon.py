"""The long-running worker: a pass at once, then one every interval, until a signal asks for an end.

Built on `schedule`, with two of its habits mended: it looks at the wall clock (set back by a day, the next run
came a day late), and an exception in a job stops it from being scheduled again.
"""

from __future__ import annotations

import logging
import math
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread, Timer
from types import FrameType
from typing import Generic, TypeVar

import schedule

from ipsync.core.errors import IpsyncError
from ipsync.core.exit_codes import ExitCode

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds between two looks at the schedule, so that a suspended machine catches up soon."""
TICK = 1.0
"""Seconds between two looks at whether the config is to be read again: a look costs 20 microseconds."""
CEILING = 3600.0
"""Seconds between passes at most while all of them fail: what heals is noticed within the hour."""
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


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a pass is made, and how much later by chance at most; in seconds."""

    every: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Reload:
    """How the config is read again between passes: `asked` is set by a signal.

    `read` gives the pace from then on, or None where the config is refused and the old one stays.
    """

    asked: Event
    read: Callable[[], Pace | None]


def serve(  # noqa: PLR0913 - what a caller may choose, by name
    one_pass: Callable[[], T],
    *,
    every: float,
    jitter: float,
    stop: Event,
    tell: Callable[[T | None, datetime | None], object] = lambda _made, _next: None,
    failed: Callable[[T | None], bool] = lambda _made: False,
    reload: Reload | None = None,
    may_begin: Callable[[], bool] = lambda: True,
) -> None:
    """Call `one_pass` at once and then every `every` to `every + jitter` seconds, until `stop` is set.

    After each pass `tell` gets what it returned and when the next one comes, if one does. A pass that raises is
    logged, tells None, and doesn't end the loop. While each pass has `failed`, the next one comes later and later. A
    config that was read again is gone by at once. While none `may_begin`, none does; then the first one begins at once.
    """
    loop = _Loop(one_pass, Pace(every, jitter), failed)
    while not stop.is_set():
        if reload and reload.asked.is_set():
            reload.asked.clear()
            if fresh := reload.read():
                loop = _Loop(one_pass, fresh, failed)
        if may_begin():
            for made in loop.turn():
                left = timedelta(seconds=loop.left)
                tell(made, None if stop.is_set() else datetime.now(UTC) + left)
        else:
            loop.begin_anew(after=TICK)
        stop.wait(min(TICK if reload else LONGEST_WAIT, max(0.0, loop.left)))


class _Loop(Generic[T]):
    """The schedule of one pace, and how many passes in a row have failed."""

    def __init__(self, one_pass: Callable[[], T], pace: Pace, failed: Callable[[T | None], bool]) -> None:
        self._one_pass, self._pace, self._failed = one_pass, pace, failed
        self._made: list[T | None] = []
        self._failures = 0
        self._scheduler = schedule.Scheduler()
        self._job = SteadyJob(interval=round(pace.every), scheduler=self._scheduler)
        if round(pace.jitter):
            self._job.to(round(pace.every + pace.jitter))
        self._job.seconds.do(self._pass)
        self._job.due = time.monotonic()

    def begin_anew(self, *, after: float) -> None:
        """Let a pass be due after so many seconds, as if none had been made before."""
        self._failures, self._job.due = 0, time.monotonic() + after

    @property
    def left(self) -> float:
        """Return the seconds until the next pass."""
        return self._job.due - time.monotonic()

    def turn(self) -> list[T | None]:
        """Make the pass that is due, if one is, and return what it made."""
        self._made.clear()
        self._scheduler.run_pending()
        if self._made:
            self._failures = self._failures + 1 if self._failed(self._made[-1]) else 0
        if self._made and self._failures > 1:
            self._job.due = time.monotonic() + backed_off(self._pace.every, self._failures, chance=random.random())  # noqa: S311 - jitter
            log.warning("%d passes in a row have failed; the next one comes in %.0f s", self._failures, self.left)
        return self._made

    def _pass(self) -> None:
        began = time.monotonic()
        self._made.append(_guarded(self._one_pass))
        took, every = time.monotonic() - began, self._pace.every
        if took > every:
            log.warning(
                "this pass took %.0f s, longer than schedule.every (%g s); the next one begins %g s after its end, since "
                "passes are never made side by side: raise schedule.every, or divide the work with --shard",
                *(took, every, every),
            )


def backed_off(every: float, failures: int, *, chance: float) -> float:
    """Return after how many seconds the next pass comes when so many in a row have failed: twice as long each time.

    Never sooner than `every`, and never later than `CEILING`, or than `every` where that is longer. Up to a fifth is
    taken off by `chance` (0 to 1), so that many workers don't come back in one moment.
    """
    longest = max(every, CEILING)
    wait = min(longest, every * 2.0 ** min(failures - 1, 30))
    return max(every, wait * (1 - chance / 5))


def _guarded(one_pass: Callable[[], T]) -> T | None:
    try:
        return one_pass()
    except IpsyncError as error:
        log.error("this pass failed; the next one comes as scheduled: %s", error)  # noqa: TRY400 - it says all
    except Exception:
        log.exception("this pass failed; the next one comes as scheduled")
    return None


def stop_on_signals(
    stop: Event, *, wrote: Event | None = None, untouched: int = ExitCode.FAILED, reload: Event | None = None
) -> Callable[[], float]:
    """Let SIGTERM, SIGINT and SIGHUP ask for an end after the write in flight; a second one changes nothing.

    SIGHUP sets `reload` instead, if there is one, unless it comes because the terminal was closed. Where it is ignored
    (`nohup`), it stays so.
    Where a cloud doesn't answer, the process ends without it after `PATIENCE` seconds, with the exit code for
    "unknown": the intent is in the audit log, and the next run reads back what became of it, as after a kill. Where nothing was
    intended yet (`wrote` isn't set), nothing is in doubt, and the exit code is `untouched`.
    Returns what tells how many seconds are left until then: as many as one likes while no signal came.
    """
    ending = _Ending(stop, wrote, untouched)
    terminals = _terminals()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if reload is None or terminals - _terminals():
            ending.ask(number, frame)
        else:
            set_soon(reload)

    signal.signal(signal.SIGTERM, ending.ask)
    signal.signal(signal.SIGINT, ending.ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hang_up)
    return ending.left


class _Ending:
    """The end that a signal asked for, and when the process ends without it."""

    def __init__(self, stop: Event, wrote: Event | None, untouched: int) -> None:
        self._stop, self._wrote, self._untouched = stop, wrote, untouched
        self._at = math.inf

    def left(self) -> float:
        """Return how many seconds are left."""
        return self._at - time.monotonic()

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Ask for an end; only the first signal does."""
        if self._at < math.inf:
            return
        self._at = time.monotonic() + PATIENCE
        watchdog = Timer(PATIENCE, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        set_soon(self._stop)
        log.warning(
            "%s: ending after the write in flight, in %g s at the latest", signal.Signals(number).name, PATIENCE
        )

    def _give_up(self) -> None:
        doubtful = self._wrote is None or self._wrote.is_set()
        _give_up("the next run reads back what became of the write in flight" if doubtful else "nothing was written")
        os._exit(ExitCode.PARTIAL if doubtful else self._untouched)


def set_soon(event: Event) -> None:
    """Set an event from a signal's handler: by a thread, since the wait that the signal interrupts may hold its lock."""
    Thread(target=event.set, daemon=True).start()


def _terminals() -> frozenset[int]:
    """Return which standard streams are a terminal; one that was closed is none any more."""
    return frozenset(handle for handle in (0, 1, 2) if os.isatty(handle))


def _give_up(rest: str) -> None:
    log.error("a feed or a cloud hasn't answered in %g s: ending without its answer; %s", PATIENCE, rest)
    logging.shutdown()
