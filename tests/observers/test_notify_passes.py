"""What passes tell: each word of `on:`, one message a change, nothing while nothing changes, whatever a sink does."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from factory import GROUP, Stage, aws_target, config, hosts
from receiver import receiver, says
from waves import SMOKE, WAVES, Waves, target

from ipsync import engine
from ipsync.core.configured import Notify
from ipsync.core.errors import AuditLogError
from ipsync.core.events import RunEnded
from ipsync.core.model import Status
from ipsync.core.signals import ConfigRead, Contested, NotificationEnded, PassEnded
from ipsync.observers.notify import Notifier, Surroundings, remembered
from ipsync.verification import waiting

ALL = ("applied", "blocked", "failed", "held", "contested", "feed-changed", "feed-unchanged")
A, B, C, D = (str(n) for n in hosts(4))


class World:
    """A stage whose passes are heard by a notifier, as a worker's are, and a receiver of its messages."""

    def __init__(self, somebody, *targets, on=ALL, **changes) -> None:
        self.somebody = somebody
        sink = Notify("webhook", on, url=somebody.url, secret="s3cret")
        made = replace(config(*(targets or (aws_target(),)), grace=timedelta(0)), notify=(sink,), **changes)
        self.stage = Stage(made, lists={"qatech": [A, B, C, D]})
        self.records, self.signals = [], []
        self.before: dict = {}

    def notifier(self, *only: str, pauses=(0.0, 0.0)) -> Notifier:
        config = self.stage.config
        around = Surroundings(
            owner="acme",
            approve="ipsync sync",
            record=lambda record, _run: self.records.insert(0, {"event": record.name, **record.fields()}),
            remembered=lambda kind, name: remembered(self.records, kind, name),
            tell=self.signals.append,
            clock=lambda: self.stage.now,
            pauses=pauses,
        )
        return Notifier(config, around, selected=frozenset(only or (t.name for t in config.targets)))

    def run(self, notifier: Notifier, *only: str, approve=()):
        run = replace(self.stage.run(*only), subscribers=[notifier.hear], feeds_before=self.before)
        report = engine.sync(run, approve=frozenset(approve))
        self.before = {r["feed"]: r | {"at": "2026-01-01T00:00:00Z"} for r in self.stage.log.events("feed")}
        notifier.hear(PassEnded("sync", 1.0, report))
        return report

    def sync(self, *only: str, after: float = 1.0, approve=(), within: float = 20.0) -> list[tuple]:
        """Make one pass as cron does, with nothing but the log to remember by, and return what was told."""
        self.stage.now += timedelta(hours=after)
        told, notifier = len(self.somebody.came), self.notifier(*only)
        self.run(notifier, *only, approve=approve)
        notifier.close(within=within)
        return self.told(told)

    def told(self, start: int = 0) -> list[tuple]:
        events = [json.loads(body)["data"]["changes"] for _, _, body in self.somebody.came[start:]]
        return [(c["word"], c["state"], *c["subjects"]) for changes in events for c in changes]


@pytest.fixture
def somebody():
    with receiver() as kept:
        yield kept


def test_one_message_a_change_and_none_while_nothing_changes(somebody):
    world = World(somebody)
    assert world.sync() == [("applied", "happened", "web")]
    assert world.sync() == []
    world.stage.lists["qatech"] = "feed qatech: no answer"
    assert world.sync() == [("failed", "began", "feed qatech", "web")]
    assert [world.sync() for _ in range(3)] == [[], [], []]
    assert {word[:2] for word in world.sync(after=24)} == {("failed", "lasts")}
    world.stage.lists["qatech"] = [A, B, C, D]
    assert {word[:2] for word in world.sync()} == {("failed", "ended")}
    assert world.sync() == []
    assert len(somebody.came) == len(world.records) == 4


def test_a_feed_that_changes(somebody):
    world = World(somebody)
    world.sync()
    world.stage.lists["qatech"] = [A, B, C, D, "9.9.9.9"]
    assert sorted(world.sync()) == [("applied", "happened", "web"), ("feed-changed", "happened", "feed qatech")]
    assert world.sync() == []
    world.stage.lists["qatech"] = [A]
    world.sync()
    assert "another list than before: 1 address now" in somebody.came[-1][2].decode()


def test_what_waits_is_told_with_the_command_that_approves_it(somebody):
    world = World(somebody)
    world.sync()
    world.stage.lists["qatech"] = [A, B]
    told = world.sync()
    assert ("blocked", "began", "web") in told
    (change,) = [c for c in json.loads(somebody.came[-1][2])["data"]["changes"] if c["word"] == "blocked"]
    assert change["approve"].startswith("ipsync sync --approve change:")
    assert change["text"].startswith("max-removals: needs approval: ")
    assert world.sync() == []
    told = world.sync(approve=[change["approve"].rpartition(" ")[2]])
    assert ("blocked", "ended", "web") in told
    assert ("applied", "happened", "web") in told


def test_a_whole_refusal_is_blocked_and_has_nothing_to_approve(somebody):
    world = World(somebody)
    world.sync()
    world.stage.lists["qatech"] = []
    assert ("blocked", "began", "web") in world.sync()
    assert "approve" not in json.loads(somebody.came[-1][2])["data"]["changes"][0]


