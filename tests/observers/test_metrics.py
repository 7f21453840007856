"""The metrics of contract 8: each number from the events of real passes over clouds in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import NOW, Stage, aws_target, config, gcp_target, hosts

from ipsync import __version__
from ipsync.core.configured import Limits
from ipsync.core.errors import AuditLogError, Denied
from ipsync.core.events import Copied, Verification
from ipsync.core.model import Entry
from ipsync.core.sharding import Shard, holder
from ipsync.core.signals import CloudCalled, Contested, PassEnded
from ipsync.observers.ledger import Ledger
from ipsync.observers.metrics import Metrics
from ipsync.targets.aws.where import AwsAccount

AT = 1_800_000_000.0
GROUP = "aws/1/eu-north-1/sg-1"


class Watched:
    """A stage, and the metrics of what happens on it."""

    def __init__(self, *targets, objects=None) -> None:
        made = replace(config(*(targets or (aws_target(),))), audit_objects=objects)
        self.stage = Stage(made)
        self.stage.lists = {feed.name: hosts(4) for feed in made.feeds}
        self.start()

    def start(self) -> None:
        made = self.stage.config
        self.ledger = Ledger(made)
        self.metrics = Metrics(made, self.ledger, clock=lambda: AT)

    def sync(self, **more):
        return self.stage.watched(self.ledger, self.metrics, **more)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"ipsync_{name}", labels)

    def entries(self, target: str = "web") -> dict[str, float]:
        states = ("allowed", "leaving", "satisfied_by_others", "waiting", "refused")
        return {state: self.value("entries", target=target, state=state) for state in states}


def test_a_good_pass():
    watched = Watched(aws_target(), gcp_target())
    watched.sync()
    assert watched.value("sync_total", result="done") == 1
    assert watched.value("sync_total", result="failed") == 0, "a rate needs a zero to begin from"
    assert watched.value("sync_duration_seconds_sum") == 1.5
    assert watched.value("last_success_timestamp_seconds", target="web") == AT
    assert watched.value("last_success_timestamp_seconds", target="edge") == AT
    assert watched.value("feed_addresses", feed="qatech") == 4
    assert watched.value("feed_last_success_timestamp_seconds", feed="qatech") == NOW.timestamp()
    assert watched.entries() == watched.entries("edge")
    assert watched.entries() == {"allowed": 4, "leaving": 0, "satisfied_by_others": 0, "waiting": 0, "refused": 0}
    assert watched.value("pending_changes", target="web", action="add") == 0
    assert watched.value("build_info", version=__version__) == 1


def test_a_target_at_other_shards_places_alone_has_no_success_here_that_grows_old():
    role = AwsAccount(role_arn="arn:aws:iam::1:role/ipsync")
    watched = Watched(aws_target(where={"account": role}), gcp_target())
    mine, other = "aws/1/eu-north-1", "gcp/acme/allow-qatech"
    count = next(n for n in range(2, 99) if holder(mine, n) != holder(other, n))
    watched.stage.config = replace(watched.stage.config, shard=Shard(holder(mine, count), count))
    for _ in range(2):
        watched.sync()
        assert watched.value("last_success_timestamp_seconds", target="web") == AT
        assert watched.value("last_success_timestamp_seconds", target="edge") is None


def test_what_leaves_is_still_allowed():
    watched = Watched()
    watched.sync()
    watched.stage.lists["qatech"] = [*hosts(4)[1:], "8.8.8.8"]
    watched.sync()
    assert watched.entries() | {"allowed": 5, "leaving": 1} == watched.entries()


def test_what_waits_for_an_approval_is_counted_until_it_goes():
    watched = Watched(aws_target(limits=(("qatech", Limits()),)))
    watched.stage.config = replace(watched.stage.config, grace=NOW - NOW)
    watched.sync()
    watched.stage.lists["qatech"] = [hosts(4)[0], "8.8.8.8"]
    report = watched.sync()
    assert watched.entries() == {"allowed": 5, "leaving": 0, "satisfied_by_others": 0, "waiting": 3, "refused": 0}
    assert watched.value("pending_changes", target="web", action="remove") == 3
    assert watched.value("pending_changes", target="web", action="add") == 0
    assert watched.value("guard_violations_total", guard="max-removals", verdict="needs-approval") == 1
    assert watched.value("sync_total", result="refused") == 1
    watched.sync(approve=[report.plan.target_changes[0].waiting[0].id])
    assert watched.entries() | {"allowed": 2, "leaving": 0, "waiting": 0} == watched.entries()
    assert watched.value("pending_changes", target="web", action="remove") == 0


def test_a_broken_feed_leaves_the_last_good_numbers():
    watched = Watched()
    watched.sync()
    before = watched.value("last_success_timestamp_seconds", target="web")
    watched.metrics._clock = lambda: AT + 900
    watched.stage.lists["qatech"] = "feed qatech: HTTP 500"
    watched.sync()
    assert watched.value("feed_addresses", feed="qatech") == 4
    assert watched.value("feed_last_success_timestamp_seconds", feed="qatech") == NOW.timestamp()
    assert watched.value("last_success_timestamp_seconds", target="web") == before
    assert watched.entries()["allowed"] == 4
    assert watched.value("sync_total", result="failed") == 1


def test_a_target_that_can_not_be_read_keeps_its_numbers():
    watched = Watched()
    watched.sync()
    watched.stage.cloud.unreadable = {watched.stage.config.targets[0].scope}
    watched.sync()
    assert watched.entries()["allowed"] == 4
    assert watched.value("sync_total", result="failed") == 1


def test_what_others_let_in_is_kept_too_while_nothing_can_be_read_or_compared():
    watched = Watched()
    watched.stage.cloud.put(GROUP, Entry(hosts(1)[0], aws_target().services[0]))
    watched.sync()
    before = watched.entries()
    assert (before["allowed"], before["satisfied_by_others"]) == (3, 1)
    watched.stage.lists["qatech"] = "feed qatech: answered 500"
    watched.sync()
    assert watched.entries() == before
    watched.stage.cloud.unreadable = {watched.stage.config.targets[0].scope}
    watched.sync()
    assert watched.entries() == before


def test_what_could_not_be_written_is_pending():
    watched = Watched()

    def deny(_operation):
        raise Denied("no")

    watched.stage.cloud.before = deny
    watched.sync()
    assert watched.value("pending_changes", target="web", action="add") == 4
    assert watched.entries()["allowed"] == 0


def test_every_call_of_a_cloud_is_counted():
    watched = Watched()
    for _ in range(2):
        watched.metrics(CloudCalled("aws", "DescribeSecurityGroupRules", "ok"), None)
    watched.metrics(CloudCalled("aws", "add", "unknown"), None)
    assert watched.value("cloud_calls_total", provider="aws", operation="DescribeSecurityGroupRules", result="ok") == 2
    assert watched.value("cloud_calls_total", provider="aws", operation="add", result="unknown") == 1


def test_a_pass_that_ends_with_an_error_is_counted_by_what_it_left():
    watched = Watched()
    wrote = AuditLogError("the disk is full")
    wrote.wrote = True
    for error in (wrote, AuditLogError("held by another"), RuntimeError("boom")):
        watched.metrics(PassEnded("sync", 0.1, error=error), None)
    assert watched.value("sync_total", result="partial") == 1
    assert watched.value("sync_total", result="failed") == 2
    assert watched.value("sync_duration_seconds_count") == 3


def test_a_plan_is_no_sync():
    watched = Watched()
    watched.metrics(PassEnded("plan", 0.1, watched.stage.plan()), None)
    assert watched.value("sync_duration_seconds_count") == 0
    assert watched.value("last_success_timestamp_seconds", target="web") == 0


def test_what_somebody_undoes_is_counted_by_target():
    watched = Watched(aws_target(), gcp_target())
    watched.sync()
    ended = PassEnded("sync", 1, watched.stage.sync())
    watched.metrics(Contested({GROUP: "web: …"}), None)
    watched.metrics(ended, None)
    assert watched.value("contested_resources", target="web") == 1
    assert watched.value("contested_resources", target="edge") == 0
    watched.sync()
    assert watched.value("contested_resources", target="web") == 0


def test_whether_the_log_was_copied_is_told_where_it_should_be():
    assert Watched().value("audit_copied") is None
    watched = Watched(objects="s3://bucket/log")
    ended = PassEnded("sync", 1, watched.stage.sync())
    watched.metrics(Copied(object="x", through=9), None)
    watched.metrics(ended, None)
    assert watched.value("audit_copied") == 1
    watched.metrics(ended, None)
    assert watched.value("audit_copied") == 0


def test_without_a_bucket_nothing_is_said_of_copies_any_more():
    watched = Watched(objects="s3://bucket/log")
    watched.sync()
    watched.metrics.follow(replace(watched.stage.config, audit_objects=None))
    watched.sync()
    assert watched.value("audit_copied") is None, "a 0 would be an alert"


def test_a_feed_that_no_target_uses_has_no_success_that_could_grow_old():
    both = Watched(aws_target(), gcp_target(feeds=("cdn",), limits=(("cdn", Limits()),)))
    both.sync()
    alone = replace(both.stage.config, targets=both.stage.config.targets[:1])
    both.metrics.follow(alone)
    assert 'feed="cdn"' not in both.metrics.text().decode()
    assert 'feed="cdn"' not in Metrics(alone, Ledger(alone)).text().decode()


def test_what_is_not_selected_has_no_success_that_could_grow_old():
    watched = Watched(aws_target(), gcp_target(feeds=("cdn",), limits=(("cdn", Limits()),)))
    watched.metrics = Metrics(watched.stage.config, watched.ledger, only=["web"])
    watched.sync(only=["web"])
    text = watched.metrics.text().decode()
    assert 'target="web"' in text
    assert 'target="edge"' not in text
    assert 'feed="cdn"' not in text


def test_what_is_no_target_s_is_counted_once():
    """Beside a target on the same resource, orphans counted as its own too."""
    both = Watched(aws_target(), aws_target("old", feeds=("cdn",), limits=(("cdn", Limits()),)))
    both.stage.lists["cdn"] = ["9.9.9.9"]
    both.sync()
    both.stage.config = config(aws_target())
    both.start()
    for _ in range(2):
        both.sync()
        assert both.value("entries", target="", state="orphaned") == 1
        assert both.entries()["allowed"] == 4


def test_orphans_are_counted_on_through_a_new_config_and_a_new_process():
    watched = Watched(aws_target("old"))
    watched.sync()
    watched.stage.config = config(aws_target("new"))
    watched.stage.lists["qatech"] = ["9.9.9.9"]
    watched.start()
    watched.sync()
    number = watched.value("entries", target="", state="orphaned")
    assert number
    watched.metrics.follow(watched.stage.config)
    assert watched.value("entries", target="", state="orphaned") == number
    before = watched.metrics.text().decode()
    watched.start()
    watched.metrics.carry_on(before)
    watched.metrics(PassEnded("sync", 1, error=RuntimeError()), None)
    assert watched.value("entries", target="", state="orphaned") == number


def test_a_new_config_drops_what_it_no_longer_names():
    watched = Watched(aws_target(), gcp_target(feeds=("cdn",), limits=(("cdn", Limits()),)))
    watched.sync()
    watched.metrics.follow(config(aws_target(), aws_target("new")))
    text = watched.metrics.text().decode()
    assert 'target="edge"' not in text
    assert 'feed="cdn"' not in text
    assert watched.value("last_success_timestamp_seconds", target="new") == 0
    assert watched.value("last_success_timestamp_seconds", target="web") == AT


def test_the_text_says_nothing_of_when_counting_began():
    watched = Watched()
    watched.sync()
    assert b"_created" not in watched.metrics.text()
    assert b"# TYPE ipsync_sync_total counter\n" in watched.metrics.text()


# ── from process to process ──────────────────────────────────────────────────


def test_a_later_process_goes_on_counting():
    watched = Watched(aws_target(), gcp_target())
    watched.sync()
    before = watched.metrics.text().decode()
    watched.start()
    watched.metrics.carry_on(before)
    watched.metrics._clock = lambda: AT + 900
    watched.sync(only=["edge"])
    assert watched.value("sync_total", result="done") == 2
    assert watched.value("last_success_timestamp_seconds", target="web") == AT
    assert watched.value("last_success_timestamp_seconds", target="edge") == AT + 900
    assert watched.entries()["allowed"] == 4
    assert watched.value("sync_duration_seconds_count") == 1, "a histogram can't be continued"


def test_what_the_config_no_longer_names_is_not_carried_on():
    watched = Watched(aws_target(), gcp_target())
    watched.sync()
    before = watched.metrics.text().decode()
    watched.stage.config = config(aws_target())
    watched.start()
    watched.metrics.carry_on(before)
    assert b'target="edge"' not in watched.metrics.text()


@pytest.mark.parametrize(
    "text",
    [
        "not a metric",
        "ipsync_sync_total{",
        '# TYPE ipsync_sync_total counter\nipsync_sync_total{a="b"} 1\n',
        '# TYPE ipsync_sync_total counter\nipsync_sync_total{result="done"} NaN\n',
        '# TYPE ipsync_sync_total counter\nipsync_sync_total{result="done"} 7\nipsync_sync_total{result="failed"} -1\n',
    ],
)
def test_what_is_not_ours_is_refused(text):
    watched = Watched()
    with pytest.raises(ValueError):
        watched.metrics.carry_on(text)
    assert watched.value("sync_total", result="done") == 0, "nothing of it is taken"


def test_a_check_counts_once_it_has_ended():
    watched = Watched()
    for state in ("asked", "running", "passed", "asked", "unknown"):
        watched.metrics(Verification(wave="canary", check="smoke", state=state), None)
    found = {
        state: watched.value("verification_total", result=state) for state in ("asked", "running", "passed", "unknown")
    }
    assert found == {"asked": None, "running": None, "passed": 1, "unknown": 1}
