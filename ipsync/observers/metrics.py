"""Metrics for Prometheus (contract, section 8), from the events of a pass, in a registry of their own.

Other observers may add theirs to `Metrics.registry`.
"""

from __future__ import annotations

import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.samples import Sample

from ipsync import __version__
from ipsync.core.configured import Config
from ipsync.core.events import Copied, Verification
from ipsync.core.model import Status, Verdict
from ipsync.core.plan import TargetChange
from ipsync.core.report import AS_WISHED, Report
from ipsync.core.signals import (
    CloudCalled,
    ConfigRead,
    Contested,
    Event,
    FeedFetched,
    Leadership,
    NotificationEnded,
    PassEnded,
    Recorded,
)
from ipsync.core.standing import ASKED, RUNNING
from ipsync.observers.ended import RESULTS, ended_with
from ipsync.observers.ledger import Ledger

STATES = ("allowed", "leaving", "satisfied_by_others", "waiting", "refused")
ACTIONS = ("add", "remove")
SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
"""A pass takes one second with a few groups, and minutes over a thousand scopes."""

NEVER = "0: never since this began to count"
NOBODY = ""
"""Whose an orphan is."""


class Metrics:
    """Hears everything and holds the numbers. The ledger must hear the end of a pass before it."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        *,
        only: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = CollectorRegistry()
        self._config, self._ledger, self._only, self._clock = config, ledger, only, clock
        self._contested: Mapping[str, str] = {}
        self._copied_now = False
        self._copied: Gauge | None = None
        self._leader: Gauge | None = None
        self._leads = True
        count, gauge = self._counter, self._gauge
        self._sync = count("sync", "Passes that may write, by how they ended.", "result")
        self._duration = Histogram(
            "ipsync_sync_duration_seconds", "How long such a pass took.", buckets=SECONDS, registry=self.registry
        )
        self._success = gauge(
            "last_success_timestamp_seconds", f"When a target was as it is wished; {NEVER}.", "target"
        )
        self._addresses = gauge("feed_addresses", "Entries that a feed listed when it was last good.", "feed")
        self._fetched = gauge("feed_last_success_timestamp_seconds", f"When a feed was last good; {NEVER}.", "feed")
        self._entries = gauge("entries", "Entries of a target on all its resources.", "target", "state")
        self._pending = gauge("pending_changes", "Changes that the last pass left undone.", "target", "action")
        self._violations = count("guard_violations", "What guards said, once a pass and place.", "guard", "verdict")
        self._calls = count("cloud_calls", "Calls of clouds.", "provider", "operation", "result")
        self._verifications = count(Verification.name, "Checks of waves, by how they ended.", "result")
        self._notifications = count("notifications", "Messages to people, by how they ended.", "kind", "result")
        self._undone = gauge("contested_resources", "Resources on which somebody undoes a change.", "target")
        gauge("build_info", "The version that runs; always 1.", "version").labels(__version__).set(1)
        self.follow(config)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ipsync_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ipsync_{name}", text, labels, registry=self.registry)

    def follow(self, config: Config) -> None:
        """Go on with this config: series of what it no longer names are dropped, those of new names begin.

        Where only some targets are selected, the others and their feeds have none of zero: it would grow old.
        """
        self._config = config
        for gauge, names in self._known():
            for labels in [s.labels for m in gauge.collect() for s in m.samples]:
                if _subject(labels) not in names:
                    gauge.remove_by_labels(labels)
        for result in RESULTS.values():
            self._sync.labels(result)
        targets = config.selected(self._only) if self._leads else frozenset()
        for name in targets:
            self._success.labels(name)
        for name in config.feeds_of(targets):
            self._fetched.labels(name)
        self._follow_copies()

    def _follow_copies(self) -> None:
        wanted = self._leads and self._config.audit_objects
        if self._copied is not None and not wanted:
            self.registry.unregister(self._copied)
            self._copied = None
        elif self._copied is None and wanted:
            self._copied = self._gauge("audit_copied", "Whether the last pass is in the bucket of audit.objects.")

    def _known(self) -> Sequence[tuple[Gauge, frozenset[str]]]:
        """Return each gauge with the names that it may have; a feed that no target uses is never fetched."""
        targets = self._config.selected(()) if self._leads else frozenset()
        feeds, orphans = self._config.feeds_of(targets), {NOBODY} if self._leads else set()
        of_targets = [(g, targets) for g in (self._success, self._pending, self._undone)]
        return [
            (self._entries, targets | orphans),
            *of_targets,
            *((g, feeds) for g in (self._addresses, self._fetched)),
        ]

    # ── events ───────────────────────────────────────────────────────────────

    def __call__(self, event: Event, _recorded: Recorded | None) -> None:
        """Count an event."""
        if isinstance(event, CloudCalled):
            self._calls.labels(event.provider, event.operation, event.result).inc()
        elif isinstance(event, FeedFetched):
            self._feed(event)
        elif isinstance(event, Contested):
            self._contested = event.told
        elif isinstance(event, ConfigRead):
            self.follow(event.config)
        elif isinstance(event, Leadership):
            self._elected(event)
        elif isinstance(event, Verification) and event.state not in {ASKED, RUNNING}:
            self._verifications.labels(event.state).inc()
        elif isinstance(event, NotificationEnded):
            self._notifications.labels(event.kind, event.result).inc()
        elif isinstance(event, Copied):
            self._copied_now = True
        elif isinstance(event, PassEnded) and event.mode != "plan":
            self._ended(event)

    def _elected(self, event: Leadership) -> None:
        """Say whether this replica leads. One that doesn't says nothing of feeds and targets: the leader knows."""
        if self._leader is None:
            self._leader = self._gauge("leader", "Whether this replica holds the Lease and makes the passes.")
        self._leader.set(event.leads)
        self._leads = event.leads
        self.follow(self._config)

    def _feed(self, event: FeedFetched) -> None:
        snapshot = event.result.snapshot
        if snapshot:
            self._addresses.labels(event.result.name).set(len(snapshot.networks))
            self._fetched.labels(event.result.name).set(snapshot.fetched_at.timestamp())

    def _ended(self, event: PassEnded) -> None:
        self._sync.labels(RESULTS[ended_with(event)]).inc()
        self._duration.observe(event.seconds)
        if self._copied is not None:
            self._copied.set(self._copied_now)
        self._copied_now = False
        if event.report:
            self._reported(event.report)

    def _reported(self, report: Report) -> None:
        by_target: dict[str, list[TargetChange]] = {}
        for change in report.plan.target_changes:
            by_target.setdefault(change.target, []).append(change)
            for violation in change.violations:
                self._violations.labels(violation.guard, violation.verdict.value).inc()
        for name, changes in by_target.items():
            self._target(name, changes)
        if report.share:  # what is at other shards' places alone has no success here that could grow old
            for name in {t.name for t in self._config.targets} - by_target.keys():
                self._success.remove_by_labels({"target": name})
        self._entries.labels(NOBODY, "orphaned").set(len(report.plan.orphaned))

    def _target(self, name: str, changes: Sequence[TargetChange]) -> None:
        if all(c.status in AS_WISHED and not c.waiting for c in changes):
            self._success.labels(name).set(self._clock())
        holdings = self._ledger.holdings.get(name, {}).values()
        allowed = [a for held in holdings for a in held.allowed]
        held = Tally(h.verdict for c in changes for h in c.waiting for _ in h.entries)
        numbers = (
            *(len(allowed), sum(a.leaving for a in allowed), sum(len(h.by_others) for h in holdings)),
            *(held[Verdict.NEEDS_APPROVAL], held[Verdict.REFUSE]),
        )
        for state, number in zip(STATES, numbers, strict=True):
            self._entries.labels(name, state).set(number)
        for action in ACTIONS:
            self._pending.labels(name, action).set(sum(_undone(c, action) for c in changes))
        self._undone.labels(name).set(sum(c.resource in self._contested for c in changes))

    # ── what others read ─────────────────────────────────────────────────────

    def collect(self) -> Iterable[Metric]:
        """Return what there is, without the times at which each counter was made, which nobody asked for."""
        for family in self.registry.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self)

    def carry_on(self, text: str) -> None:
        """Go on counting from what an earlier process wrote. Raises ValueError where that can't be read.

        Counters, and of the rest what the config still names; the histogram begins anew.
        """
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - cron alone needs it

        counters = {
            "ipsync_sync": self._sync,
            "ipsync_guard_violations": self._violations,
            "ipsync_cloud_calls": self._calls,
            "ipsync_notifications": self._notifications,
            "ipsync_verification": self._verifications,
        }
        gauges = {m.name: (g, names) for g, names in self._known() for m in g.collect()}
        families = list(text_string_to_metric_families(text))
        _demand_numbers(sample for family in families if family.name in counters for sample in family.samples)
        for family in families:
            for sample in family.samples:
                if counter := counters.get(family.name):
                    counter.labels(**sample.labels).inc(sample.value)
                elif (found := gauges.get(family.name)) and _subject(sample.labels) in found[1]:
                    found[0].labels(**sample.labels).set(sample.value)


def _demand_numbers(samples: Iterable[Sample]) -> None:
    """Raise ValueError where a counter can't go on from one of these: what isn't a number would stay so for ever."""
    for sample in samples:
        if not (math.isfinite(sample.value) and sample.value >= 0):
            raise ValueError(f"{sample.name} is {sample.value}")


def _subject(labels: Mapping[str, str]) -> str:
    return labels.get("target", labels.get("feed", ""))


def _undone(change: TargetChange, action: str) -> int:
    """Count what the pass meant to do at one place and didn't, surely."""
    meant = {"add": change.add, "remove": change.remove}[action]
    waiting = {e for h in change.waiting if h.action == action for e in h.entries}
    return len(waiting) if change.status is Status.APPLIED else len(waiting | set(meant))
