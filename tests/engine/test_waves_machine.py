"""A state machine of waves: whatever happens, nothing of a later wave is written before the earlier one is proven.

What happens: kills, writes that fail, answers of all kinds, other hands in the clouds, and other runs of ipsync that come
while one waits for the vendor, with another list or the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from waves import SMOKE, Killed, stage, target

from ipsync.core.errors import Rejected, Uncertain
from ipsync.core.rollout import Wave
from ipsync.verification import waiting
from ipsync.verification.base import Result
from ipsync.verification.errors import Unavailable

GROUPS = {f"aws/1/eu-north-1/sg-{n}": wave for n, wave in ((1, "one"), (2, "one"), (3, "two"), (4, "two"), (5, ""))}
ORDER = ("one", "two", "")
ADDRESSES = tuple(f"8.8.8.{n}/32" for n in range(1, 9))
ENDS = ("passed", "failed", "cancelled", "unknown", "lost", "killed", "killed at start", "late")


class Order(RuleBasedStateMachine):
    """The truth is kept apart from the log: what is written since the vendor last said "passed" of a wave."""

    @initialize()
    def begin(self):
        targets = [target(f"t{g[-1]}", g.rpartition("/")[2], wave) for g, wave in GROUPS.items()]
        shared = [target("s1", "sg-6", "one"), target("s2", "sg-6", "two")]
        self.here = stage(
            ADDRESSES[0],
            waves=[Wave("one", ("smoke",)), Wave("two", ("smoke",))],
            checks=[replace(SMOKE, timeout=0.02)],
            targets=[*targets, *shared],
        )
        self.groups = {**GROUPS, "aws/1/eu-north-1/sg-6": "two"}
        self.here.cloud.groups = {g: {} for g in self.groups}
        self.here.cloud.before = self.written
        self.unproven, self.trouble, self.past, self.end = set(), None, False, "passed"
        self.others: list[tuple[set[str], str]] = []
        self.asked_of: dict[str, str] = {}
        self.wrong: list[str] = []
        self.here.vendor.on_start, self.here.vendor.on_poll = self.started, self.polled

    # ── what happens on the way ──────────────────────────────────────────

    def written(self, operation):
        wave = self.groups[operation.resource.split("#")[0]]
        for earlier in ORDER[: ORDER.index(wave)]:
            if earlier in self.unproven and not self.past:
                self.wrong.append(f"{wave!r} is written, and {earlier!r} isn't proven")
        if wave in {"one", "two"}:
            self.unproven.add(wave)
            self.asked_of = {run: of for run, of in self.asked_of.items() if of != wave}  # they prove nothing of this
        trouble, self.trouble = self.trouble, None
        if trouble == "killed":
            raise Killed
        if trouble:
            raise {"rejected": Rejected, "uncertain": Uncertain}[trouble]("trouble")

    def started(self):
        if self.end == "killed at start":
            self.end = "passed"
            raise Killed
        self.asked_of[f"run{len(self.here.vendor.started) + 1}"] = self.here.vendor.wave

    def polled(self):
        run_id = self.here.vendor.polled[-1]
        if self.others:
            self.another_run_comes(*self.others.pop())
        if self.end == "killed":
            self.end = "passed"
            raise Killed
        answer = {"lost": Unavailable("no answer"), "late": Result("running")}.get(self.end, Result(self.end))
        self.here.vendor.ends = [answer]
        if self.end == "passed":
            self.unproven.discard(self.asked_of.get(run_id, ""))

    def another_run_comes(self, listed, end):
        self.here.lists["qatech"] = sorted(listed) or self.here.lists["qatech"]
        mine, self.end = (self.end, self.here.vendor.wave), end
        with suppress(Killed):
            self.here.sync()
        self.end, self.here.vendor.wave = mine

    # ── rules ────────────────────────────────────────────────────────────

    @rule(
        end=st.sampled_from(("passed",) * len(ENDS) + ENDS),
        trouble=st.sampled_from((None,) * 6 + ("rejected", "uncertain", "killed")),
        others=st.lists(st.tuples(st.sets(st.sampled_from(ADDRESSES)), st.sampled_from(ENDS)), max_size=2),
    )
    def sync(self, end, trouble, others):
        self.end, self.trouble, self.here.vendor.ends, self.others = end, trouble, [], others
        self.run()

    @rule()
    def approve(self):
        ids = [w.approve for w in self.here.plan().waves if w.approve]
        self.end, self.past, self.here.vendor.ends, self.others = "failed", bool(ids), [], []
        self.run(approve=ids)
        self.past = False

    @rule(listed=st.sets(st.sampled_from(ADDRESSES), min_size=1))
    def feed(self, listed):
        self.here.lists["qatech"] = sorted(listed)

    @rule(group=st.sampled_from(sorted(GROUPS)))
    def somebody_empties_a_group(self, group):
        self.here.cloud.groups[group] = {}

    def run(self, **more):
        self.here.open_intents = self.here.log.pending()
        try:
            self.here.sync(**more)
        except Killed:
            self.here.vendor.ends = []
        assert self.wrong == []  # said here, since the engine takes what a write raises for a fault of its own


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.005)


Order.TestCase.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOrder = pytest.mark.usefixtures("quick")(Order.TestCase)
