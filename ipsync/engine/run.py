"""What one run is surrounded by: its config, its clouds, its audit log, its clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event as ThreadEvent
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from ipsync.core.configured import Config, Feed, Target
from ipsync.core.errors import AuditLogError, CloudError, UsageError
from ipsync.core.events import Intent, Record
from ipsync.core.model import Snapshot
from ipsync.core.places import Place
from ipsync.core.rollout import Check
from ipsync.core.sharding import Share
from ipsync.core.signals import CloudCalled, Event, Recorded, Signal, Subscriber
from ipsync.core.standing import Standing
from ipsync.engine.turn import Turn
from ipsync.targets import pace
from ipsync.targets.base import Places, Reader, Writer, as_configured, as_placed

if TYPE_CHECKING:  # a config without checks loads nothing of it
    from ipsync.verification.base import Verifier

log = logging.getLogger(__name__)

THREADS = 8
Change = Callable[[], Mapping[str, object]]


class Recorder(Protocol):
    """The audit log as the engine sees it: append a record, durably, and say which one it was."""

    def record(self, event: Record) -> Recorded:
        """Append one record and return its place; on disk when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class Clouds:
    """How to reach the world; tests and the demo pass the real ones too, only with other endpoints."""

    fetch: Callable[[Feed], Snapshot]
    reader: Callable[[Target], Reader]
    writer: Callable[[Target], Writer]
    pause: Callable[[float], None] = time.sleep
    places: Callable[[Sequence[Target]], Sequence[Places]] = as_configured
    """Where each of these targets, all of one kind, is in this run."""
    homes: Callable[[Sequence[Target]], Sequence[str | CloudError]] = as_placed
    """The place of the resources of each of these targets, all of one kind, whatever credentials lead there."""


@dataclass(slots=True)
class Progress:
    """How far a run is: all of it that changes while it goes on."""

    lock: Lock = field(default_factory=Lock)
    readers: dict[tuple[object, ...], Reader] = field(default_factory=dict)
    reached: dict[tuple[str, str], Target] = field(default_factory=dict)
    """By a target's name and a resource: the target at the place where it names that."""
    told: dict[tuple[object, ...], int] = field(default_factory=dict)
    """How many calls of each reader the subscribers know of."""
    notices: list[str] = field(default_factory=list)
    """What people are to be told beside the plan."""
    wrote: bool = False
    beside: Mapping[str, str] | None = None
    """What other shards have to do before waves may go on, as it was when the run had planned; None: nobody looked."""

    def let_go(self, scope: tuple[object, ...]) -> None:
        """Forget what reads a scope: where nothing is to do, nobody asks it again."""
        with self.lock:
            self.readers.pop(scope, None)
            self.told.pop(scope, None)


def _nobody(check: Check, _change: Change) -> Verifier:
    raise UsageError(f"nobody is there to be asked for check {check.name}")


@dataclass(frozen=True, slots=True)
class Run:
    """One run's surroundings."""

    id: str
    config: Config
    clouds: Clouds
    recorder: Recorder
    clock: Callable[[], datetime]
    selected: frozenset[str]
    open_intents: Sequence[Mapping[str, object]] = ()
    earlier: Sequence[Sequence[Mapping[str, object]]] = ()
    """The audit log's records of the last runs, newest first."""
    feeds_before: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """The audit log's last record of each feed, of runs that could write."""
    places: Sequence[Place] = ()
    """Where the audit log's earlier runs held something."""
    others: frozenset[str] = frozenset()
    """The config files of those places that live beside this run's."""
    share: Share | None = None
    """What this run's shard holds."""
    homes: Mapping[tuple[object, ...], str] = field(default_factory=dict)
    """In a run of one shard, the name of each scope's place."""
    standing: Standing = field(default_factory=Standing)
    """How its waves and their checks stood when the audit log last heard of them."""
    turn: Turn = field(default_factory=Turn)
    """Its right to write, where it waits for a proof."""
    verifier: Callable[[Check, Change], Verifier] = _nobody
    """Who proves that a wave's doors are open; the change is asked for by who needs it."""
    stop: ThreadEvent = field(default_factory=ThreadEvent)
    """Set when the run is to end, after the write in flight: no wait is slept through."""
    announcing: Callable[[], object] = lambda: None
    """Called before each intent is recorded: from then on a write may be under way."""
    subscribers: Sequence[Subscriber] = ()
    """Who hears of everything after the audit log."""
    progress: Progress = field(default_factory=Progress)

    def refreshed(self) -> Run:
        """Return the run with what the audit log knows by now."""
        heard = self.turn.heard()
        return replace(self, standing=heard.standing, open_intents=heard.open_intents)

    def stopping(self) -> bool:
        """Tell whether the run is to end after the write in flight."""
        return self.stop.is_set()

    @property
    def ended_by(self) -> str:
        """Return who asked the run to end, as a sentence begins."""
        return pace.ended_by(self.stop)

    def emit(self, event: Record) -> Recorded:
        """Record an event, from any thread, then tell it; nothing is told that isn't on disk.

        Raises AuditLogError, which says whether this run had begun to write.
        """
        if isinstance(event, Intent):
            self.announcing()
        with self.progress.lock:
            try:
                recorded = self.recorder.record(event)
            except AuditLogError as error:
                error.wrote = self.progress.wrote
                raise
            self.progress.wrote = self.progress.wrote or isinstance(event, Intent)
            tell(self.subscribers, event, recorded)
        return recorded

    def signal(self, event: Signal) -> None:
        """Tell what isn't recorded, from any thread."""
        with self.progress.lock:
            tell(self.subscribers, event)

    def tell_calls(self, target: Target, reader: Reader) -> None:
        """Tell which calls a reader has made since this was last asked."""
        with self.progress.lock:
            new = reader.calls[self.progress.told.get(target.scope, 0) :]
            self.progress.told[target.scope] = self.progress.told.get(target.scope, 0) + len(new)
            for operation, result in new:
                tell(self.subscribers, CloudCalled(provider(target), operation, result))


def provider(target: Target) -> str:
    """Return whose cloud a target is in: the first word of its kind, `aws-…` or `acme/…`."""
    return target.kind.partition("/")[0].partition("-")[0]


def tell(subscribers: Iterable[Subscriber], event: Event, recorded: Recorded | None = None) -> None:
    """Let each subscriber hear an event. What fails there is logged, and is never in the way of the run."""
    for subscriber in subscribers:
        try:
            subscriber(event, recorded)
        except Exception:
            log.exception("an observer failed on %s; the run goes on", type(event).__name__)


def pool() -> ThreadPoolExecutor:
    """Return the threads that scopes are read and written in, at once; what ends the run ends their waits."""
    return pace.threads(THREADS)


def scopes(targets: Iterable[Target], chosen: set[tuple[object, ...]]) -> dict[tuple[object, ...], list[Target]]:
    """Return the targets of each chosen scope: what one list call reads for all of them."""
    found: dict[tuple[object, ...], list[Target]] = {}
    for target in targets:
        if target.scope in chosen:
            found.setdefault(target.scope, []).append(target)
    return found
