"""The state machine: one rule a kind of event, in any order and number; the referee looks at everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from factory import networks
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ipsync.core.report import exit_code
from ipsync.testing.memory import MemoryCloud
from ipsync.testing.memory_prefix_lists import PrefixList
from machine import people
from machine.operator import (
    CHANGES,
    GROUP,
    LIST,
    LIST_V6,
    OF_THE_SECOND,
    OTHER_GROUP,
    ROLE,
    SECOND_LIST,
    ours,
    second,
    strangers,
)
from machine.wire import TROUBLE
from machine.world import STEPS, World

HOSTS = networks(*(f"8.8.{i}.{i}" for i in range(9)), *(f"2600::{i}" for i in range(1, 4)))
SIXTH = HOSTS[-1]
NESTED = networks("8.8.1.0/28", "8.8.2.0/24", "2600::/120", "9.0.0.0/16")
"""Networks that cover some of the hosts, and one so wide that nothing may grow by it unasked."""
POOL = (*HOSTS, *NESTED)
NO_LIST = ["no answer", [], ["10.1.2.3"], ["8.0.0.0/6"], ["0.0.0.0/0"], ["8.8.1.1", "192.168.0.1"]]
NO_LIST += [[f"9.{i}.0.0/16" for i in range(5)]]
"""What feeds say when they are broken: nothing of it may open or close a door."""
FEEDS = ["qatech", "uptime", "cdn"]
GROUPS = [GROUP, OTHER_GROUP]
LISTS = {LIST: PrefixList(4), LIST_V6: PrefixList(6), SECOND_LIST: PrefixList(4)}
NUMBER = st.integers(0, 11)
SOME = st.sets(
    st.sampled_from(["web", "ops", "tagged", "edge", "side", "cdn", "lists", "listed"]), min_size=1, max_size=3
)
HOST = st.sampled_from(HOSTS)
WHAT = st.sampled_from(sorted(CHANGES))
LISTED = st.sets(st.sampled_from(POOL), min_size=1, max_size=9)


class Promises(RuleBasedStateMachine):
    """Our installation and its twin, another config of our owner, another owner, people, and an operator."""

    def __init__(self) -> None:
        super().__init__()
        groups = {resource: {} for resource in (*GROUPS, *LISTS)}
        cloud = MemoryCloud(groups=groups, prefixes=dict(LISTS), tags={OTHER_GROUP: {"tier": "web"}})
        cloud.accounts = {ROLE: "1"}
        mine = ours()
        self.world = World({"ours": mine, "twin": mine, "second": second(), "strangers": strangers()}, cloud)
        self.skew = timedelta(0)

    # ── feeds ────────────────────────────────────────────────────────────

    @initialize(first=LISTED, other=LISTED, third=LISTED)
    def begin(self, first, other, third):
        for feed, listed in zip(FEEDS, (first, other, third), strict=True):
            self._list(feed, listed)

    @rule(feed=st.sampled_from(FEEDS), listed=LISTED)
    def a_feed_changes(self, feed, listed):
        self._count("feed changes")
        self._list(feed, listed)

    @rule(feed=st.sampled_from(FEEDS), network=st.sampled_from(POOL))
    def a_feed_changes_a_little(self, feed, network):
        self._count("feed changes")
        now = self.world.lists[feed]
        listed = set(now) if isinstance(now, list) and all(n in POOL for n in now) else set()
        self._list(feed, listed ^ {network} or {network})

    @rule(feed=st.sampled_from(FEEDS), how=st.sampled_from(NO_LIST))
    def a_feed_breaks(self, feed, how):
        self._count("feed breaks")
        self._serve(feed, how)

    def _list(self, feed, listed):
        self._serve(feed, sorted(listed, key=str))

    def _serve(self, feed, what):
        """Serve a list under the feed's name, whatever the operator calls it now."""
        for name in (feed, *(f"{feed}.{n}" for n in range(12))):
            self.world.lists[name] = what

    # ── people ───────────────────────────────────────────────────────────

    @rule(group=st.sampled_from(GROUPS), network=HOST, tags=st.sampled_from(people.TAGS), wide=st.booleans())
    def someone_adds_a_rule(self, group, network, tags, wide):
        self._count("foreign edits")
        people.add_rule(self.world, group, network, tags, wide=wide)

    @rule(resource=st.sampled_from(sorted(LISTS)), network=HOST, text=st.sampled_from(people.WORDS))
    def someone_adds_an_entry(self, resource, network, text):
        self._count("foreign edits")
        people.add_entry(self.world, resource, network, text)

    @rule(resource=st.sampled_from(sorted(LISTS)), how=st.sampled_from(["remove", "hinder", "resize"]), number=NUMBER)
    def someone_changes_a_prefix_list(self, resource, how, number):
        self._count("prefix lists")
        if how == "remove":
            people.remove_rule(self.world, resource, number)
        elif how == "hinder":
            people.hinder_prefix_list(self.world, resource)
        else:
            people.resize_list(self.world, resource, number)

    @rule(group=st.sampled_from(GROUPS), number=NUMBER, tags=st.none() | st.sampled_from(people.TAGS))
    def someone_changes_a_rule(self, group, number, tags):
        self._count("foreign edits")
        if tags is None:
            people.remove_rule(self.world, group, number)
        else:
            people.retag_rule(self.world, group, number, tags)

    @rule(name=st.sampled_from(people.NAMES), network=HOST, text=st.sampled_from(people.TEXTS))
    def someone_makes_a_list(self, name, network, text):
        self._count("foreign edits")
        people.make_list(self.world, name, network, text)

    @rule(how=st.sampled_from(["edit", "delete", "hinder"]), number=NUMBER, network=HOST)
    def someone_changes_a_list(self, how, number, network):
        self._count("foreign edits")
        if how == "edit":
            people.edit_list(self.world, number, network)
        elif how == "delete":
            people.delete_list(self.world, number)
        else:
            people.hinder_list(self.world, number)

    @rule(number=NUMBER, text=st.sampled_from(people.TEXTS))
    def someone_describes_a_list(self, number, text):
        self._count("descriptions")
        people.describe_list(self.world, number, text)

    @rule(group=st.sampled_from(GROUPS))
    def someone_tags_a_group(self, group):
        self._count("groups tagged")
        people.tag_group(self.world, group)

    @rule(quota=st.sampled_from([6, 12, 60, 60]), rules=st.sampled_from([3, 100, 100]))
    def the_quotas_change(self, quota, rules):
        self._count("quotas")
        self.world.edit()
        self.world.cloud.quota, self.world.cloud.rules = quota, rules

    # ── clocks ───────────────────────────────────────────────────────────

    @rule(hours=st.sampled_from([1, 12, 24, 71, 72, 100]))
    def time_passes(self, hours):
        self._count("clock moves")
        self.world.set_clock(self.world.now + timedelta(hours=hours))

    @rule(hours=st.sampled_from([20, 24, 36, 71]), times=st.integers(2, 3), approve=st.booleans())
    def days_pass_with_a_sync_now_and_then(self, hours, times, approve):
        for _ in range(times):
            if approve:
                self.world.look("ours")
            self._sync("ours", approve=approve)
            self.world.set_clock(self.world.now + timedelta(hours=hours))

    @rule(hours=st.sampled_from([-24, 0, 24]))
    def the_clock_is_set(self, hours):
        self._count("clock moves")
        right = self.world.now - self.skew
        self.skew = timedelta(hours=hours)
        self.world.set_clock(right + self.skew)

    # ── the operator ─────────────────────────────────────────────────────

    @rule(what=WHAT, index=NUMBER, number=NUMBER)
    def the_config_changes(self, what, index, number):
        self._count(what)
        self.world.reconfigure(lambda config: CHANGES[what](config, index, number))

    @rule(changes=st.lists(st.tuples(WHAT, NUMBER, NUMBER), min_size=2, max_size=4), twice=st.booleans())
    def the_config_changes_in_several_places_and_we_sync(self, changes, twice):
        """What an operator does between two passes is seldom one thing."""
        for what, index, number in changes:
            self.the_config_changes(what, index, number)
        self._sync("ours")
        if twice:
            self._sync("ours")

    @rule(what=st.sampled_from(OF_THE_SECOND), index=NUMBER, number=NUMBER)
    def the_second_config_changes(self, what, index, number):
        self._count(f"{what}, second")
        self.world.reconfigure(lambda config: CHANGES[what](config, index, number), of=("second",))

    # ── ipsync ───────────────────────────────────────────────────────────

    @rule()
    def we_sync(self):
        self._sync("ours")

    @rule()
    def we_sync_twice(self):
        self._sync("ours")
        self._sync("ours")

    @rule(only=SOME)
    def we_sync_some_targets(self, only):
        self._count("selections")
        config = self.world.stages["ours"].config
        names = [t.name for t in config.targets if t.name.partition(".")[0] in only]
        self._sync("ours", names)

    @rule(name=st.sampled_from(["ours", "ours", "second"]))
    def somebody_looks_at_a_plan(self, name):
        self._count("plans")
        self.world.look(name)

    @rule(name=st.sampled_from(["ours", "ours", "second"]))
    def what_was_looked_at_is_approved(self, name):
        self._count("approvals")
        self._sync(name, approve=True)

    @rule()
    def somebody_looks_and_approves_at_once(self):
        self._count("approvals")
        self.world.look("ours")
        self._sync("ours", approve=True)

    @rule(kind=st.sampled_from(TROUBLE), when=st.integers(0, 2), approve=st.booleans(), network=HOST)
    def we_sync_in_trouble(self, kind, when, approve, network):
        self.a_feed_changes_a_little("qatech", network)  # else there is mostly nothing to write
        self._count(kind)
        if approve:
            self.world.look("ours")
        self.world.wire.trouble = [""] * when + [kind]
        self._sync("ours", approve=approve)

    @rule(index=NUMBER, scope=st.booleans(), network=HOST)
    def we_sync_half_blind(self, index, scope, network):
        """A whole scope gives no answer, or a target's `match` doesn't."""
        self._count("unreadable")
        self.a_feed_changes_a_little("uptime", network)
        targets = self.world.stages["ours"].config.targets
        chosen = [t for t in targets if scope or t.name.startswith("tagged")] or targets
        target = chosen[index % len(chosen)]
        self.world.cloud.unreadable = {target.scope if scope else target.name}
        self._sync("ours")

    @rule(name=st.sampled_from(["twin", "second", "strangers"]))
    def another_syncs(self, name):
        self._sync(name)

    def teardown(self):
        """Quiet at last: what is listed gets in, what isn't gets out after its grace, and then nothing is written."""
        world = self.world
        if not world.lists or world.referee.fouls:
            return
        for number, feed in enumerate(FEEDS):
            self._list(feed, (*HOSTS[number : number + 4], SIXTH))  # a prefix list of IPv6 is never emptied
        people.tidy_up(world)
        world.reconfigure(lambda config: replace(config, grace=timedelta(hours=72)))
        self._settle()
        world.set_clock(world.now + timedelta(hours=72 + 48))  # marks may have been made by a wrong clock
        report = self._settle()
        assert exit_code(report, detailed=True) == 0, [
            (e.target, e.resource, e.status, e.error) for e in report.plan.target_changes
        ]
        before = world.cloud.writes
        self._sync("ours")
        assert world.cloud.writes == before, "a quiet run wrote"
        assert not world.open_intents("ours"), "an intent was never closed"

    def _settle(self):
        """Make a few passes with everything approved that waits."""
        for _ in range(3):
            self.world.look("ours")
            report = self._sync("ours", approve=True)
        return report

    def _sync(self, name, only=(), *, approve=False):
        self._count(f"syncs of {name}" if name != "ours" else "syncs")
        return self.world.sync(name, only, approve=approve)

    def _count(self, what: str) -> None:
        STEPS[what] += 1
