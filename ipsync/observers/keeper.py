"""Keeps the status page's value up to date: hears each event, and swaps the value for a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ipsync.core.addresses import canonical
from ipsync.core.configured import Config, Feed
from ipsync.core.events import Copied, FeedRead, Record, RunStarted, Verification
from ipsync.core.marks import parse_time
from ipsync.core.plan import FeedResult, Orphan
from ipsync.core.printable import plain
from ipsync.core.report import Report
from ipsync.core.rollout import named
from ipsync.core.signals import (
    STAGES,
    ConfigRead,
    Contested,
    Event,
    FeedFetched,
    Leadership,
    PassEnded,
    Recorded,
    StageBegan,
)
from ipsync.core.standing import RUNNING
from ipsync.observers.ended import RESULTS, ended_with
from ipsync.observers.ledger import Ledger
from ipsync.observers.standing import APPROVALS, ELSEWHERE, UNREAD, Standing, unread
from ipsync.observers.status import Election, FeedStatus, Head, Pass, Status, TargetStatus
from ipsync.render import headline

PASSES = 20
ADDRESSES = 1000
ORPHANS = 100


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class Keeper:
    """Hears everything, after the ledger; `status` is what holds now. `again` is the command that approvals are added to."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        *,
        again: str,
        only: Sequence[str] = (),
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._config, self._ledger, self._again, self._only, self._clock = config, ledger, again, only, clock
        self._contested: Mapping[str, str] = {}
        began = clock()
        self.status = Status(config.owner, config.source, began, began)
        self._follow(config)

    def _follow(self, config: Config) -> None:
        """Go on with this config; what is known of its feeds and targets stays known."""
        self._config = config
        feeds, targets = {f.name: f for f in self.status.feeds}, {t.name: t for t in self.status.targets}
        used = config.feeds_of(config.selected(self._only))
        named = {t.name: TargetStatus(t.name, t.kind, t.feeds, self._unread(t.name)) for t in config.targets}
        self._swap(
            owner=config.owner,
            feeds=tuple(_fed(feeds.get(f.name), f, used=f.name in used) for f in config.feeds),
            targets=tuple(targets.get(name, new) for name, new in named.items()),
        )

    def _unread(self, name: str) -> str:
        word = unread(self._config, name, self._only)
        return UNREAD if word == ELSEWHERE else word  # which shard has it is known after a pass

    def waits(self, next_at: datetime | None) -> None:
        """Take note of when the next pass comes."""
        self._swap(next_at=next_at)

    def __call__(self, event: Event, recorded: Recorded | None) -> None:
        """Take note of an event."""
        if isinstance(event, Record) and recorded:
            self._recorded(event, recorded)
        elif isinstance(event, StageBegan):
            self._swap(stage=STAGES.get(event.stage, event.stage))
        elif isinstance(event, FeedFetched):
            result = event.result
            self._feeds(result.name, lambda known: _after(known, result))
        elif isinstance(event, Contested):
            self._contested = event.told
        elif isinstance(event, ConfigRead):
            self._follow(event.config)
            self._swap(refused=tuple(event.refused))
        elif isinstance(event, Leadership):
            self._elected(event)
        elif isinstance(event, PassEnded):
            self._ended(event)

    def _elected(self, event: Leadership) -> None:
        """Take note of who makes the passes. Who doesn't lets go of what it knew: it grows old while others write."""
        election = Election(event.leads, event.lease, event.holder, event.trouble)
        if event.leads:
            self._swap(election=election)
            return
        before = self.status
        self.status = replace(
            Status(before.owner, before.config, before.started_at, before.started_at),
            passes=before.passes,
            head=before.head,
        )
        self._follow(self._config)
        self._swap(election=election)

    def _swap(self, **changes: object) -> None:
        """Let a new value take the old one's place, with every text in it made harmless."""
        self.status = replace(self.status, changed_at=self._clock(), **plain(changes))  # type: ignore[arg-type]

    def _recorded(self, event: Record, recorded: Recorded) -> None:
        before = self.status.head
        copied = event.through if isinstance(event, Copied) else before.copied if before else None
        if recorded.seq:
            self._swap(head=Head(recorded.seq, recorded.hash, copied))
        if isinstance(event, FeedRead):
            self._feeds(event.feed, lambda known: _dated(known, event, self.status.started_at))
        if isinstance(event, Verification) and event.state == RUNNING:
            where = event.url or event.run_id  # a command has neither
            asked = f"check {event.check} of {named(event.wave)}{f', {where}' if where else ''}"
            self._swap(stage=f"{STAGES['prove']}: {asked}")
        if isinstance(event, RunStarted):
            self._swap(stage="beginning", next_at=None)

    # ── feeds ────────────────────────────────────────────────────────────────

    def _feeds(self, name: str, change: Callable[[FeedStatus], FeedStatus]) -> None:
        self._swap(feeds=tuple(change(known) if known.name == name else known for known in self.status.feeds))

    # ── the end of a pass ────────────────────────────────────────────────────

    def _ended(self, event: PassEnded) -> None:
        report = event.report
        made = Pass(
            self._clock(),
            event.seconds,
            RESULTS[ended_with(event)],
            headline(report) if report else f"{event.error}",
            run=report.run if report else "",
            checkpoint=report.checkpoint if report else "",
        )
        if report:
            self._reported(report)
        self._swap(stage="", result=made.result, passes=(made, *self.status.passes)[:PASSES])

    def _reported(self, report: Report) -> None:
        standing = Standing(self._config, report, self._ledger.holdings, self._contested, self._again, self._only)
        approvals, contested = standing.approvals(), tuple(self._contested.values())
        command, how = standing.approve_all()
        self._swap(
            targets=standing.targets(),
            approvals=tuple(approvals[:APPROVALS]),
            approvals_not_shown=max(0, len(approvals) - APPROVALS),
            approve_all=command,
            approve_how=how,
            waves=standing.waves(),
            contested=contested,
            orphaned=tuple(map(_orphan, report.plan.orphaned[:ORPHANS])),
            notices=tuple(n for n in report.notices if n not in contested),
        )


def _orphan(orphan: Orphan) -> str:
    return f"{canonical(orphan.entry.network)} {orphan.entry.service or ''} on {orphan.resource}"


def _fed(known: FeedStatus | None, feed: Feed, *, used: bool) -> FeedStatus:
    """Return a feed's state as the config has it now, with what is known of its list."""
    known = known or FeedStatus(feed.name, feed.url)
    return replace(known, url=feed.url, insecure=feed.insecure, used=used)


def _after(known: FeedStatus, result: FeedResult) -> FeedStatus:
    """Return a feed's state after it was fetched: one that can't be used keeps what was last good."""
    snapshot = result.snapshot
    if snapshot is None:
        return replace(known, error=result.error)
    same = known.digest == snapshot.digest
    return replace(
        known,
        error=None,
        good_at=snapshot.fetched_at,
        since=known.since if same else snapshot.fetched_at,
        at_least=known.at_least if same else known.good_at is None,
        digest=snapshot.digest,
        number=len(snapshot.networks),
        addresses=tuple(canonical(n) for n in snapshot.networks[:ADDRESSES]),
    )


def _dated(known: FeedStatus, record: FeedRead, began: datetime) -> FeedStatus:
    """Return a feed's state with what the log knows of its age (core/freshness.py)."""
    since = parse_time(record.since or "")
    if since is None:
        return known
    if record.rejected is not None:
        return replace(known, failing_since=min(since, known.failing_since or since))
    since = min(since, known.since or since)
    first = known.at_least and record.before is None and since >= began
    return replace(known, since=since, at_least=first, failing_since=None)
