"""What goes wrong on the way to a cloud, on demand, and the log of what was called."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Shape = Literal["empty-object", "status-object", "other-kind", "list", "html"]
"""An answer of another shape, with 200: what a gateway or a proxy says in the cloud's place."""
Kind = Literal["throttle", "500", "reset-before", "reset-after", "hang", "malformed", "denied", "quota"] | Shape
KINDS: tuple[Kind, ...] = ("throttle", "500", "reset-before", "reset-after", "hang", "malformed")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came in. `writes` is true where it was meant to change something (a DryRun isn't)."""

    operation: str
    writes: bool
    where: str = ""


@dataclass(slots=True)
class Calls:
    """Every call since the last `clear`, from any thread."""

    made: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0
    _ended: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request that is being carried out, whether anybody still waits for its answer or not."""
        with self._ended:
            self._under_way += 1
        try:
            yield
        finally:
            with self._ended:
                self._under_way -= 1
                self._ended.notify_all()

    def wait(self) -> None:
        """Wait until every request has been carried out: a client that gave up doesn't take its request back."""
        with self._ended:
            self._ended.wait_for(lambda: not self._under_way)

    def add(self, call: Call) -> None:
        """Note one call."""
        with self._lock:
            self.made.append(call)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.made.clear()

    @property
    def reads(self) -> int:
        """Count the calls that only read."""
        return sum(not c.writes for c in self.made)

    @property
    def writes(self) -> int:
        """Count the calls that were meant to change something."""
        return sum(c.writes for c in self.made)


@dataclass(slots=True)
class Faults:
    """Faults to come, by operation, each used once; `seconds` is how long a hang lasts."""

    planned: dict[str, deque[Kind | None]] = field(default_factory=dict)
    seconds: float = 30.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, operation: str, *kinds: Kind, after: int = 0) -> None:
        """Let the next calls of an operation fail like this, in turn, once `after` calls went well."""
        with self._lock:
            self.planned.setdefault(operation, deque()).extend([*[None] * after, *kinds])

    def take(self, operation: str) -> Kind | None:
        """Return the fault of this call, if there is one."""
        with self._lock:
            waiting = self.planned.get(operation)
            return waiting.popleft() if waiting else None

    def waiting(self, operation: str) -> int:
        """Tell how many faults are still to come."""
        with self._lock:
            return sum(kind is not None for kind in self.planned.get(operation, ()))

    def clear(self) -> None:
        """Plan nothing."""
        with self._lock:
            self.planned.clear()


class TokenBucket:
    """A throttle as clouds have them: `burst` calls at once, `refill` a second after that."""

    def __init__(self, burst: float, refill: float) -> None:
        self._burst, self._refill, self._left, self._at = burst, refill, burst, time.monotonic()
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Take a token, if one is left."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._refill)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
