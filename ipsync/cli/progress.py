"""How far a long pass is: a bar on a terminal, gone when the pass is done; elsewhere, and with -v, a log line a stage.

It listens to signals, so the engine knows no terminal. rich costs a tenth of a second, so it is imported only when
somebody looks and the work has lasted for a while.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, TextIO

from ipsync.cli import streams
from ipsync.cli.waste import Waste, share_one_arena
from ipsync.core.events import Outcome
from ipsync.core.signals import (
    STAGES,
    ConfigRead,
    Event,
    FeedFetched,
    PassEnded,
    PlanMade,
    Recorded,
    ScopeRead,
    StageBegan,
    Subscriber,
)
from ipsync.observers.traces import traced

if TYPE_CHECKING:
    from rich.progress import Progress

    from ipsync.core.configured import Config

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds without a bar: most passes are over by then."""
LONG = 10.0
"""Seconds from which a stage is told of where there is no terminal; shorter ones only with -v."""


@contextmanager
def watching(config: Config, targets: Iterable[str] = ()) -> Iterator[Sequence[Subscriber]]:
    """Give what shows how far a pass is and what traces it, where somebody wants to know, and what keeps it small."""
    if _many_places(config):
        share_one_arena()
    with traced() as tracing:
        yield (*observers(config, targets), *tracing, Waste())


def _many_places(config: Config) -> bool:
    """Tell whether many clouds may be read at once: several scopes, or places (`each` of them alike) that a run lists."""
    return len({t.scope for t in config.targets}) > 1 or any(hasattr(t.where, "each") for t in config.targets)


def observers(config: Config, targets: Iterable[str]) -> Sequence[Subscriber]:
    """Return what shows how far a pass is, where somebody wants to know."""
    chosen = frozenset(targets)
    watched = streams.terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and not streams.logs_as_json()
    lines = not watched or log.isEnabledFor(logging.DEBUG)
    return [*([Stages(config, chosen)] if lines else []), *([Bar(config, chosen)] if watched else [])]


@dataclass(slots=True)
class Counts:
    """What a stage has done so far."""

    feeds: int = 0
    scopes: int = 0
    failed: int = 0
    writes: int = 0

    def take(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, FeedFetched):
            self.feeds += 1
            self.failed += event.result.error is not None
        elif isinstance(event, ScopeRead):
            self.scopes += 1
            self.failed += event.error is not None
        elif isinstance(event, Outcome):
            self.writes += 1


# ── a log line a stage ───────────────────────────────────────────────────────


class Stages:
    """Logs each stage when it is over: of which run, for how many targets, how long it took, what it did."""

    def __init__(self, config: Config, targets: frozenset[str], *, long: float = LONG) -> None:
        self._chosen, self._targets, self._long = targets, len(config.selected(targets)), long
        self._stage: StageBegan | None = None
        self._began, self._counts = 0.0, Counts()

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Follow the stages."""
        self._counts.take(event)
        if isinstance(event, ConfigRead):
            self._targets = len(event.config.selected(self._chosen))
        elif isinstance(event, StageBegan | PassEnded):
            self._log()
            self._stage = event if isinstance(event, StageBegan) else None
            self._began, self._counts = time.monotonic(), Counts()

    def _log(self) -> None:
        if self._stage is None:
            return
        seconds = time.monotonic() - self._began
        fields: dict[str, Any] = {"run": self._stage.run, "stage": self._stage.stage, "targets": self._targets}
        fields["seconds"] = round(seconds, 3)
        done = ("feeds", "scopes", "failed", "writes")
        fields |= {name: count for name in done if (count := getattr(self._counts, name))}
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        level = logging.INFO if seconds >= self._long else logging.DEBUG
        log.log(level, "stage over: %s", text, extra={streams.FIELDS: fields})


# ── a bar on a terminal ──────────────────────────────────────────────────────


class Bar:
    """A line on the terminal while a pass lasts, from `PATIENCE` seconds on."""

    def __init__(self, config: Config, targets: frozenset[str], *, patience: float = PATIENCE) -> None:
        self._targets, self._patience = targets, patience
        self._scopes = self._scopes_of(config)
        self._lock = Lock()
        self._timer: Timer | None = None
        self._progress: Progress | None = None
        self._moved: list[tuple[logging.StreamHandler[Any], Any]] = []
        self._text, self._done, self._total = "", 0, 0

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Follow a pass."""
        if isinstance(event, ConfigRead):
            self._scopes = self._scopes_of(event.config)
        elif isinstance(event, PassEnded):
            self._stop()
        else:
            self._follow(event)

    def _follow(self, event: Event) -> None:
        if isinstance(event, StageBegan):
            self._stage(event.stage)
        elif isinstance(event, PlanMade):
            self._total = sum(len(change.allowed()) for change in event.plan.changes)
        elif isinstance(event, ScopeRead | Outcome):
            self._done += 1
        self._show()

    def _stage(self, stage: str) -> None:
        self._text = STAGES.get(stage, stage)
        if stage == "read":
            self._done, self._total = 0, self._scopes
        elif stage == "open":
            self._done = 0
        if self._timer is None:
            self._timer = Timer(self._patience, self._start)
            self._timer.daemon = True
            self._timer.start()

    def _scopes_of(self, config: Config) -> int:
        return len({t.scope for t in config.targets if not self._targets or t.name in self._targets})

    # ── rich ─────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        made = Progress(*columns, console=Console(stderr=True), transient=True)
        with self._lock:
            if self._timer is None:  # the pass is over
                return
            made.add_task(self._text, total=self._total, completed=self._done)
            before, self._progress = sys.stderr, made
            made.start()
            made.console.show_cursor()  # a signal's patience may end the program here
            self._move_logs(before)

    def _show(self) -> None:
        with self._lock:
            if self._progress:
                total = max(self._total, self._done)
                self._progress.update(
                    self._progress.task_ids[0], description=self._text, completed=self._done, total=total
                )

    def _stop(self) -> None:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._timer = None
            if self._progress:
                self._progress.stop()
                for handler, stream in self._moved:
                    handler.setStream(stream)
                self._moved.clear()
            self._progress = None

    def _move_logs(self, before: TextIO) -> None:
        """Let the log's lines stand above the bar: rich has put its own stream in the place of stderr."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                self._moved.append((handler, handler.stream))
                handler.setStream(sys.stderr)
