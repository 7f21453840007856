"""What every kind of target promises: the suite that a kind's tests inherit. Needs pytest.

A subclass says how a target of the kind is made, how its cloud is looked at, and how the cloud is broken; each test
then runs the whole way from feed to cloud and back. docs/kinds.md says how to use it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ipsync import engine
from ipsync.core.addresses import parse, sort_key
from ipsync.core.canonical import digest
from ipsync.core.configured import Config, Feed, Target
from ipsync.core.errors import FeedError
from ipsync.core.events import Outcome, Recovered
from ipsync.core.model import Operation, Receipt, Snapshot
from ipsync.core.plan import TargetChange
from ipsync.core.report import Report, exit_code
from ipsync.targets import registry
from ipsync.targets.base import Writer
from ipsync.testing.memory_log import MemoryLog

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
OWNER = "acme"
A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"
FOREIGN = "5.5.5.5/32"
GRACE = timedelta(hours=72)
FAULTS = ("reset-after", "reset-before", "500", "throttle", "malformed")
"""How a write's reply is lost: after it was done, before, or by an answer that says neither."""
V6 = "2600::1/128"
DONE, FAILED, PENDING, REFUSED = 0, 1, 2, 3


class Contract(ABC):
    """The shared suite. A subclass says how to make a target, see what it lets in, and break its cloud."""

    remedy: str
    """What a denied write's message and `check` tell the reader to do: a part of it."""
    room: int = 50
    """How many addresses one target surely holds."""

    @pytest.fixture
    @abstractmethod
    def target(self) -> Target:
        """Return a target named by one feed, at a place that holds nothing yet."""

    @abstractmethod
    def held(self) -> list[str]:
        """Return what the cloud lets in there, whoever made it, as sorted CIDRs."""

    @abstractmethod
    def writes(self) -> int:
        """Return how many writes the cloud has taken or refused since the target was made."""

    @abstractmethod
    def put_foreign(self, cidr: str) -> None:
        """Let an address in there as somebody else would, by hand."""

    @abstractmethod
    def break_reading(self) -> None:
        """Make reading fail from now on."""

    @abstractmethod
    def fail_writing(self, fault: str) -> None:
        """Make the next write fail as FAULTS says."""

    @abstractmethod
    def deny_writing(self) -> None:
        """Take the permission to write away."""

    @pytest.fixture(autouse=True)
    def _stage(self, target: Target) -> None:
        self.made, self.listed, self.now, self.log = target, [A, B, C, D], NOW, MemoryLog()
        self.grace: timedelta | None = GRACE
        self.feed_answers = True

    def run(self, *, owner: str = OWNER, writer: Callable[[Target], Writer] = registry.open_writer) -> engine.Run:
        """Return a run that reads and writes the kind's own cloud; `log` tells it what earlier runs left open."""
        config = Config(owner, (_feed(self.made),), (self.made,), self.grace, audit_path="-")
        clouds = engine.Clouds(self._fetch, registry.open_reader, writer, pause=lambda _s: None)
        names = frozenset({self.made.name})
        return engine.Run("r", config, clouds, self.log, lambda: self.now, names, open_intents=self.log.pending())

    def sync(self, **changes: Any) -> Report:
        """Make one run that may write."""
        return engine.sync(self.run(**changes))

    def concerned(self, report: Report) -> TargetChange:
        """Return the resource on which something happens: a kind may keep the families in resources of their own."""
        (found,) = [e for e in report.plan.target_changes if e.leaving or e.status.value != "in-sync"]
        return found

    def _fetch(self, feed: Feed) -> Snapshot:
        if not self.feed_answers:
            raise FeedError(f"feed {feed.name}: no answer")
        found = tuple(sorted({parse(text) for text in self.listed}, key=sort_key))
        return Snapshot(feed.name, feed.url, found, digest([str(n) for n in found]), self.now)

    def test_reading_writes_nothing(self) -> None:
        report = engine.plan(self.run())
        assert exit_code(report, detailed=True) == PENDING
        assert self.writes() == 0

    def test_adds_and_the_second_run_is_a_no_op(self) -> None:
        report = self.sync()
        assert exit_code(report, detailed=False) == DONE, report
        assert self.held() == sorted([A, B, C, D])
        before = self.writes()
        assert exit_code(self.sync(), detailed=True) == DONE
        assert self.writes() == before

    def test_a_dropped_address_is_marked_on_the_target_and_leaves_when_due(self) -> None:
        self.sync()
        self.listed = [A, B, C]
        self.sync()
        assert self.held() == sorted([A, B, C, D])
        target_change = self.concerned(engine.plan(self.run()))
        assert target_change.leaving[0].until == NOW + timedelta(hours=72)
        self.now += timedelta(hours=73)
        self.sync()
        assert self.held() == sorted([A, B, C])

    def test_what_comes_back_loses_its_mark(self) -> None:
        self.sync()
        self.listed = [A, B, C]
        self.sync()
        self.listed = [A, B, C, D]
        self.sync()
        for target_change in engine.plan(self.run()).plan.target_changes:
            assert target_change.leaving == ()
            assert target_change.status.value == "in-sync"

    def test_adds_and_removes_at_once(self) -> None:
        self.grace = timedelta(0)
        self.sync()
        self.listed = [A, B, C, "1.0.0.1/32"]
        self.sync()
        assert self.held() == sorted([A, B, C, "1.0.0.1/32"])

    def test_ipv6(self) -> None:
        self.listed = [A, V6]
        self.sync()
        assert self.held() == sorted([A, V6])
        assert exit_code(self.sync(), detailed=True) == DONE

    def test_an_unreadable_feed_touches_nothing(self) -> None:
        self.sync()
        before, self.feed_answers = self.writes(), False
        assert exit_code(self.sync(), detailed=False) == FAILED
        assert self.writes() == before

    def test_an_unreadable_cloud_is_no_empty_one(self) -> None:
        self.sync()
        self.break_reading()
        report = self.sync()
        assert {e.status.value for e in report.plan.target_changes} == {"error"}

    def test_a_lost_reply_is_recovered_by_reading(self) -> None:
        for fault in FAULTS:
            self.fail_writing(fault)
            self.sync()
            report = self.sync()
            assert exit_code(report, detailed=False) == DONE, (fault, report)
            assert self.held() == sorted(self.listed), fault
            self.listed = [*self.listed, f"8.0.0.{len(self.listed)}/32"]

    def test_denied_says_what_to_grant(self) -> None:
        self.deny_writing()
        target_change = self.concerned(self.sync())
        assert target_change.status.value == "error"
        assert self.remedy in (target_change.error or "")
        assert [r["result"] for r in self.log.of(Outcome)] == ["denied"]

    def test_check_finds_the_missing_permission_and_changes_nothing(self) -> None:
        self.sync()
        before = self.writes()
        reader = registry.open_reader(self.made)
        assert all(f.ok for f in reader.check([self.made], owner="acme"))
        self.deny_writing()
        bad = [f for f in reader.check([self.made], owner="acme") if not f.ok]
        assert bad
        assert all(self.remedy in f.remedy for f in bad)
        assert self.writes() == before

    # ── whose is it ──────────────────────────────────────────────────────

    def test_what_somebody_else_made_lives_on(self) -> None:
        """It is neither changed nor removed, in any run."""
        self.put_foreign(FOREIGN)
        self.grace = timedelta(0)
        self.sync()
        self.listed = [A, B, C]
        self.sync()
        assert self.held() == sorted([A, B, C, FOREIGN])

    def test_another_owner_s_run_touches_nothing_of_ours(self) -> None:
        """Its list is another, and it would remove at once."""
        self.sync()
        self.grace, self.listed = timedelta(0), [A]
        self.sync(owner="umbrella")
        assert self.held() == sorted([A, B, C, D])

    # ── guards ───────────────────────────────────────────────────────────

    def test_nothing_is_emptied(self) -> None:
        """Neither by an empty feed nor by patience."""
        self.sync()
        self.listed, self.grace = [], timedelta(0)
        assert exit_code(self.sync(), detailed=False) == REFUSED
        assert self.held() == sorted([A, B, C, D])

    def test_many_removals_wait_and_additions_go_on(self) -> None:
        """What waits for an approval waits alone."""
        self.sync()
        self.listed, self.grace = [A, V6], timedelta(0)
        assert exit_code(self.sync(), detailed=False) == REFUSED
        assert self.held() == sorted([A, B, C, D, V6])

    def test_as_many_as_fit_are_let_in(self) -> None:
        """Over every boundary of pages, calls and lists."""
        self.listed = [f"8.0.0.{n}/32" for n in range(self.room)]
        self.sync()
        assert self.held() == sorted(self.listed)
        before = self.writes()
        assert exit_code(self.sync(), detailed=True) == DONE
        assert self.writes() == before

    # ── kills ────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("done", [True, False], ids=["after the write", "before the write"])
    def test_a_killed_run_is_recovered_by_the_next(self, done: bool) -> None:  # noqa: FBT001 - pytest passes it so
        """The audit log holds an intent whose outcome nobody knows."""
        with pytest.raises(Killed):
            self.sync(writer=lambda target: _Killer(registry.open_writer(target), done=done))
        assert self.log.pending()
        assert exit_code(self.sync(), detailed=False) == DONE
        assert self.held() == sorted([A, B, C, D])
        assert len(self.log.of(Recovered)) == 1


class Killed(BaseException):
    """The process ended here."""


class _Killer:
    """A writer under which the process is killed, before or after its first write."""

    def __init__(self, writer: Writer, *, done: bool) -> None:
        self._writer, self._done = writer, done

    def execute(self, operation: Operation) -> Receipt:
        if self._done:
            self._writer.execute(operation)
        raise Killed


def _feed(target: Target) -> Feed:
    return Feed(target.feeds[0], "https://vendor.example/ips")
