"""From a config to one finished run: opens the audit log, gives the engine its clouds, closes everything.

The one place where the parts are put together; the commands and the daemon both go through it.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ipsync import engine
from ipsync.audit import AuditLog, NullAuditLog, OptionalAuditLog, last_number, open_optional
from ipsync.audit.actor import actor
from ipsync.core import places, planfile
from ipsync.core.configured import Config, Feed
from ipsync.core.contested import RUNS_BEFORE
from ipsync.core.errors import AuditLogError, PlanFileError, UsageError
from ipsync.core.events import Copied, Notified, RunEnded, RunStarted
from ipsync.core.model import Snapshot
from ipsync.core.report import Report
from ipsync.core.rollout import Check
from ipsync.core.signals import PassEnded, Signal, Subscriber
from ipsync.core.standing import Standing, standing
from ipsync.engine import preflight
from ipsync.render.json import document
from ipsync.targets import registry
from ipsync.targets.base import Finding

if TYPE_CHECKING:
    from ipsync.observers.notify import Notifier
    from ipsync.verification.base import Verifier

log = logging.getLogger(__name__)


def now() -> datetime:
    """Return the wall clock's time in UTC, to the second: the precision of every mark and plan."""
    return datetime.now(UTC).replace(microsecond=0)


def plan_once(
    config: Config,
    *,
    only: Iterable[str] = (),
    clock: Callable[[], datetime] = now,
    observers: Sequence[Subscriber] = (),
) -> Report:
    """Plan, and record that in the audit log where it is writable; touch nothing else."""
    names, run = selection(config, only), _run_id()
    with _heard("plan", observers) as heard, log_if_writable(config, run=run, clock=clock) as audit_log:
        known = _known(config, names, audit_log)
        made = _run(config, run, names, audit_log, clock=clock, subscribers=observers, **known)
        return heard(engine.plan(made))


def check_once(config: Config, *, only: Iterable[str] = ()) -> list[Finding]:
    """Try everything that a sync needs, and record that in the audit log where it is writable; touch nothing else."""
    names, run = selection(config, only), _run_id()
    with log_if_writable(config, run=run) as audit_log:
        return preflight.check(_run(config, run, names, audit_log, **_ends(None)))


def sync_once(  # noqa: PLR0913 - what a caller may choose, by name
    config: Config,
    *,
    only: Iterable[str] = (),
    approve: Iterable[str] = (),
    stop: Event | None = None,
    writing: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
    observers: Sequence[Subscriber] = (),
) -> Report:
    """Make one pass that may write. Raises AuditLogError, before any write, when it can't be recorded.

    `stop` asks for an end: before the next write, and of any wait at once.
    `writing` is called before each intent, `observers` hear everything (core/events.py, core/signals.py).
    """
    names, run = selection(config, only), _run_id()
    seen: dict[str, Any] = {"clock": clock, "announcing": writing, "subscribers": observers, **_ends(stop)}
    with _heard("sync", observers) as heard, _log(config, run, clock) as audit_log:
        seen |= _known(config, names, audit_log)
        made = _run(config, run, names, audit_log, turn=_turn(config, audit_log), **seen).refreshed()
        return heard(_copied(made, audit_log, engine.sync(made, approve=frozenset(approve))))


def apply_once(  # noqa: PLR0913 - as above
    config: Config,
    data: bytes,
    *,
    approve: Iterable[str] = (),
    stop: Event | None = None,
    writing: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
    observers: Sequence[Subscriber] = (),
) -> Report:
    """Apply a saved plan's bytes. Raises PlanFileError, with nothing written to a cloud, when it may not be applied."""
    run = _run_id()
    seen: dict[str, Any] = {"clock": clock, "announcing": writing, "subscribers": observers, **_ends(stop)}
    with _heard("apply", observers) as heard, _log(config, run, clock) as audit_log:
        try:
            saved = planfile.load(data, config, now=clock())
        except PlanFileError as error:
            refused = _run(config, run, frozenset(), audit_log, **seen)
            refused.emit(RunStarted(mode="apply"))
            refused.emit(RunEnded(mode="apply", refused=str(error)))
            raise
        turn = _turn(config, audit_log)
        made = _run(config, run, saved.selected, audit_log, turn=turn, **seen).refreshed()
        return heard(_copied(made, audit_log, engine.apply(made, saved, approve=frozenset(approve))))


def notifier(
    config: Config,
    *,
    only: Iterable[str] = (),
    approve: str = "",
    observers: Sequence[Subscriber] = (),
    before: Notifier | None = None,
) -> Notifier | None:
    """Make what tells people of a worker's passes, if the config names somebody to tell; it is an observer.

    `approve` is the command that an approval's id is added to, `observers` hear what became of each message. What was
    told `before` is taken over.
    """
    if not config.notify:
        return None
    from ipsync.observers import notify  # noqa: PLC0415 - brings requests; most runs tell nobody

    known = before.known() if before else {}
    around = notify.Surroundings(
        owner=config.owner,
        config=config.source,
        approve=approve,
        record=lambda event, run: _note(config, event, run),
        remembered=lambda kind, name: known.get(name) or notify.remembered(_messages(config), kind, name),
        tell=lambda signal: engine.tell(observers, signal),
    )
    return notify.Notifier(config, around, selected=selection(config, only))


def tell(observers: Sequence[Subscriber], event: Signal) -> None:
    """Let each observer hear what happens between passes; what fails there is logged, and in nobody's way."""
    engine.tell(observers, event)


def _note(config: Config, event: Notified, run: str) -> None:
    """Record a message after its pass, whose log is closed by then."""
    with log_if_writable(config, run=run or _run_id()) as audit_log:
        audit_log.record(event)


