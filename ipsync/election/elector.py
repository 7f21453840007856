"""Holds the Lease or waits for it, in a thread beside the passes, as client-go's leaderelection does.

Whether another holder is gone is judged by how long its record hasn't changed, by this machine's own monotonic clock:
the times in it come from another machine's. A leader's term ends by itself, to the moment, when it couldn't be renewed,
a third sooner than others may take over.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event, Thread

from ipsync.core.signals import Leadership
from ipsync.election.lease import Conflict, Lease, LeaseError, Store, Timing, held, released

log = logging.getLogger(__name__)

CEILING = 30.0
"""Seconds between two tries at most, while the Lease can't be had."""
SIGNAL = "a signal"
LAST = 5.0
"""Seconds that the end waits for an answer of Kubernetes."""


class Term(Event):
    """One time of leading. It is set when that is over: by the clock too, should every thread be late."""

    def __init__(self, until: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self.until, self._clock = until, clock
        self.why = "the Lease couldn't be renewed in time"

    @property
    def ended_by(self) -> str:
        """Return what ended it, as a sentence begins."""
        return self.why if self.why == SIGNAL else f"the loss of the Lease ({self.why})"

    def is_set(self) -> bool:
        """Tell whether it is over."""
        return super().is_set() or self._clock() >= self.until

    def end(self, why: str) -> None:
        """Let it be over, for a reason."""
        if not super().is_set():
            self.why = why
        self.set()


class Elector:
    """Asks for the Lease until `close`. `stop` ends a term at once, and the Lease is kept until then."""

    def __init__(
        self,
        store: Store,
        *,
        identity: str,
        stop: Event,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity, self.term = identity, Term(0.0, lambda: 0.0)
        self._store, self._stop, self._clock, self._timing = store, stop, clock, timing or Timing()
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._trouble, self._failures, self._said = "", 0, ""
        self._closing = Event()
        self._thread = Thread(target=self._work, name="election", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    @property
    def standing(self) -> Leadership:
        """Say who leads, as far as this replica knows."""
        leads, seen = not self.term.is_set(), self._seen
        other = seen.holder if seen and seen.holder != self.identity else ""
        trouble = "" if leads else self._trouble
        return Leadership(leads, self._store.name, self.identity if leads else other, trouble)

    def close(self) -> None:
        """Stop asking, and give the Lease back, so that another replica takes over at once."""
        self._closing.set()
        self._thread.join(LAST)
        self.term.end("this replica ends")
        if not self._thread.is_alive():
            self._give_back(self._seen)
            self._store.close()

    # ── the thread ───────────────────────────────────────────────────────────

    def _give_back(self, seen: Lease | None) -> None:
        if seen is None or seen.holder != self.identity:
            return
        try:
            self._store.replace(released(seen, now=datetime.now(UTC)))
            log.info("the Lease %s is released", self._store.name)
        except Conflict:
            log.info("another replica holds the Lease %s already", self._store.name)
        except LeaseError as error:
            log.warning("the Lease couldn't be released, so it expires by itself, in %d s: %s", seen.seconds, error)

    def _work(self) -> None:
        while not self._closing.is_set():
            self._closing.wait(self.turn())

    def turn(self) -> float:
        """Ask once, and return after how many seconds to ask again."""
        try:
            self._ask()
        except Conflict:
            log.debug("another replica was faster at the Lease %s", self._store.name)
        except LeaseError as error:
            return self._troubled(str(error))
        except Exception as error:
            log.exception("the election: a fault; it goes on")
            return self._troubled(f"a fault in ipsync: {error!r}")
        self._trouble, self._failures = "", 0
        return self._timing.retry

    def _ask(self) -> None:
        if self._seen and not self.term.is_set():
            with suppress(Conflict):  # else somebody wrote it: look who
                self._write(self._seen)
                return
        found = self._store.read()
        if found is None:
            self._write(None)
            return
        self._see(found)
        if found.holder in {"", self.identity} or self._is_gone(found):
            self._write(found)
        else:
            self._follow(found.holder)

    def _write(self, before: Lease | None) -> None:
        began = self._clock()  # others count from a later moment: when they see it
        mine = held(before, self.identity, now=datetime.now(UTC), timing=self._timing)
        self._see(self._store.replace(mine) if before else self._store.create(mine))
        self._lead(began + self._timing.renew)

    def _see(self, found: Lease) -> None:
        if found != self._seen:
            self._seen_at = self._clock()
        self._seen = found

    def _is_gone(self, found: Lease) -> bool:
        """Tell whether its holder hasn't renewed it for as long as it says there."""
        return self._clock() >= self._seen_at + (found.seconds or self._timing.lease)

    # ── what follows ─────────────────────────────────────────────────────────

    def _lead(self, until: float) -> None:
        if not self.term.is_set():
            self.term.until = until
            return
        if self._stop.is_set():
            return
        self.term = Term(until, self._clock)
        self._say(f"this replica leads from now on: it holds the Lease {self._store.name} as {self.identity}")
        Thread(target=self._watch, args=(self.term,), name="election's term", daemon=True).start()

    def _watch(self, term: Term) -> None:
        """End a term when it is over, though the thread that asks may wait for an answer, or when the worker ends."""
        while not term.is_set():
            if self._stop.wait(max(0.0, term.until - self._clock())):
                term.end(SIGNAL)
        if not self._stop.is_set() and not self._closing.is_set():
            log.error(
                "this replica no longer leads: %s; no pass begins here, and a pass that was under way writes "
                "nothing more%s",
                *(term.why, f" ({self._trouble})" if self._trouble else ""),
            )
        term.set()

    def _follow(self, holder: str) -> None:
        self.term.end(f"{holder} holds the Lease {self._store.name}")
        self._say(
            f"another replica leads: {holder} holds the Lease {self._store.name}; this one makes no pass, and takes "
            f"over when the Lease is no longer renewed"
        )

    def _say(self, text: str) -> None:
        if text != self._said:
            log.info("%s", text)
        self._said = text

    def _troubled(self, why: str) -> float:
        self._trouble, self._said = why, ""
        self._failures += 1
        if not self.term.is_set():
            log.warning("the Lease couldn't be renewed, and is asked for again: %s", why)
            return self._timing.retry
        wait = min(CEILING, self._timing.retry * 2.0 ** min(self._failures - 1, 10)) * (1 - random.random() / 5)  # noqa: S311 - jitter
        log.error("no pass begins, since the Lease can't be acquired; asked again in %.0f s: %s", wait, why)
        return wait
