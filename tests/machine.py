"""A Hypothesis state machine that does to ipsync what production does, and watches its promises.

The feed changes, breaks and empties; people and another owner edit the same group; calls are throttled, lose
their reply or never arrive; the process is killed between any two writes; clocks jump. After every step the
promises of the contract's section 5 must hold, and in the end two quiet runs must put everything right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from factory import GROUP, HTTPS, NOW, RULE, Log, Stage, aws_target, config, gcp_target, networks
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipsync.errors import Denied, Uncertain, Unreachable
from ipsync.model import Entry, Service, Step, Verdict
from ipsync.ownership import mark_of

POOL = networks(*(f"8.8.{i}.{i}" for i in range(8)), *(f"2600::{i}" for i in range(1, 4)))
GRACE = timedelta(hours=72)
STEPS: Counter[str] = Counter()
"""How many steps of each kind have run, for the proof's table."""


class Killed(BaseException):
    """The process is gone: nothing after this point runs, not even handlers."""


class Promises(RuleBasedStateMachine):
    """Two replicas of one owner, a second owner, and people, over one group and one rule."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(config(aws_target(), gcp_target(where={"max_ranges": 4}), grace=GRACE))
        self.cloud = self.stage.cloud
        other = config(aws_target("theirs"), owner="globex", grace=GRACE)
        self.other = Stage(other, cloud=self.cloud, log=Log())
        self.foreign: dict[str, Entry] = {}
        self.trouble: list[tuple[str, str]] = []
        self.cloud.before, self.cloud.after = self._before, self._after
        self.acting = self.stage
        self.listed: frozenset = frozenset()

    # ── what the world does ──────────────────────────────────────────────

    @initialize(listed=st.sets(st.sampled_from(POOL), min_size=1))
    def begin(self, listed):
        self._list(listed)
        self.other.lists["qatech"] = sorted(POOL[:2], key=str)

    @rule(listed=st.sets(st.sampled_from(POOL), min_size=1))
    def the_feed_changes(self, listed):
        self._count("feed changes")
        self._list(listed)

    @rule(how=st.sampled_from(["no answer", [], ["10.0.0.0/8"], ["8.0.0.0/6"], ["0.0.0.0/0"]]))
    def the_feed_breaks(self, how):
        self._count("feed breaks")
        self.stage.lists["qatech"] = how
        self.listed = frozenset()

    def _list(self, listed):
        self.listed = frozenset(listed)
        self.stage.lists["qatech"] = sorted(listed, key=str)

    @rule(network=st.sampled_from([*POOL, *networks("62.40.0.0/16", "9.9.9.9")]), wide=st.booleans())
    def someone_adds_a_rule(self, network, wide):
        self._count("foreign edits")
        entry = Entry(network, Service("all") if wide else HTTPS, (("description", "ipsync owner=acme"),))
        if entry not in self.cloud.groups[GROUP].values():
            handle = self.cloud.put(GROUP, entry)
            self.foreign[handle] = self.cloud.groups[GROUP][handle]

    @rule(data=st.data())
    def someone_removes_a_rule(self, data):
        self._count("foreign edits")
        handles = sorted(self.cloud.groups[GROUP])
        if handles:
            gone = data.draw(st.sampled_from(handles))
            del self.cloud.groups[GROUP][gone]
            self.foreign.pop(gone, None)

    @rule(hours=st.sampled_from([1, 12, 24, 71, 72, 100]))
    def time_passes(self, hours):
        self._count("clock moves")
        self.stage.now += timedelta(hours=hours)
        self.other.now = self.stage.now

    @rule(hours=st.sampled_from([-24, -2]))
    def the_clock_steps_back(self, hours):
        self._count("clock moves")
        self.stage.now = max(NOW, self.stage.now + timedelta(hours=hours))

    @rule(
        kind=st.sampled_from(["throttle", "lost before", "lost after", "denied", "kill before", "kill after", "race"]),
        when=st.integers(0, 2),
    )
    def trouble_ahead(self, kind, when):
        self._count(kind)
        self.trouble = [("", "")] * when + [tuple(kind.partition(" ")[::2])]

    # ── what ipsync does ─────────────────────────────────────────────────

    @rule(approve=st.booleans())
    def we_sync(self, approve):
        self._count("syncs")
        plan_id = self.stage.plan().plan.id if approve else None
        self._sync(self.stage, approve=plan_id)

    @rule()
    def the_other_owner_syncs(self):
        self._count("syncs of another owner")
        self._sync(self.other)

    @rule()
    def we_plan(self):
        self._count("plans")
        before = self.cloud.writes
        self.stage.plan()
        assert self.cloud.writes == before

    def _sync(self, stage: Stage, *, approve: str | None = None) -> None:
        self.acting = stage
        done = {r["intent"] for r in stage.log.records if r["event"] in {"outcome", "recovered"}}
        stage.open_intents = [r for r in stage.log.events("intent") if r["seq"] not in done]
        try:
            stage.sync(approve=approve)
        except Killed:
            pass
        finally:
            self.acting = self.stage
            self.trouble = []

    # ── the wire ─────────────────────────────────────────────────────────

    def _before(self, step: Step) -> None:
        self._watch(step)
        kind, when = self.trouble[0] if self.trouble else ("", "")
        if (kind, when) == ("kill", "before"):
            raise Killed
        if (kind, when) == ("lost", "before"):
            self.trouble.pop(0)
            raise Uncertain("no reply")
        if kind == "throttle":
            self.trouble.pop(0)
            raise Unreachable("RequestLimitExceeded")
        if kind == "denied":
            self.trouble.pop(0)
            raise Denied("UnauthorizedOperation")
        if kind == "race":
            self.trouble.pop(0)
            if step.kind == "add" and step.entries[0] not in self.cloud.groups[GROUP].values():
                handle = self.cloud.put(GROUP, replace(step.entries[0], note=()))
                self.foreign[handle] = self.cloud.groups[GROUP][handle]

    def _after(self, step: Step) -> None:
        del step
        if not self.trouble:
            return
        kind, when = self.trouble.pop(0)
        if kind == "kill" and when == "after":
            raise Killed
        if kind == "lost" and when == "after":
            raise Uncertain("no reply")

    def _watch(self, step: Step) -> None:
        """Check a write in the moment it is sent."""
        last = self.acting.log.records[-1]
        assert last["event"] == "intent", "a write without an intent on disk"
        assert last["resource"] == step.resource
        if step.part is not None and step.kind != "delete":
            assert step.part.networks, "an empty source list"
        owner = self.acting.config.owner
        for entry in step.entries if step.kind != "add" else ():
            held = self.cloud.groups[GROUP].get(entry.handle)
            assert held is None or mark_of(held, owner=owner, listed=False), "touched what it did not make"
        if step.kind == "remove" and self.acting is self.stage:
            assert self.listed, "removed on the word of a broken feed"
            assert not {e.network for e in step.entries} & self.listed, "removed what the feed lists"

    # ── the promises ─────────────────────────────────────────────────────

    @invariant()
    def foreign_entries_live_on(self):
        for handle, entry in self.foreign.items():
            held = self.cloud.groups[GROUP].get(handle)
            assert held is not None, "a foreign entry was removed"
            assert held.note == entry.note, "a foreign entry was changed"

    @invariant()
    def no_list_is_empty_and_no_door_is_wide_open(self):
        for part in self.cloud.lists.values():
            assert part.networks
            assert set(part.networks) <= set(POOL)

    def teardown(self):
        """Quiet at last: within two runs every listed address is let in, and a third writes nothing."""
        self.trouble = []
        if not self.listed:
            self._list(POOL[:3])
        for _ in range(2):
            self._sync(self.stage, approve=self.stage.plan().plan.id)
        allowed = {e.network for e in self.cloud.groups[GROUP].values()}
        covered = {n for n in self.listed for a in allowed if a.version == n.version and n.subnet_of(a)}
        assert covered == self.listed
        ranges = {n for full, p in self.cloud.lists.items() if full.startswith(RULE) for n in p.networks}
        report = self.stage.plan()
        refused = any(v.verdict is Verdict.REFUSE for e in report.plan.elements for v in e.violations)
        assert self.listed <= ranges
        before = self.cloud.writes
        self._sync(self.stage)
        assert refused or self.cloud.writes == before
        done = {r["intent"] for r in self.stage.log.records if r["event"] in {"outcome", "recovered"}}
        assert all(r["seq"] in done for r in self.stage.log.events("intent")), "an intent was never settled"

    def _count(self, what: str) -> None:
        STEPS[what] += 1
