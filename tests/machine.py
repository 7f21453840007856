"""A Hypothesis state machine that does to ipsync what production does, and watches its promises.

Two feeds change, break and empty; people, another owner and a second ipsync of the same owner edit the same group
and rule, also between a read and a write; calls are throttled, refused, unreadable, lose their reply or never arrive;
the process is killed before or after any write; the clock is a day off in either direction.

What must hold is judged by a model of its own, which knows only what the world did: what was listed when, which
writes were really carried out. After every step, and for each write in the moment it is sent, the promises of the
contract's sections 4 to 6 must hold; in the end a few quiet runs must put everything right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from unittest.mock import patch

from factory import GROUP, HTTPS, RULE, Stage, aws_target, config, gcp_target, networks
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipsync.engine import run as surroundings
from ipsync.errors import Denied, Uncertain, Unreachable
from ipsync.model import Entry, Limits, Network, Part, ReadFailure, Service, State, Step, Target, Threshold
from ipsync.ownership import OWNER, mark_of
from ipsync.sandbox.memory import MemoryCloud, MemoryReader

POOL = networks(*(f"8.8.{i}.{i}" for i in range(9)), *(f"2600::{i}" for i in range(1, 4)))
GRACE = timedelta(hours=72)
REMOVALS, ADDITIONS = Threshold(1, 30), Threshold(2, 50)
LIMITS = Limits(max_removals=REMOVALS, max_additions=ADDITIONS)
FEEDS_OF = {GROUP: ("qatech", "uptime"), RULE: ("qatech",)}
ACME = "acme"
NO_LIST = ["no answer", [], ["10.1.2.3"], ["8.0.0.0/6"], ["0.0.0.0/0"], ["8.8.1.1", "192.168.0.1"]]
"""What feeds say when they are broken: nothing of it may open or close a door."""
TROUBLE = ["throttle", "lost before", "lost after", "denied", "kill before", "kill after", "race", "twin"]
TROUBLE += ["blind before", "blind after"]  # a lost reply, and then it can't be read back either
STEPS: Counter[str] = Counter()
"""How many steps of each kind have run, for the proof's table."""


class Killed(BaseException):
    """The process is gone: nothing after this point runs, not even handlers."""


@dataclass(slots=True)
class Cloud(MemoryCloud):
    """A MemoryCloud that can refuse to be read: a place for a survey, or everything that is to be read back."""

    unreadable: str = ""
    blind: bool = False

    def reader(self, target: Target) -> MemoryReader:
        """Return a reader that fails where the cloud can't be read."""
        return _Reader(self, place=RULE if target.kind == "gcp-firewall" else GROUP)


