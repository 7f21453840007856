"""Whether the loop turns: it has a pass to begin in time, and a pass has to show signs of life."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ipsync.core.configured import Config
from ipsync.core.signals import ConfigRead, Event, Leadership, PassEnded, Recorded

LATE = 120.0
"""Seconds that a pass may begin late: the loop looks at the schedule once a minute."""
ANY_STEP = 600.0
"""Seconds that any one step of a pass may take, apart from a feed's fetching, a wave's check and its pause.

A cloud call is given up far sooner.
"""


class Health:
    """Hears every event as a sign of life; the loop says when a pass begins and when the next one is due."""

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = clock()
        self._due: float | None = clock()
        self._silence = longest_silence(config)
        self._election: Leadership | None = None
        self.ready = False

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Take an event as a sign of life."""
        self._heard = self._clock()
        self.ready = self.ready or isinstance(event, PassEnded)
        if isinstance(event, ConfigRead):
            self.follow(event.config)
        elif isinstance(event, Leadership):
            self._election, self._due = event, self._clock()

    def follow(self, config: Config) -> None:
        """Judge by this config from now on."""
        self._silence = longest_silence(config)

    def began(self) -> None:
        """Take note that a pass begins."""
        self._heard, self._due = self._clock(), None

    def waits(self, next_at: datetime | None) -> None:
        """Take note that a pass is over, and when the next one is due; None: there is none, the program ends."""
        self.ready = True
        wait = max(0.0, (next_at - datetime.now(UTC)).total_seconds()) if next_at else math.inf
        self._due = self._clock() + wait

    def complaint(self) -> str | None:
        """Return why the loop doesn't turn, or None."""
        now = self._clock()
        if self._due is None:
            silent = now - self._heard
            return f"a pass shows no sign of life for {silent:.0f} s" if silent > self._silence else None
        if self._waits:
            return None
        late = now - self._due
        return f"a pass is due for {late:.0f} s and doesn't begin" if late > LATE else None

    def unready(self) -> str | None:
        """Return what is still missing, or None: a first pass, or, where others make them, to know who does."""
        if self._waits is None:
            return None if self.ready else "the first pass isn't over"
        return self._waits.trouble or (None if self._waits.holder else f"asks for the Lease {self._waits.lease}")

    def note(self) -> str:
        """Return for whom this replica waits, if it does."""
        waits = self._waits
        return f"waits: {waits.holder} holds the Lease {waits.lease} and makes the passes" if waits else ""

    @property
    def _waits(self) -> Leadership | None:
        return self._election if self._election and not self._election.leads else None


def longest_silence(config: Config) -> float:
    """Return how many seconds a pass may say nothing: as long as its longest step takes."""
    waits = (*(f.timeout for f in config.feeds), *(c.timeout for c in config.checks), *(w.pause for w in config.waves))
    return max(waits, default=0.0) + ANY_STEP
