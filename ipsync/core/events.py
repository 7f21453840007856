"""Everything that happens in a run, as one frozen class an event: what the audit log keeps, and what only observers hear.

A `Record` is written to the audit log before anything else learns of it (contract, section 6). A `Signal` is never
written: it tells metrics, notifications and the status page how far a run is. The names of records stand here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ipsync.core.contents import Contents

if TYPE_CHECKING:  # the nouns that signals carry; a command that only reads the log doesn't load them
    from ipsync.core.model import Config
    from ipsync.core.plan import FeedResult, Observed, Plan
    from ipsync.core.report import Report

INTENT = "intent"
"""The field in which an outcome, or what a later run found, holds the number of its intent."""


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


# ── records ──────────────────────────────────────────────────────────────────


class Record(Event):
    """An event that the audit log keeps. Its fields are the record's; one that is None isn't written."""

    __slots__ = ()
    name: ClassVar[str]

    @classmethod
    def names(cls, record: Mapping[str, Any]) -> bool:
        """Tell whether a record, as it was read from a log, is of this event."""
        return record.get("event") == cls.name

    def fields(self) -> dict[str, object]:
        """Return what the record holds besides what all records do."""
        names: Sequence[str] = self.__slots__
        held = [(name, getattr(self, name)) for name in names]
        plain: dict[str, object] = {n: list(v) if isinstance(v, tuple) else v for n, v in held if v is not None}
        for name, value in held:
            if isinstance(value, Contents):
                plain |= value.written(name)
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Record):
    """A run begins. `plan` is the id of the saved plan that is applied."""

    name: ClassVar[str] = "run-started"
    mode: str
    config: str | None = None
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRead(Record):
    """A feed was fetched, or rejected, and `since` when that is so, as far as the log knows (core/freshness.py).

    `before` is the digest of the list before, where this is another; `listed` what a rejected feed listed last.
    """

    name: ClassVar[str] = "feed"
    feed: str
    url: str
    digest: str | None = None
    count: int | None = None
    rejected: str | None = None
    since: str | None = None
    before: str | None = None
    listed: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Record):
    """A plan was made, and the guards have spoken."""

    name: ClassVar[str] = "plan"
    id: str
    summary: Mapping[str, int]
    verdicts: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Record):
    """Somebody approved a plan or a change; `holds` tells whether that lets anything go now."""

    name: ClassVar[str] = "approval"
    plan: str
    current: str
    holds: bool
    changes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent(Record):
    """One write is about to be sent."""

    name: ClassVar[str] = INTENT
    resource: str
    kind: str
    target: str
    before: Contents
    after: Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Record):
    """What became of an intent; after anything but a clear success also what is there `now`."""

    name: ClassVar[str] = "outcome"
    intent: int
    resource: str
    result: str
    error: str | None = None
    code: str | None = None
    request_id: str | None = None
    now: Contents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered(Record):
    """What a later run found of an intent that was left open."""

    name: ClassVar[str] = "recovered"
    intent: int
    resource: str
    result: str
    now: Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class TornEnd(Record):
    """A line that a crash left unfinished was cut off."""

    name: ClassVar[str] = Recovered.name
    torn_bytes: int
    torn_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Record):
    """A run ends. The log adds the intents that are open, and hands on `places` where the run says nothing of them."""

    name: ClassVar[str] = "run-ended"
    mode: str
    targets: Sequence[Mapping[str, str]] = ()
    interrupted: bool | None = None
    notices: Sequence[str] | None = None
    places: Sequence[Mapping[str, object]] | None = None
    refused: str | None = None
    passed: int | None = None
    missing: Sequence[str] | None = None
    skipped: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Record):
    """Somebody was told, or couldn't be. `told` is all that this sink knows of by now, for the next run to go on from.

    `about` holds what the message said, `config` the file that names the sink.
    """

    name: ClassVar[str] = "notified"
    config: str
    kind: str
    sink: str
    result: str
    about: Sequence[Mapping[str, object]]
    told: Sequence[Mapping[str, object]]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated(Record):
    """The first record of a new file. `rekeyed` says that the one before ended with another key."""

    name: ClassVar[str] = "rotated"
    file: str
    records: int
    head: str
    rekeyed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied(Record):
    """The records up to the number `through` are in the object store."""

    name: ClassVar[str] = "copied"
    object: str
    through: int


RECORDS: tuple[type[Record], ...] = (
    *(
        RunStarted,
        FeedRead,
        Planned,
        Approval,
        Intent,
        Outcome,
        Recovered,
        TornEnd,
        RunEnded,
        Notified,
        Rotated,
        Copied,
    ),
)
RESERVED = ("verification", "wave", "adopted", "released", "rolled-back")
"""Further names that the contract knows: a later version's log may hold them."""
NAMES = (*dict.fromkeys(record.name for record in RECORDS), *RESERVED)
"""Every kind of record there is (contract, section 6)."""


def intent_of(record: Mapping[str, Any]) -> int:
    """Return the number of the intent that a record speaks of; 0 where it speaks of none."""
    return int(record.get(INTENT, 0))


# ── signals ──────────────────────────────────────────────────────────────────


class Signal(Event):
    """An event that only observers hear."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StageBegan(Signal):
    """A part of the pass begins: `read`, `plan`, `open`, `close`, `verify`; what moved meanwhile is planned again."""

    stage: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class FeedFetched(Signal):
    """A feed's answer is there, or why it can't be used. Comes before the record of it."""

    result: FeedResult
    seconds: float


@dataclass(frozen=True, slots=True)
class ScopeRead(Signal):
    """A scope's resources were listed; `error` says why nothing of it could be read."""

    scope: tuple[object, ...]
    seconds: float
    error: str | None = None


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