@dataclass(slots=True)
class _Reader(MemoryReader):
    place: str = ""

    def survey(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        if self.cloud.unreadable == self.place:  # type: ignore[attr-defined]
            raise Unreachable("no usable answer")
        return MemoryReader.survey(self, targets, owner=owner)

    def complete(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        if self.cloud.blind:  # type: ignore[attr-defined]
            raise Unreachable("no usable answer")
        return MemoryReader.complete(self, states, owner=owner)


@dataclass(slots=True)
class Pass:
    """What one sync has sent so far, by place."""

    stage: Stage
    held: dict[str, frozenset[Network]]
    added: dict[str, set[Network]] = field(default_factory=lambda: {GROUP: set(), RULE: set()})
    removed: dict[str, set[Network]] = field(default_factory=lambda: {GROUP: set(), RULE: set()})
    dead: bool = False


class Promises(RuleBasedStateMachine):
    """Two ipsyncs of one owner, a second owner, and people, over one group and one rule."""

    def __init__(self) -> None:
        super().__init__()
        common = {"limits": (("qatech", LIMITS), ("uptime", LIMITS))}
        targets = [
            aws_target("web", **common),
            aws_target("ops", feeds=("uptime",), **common),
            gcp_target(where={"max_ranges": 4}, **common),
        ]
        self.cloud = Cloud(groups={GROUP: {}})
        self.stage = Stage(config(*targets, grace=GRACE), cloud=self.cloud)
        self.twin = Stage(self.stage.config, cloud=self.cloud, lists=self.stage.lists)
        self.other = Stage(config(aws_target("theirs"), owner="globex", grace=GRACE), cloud=self.cloud)
        self.cloud.before, self.cloud.after = self._before, self._after
        self.listed: dict[str, frozenset[Network] | None] = {}
        """What each feed lists now; None: nothing that may be believed."""
        self.unlisted: dict[tuple[str, Network], datetime] = {}
        """Since when, by a right clock, syncs have found that nobody lists an address for a place."""
        self.behind: dict[tuple[str, Network], timedelta] = {}
        """How far behind ipsync's clock was since then at the worst: a mark made then lets go that much early."""
        self.foreign: dict[str, Entry] = {}
        self.sent: set[tuple[int, int]] = set()
        self.done: set[tuple[int, int]] = set()
        """Which writes were sent and which were carried out, by log and by the number of their intent."""
        self.edited: set[int] = set()
        """For which logs somebody has edited by hand what an open intent may be about."""
        self.broken: list[str] = []
        """What was wrong with a write: told after the run, since the engine survives any exception of a writer's."""
        self.trouble: list[str] = []
        self.passes: list[Pass] = []
        self.skew = timedelta(0)

    # ── what the world does ──────────────────────────────────────────────

    @initialize(first=st.sets(st.sampled_from(POOL), min_size=1), second=st.sets(st.sampled_from(POOL), min_size=1))
    def begin(self, first, second):
        self._list("qatech", first)
        self._list("uptime", second)
        self.other.lists["qatech"] = sorted(POOL[:2], key=str)

    @rule(feed=st.sampled_from(["qatech", "uptime"]), listed=st.sets(st.sampled_from(POOL), min_size=1))
    def a_feed_changes(self, feed, listed):
        self._count("feed changes")
        self._list(feed, listed)

    @rule(feed=st.sampled_from(["qatech", "uptime"]), network=st.sampled_from(POOL))
    def a_feed_changes_a_little(self, feed, network):
        self._count("feed changes")
        self._list(feed, (self.listed[feed] or frozenset()) ^ {network} or {network})

    @rule(feed=st.sampled_from(["qatech", "uptime"]), how=st.sampled_from(NO_LIST))
    def a_feed_breaks(self, feed, how):
        self._count("feed breaks")
        self.stage.lists[feed], self.listed[feed] = how, None

    def _list(self, feed, listed):
        self.listed[feed] = frozenset(listed)
        self.stage.lists[feed] = sorted(listed, key=str)

    @rule(network=st.sampled_from([*POOL, *networks("62.40.0.0/16", "9.9.9.9")]), wide=st.booleans())
    def someone_adds_a_rule(self, network, wide):
        self._count("foreign edits")
        entry = Entry(network, Service("all") if wide else HTTPS, (("description", "ipsync owner=acme"),))
        if entry not in self.cloud.groups[GROUP].values():
            handle = self.cloud.put(GROUP, entry)
            self.foreign[handle] = self.cloud.groups[GROUP][handle]

    @rule(network=st.sampled_from(POOL))
    def someone_opens_by_hand_all_that_is_listed_from_now_on(self, network):
        self.someone_adds_a_rule(network, wide=False)
        for feed in ("qatech", "uptime"):
            self.a_feed_changes(feed, {network})

    @rule(data=st.data())
    def someone_removes_a_rule(self, data):
        self._count("foreign edits")
        handles = sorted(self.cloud.groups[GROUP])
        if handles:
            gone = data.draw(st.sampled_from(handles))
            self._edit()
            del self.cloud.groups[GROUP][gone]
            self.foreign.pop(gone, None)

    @rule(data=st.data(), network=st.sampled_from(POOL))
    def someone_edits_our_list(self, data, network):
        self._count("foreign edits")
        mine = sorted(name for name in self.cloud.lists if name.startswith(RULE))
        if not mine:
            return
        name = data.draw(st.sampled_from(mine))
        part = self.cloud.lists[name]
        changed = {n for n in part.networks if n != network}
        changed |= {network} if network not in part.networks else set()
        if changed and len({n.version for n in changed}) == 1:
            self._edit()
            self.cloud.lists[name] = replace(part, networks=tuple(sorted(changed)))

    def _edit(self) -> None:
        self.edited = {id(stage) for stage in (self.stage, self.twin, self.other)}

    @rule(hours=st.sampled_from([1, 12, 24, 71, 72, 100]))
    def time_passes(self, hours):
        self._count("clock moves")
        self._set_clock(self.stage.now + timedelta(hours=hours))

    @rule(hours=st.sampled_from([20, 23, 24, 36, 71]), times=st.integers(2, 4), approve=st.booleans())
    def days_pass_with_a_sync_now_and_then(self, hours, times, approve):
        for _ in range(times):
            self._count("syncs")
            self._sync(self.stage, approve=approve)
            self._set_clock(self.stage.now + timedelta(hours=hours))

    @rule(hours=st.sampled_from([-24, 0, 24]))
    def the_clock_is_set(self, hours):
        self._count("clock moves")
        right = self._right_time()
        self.skew = timedelta(hours=hours)
        self._set_clock(right + self.skew)
        for key, behind in self.behind.items():  # a mark that stands already was made by the clock as it was then
            self.behind[key] = behind if self._leaves(*key) else max(behind, -self.skew)

    def _right_time(self) -> datetime:
        return self.stage.now - self.skew

    def _set_clock(self, now: datetime) -> None:
        for stage in (self.stage, self.twin, self.other):
            stage.now = now

    @rule(place=st.sampled_from([GROUP, RULE]))
    def a_cloud_cannot_be_read(self, place):
        self._count("unreadable")
        self.cloud.unreadable = place

    # ── what ipsync does ─────────────────────────────────────────────────

    @rule(approve=st.booleans())
    def we_sync(self, approve):
        self._count("syncs")
        self._sync(self.stage, approve=approve)

    @rule(kind=st.sampled_from(TROUBLE), when=st.integers(0, 2), approve=st.booleans(), network=st.sampled_from(POOL))
    def we_sync_in_trouble(self, kind, when, approve, network):
        self.a_feed_changes_a_little("qatech", network)  # else there is mostly nothing to write
        self._count(kind)
        self.trouble = [""] * when + [kind]
        self._sync(self.stage, approve=approve)

    @rule()
    def our_twin_syncs(self):
        self._count("syncs of a twin")
        self._sync(self.twin)

    @rule()
    def the_other_owner_syncs(self):
        self._count("syncs of another owner")
        self._sync(self.other)

    @rule()
    def we_plan(self):
        self._count("plans")
        before = self.cloud.writes
        self.stage.plan()
        assert self.cloud.writes == before, "a plan wrote"

    def _sync(self, stage: Stage, *, approve: bool = False) -> None:
        plan_id = stage.plan().plan.id if approve else None
        stage.open_intents = _open_intents(stage)
        known = len(stage.log.records)
        with self._passing(stage) as made, patch.object(surroundings, "THREADS", 1), suppress(Killed):
            stage.sync(approve=plan_id)
        assert not self.broken, self.broken
        self._told_the_truth(stage, stage.log.records[known:])
        if stage is not self.other:
            self._was_moderate(made, approved=plan_id is not None)
            self._forget_what_came_back()
        self.trouble, self.cloud.unreadable, self.cloud.blind = [], "", False
        if not _open_intents(stage):
            self.edited.discard(id(stage))

    @contextmanager
    def _passing(self, stage: Stage) -> Iterator[Pass]:
        made = Pass(stage, {place: self._ours(place) for place in FEEDS_OF})
        if stage is not self.other:
            for place in FEEDS_OF:
                self._note_what_is_unlisted(place, made.held[place])
        self.passes.append(made)
        try:
            yield made
        finally:
            self.passes.pop()

    # ── the model ────────────────────────────────────────────────────────

    def _believable(self, place: str) -> bool:
        return all(self.listed[feed] is not None for feed in FEEDS_OF[place])

    def _wanted(self, place: str) -> frozenset[Network]:
        return frozenset().union(*(self.listed[feed] or frozenset() for feed in FEEDS_OF[place]))

    def _ours(self, place: str) -> frozenset[Network]:
        if place == GROUP:
            rules = self.cloud.groups[GROUP].values()
            return frozenset(e.network for e in rules if dict(e.note).get(OWNER) == ACME)
        return frozenset(n for p in self._parts() for n in p.networks)

    def _parts(self) -> list[Part]:
        return [p for name, p in self.cloud.lists.items() if name.startswith(RULE)]

    def _note_what_is_unlisted(self, place: str, held: frozenset[Network]) -> None:
        for network in POOL:
            if network not in held and not self._leaves(place, network):
                self.unlisted.pop((place, network), None)
            elif network in held and self._believable(place) and network not in self._wanted(place):
                self._notice(place, network)

    def _notice(self, place: str, network: Network) -> None:
        if (place, network) not in self.unlisted:
            self.unlisted[place, network] = self._right_time()
            self.behind[place, network] = -self.skew

    def _leaves(self, place: str, network: Network) -> bool:
        """Tell whether a mark on the target says that it is leaving.

        A rule's description may say so of a range that somebody took out by hand, and may put in again.
        """
        if place == GROUP:
            entries = [e for e in self.cloud.groups[GROUP].values() if e.network == network]
        else:
            entries = [Entry(network, None, p.note, p.name) for p in self._parts()]
        marks = [mark_of(e, owner=ACME, listed=place == RULE) for e in entries]
        return any(mark and mark.since for mark in marks)

    def _forget_what_came_back(self) -> None:
        for place, network in list(self.unlisted):
            if network in self._wanted(place) and not self._leaves(place, network):
                del self.unlisted[place, network]

    # ── the wire ─────────────────────────────────────────────────────────

    def _before(self, step: Step) -> None:
        made = self.passes[-1]
        if made.dead:
            raise Killed
        key = self._key(step, made)
        try:
            self._watch(step, made, key)
        except AssertionError as error:
            self.broken.append(str(error))
        kind = self.trouble.pop(0) if self.trouble else ""
        if kind in {"kill after", "lost after", "blind after"}:
            self.trouble = [kind]  # for _after
        if kind == "kill before":
            made.dead = True
            raise Killed
        if kind in {"lost before", "blind before"}:
            self.cloud.blind = kind == "blind before"
            raise Uncertain("no reply")
        if kind == "throttle":
            raise Unreachable("RequestLimitExceeded")
        if kind == "denied":
            raise Denied("UnauthorizedOperation")
        if kind == "race":
            self._someone_is_faster(step)
        if kind == "twin" and made.stage is self.stage:
            self._sync(self.twin)
        self.sent.add(key)

    def _someone_is_faster(self, step: Step) -> None:
        if step.kind == "add" and step.entries[0] not in self.cloud.groups[GROUP].values():
            handle = self.cloud.put(GROUP, replace(step.entries[0], note=()))
            self.foreign[handle] = self.cloud.groups[GROUP][handle]
        elif step.kind == "remove":
            self.cloud.groups[GROUP].pop(step.entries[0].handle, None)
        elif step.kind in {"replace", "delete"}:
            held = self.cloud.lists.pop(step.resource, None)
            if held and step.kind == "replace":
                self.cloud.lists[step.resource] = replace(held, networks=held.networks[:1])

    def _after(self, step: Step) -> None:
        made = self.passes[-1]
        self.done.add(self._key(step, made))
        place = GROUP if step.part is None else RULE
        made.added[place] |= _added(step)
        made.removed[place] |= _removed(step)
        kind = self.trouble[0] if self.trouble else ""
        if kind in {"kill after", "lost after", "blind after"}:
            self.trouble.pop(0)
        if kind == "kill after":
            made.dead = True
            raise Killed
        if kind in {"lost after", "blind after"}:
            self.cloud.blind = kind == "blind after"
            raise Uncertain("no reply")

    def _key(self, step: Step, made: Pass) -> tuple[int, int]:
        intents = [r for r in made.stage.log.events("intent") if r["resource"] == step.resource]
        assert intents, "a write without an intent"
        return id(made.stage), int(str(intents[-1]["seq"]))

    # ── the promises: each write ─────────────────────────────────────────

    def _watch(self, step: Step, made: Pass, key: tuple[int, int]) -> None:
        """Check a write in the moment it is sent."""
        intent = made.stage.log.records[key[1] - 1]
        said = (intent["kind"], intent["before"], intent["after"])
        assert said == (step.kind, list(step.before), list(step.after)), "the intent says something else"
        assert key not in self.sent, "one intent, two writes"
        owner = made.stage.config.owner
        for entry in step.entries if step.kind != "add" else ():
            held = self.cloud.groups[GROUP].get(entry.handle)
            assert held is None or dict(held.note).get(OWNER) == owner, "touched what it did not make"
        if owner == ACME:
            self._is_justified(step, made)

    def _is_justified(self, step: Step, made: Pass) -> None:
        place = GROUP if step.part is None else RULE
        assert self.cloud.unreadable != place, "written without having been read"
        if step.part is not None and step.kind != "delete":
            assert step.part.networks, "an empty source list"
        assert _added(step) <= self._wanted(place), "added what no list names"
        assert not (step.kind == "add" and made.removed[GROUP]), "removed before it added"
        for network in _removed(step):
            assert self._believable(place), "removed on the word of a broken feed"
            assert network not in self._wanted(place), "removed what a feed lists"
            since = self.unlisted.get((place, network))
            assert since is not None, "removed what nobody saw leave"
            early = self.behind[place, network] + self.skew
            assert self._right_time() - since >= GRACE - early, (
                f"removed {network} of {place} before its grace was over"
            )

    # ── the promises: each run ───────────────────────────────────────────

    def _told_the_truth(self, stage: Stage, records: Sequence[dict[str, object]]) -> None:
        for record in records:
            if record["event"] not in {"outcome", "recovered"}:
                continue
            carried_out = (id(stage), record["intent"]) in self.done
            told = record["result"]
            if record["event"] == "outcome" and told == "unknown":
                assert self.cloud.blind, "it didn't find out, and could have"
                continue  # it stays open, until a later run has found out
            read_back = record["event"] == "recovered" or (told == "partial" and carried_out)
            if read_back and (id(stage) in self.edited or self._neighbours(stage)):
                continue  # what is there now is somebody else's doing as well
            assert (told == "applied") == carried_out, f"it says {told}, but carried out is {carried_out}"

    def _neighbours(self, stage: Stage) -> bool:
        """Tell whether the other ipsync of this owner has changed anything."""
        neighbour = self.twin if stage is self.stage else self.stage
        return stage is not self.other and bool(neighbour.log.records)

    def _was_moderate(self, made: Pass, *, approved: bool) -> None:
        for place, held in made.held.items():
            if held and id(made.stage) not in self.edited:
                assert self._ours(place), f"{place} was emptied"
            if approved:
                continue
            gone, new = made.removed[place], made.added[place] - held
            assert len(gone) <= max(REMOVALS.count, REMOVALS.percent * len(held) // 100), "removed too many unasked"
            most = max(ADDITIONS.count, ADDITIONS.percent * len(held) // 100)
            assert not held or len(new) <= most, "added too many unasked"

    # ── the promises: always ─────────────────────────────────────────────

    @invariant()
    def foreign_entries_live_on(self):
        for handle, entry in self.foreign.items():
            held = self.cloud.groups[GROUP].get(handle)
            assert held is not None, "a foreign entry was removed"
            assert held.note == entry.note, "a foreign entry was changed"

    @invariant()
    def no_list_is_empty_and_no_door_is_wide_open(self):
        assert all(part.networks for part in self.cloud.lists.values())
        for place in FEEDS_OF:
            assert self._ours(place) <= set(POOL)

    def teardown(self):
        """Quiet at last: what is listed gets in, what isn't gets out after its grace, and then nothing is written."""
        if not self.listed:
            return
        self.trouble, self.cloud.unreadable = [], ""
        for feed in ("qatech", "uptime"):
            if not self.listed[feed]:
                self._list(feed, POOL[:3])
        for _ in range(2):
            self._sync(self.stage, approve=True)
        for place in FEEDS_OF:
            assert self._wanted(place) <= self._covered(place), "what is listed is not let in"
        self._set_clock(self.stage.now + GRACE + timedelta(hours=48))  # marks may have been made by a wrong clock
        for _ in range(2):
            self._sync(self.stage, approve=True)
        for place in FEEDS_OF:
            ours = self._ours(place)  # ours alone are never all taken out, though a foreign rule lets in what is listed
            assert ours <= self._wanted(place) or not ours & self._wanted(place), "what nobody lists was never removed"
        before = self.cloud.writes
        self._sync(self.stage)
        assert self.cloud.writes == before, "a quiet run wrote"
        assert not _open_intents(self.stage), "an intent was never settled"

    def _covered(self, place: str) -> frozenset[Network]:
        """Return what is let in, by whomever: a foreign rule may be wider."""
        if place == RULE:
            return self._ours(RULE)
        allowed = {e.network for e in self.cloud.groups[GROUP].values()}
        return frozenset(n for n in POOL for a in allowed if a.version == n.version and n.subnet_of(a))

    def _count(self, what: str) -> None:
        STEPS[what] += 1


def _open_intents(stage: Stage) -> list[dict[str, object]]:
    told = [r for r in stage.log.records if r["event"] in {"outcome", "recovered"}]
    settled = {r["intent"] for r in told if r["event"] == "recovered" or r["result"] != "unknown"}
    return [r for r in stage.log.events("intent") if r["seq"] not in settled]


def _added(step: Step) -> set[Network]:
    if step.part is None:
        return {e.network for e in step.entries} if step.kind == "add" else set()
    before = set(step.was.networks) if step.was else set()
    return set(step.part.networks) - before if step.kind != "delete" else set()


def _removed(step: Step) -> set[Network]:
    if step.part is None:
        return {e.network for e in step.entries} if step.kind == "remove" else set()
    before = set(step.was.networks) if step.was else set()
    return set(step.part.networks) if step.kind == "delete" else before - set(step.part.networks)