def _messages(config: Config) -> list[dict[str, Any]]:
    with log_if_writable(config, run=_run_id()) as audit_log:
        return audit_log.notified_before(config=config.source)


@contextmanager
def _heard(mode: str, observers: Sequence[Subscriber]) -> Iterator[Callable[[Report], Report]]:
    """Tell the observers how the pass ended: with the report that what is yielded gets, or with an error."""
    began, reports = time.monotonic(), list[Report]()

    def heard(report: Report) -> Report:
        reports.append(report)
        return report

    try:
        yield heard
    except Exception as error:
        engine.tell(observers, PassEnded(mode, time.monotonic() - began, error=error))
        raise
    engine.tell(observers, PassEnded(mode, time.monotonic() - began, reports[-1]))


def _log(config: Config, run: str, clock: Callable[[], datetime]) -> AuditLog:
    return AuditLog.open(config.audit_path, clock=clock, **_identity(config, run))


def log_if_writable(
    config: Config, *, run: str, clock: Callable[[], datetime] = now
) -> OptionalAuditLog | NullAuditLog:
    """Open the audit log for what only reads the clouds: where it can't be written, nothing is recorded."""
    return open_optional(config.audit_path, clock=clock, **_identity(config, run))


def _copied(run: engine.Run, audit_log: AuditLog, report: Report) -> Report:
    """Copy what no copy holds yet to the object store, if one is configured; the next run makes up for a failure."""
    config = run.config
    if config.audit_objects is None:
        return report
    from ipsync.audit import buckets as sinks  # noqa: PLC0415 - brings a cloud's library

    data = audit_log.uncopied()
    last = last_number(data)
    shard = f"{config.shard.part}/" if config.shard else ""
    name = f"{config.owner}/{shard}{now():%Y/%m/%d/%H%M%S}-{last:010d}-{report.run}.jsonl"  # sorted, the chain's order
    try:
        where = sinks.upload(config.audit_objects, name=name, data=data)
        head = run.emit(Copied(object=where, through=last))
    except AuditLogError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says all; a traceback would only frighten
        return replace(report, notices=(*report.notices, str(error)))
    return replace(report, checkpoint=f"{head.seq}:{head.hash}")


def save(report: Report, config: Config, *, only: Iterable[str] = (), lifetime: timedelta = planfile.LIFETIME) -> bytes:
    """Return the bytes of a plan file for a report of `plan_once`, valid for `lifetime` from the report's time."""
    chosen = selection(config, only)
    return planfile.dump(document(report), report.plan, config, selected=chosen, lifetime=lifetime)


def selection(config: Config, only: Iterable[str]) -> frozenset[str]:
    """Return the targets that `--target` names, or all; an unknown name is a UsageError."""
    known, chosen = {t.name for t in config.targets}, frozenset(only)
    if unknown := sorted(chosen - known):
        raise UsageError(f"--target {unknown[0]}: no such target in the config; it has: {', '.join(sorted(known))}")
    return config.selected(chosen)


def _identity(config: Config, run: str) -> dict[str, Any]:
    keys = {"hmac_key": config.audit_hmac_key, "hmac_keys_before": config.audit_hmac_keys_before}
    return {"owner": config.owner, "actor": actor(), "run": run, **keys}


def _ends(stop: Event | None) -> dict[str, Any]:
    """Return how a run learns that it is to end, and who is asked for proofs, whom the same event ends."""
    event = stop or Event()
    return {"stop": event, "verifier": partial(_verifier, event)}


def _verifier(stop: Event, check: Check, change: engine.Change) -> Verifier:
    from ipsync.verification.making import verifier  # noqa: PLC0415 - a config without checks loads nothing of it

    return verifier(check, change, environ=os.environ, stop=stop)


def _known(
    config: Config, names: frozenset[str], audit_log: AuditLog | OptionalAuditLog | NullAuditLog
) -> dict[str, Any]:
    """Return what the log says of the runs before."""
    return {
        "earlier": audit_log.runs_before(RUNS_BEFORE, config=config.source),
        "feeds_before": audit_log.feeds_before(config.feeds_of(names), config=config.source),
    }


def _turn(config: Config, audit_log: AuditLog) -> engine.Turn:
    def heard() -> engine.Heard:
        return engine.Heard(_standing(config, audit_log), tuple(audit_log.pending.values()), audit_log.writes_of_others)

    return engine.Turn(heard, audit_log.letting_others_write)


def _standing(config: Config, audit_log: AuditLog | OptionalAuditLog | NullAuditLog) -> Standing:
    return standing(audit_log.waves, owner=config.owner, config=config.source, checks=config.checks)


def _run(
    config: Config,
    run: str,
    names: frozenset[str],
    audit_log: AuditLog | OptionalAuditLog | NullAuditLog,
    *,
    clock: Callable[[], datetime] = now,
    **more: Any,
) -> engine.Run:
    clouds = engine.Clouds(
        fetch=fetch_feed,
        reader=registry.open_reader,
        writer=registry.open_writer,
        places=registry.places,
        homes=registry.homes,
    )
    known = places.read(audit_log.places)
    others = {p.config for p in known if p.config not in {"", config.source} and Path(p.config).exists()}
    more |= {"standing": _standing(config, audit_log)}
    return engine.Run(run, config, clouds, audit_log, clock, names, places=known, others=frozenset(others), **more)


def fetch_feed(feed: Feed) -> Snapshot:
    """Fetch one feed now; raises FeedError."""
    from ipsync.feeds import fetch  # noqa: PLC0415 - requests costs 100 ms; not every command fetches

    return fetch(feed, clock=now)


def _run_id() -> str:
    return uuid.uuid4().hex[:12]
