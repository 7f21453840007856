"""What one run is surrounded by: its config, its clouds, its audit log, its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Protocol

from ipsync.core.errors import AuditLogError
from ipsync.core.model import Config, Feed, Snapshot, Target
from ipsync.core.places import Place
from ipsync.targets.base import Reader, Writer

THREADS = 8


class Recorder(Protocol):
    """The audit log as the engine sees it: append a record, durably, and say which one it was."""

    def record(self, event: str, **fields: object) -> Recorded:
        """Append one record and return its place; on disk when this returns."""
        ...


class Recorded(Protocol):
    """A record's place in the chain."""

    @property
    def seq(self) -> int:
        """Its number, from 1; 0 where nothing is recorded."""
        ...

    @property
    def hash(self) -> str:
        """Its hash, in hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Clouds:
    """How to reach the world; tests and the demo pass the real ones too, only with other endpoints."""

    fetch: Callable[[Feed], Snapshot]
    reader: Callable[[Target], Reader]
    writer: Callable[[Target], Writer]
    pause: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Run:
    """One run's surroundings. `stopping` tells that a signal asked for an end after the write in flight."""

    id: str
    config: Config
    clouds: Clouds
    recorder: Recorder
    clock: Callable[[], datetime]
    selected: frozenset[str]
    open_intents: Sequence[Mapping[str, object]] = ()
    earlier: Sequence[Sequence[Mapping[str, object]]] = ()
    """The audit log's records of the last runs, newest first."""
    places: Sequence[Place] = ()
    """Where the audit log's earlier runs held something."""
    others: frozenset[str] = frozenset()
    """The config files of those places that live beside this run's."""
    stopping: Callable[[], bool] = lambda: False
    announcing: Callable[[], object] = lambda: None
    """Called before each intent is recorded: from then on a write may be under way."""
    readers: dict[tuple[object, ...], Reader] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    wrote: bool = False
    notices: list[str] = field(default_factory=list)
    """What people are to be told beside the plan."""

    def record(self, event: str, **fields: object) -> Recorded:
        """Append to the audit log from any thread. A AuditLogError says whether this run had begun to write."""
        if event == "intent":
            self.announcing()
        with self.lock:
            try:
                recorded = self.recorder.record(event, **fields)
            except AuditLogError as error:
                error.wrote = self.wrote
                raise
            self.wrote = self.wrote or event == "intent"
            return recorded


def pool() -> ThreadPoolExecutor:
    """Return the threads that scopes are read and written in, at once."""
    return ThreadPoolExecutor(THREADS)


def scopes(targets: Iterable[Target], chosen: set[tuple[object, ...]]) -> dict[tuple[object, ...], list[Target]]:
    """Return the targets of each chosen scope: what one list call reads for all of them."""
    found: dict[tuple[object, ...], list[Target]] = {}
    for target in targets:
        if target.scope in chosen:
            found.setdefault(target.scope, []).append(target)
    return found
