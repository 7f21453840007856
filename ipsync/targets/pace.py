"""Lets calls leave no faster than a cloud takes them, whoever in this process makes them.

One pacer stands for one quota: an account's region and action, or a project's reads. All threads and clients that use the
quota share it, and leave in the order in which they came. The arithmetic is core/pacing.py's.
Being throttled fails nobody: a call is tried again until it passes, unless none has passed for PATIENCE.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ipsync.core import pacing
from ipsync.core.pacing import Limit

log = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds without one call that passed, after which a throttled call is given up."""
SILENT_TRIES = 2
"""How often a request is made where nothing is said for as long as one may take: more would only be waited for."""
KEPT = 128
"""After how many more pacers the full ones are forgotten, which says the same."""
now: Callable[[], float] = time.monotonic
pause: Callable[[threading.Event, float], bool] = threading.Event.wait
"""Waits, and returns early, with true, when the run is to end."""
_HERE = threading.local()
_NEVER = threading.Event()
_PACERS: dict[tuple[object, ...], Pacer] = {}
_LOCK = threading.Lock()


class GivenUp(Exception):
    """A call was not sent, or was throttled and is not sent again: nothing was done. The text says why."""


# ── who is to end ────────────────────────────────────────────────────────────


def ends_with(stop: threading.Event) -> None:
    """Let this thread's waits end at once when the event is set: its run is to end."""
    _HERE.stop = stop


def stop() -> threading.Event:
    """Return what ends this thread's waits."""
    found: threading.Event = getattr(_HERE, "stop", _NEVER)
    return found


def ended_by(event: threading.Event) -> str:
    """Return who set an event that ends a run, as a sentence begins; one that knows says so (election/elector.py)."""
    return str(getattr(event, "ended_by", "a signal"))


def threads(count: int) -> ThreadPoolExecutor:
    """Return threads that work for this one's run: what ends its waits ends theirs."""
    return ThreadPoolExecutor(count, initializer=ends_with, initargs=(stop(),))


def sleep(seconds: float) -> None:
    """Wait between two tries. Raises GivenUp when the run is to end."""
    if pause(stop(), seconds):
        raise GivenUp(f"{ended_by(stop())} ended the run before another try")


# ── a quota ──────────────────────────────────────────────────────────────────


def pacer(key: tuple[object, ...], limit: Limit, what: str) -> Pacer:
    """Return the one pacer of a quota; `what` names it for people."""
    with _LOCK:
        if key not in _PACERS:
            if _PACERS and len(_PACERS) % KEPT == 0:
                _forget_full()
            _PACERS[key] = Pacer(limit, what)
        return _PACERS[key]


def _forget_full() -> None:
    for key in [key for key, each in _PACERS.items() if each.idle]:
        del _PACERS[key]


class Pacer:
    """One quota, and the calls that wait for it."""

    def __init__(self, limit: Limit, what: str) -> None:
        self._what, self._bucket = what, pacing.full(limit, now())
        self._lock, self._passed = threading.Lock(), now()
        self._turn, self._drawn, self._served = threading.Condition(), 0, 0

    @property
    def idle(self) -> bool:
        """Tell whether nobody waits, and a new pacer would be the same."""
        with self._lock:
            return self._drawn == self._served and pacing.filled(self._bucket, now()).full

    def take(self) -> float:
        """Wait until one more call may leave, after all who came before, and return when that is.

        Raises GivenUp when the run is to end before that.
        """
        with self._turn:
            mine = self._drawn
            self._drawn += 1
            self._turn.wait_for(lambda: self._served == mine)
        try:
            return self._taken()
        finally:
            with self._turn:
                self._served += 1
                self._turn.notify_all()

    def _taken(self) -> float:
        while seconds := self._lacking():
            if pause(stop(), seconds):
                who = ended_by(stop())
                raise GivenUp(f"{who} ended the run while a call ({self._what}) waited for its turn; nothing was sent")
        return now()

    def _lacking(self) -> float:
        """Take a token, or return how long there is none."""
        with self._lock:
            seconds = pacing.wait(self._bucket, now())
            if not seconds:
                self._bucket = pacing.taken(self._bucket, now())
            return seconds

    def passed(self) -> None:
        """Note that the cloud took a call."""
        with self._lock:
            self._passed = now()

    def throttled(self, *, left: float, since: float) -> None:
        """Go slower: the cloud throttled a call that had left at `left`, the first time at `since`.

        Raises GivenUp where none has passed for too long.
        """
        with self._lock:
            alone = self._bucket.share >= 1
            self._bucket = pacing.throttled(self._bucket, now(), left=left)
            waited = now() - max(self._passed, since)
        if waited >= PATIENCE:
            raise GivenUp(
                f"{self._what} was throttled for {PATIENCE / 60:g} minutes and not one call passed: somebody else uses "
                "up the same quota. Nothing was done by this call; the next run tries again"
            )
        if alone:
            log.warning("%s is throttled: others use the same quota. Calls go slower, and none is lost", self._what)
