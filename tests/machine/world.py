"""The clouds, the feeds and the clock, and the installations of ipsync over them; each pass is told to the referee."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from unittest.mock import patch

from factory import Stage

from ipsync import engine
from ipsync.core.configured import Config, Feed
from ipsync.core.errors import CloudError, Missing, Stale
from ipsync.core.model import Network, Operation, Snapshot
from ipsync.core.report import Report
from ipsync.targets import pace
from ipsync.testing.memory import MemoryCloud
from machine.wire import Killed, Wire
from proof.referee import Referee, Write
from proof.referee.facts import Approved
from proof.watch import Watch, resource_of, told, waiting

STEPS: Counter[str] = Counter()
"""How many steps of each kind have run, for the proof's table."""
WRITES: Counter[str] = Counter()
"""How many writes of each kind the referee has judged."""


class Inline:
    """Threads' place for a proof that must be the same at each run: what is submitted runs at once."""

    def __init__(self, _threads: int, **_how: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Inline:
        done = Inline(1)
        done.value = function(*arguments)  # type: ignore[attr-defined]
        return done

    def result(self) -> Any:
        return self.value  # type: ignore[attr-defined]


@dataclass(slots=True)
class Installation(Stage):
    """One config with a log of its own; `approvals` are what somebody has looked at: an id, and what it stood beside."""

    approvals: dict[str, Approved] = field(default_factory=dict)
    served: dict[str, tuple[Network, ...] | None] = field(default_factory=dict)
    edited: bool = False
    """Somebody else has changed what an open intent of this log may be about."""

    def fetch(self, feed: Feed) -> Snapshot:
        self.served[feed.name] = None
        made = Stage.fetch(self, feed)
        self.served[feed.name] = made.networks
        return made


@dataclass(slots=True)
class Under:
    """A pass under way: whose, and whether its process is dead."""

    stage: Installation
    dead: bool = False
    writes: dict[int, Write | None] = field(default_factory=dict)


class World:
    """Everything there is. `configs` are those of the installations, by their names."""

    def __init__(self, configs: dict[str, Config], cloud: MemoryCloud) -> None:
        self.cloud, self.referee, self.wire = cloud, Referee(), Wire()
        self.lists: dict[str, Any] = {}
        self.stages = {name: Installation(c, cloud=cloud, lists=self.lists) for name, c in configs.items()}
        self.under: list[Under] = []
        self.done: set[tuple[int, int]] = set()
        """Which writes were carried out, by log and by the number of their intent."""
        self.sent: set[tuple[int, int]] = set()
        cloud.before, cloud.after = self._before, self._after

    @property
    def now(self) -> datetime:
        return self.stages["ours"].now

    def set_clock(self, now: datetime) -> None:
        for stage in self.stages.values():
            stage.now = now

    def edit(self) -> None:
        """Take in that somebody changes something by hand."""
        self.referee.disturb()
        for stage in self.stages.values():
            stage.edited = True

    def reconfigure(self, change: Callable[[Config], Config], of: tuple[str, ...] = ("ours", "twin")) -> None:
        """Change a config: ours, and our twin's, which is the same file; or another's."""
        config = change(self.stages[of[0]].config)
        for name in of:
            self.stages[name].config = config

    # ── passes ───────────────────────────────────────────────────────────

    def look(self, name: str, only: Iterable[str] = ()) -> None:
        """Let somebody look at a plan, and keep what they may approve."""
        stage, before = self.stages[name], self.cloud.writes
        stage.served = {}
        with patch.object(pace, "ThreadPoolExecutor", Inline):
            report = stage.plan(*self._selected(stage, only))
        assert self.cloud.writes == before, "a plan wrote"
        stage.approvals |= waiting(report)

    def sync(self, name: str, only: Iterable[str] = (), *, approve: bool = False) -> Report | None:
        """Make one pass, under the referee's eyes; None if it was killed."""
        stage = self.stages[name]
        ids = frozenset(stage.approvals if approve else ())
        selected = self._selected(stage, only)
        stage.open_intents, stage.served = _open_intents(stage), {}
        known = len(stage.log.records)
        watch = Watch(self.cloud, stage.config)
        approved = frozenset().union(*(stage.approvals[i] for i in ids))
        facts = watch.facts(selected, stage.now, stage.served, approved=approved, added=self.referee.added)
        self.referee.begin(facts)
        report = self._passed(stage, selected, ids)
        self.referee.end(told(report) if report else None, watch.contents())
        self.referee.fouls += self._lies(stage, stage.log.records[known:])
        self._forget(stage, approve=approve)
        assert self.under or not self.referee.fouls, "\n".join(self.referee.fouls)  # a writer's errors are survived
        return report

    def inside(self, name: str) -> None:
        """Make a pass of another installation in the middle of one that is under way, which goes on undisturbed itself."""
        unreadable, blind = set(self.cloud.unreadable), self.cloud.blind
        self.sync(name)
        self.cloud.unreadable, self.cloud.blind = unreadable, blind

    def _passed(self, stage: Installation, selected: tuple[str, ...], ids: frozenset[str]) -> Report | None:
        self.under.append(Under(stage))
        try:
            with patch.object(pace, "ThreadPoolExecutor", Inline), suppress(Killed):
                return engine.sync(stage.run(*selected), approve=ids)
        finally:
            self.under.pop()
        return None

    def _selected(self, stage: Installation, only: Iterable[str]) -> tuple[str, ...]:
        names = [t.name for t in stage.config.targets]
        return tuple(n for n in names if n in set(only)) or tuple(names)

    def _forget(self, stage: Installation, *, approve: bool) -> None:
        self.wire.clear()
        self.cloud.unreadable.clear()
        self.cloud.blind = False
        if approve:
            stage.approvals.clear()
        if not _open_intents(stage):
            stage.edited = False

    # ── the wire ─────────────────────────────────────────────────────────

    def _before(self, operation: Operation) -> None:
        made = self.under[-1]
        if made.dead:
            raise Killed
        key, intent = self._intent(operation, made.stage)
        write = Watch(self.cloud, made.stage.config).write(operation)
        if write:
            WRITES[operation.kind] += 1
            self.referee.write(write, intent, log=id(made.stage))
        try:
            self.wire.before(self, operation)
        except Killed:
            made.dead = True
            self._answered(write, carried_out=False)
            raise
        except Exception:
            self._answered(write, carried_out=False)
            raise
        self.sent.add(key)
        made.writes[id(operation)] = Watch(self.cloud, made.stage.config).write(
            operation
        )  # somebody may have been faster
        try:
            self.cloud.result(operation)
        except CloudError as refusal:
            stale = isinstance(refusal, Stale | Missing)
            self.referee.answered(write or _nothing(operation, made.stage.config), carried_out=False, stale=stale)

    def _after(self, operation: Operation) -> None:
        made = self.under[-1]
        key, _ = self._intent(operation, made.stage)
        self.done.add(key)
        self._answered(made.writes[id(operation)], carried_out=True)
        try:
            self.wire.after(self)
        except Killed:
            made.dead = True
            raise

    def _answered(self, write: Write | None, *, carried_out: bool) -> None:
        if write:
            self.referee.answered(write, carried_out=carried_out)

    def _intent(self, operation: Operation, stage: Installation) -> tuple[tuple[int, int], dict[str, Any] | None]:
        intents = [r for r in stage.log.records[::-1] if r["event"] == "intent"]
        intent = next((r for r in intents if r["resource"] == operation.resource), None)
        return (id(stage), int(str(intent["seq"])) if intent else 0), intent

    # ── the log ──────────────────────────────────────────────────────────

    def _lies(self, stage: Installation, records: list[dict[str, Any]]) -> Iterator[str]:
        """Compare what the log says of each write with what became of it."""
        for record in records:
            if record["event"] not in {"outcome", "recovered"}:
                continue
            carried_out = (id(stage), record["intent"]) in self.done
            result = record["result"]
            if record["event"] == "outcome" and result == "unknown":
                if not self.cloud.blind:
                    yield "the log: it didn't find out, and could have"
                continue  # it stays open, until a later run has found out
            read_back = record["event"] == "recovered" or (result == "partial" and carried_out)
            if read_back and (stage.edited or self._neighbours(stage)):
                continue  # what is there now is somebody else's doing as well
            if (result == "applied") != carried_out:
                yield f"the log: it says {result}, but carried out is {carried_out}"

    def open_intents(self, name: str) -> list[dict[str, Any]]:
        """Return the intents of targets in the config of which nobody has said yet what became of them."""
        stage = self.stages[name]
        names = {t.name for t in stage.config.targets}
        return [i for i in _open_intents(stage) if i["target"] in names]

    def _neighbours(self, stage: Installation) -> bool:
        """Tell whether another ipsync of this owner has changed anything."""
        owner = stage.config.owner
        return any(s.log.records for s in self.stages.values() if s is not stage and s.config.owner == owner)


def _nothing(operation: Operation, config: Config) -> Write:
    return Write(resource_of(config, operation.resource), operation.resource, {}, {})


def _open_intents(stage: Installation) -> list[dict[str, Any]]:
    told_of = [r for r in stage.log.records if r["event"] in {"outcome", "recovered"}]
    closed = {r["intent"] for r in told_of if r["event"] == "recovered" or r["result"] != "unknown"}
    return [r for r in stage.log.records if r["event"] == "intent" and r["seq"] not in closed]
