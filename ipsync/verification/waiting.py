"""Waiting for a run that somebody else carries out: with a deadline, a way out, and patience for a server that hiccups."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from ipsync.verification.errors import BrokenOff, Unavailable

T = TypeVar("T")
FIRST, LONGEST, GROWTH = 1.0, 10.0, 1.5
"""Seconds until the second look, the longest between two, and how fast one becomes the other. Test runs take minutes."""


def wait(
    ask: Callable[[float], T],
    *,
    ended: Callable[[T], bool],
    timeout: float,
    stop: Event,
    tell: Callable[[T | Unavailable], object] = lambda _: None,
) -> T | None:
    """Ask until it has ended, `timeout` seconds are over, or `stop` is set; return the last answer, if there was one.

    Who is asked is asked once even then: what was started on this machine learns so that it is to end.
    `ask` gets how many seconds are left. The first answer that says "ended" counts: nobody asks once more whether it
    changed. `tell` gets each answer, and why there was none.
    """
    until, pause = time.monotonic() + timeout, FIRST
    last: T | None = None
    while (left := until - time.monotonic()) > 0:
        try:
            last, after = ask(left), None
            tell(last)
            if ended(last):
                break
        except BrokenOff:
            break
        except Unavailable as error:
            after = error.after
            tell(error)
        if stop.wait(min(after or pause, max(0.0, until - time.monotonic()))):
            break
        pause = min(LONGEST, pause * GROWTH)
    return last
