"""What a message is sent with: one try, which ends in time and says in a sentence what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ipsync.core.errors import IpsyncError
from ipsync.observers.notify.message import Message

TIMEOUT = 10.0
"""Seconds for one try of a webhook: who receives messages should put them aside and answer."""


class Undelivered(IpsyncError):
    """A try failed. `again` tells whether another one may help, `after` in how many seconds it is asked for."""

    def __init__(self, text: str, *, again: bool, after: float | None = None) -> None:
        super().__init__(text)
        self.again, self.after = again, after


@dataclass(frozen=True, slots=True)
class Try:
    """The surroundings of one try."""

    now: datetime
    cancelled: Callable[[], bool]


class Sink(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """How it is called in messages and logs, without a secret in it."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""

    def send(self, message: Message, tried: Try) -> str:
        """Send it once, and say what was answered. Raises Undelivered."""