def test_many_targets_are_one_line(somebody):
    names = [f"t{n}" for n in range(7)]
    world = World(somebody, *(aws_target(name) for name in names))
    world.sync()
    world.stage.lists["qatech"] = "feed qatech: no answer"
    world.sync()
    changes = json.loads(somebody.came[-1][2])["data"]["changes"]
    assert max(change["count"] for change in changes) >= len(names)
    assert len(changes) <= 2


def test_only_what_is_asked_for_is_told(somebody):
    world = World(somebody, on=("failed",))
    assert world.sync() == []
    assert somebody.came == []
    world.stage.lists["qatech"] = "feed qatech: no answer"
    assert {word for word, *_ in world.sync()} == {"failed"}


def test_a_selection_ends_nothing_that_it_did_not_look_at(somebody):
    world = World(somebody, aws_target("web"), aws_target("other", feeds=("cdn",), where={"groups": ("sg-2",)}))
    world.stage.cloud.groups["aws/1/eu-north-1/sg-2"] = {}
    world.stage.lists |= {"cdn": "feed cdn: no answer"}
    assert ("failed", "began", "feed cdn", "other") in world.sync()
    assert world.sync("web") == []
    assert world.sync() == []


def test_contested_held_and_interrupted(somebody):
    world = World(somebody)
    report = engine.sync(world.stage.run())
    (change,) = report.plan.target_changes
    held = replace(change, status=Status.IN_SYNC, add=())

    def hear(*events, **changes):
        notifier = world.notifier()
        plan = replace(report.plan, target_changes=(replace(held, **changes),))
        for event in (*events, PassEnded("sync", 1, replace(report, plan=plan))):
            notifier.hear(event)
        notifier.close(within=20)

    hear(Contested({GROUP: "somebody undoes it"}))
    hear(Contested({}), RunEnded(mode="sync", interrupted=True), status=Status.ERROR, error="stopped by a signal")
    assert world.told() == [("contested", "began", "web")]
    hear()
    assert len(world.told()) == 1, "a run of a saved plan compares with no run before"
    hear(Contested({}))
    assert world.told()[1:] == [("contested", "ended", "web")]


def test_what_waits_is_not_over_because_its_target_can_not_be_compared(somebody):
    """A feed that was down for one pass told "no longer blocked", and the same command anew when it was back."""
    world = World(somebody, on=("blocked", "failed"))
    world.sync()
    world.stage.lists["qatech"] = [A]
    assert [word[:2] for word in world.sync()] == [("blocked", "began")]
    for outage in ("feed", "cloud"):
        if outage == "feed":
            world.stage.lists["qatech"] = "feed qatech: no answer"
        else:
            world.stage.cloud.unreadable = {world.stage.config.targets[0].scope}
        assert {word[:2] for word in world.sync()} == {("failed", "began")}
        world.stage.lists["qatech"] = [A]
        world.stage.cloud.unreadable = set()
        assert {word[:2] for word in world.sync()} == {("failed", "ended")}
    world.stage.lists["qatech"] = [A, B, C, D]
    assert [word[:2] for word in world.sync()] == [("blocked", "ended")]


@pytest.fixture
def in_waves(somebody, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.001)
    world = World(somebody, target("web", "sg-1", "canary"), target("app", "sg-2", "main"))
    made = replace(world.stage.config, waves=WAVES, checks=(replace(SMOKE, every=timedelta(hours=1)),))
    world.stage = Waves(made, lists={"qatech": [A, B]})
    return world


def last(world):
    return {c["word"]: c for c in json.loads(world.somebody.came[-1][2])["data"]["changes"]}


def test_a_failed_check_is_told_with_its_run_its_tests_and_what_lets_the_rest_go(in_waves):
    in_waves.stage.vendor.open = lambda: False
    assert in_waves.sync(after=0) == [
        ("failed", "began", "wave canary"), ("held", "began", "app"), ("applied", "happened", "web"),
    ]  # fmt: skip
    told = last(in_waves)
    assert told["failed"]["text"] == "its check smoke failed; failed: The start page (https://qa/run1)"
    assert told["held"]["text"] == f"wave canary holds it: {told['failed']['text']}"
    assert told["held"]["approve"].startswith("ipsync sync --approve wave:")
    assert in_waves.sync(after=0) == []
    approve = told["held"]["approve"].rpartition(" ")[2]
    assert set(in_waves.sync(after=0, approve=[approve])) == {
        ("failed", "ended", "wave canary"), ("held", "ended", "app"), ("applied", "happened", "app"),
    }  # fmt: skip


def test_a_door_that_a_quiet_run_finds_shut_is_told(in_waves):
    in_waves.sync()
    in_waves.stage.vendor.open = lambda: False
    assert in_waves.sync(after=2) == [("failed", "began", "wave canary")]
    assert "https://qa/run2" in last(in_waves)["failed"]["text"]
    in_waves.stage.vendor.open = lambda: True
    assert in_waves.sync(after=2) == [("failed", "ended", "wave canary")]


