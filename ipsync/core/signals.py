"""Events that only observers hear: how far a run is, and what it met. They are never written (core/events.py).

What an event is stands here too, below both families.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the nouns that signals carry; a command that only reads the log doesn't load them
    from ipsync.core.configured import Config
    from ipsync.core.plan import FeedResult, Observed, Plan
    from ipsync.core.report import Report


class Event:
    """Something that happened."""

    __slots__ = ()


class Recorded(Protocol):
    """A record's place in the chain."""

    @property
    def seq(self) -> int:
        """Its number, from 1; 0 where nothing is recorded."""

    @property
    def hash(self) -> str:
        """Its hash, in hexadecimal."""


Subscriber = Callable[[Event, Recorded | None], None]
"""Hears each event, and of a record its place; one call at a time, from any thread. It should come back soon."""


# ── signals ──────────────────────────────────────────────────────────────────


class Signal(Event):
    """An event that only observers hear."""

    __slots__ = ()


STAGES = {
    "read": "reading feeds and clouds",
    "plan": "planning",
    "open": "letting in",
    "close": "taking away",
    "verify": "reading back",
    "prove": "waiting for a wave's proof",
    "pause": "pausing between two waves",
}
"""What each stage of a pass is called while it lasts."""


@dataclass(frozen=True, slots=True)
class StageBegan(Signal):
    """A part of the pass begins, one of `STAGES`; what moved meanwhile is planned again."""

    stage: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class FeedFetched(Signal):
    """A feed's answer is there, or why it can't be used. Comes before the record of it."""

    result: FeedResult
    seconds: float


@dataclass(frozen=True, slots=True)
class ScopeRead(Signal):
    """A scope's resources were listed; `error` says why nothing of it could be read, `place` how messages name it."""

    scope: tuple[object, ...]
    seconds: float
    error: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class CloudCalled(Signal):
    """A cloud was called. A read's operation has the provider's own name, a write's is what it does (`add`, `replace`).

    `result` is `ok` or `error`, of a write `error` where the cloud refused, and `unknown` where its reply was lost.
    """

    provider: str
    operation: str
    result: str


@dataclass(frozen=True, slots=True)
class PlanMade(Signal):
    """A plan, and what it was made from. Comes after the record of it."""

    plan: Plan
    observed: Observed


@dataclass(frozen=True, slots=True)
class Contested(Signal):
    """What somebody undoes between the runs: what to tell people, by resource; empty where nobody does."""

    told: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConfigRead(Signal):
    """The long-running worker has read its config again: the `config` from now on.

    Where the one in the file is refused, the one of before, and what is wrong.
    """

    config: Config
    refused: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Leadership(Signal):
    """Whether this worker makes the passes, where several elect who does. Comes between passes.

    Where it doesn't lead: who does, as far as that is known (`holder`), or why nobody can be elected (`trouble`).
    """

    leads: bool
    lease: str
    holder: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class NotificationEnded(Signal):
    """A message was delivered, or given up (`delivered`, `failed`). Comes from a thread of its own, between passes too."""

    kind: str
    result: str


@dataclass(frozen=True, slots=True)
class PassEnded(Signal):
    """A pass is over: with its report, or with the error that ended it. Always the last event of a pass."""

    mode: str
    seconds: float
    report: Report | None = None
    error: Exception | None = None
