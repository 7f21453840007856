"""Tells one sink, in a thread of its own: what isn't answered there delays no pass, and no other sink.

What can't be delivered is tried again within bounds; then it is given up, said so, and a state that is left untold is
told by the next pass. So nothing is queued for ever, and nothing that lasts is lost.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ipsync.core.configured import Notify
from ipsync.core.events import Notified
from ipsync.core.signals import NotificationEnded, Signal
from ipsync.observers.notify.happenings import Happening, Situation, joined
from ipsync.observers.notify.memory import News, Told, news
from ipsync.observers.notify.message import Message, changes, only, without
from ipsync.observers.notify.records import about, told_of
from ipsync.observers.notify.sinks import Sink, Try, Undelivered

log = logging.getLogger(__name__)

PAUSES = (2.0, 10.0)
"""Seconds before the second and the third try, and up to half as much more by chance."""
LONGEST_PAUSE = 60.0
"""Seconds at most, whatever Retry-After asks for: the next pass tries again anyway."""
GIVEN_UP = "given up because ipsync ends, or goes on by a config that it has read again"
DELIVERED, FAILED = "delivered", "failed"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What couriers share. `record` keeps what was told, `remembered` gives what was told before, by kind and name."""

    owner: str
    config: str = ""
    approve: str = ""
    record: Callable[[Notified, str], object] = lambda _record, _run: None
    remembered: Callable[[str, str], Sequence[Told]] = lambda _kind, _name: ()
    tell: Callable[[Signal], object] = lambda _signal: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)
    pauses: Sequence[float] = PAUSES


class Courier:
    """One sink's thread, and what that sink knows by now."""

    def __init__(self, sink: Sink, settings: Notify, around: Surroundings, *, name: str) -> None:
        self.sink, self.name = sink, name
        self._settings, self._around = settings, around
        self._known: Sequence[Told] | None = None
        self._waiting: deque[Situation] = deque(maxlen=10)
        self._changed = threading.Condition()
        self._closing, self._given_up = False, threading.Event()
        self._thread: threading.Thread | None = None

    # ── from any thread ──────────────────────────────────────────────────────

    @property
    def known(self) -> Sequence[Told]:
        """Return what the sink knows by now."""
        return self._known or ()

    def put(self, situation: Situation) -> None:
        """Hand over what there may be to tell, and come back at once."""
        asked = only(situation, self._settings.on)
        with self._changed:
            last = self._waiting[-1] if self._waiting else None
            if last and last.mode == asked.mode:
                asked = joined(self._waiting.pop(), asked)
            self._waiting.append(asked)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"ipsync-notify-{self.name}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def finish(self) -> None:
        """Ask for an end once everything is told."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def ended(self, *, within: float) -> bool:
        """Wait for that end, and tell whether it came."""
        if self._thread is not None:
            self._thread.join(max(0.0, within))
        return self._thread is None or not self._thread.is_alive()

    def give_up(self) -> None:
        """Break off what is under way."""
        self._given_up.set()

    # ── in its own thread ────────────────────────────────────────────────────

    def _work(self) -> None:
        while (situation := self._next()) is not None:
            try:
                self._tell(situation)
            except Exception:
                log.exception("%s: a fault in ipsync while telling it", self.name)

    def _next(self) -> Situation | None:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            return self._waiting.popleft()

    def _tell(self, situation: Situation) -> None:
        now = self._around.clock()
        if self._known is None:
            known = self._around.remembered(self._settings.kind, self.name)
            self._known = [told for told in known if told.key[0] in self._settings.on]
        every = timedelta(seconds=self._settings.remind_every)
        found = news(self._known, situation.states, saw=situation.saw, now=now, every=every)
        message = self._message(situation.happened, found, situation.run, now)
        if message.changes:
            error = self._delivered(message)
            self._known = self._known if error else found.known
            self._note(message, situation.run, error)
        else:
            self._known = found.known

    def _message(self, happened: Sequence[Happening], found: News, run: str, now: datetime) -> Message:
        around = self._around
        told = changes(happened, found)
        return without(Message(uuid.uuid4().hex, around.owner, run, now, told, around.approve), self.sink.secrets)

    def _delivered(self, message: Message) -> str:
        """Send it, again where that may help; return why it wasn't delivered."""
        pauses = (*self._around.pauses, None)
        for tried, pause in enumerate(pauses, start=1):
            if self._given_up.is_set():
                break
            try:
                self.sink.send(message, Try(self._around.clock(), self._given_up.is_set))
            except Undelivered as error:
                if self._given_up.is_set():
                    return f"{error}; {GIVEN_UP}"
                if pause is None or not error.again:
                    return f"{error}{f', {tried} times' if tried > 1 else ''}"
                self._given_up.wait(min(LONGEST_PAUSE, max(pause * random.uniform(1, 1.5), error.after or 0)))  # noqa: S311 - jitter
            else:
                return ""
        return GIVEN_UP

    def _note(self, message: Message, run: str, error: str) -> None:
        """Record it, say it in the log, and let it be counted."""
        kind, result = self._settings.kind, FAILED if error else DELIVERED
        words = ", ".join(message.words)
        if error:
            log.warning("%s was not told (%s): %s", self.name, words, error)
        else:
            log.info("told %s: %s", self.name, words)
        record = Notified(
            config=self._around.config,
            kind=kind,
            sink=self.name,
            result=result,
            about=about(message),
            told=told_of(self._known or ()),
            error=error or None,
        )
        self._around.tell(NotificationEnded(kind, result))
        self._around.record(record, run)


def close(couriers: Sequence[Courier], *, within: float) -> None:
    """Wait until everything is told, for so many seconds in all; then break off, and let each say so."""
    until = time.monotonic() + within
    for courier in couriers:
        courier.finish()
    late = [courier for courier in couriers if not courier.ended(within=until - time.monotonic())]
    for courier in late:
        courier.give_up()
    for courier in late:
        if not courier.ended(within=LAST_WORD):
            log.warning("%s was not told: %s", courier.name, GIVEN_UP)


LAST_WORD = 2.0
"""Seconds that a courier which was broken off has to say so."""
