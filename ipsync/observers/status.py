"""What the status page shows, as one immutable value: it is swapped after each event, so an answer waits for no pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Row:
    """An entry that is let in. `until` is when it goes at the earliest; None with `leaving`: never."""

    cidr: str
    ports: str
    origin: str
    leaving: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a guard said."""

    guard: str
    verdict: str
    detail: str


@dataclass(frozen=True, slots=True)
class Place:
    """A target on one resource, or on several where it is just the same.

    `allowed` counts the entries of one resource; `rows` are the first of them. `undone` is what the last pass meant to
    do and didn't. `sure` tells that what was written last is known; `now` that the last pass could read it.
    """

    where: str
    resources: tuple[str, ...]
    number: int
    status: str
    allowed: int = 0
    rows: tuple[Row, ...] = ()
    leaving: tuple[Row, ...] = ()
    by_others: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()
    guards: tuple[Said, ...] = ()
    error: str | None = None
    contested: str | None = None
    read_at: datetime | None = None
    sure: bool = True
    now: bool = True


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One target of the config; numbers are over all its resources. `status` is its places' worst."""

    name: str
    kind: str
    feeds: tuple[str, ...]
    status: str
    resources: int = 0
    allowed: int = 0
    leaving: int = 0
    by_others: int = 0
    waiting: int = 0
    places: tuple[Place, ...] = ()
    not_shown: int = 0


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. `since` is when its list was first seen as it is; `at_least`: it may be older than the log.

    `failing_since` is when it could first not be used; `used` tells that it is fetched for a target.
    """

    name: str
    url: str
    insecure: bool = False
    error: str | None = None
    failing_since: datetime | None = None
    good_at: datetime | None = None
    since: datetime | None = None
    at_least: bool = True
    digest: str = ""
    number: int | None = None
    addresses: tuple[str, ...] = ()
    used: bool = True


@dataclass(frozen=True, slots=True)
class Approval:
    """A change that waits for an approval, on one resource or the same on several, and the command that gives it.

    `one_by_one` holds, where there are several, each resource and the command for it alone.
    """

    subject: str
    text: str
    entries: tuple[str, ...]
    command: str
    one_by_one: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What came of a wave's check; `url` leads to the run at the vendor, where there is one."""

    name: str
    state: str
    run: str = ""
    url: str = ""
    failed: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WaveStatus:
    """One wave. `changed` counts its targets that were changed, or would be; `command` lets go what waits behind it."""

    name: str
    state: str
    changed: int = 0
    detail: str = ""
    checks: tuple[CheckStatus, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: when it ended, how, and what it did in a sentence."""

    ended_at: datetime
    seconds: float
    result: str
    text: str
    run: str = ""
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The audit log's last record that this worker wrote; `copied` is up to which number a bucket holds them."""

    seq: int
    hash: str
    copied: int | None = None


@dataclass(frozen=True, slots=True)
class Election:
    """Which of several replicas makes the passes: this one, or `holder`; `trouble` says why nobody can be elected."""

    leads: bool
    lease: str
    holder: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything. `stage` is what a running pass does, empty between passes.

    `refused` is what is wrong with the config in the file, where the one of before goes on. `approve_how` says what
    to do where more waits than a command can name.
    """

    owner: str
    config: str
    started_at: datetime
    changed_at: datetime
    refused: tuple[str, ...] = ()
    election: Election | None = None
    result: str = ""
    stage: str = ""
    next_at: datetime | None = None
    feeds: tuple[FeedStatus, ...] = ()
    targets: tuple[TargetStatus, ...] = ()
    approvals: tuple[Approval, ...] = ()
    approvals_not_shown: int = 0
    approve_all: str = ""
    approve_how: str = ""
    waves: tuple[WaveStatus, ...] = ()
    contested: tuple[str, ...] = ()
    orphaned: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    passes: tuple[Pass, ...] = ()
    head: Head | None = None