def test_a_pass_that_fails_whole_and_heals(somebody):
    world = World(somebody)
    for _ in range(3):
        notifier = world.notifier()
        notifier.hear(PassEnded("sync", 1, error=AuditLogError("the disk is full")))
        notifier.close(within=20)
    assert world.told() == [("failed", "began", "this pass")]
    assert ("failed", "ended", "this pass") in world.sync()


def test_a_config_that_is_refused_is_told_until_it_is_mended(somebody):
    world = World(somebody)
    for refused in (("x.yaml:3: owner: is required",), ("x.yaml:9: it is another error now",), ()):
        notifier = world.notifier()
        notifier.hear(ConfigRead(world.stage.config, refused))
        notifier.close(within=20)
    assert world.told() == [("failed", "began", "config"), ("failed", "ended", "config")]


def test_a_plan_file_that_is_refused_tells_nobody(somebody):
    world = World(somebody)
    notifier = world.notifier()
    notifier.hear(PassEnded("apply", 1, error=AuditLogError("moved")))
    notifier.close(within=20)
    assert somebody.came == []


def test_what_is_not_delivered_is_told_by_the_next_pass(somebody, caplog):
    world = World(somebody, on=("failed",))
    world.stage.lists["qatech"] = "feed qatech: no answer"
    somebody.answers = [says(500), says(500), says(500), says(200)]
    world.sync()
    assert len(somebody.came) == 3
    assert [r["result"] for r in world.records] == ["failed"]
    assert "was not told (failed): it answered 500 Internal Server Error, 3 times" in caplog.text
    assert "s3cret" not in caplog.text + str(world.records)
    assert "secretsecret" not in caplog.text + str(world.records)
    assert world.sync()
    assert world.sync() == []
    assert world.signals == [NotificationEnded("webhook", "failed"), NotificationEnded("webhook", "delivered")]
    ids = [json.loads(body)["id"] for _, _, body in somebody.came]
    assert len(set(ids[:3])) == 1, "a message that is sent again keeps its id"


def test_a_sink_that_hangs_delays_no_pass_and_the_end_no_longer_than_asked(somebody, caplog):
    world = World(somebody, on=("failed",))
    world.stage.lists["qatech"] = "feed qatech: no answer"
    somebody.answers = [somebody.hang]
    notifier = world.notifier()
    for _ in range(5):
        world.run(notifier)
    notifier.close(within=0.2)
    assert "given up because ipsync ends" in caplog.text
    assert len(somebody.came) <= 1
    assert {r["result"] for r in world.records} == {"failed"}


def test_what_a_slow_sink_missed_is_told_as_one(somebody):
    """Passes go on while a message is on its way; what they had to tell comes with the next one."""
    world = World(somebody)
    began = threading.Event()

    def slowly(handler) -> None:
        began.set()
        somebody.hang(handler)
        says(200)(handler)

    somebody.answers = [slowly, says(200)]
    notifier = world.notifier()
    world.run(notifier)
    assert began.wait(20)
    for lists in ([A, B, C, D, "9.9.9.9"], [A, B, C, D, "9.9.9.9", "9.9.9.8"], "feed qatech: no answer"):
        world.stage.lists["qatech"] = lists
        world.run(notifier)
    somebody.released.set()
    notifier.close(within=20)
    assert len(somebody.came) == 2
    words = [word for word, *_ in world.told(1)]
    assert sorted(words) == ["applied", "applied", "failed", "feed-changed", "feed-changed"]


def test_a_feed_that_fails_for_longer_than_the_grace_is_told_anew_and_louder(somebody):
    world = World(somebody)
    world.stage.config = replace(world.stage.config, grace=timedelta(hours=72))
    world.sync()
    world.stage.lists["qatech"] = "feed qatech: no answer"
    world.sync()
    assert not [c for c in last_changes(world) if c["severity"] == "critical"]
    for _ in range(71):
        world.sync(after=1)
    told = world.sync(after=2)
    assert ("failed", "began", "feed qatech") in told
    critical = [c for c in last_changes(world) if c["severity"] == "critical"]
    assert "can't be used since" in critical[0]["text"]
    assert "can't leave" in critical[0]["text"]


def last_changes(world) -> list[dict]:
    return json.loads(world.somebody.came[-1][2])["data"]["changes"]


def test_a_list_that_stays_the_same_for_too_long(somebody):
    world = World(somebody)
    feed = replace(world.stage.config.feeds[0], max_unchanged_age=30 * 86400.0)
    world.stage.config = replace(world.stage.config, feeds=(feed,))
    world.sync()
    assert world.sync(after=24 * 29) == []
    assert world.sync(after=48) == [("feed-unchanged", "began", "feed qatech")]
    assert world.sync() == []
    world.stage.lists["qatech"] = [A, B, C]
    assert ("feed-unchanged", "ended", "feed qatech") in world.sync()


def test_foreign_text_stays_on_its_line(somebody):
    world = World(somebody)
    world.stage.lists["qatech"] = "feed qatech: \n\x1b[2Jok"
    world.sync()
    text = last_changes(world)[0]["text"]
    assert "\\n\\x1b[2Jok" in text
