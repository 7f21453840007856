"""What the audit log keeps of a run, as one frozen class an event.

A `Record` is written to the audit log before anything else learns of it (contract, section 6). Its name stands here
alone. What is never written, and tells observers alone how far a run is, stands in signals.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ipsync.core.contents import Contents
from ipsync.core.signals import Event

INTENT = "intent"
"""The field in which an outcome, or what a later run found, holds the number of its intent."""


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
    """A run begins. `plan` is the id of the saved plan that is applied, `shard` the one that it is for, as I/N."""

    name: ClassVar[str] = "run-started"
    mode: str
    config: str | None = None
    plan: str | None = None
    shard: str | None = None


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
class Verification(Record):
    """Somebody is asked whether a wave's doors are open: before it is asked (`asked`), and after each answer.

    `state` is a verifier's word (verification/base.py); after `running`, the run goes on until a later record ends it.
    `reruns` tells how often its failed tests were run again, `superseded` that the wave was written again since it was
    asked, so that the answer proves nothing of it.
    """

    name: ClassVar[str] = "verification"
    wave: str
    check: str
    state: str
    config: str | None = None
    request: Mapping[str, object] | None = None
    run_id: str | None = None
    url: str | None = None
    failed: Sequence[str] | None = None
    detail: str | None = None
    reruns: int | None = None
    superseded: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveReached(Record):
    """How a wave stands (core/waves.py, `WaveState`): before its first write, and when the run is through with it."""

    name: ClassVar[str] = "wave"
    wave: str
    state: str
    config: str | None = None
    changed: int | None = None
    detail: str | None = None
    approve: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Record):
    """A run ends. The log adds the intents that are open, how waves stand, and where `places` stand that are as before."""

    name: ClassVar[str] = "run-ended"
    mode: str
    targets: Sequence[Mapping[str, object]] = ()
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
    RunStarted,
    FeedRead,
    Planned,
    Approval,
    Intent,
    Outcome,
    Recovered,
    TornEnd,
    Verification,
    WaveReached,
    RunEnded,
    Notified,
    Rotated,
    Copied,
)
RESERVED = ("adopted", "released", "rolled-back")
"""Further names that the contract knows: a later version's log may hold them."""
NAMES = (*dict.fromkeys(record.name for record in RECORDS), *RESERVED)
"""Every kind of record there is (contract, section 6)."""


def intent_of(record: Mapping[str, Any]) -> int:
    """Return the number of the intent that a record speaks of; 0 where it speaks of none."""
    return int(record.get(INTENT, 0))
