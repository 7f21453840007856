"""Since when a list is the same, or can't be read: handed on from record to record, and told when it is too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import NOW, Stage, aws_target, config

from ipsync import engine
from ipsync.core.configured import Feed
from ipsync.core.events import FeedRead
from ipsync.core.freshness import dated, failing, unchanged

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEED = Feed("qatech", "https://x.example", max_unchanged_age=30 * 86400.0)


def good(digest: str = "sha256:a") -> FeedRead:
    return FeedRead(feed="qatech", url="u", digest=digest, count=3)


def bad() -> FeedRead:
    return FeedRead(feed="qatech", url="u", rejected="no answer")


def follow(*reads: FeedRead, step: timedelta = HOUR) -> list[FeedRead]:
    """Date reads one after the other, each from the record of the one before as a log gives it back."""
    found, earlier = [], None
    for n, read in enumerate(reads):
        found.append(dated(read, earlier, NOW + n * step))
        earlier = {"event": "feed", "at": "2020-01-01T00:00:00Z", **found[-1].fields()}
    return found


def hours(reads: list[FeedRead]) -> list[int]:
    return [int(read.since[11:13]) - NOW.hour for read in reads]


def test_the_first_read_begins_the_time():
    (read,) = follow(good())
    assert (read.since, read.before) == ("2026-01-31T09:00:00Z", None)


def test_a_list_is_as_old_as_its_digest():
    reads = follow(good(), good(), good("sha256:b"), good("sha256:b"), good("sha256:a"))
    assert hours(reads) == [0, 0, 2, 2, 4]
    assert [read.before for read in reads] == [None, None, "sha256:a", None, "sha256:b"]


def test_a_failure_between_makes_a_list_no_younger():
    reads = follow(good(), bad(), bad(), good(), bad(), good("sha256:b"))
    assert hours(reads) == [0, 1, 1, 0, 4, 5]
    assert [read.before for read in reads] == [None, None, None, None, None, "sha256:a"]
    assert reads[2].listed == {"digest": "sha256:a", "since": "2026-01-31T09:00:00Z"}


def test_a_log_of_before_gives_the_time_of_its_record():
    old = {"event": "feed", "at": "2026-01-01T00:00:00Z", "digest": "sha256:a", "count": 3}
    assert dated(good(), old, NOW).since == "2026-01-01T00:00:00Z"
    assert dated(good("sha256:b"), old, NOW).before == "sha256:a"
    refused = {"event": "feed", "at": "2026-01-02T00:00:00Z", "rejected": "no answer"}
    assert dated(bad(), refused, NOW).since == "2026-01-02T00:00:00Z"
    assert dated(good(), refused, NOW).before is None


@pytest.mark.parametrize("since", ["", "yesterday", "2026-01-01", None, 7])
def test_what_a_log_holds_wrongly_begins_the_time_anew(since):
    record = {"event": "feed", "digest": "sha256:a", "count": 3, "since": since}
    assert dated(good(), record, NOW).since == "2026-01-31T09:00:00Z"


def test_an_unchanged_list_is_told_when_it_is_older_than_allowed():
    read = follow(good())[0]
    assert unchanged(FEED, read, NOW + 30 * DAY) == ""
    said = unchanged(FEED, read, NOW + 31 * DAY)
    assert "the same 3 addresses since 2026-01-31T09:00:00Z (31d), longer than its max_unchanged_age (30d)" in said
    assert unchanged(replace(FEED, max_unchanged_age=None), read, NOW + 400 * DAY) == ""
    assert unchanged(FEED, follow(bad())[0], NOW + 400 * DAY) == ""


def test_a_feed_that_fails_longer_than_the_grace_is_told():
    read = follow(good(), bad())[1]
    assert failing(read, 3 * DAY, NOW + HOUR + 3 * DAY) == ""
    said = failing(read, 3 * DAY, NOW + 2 * HOUR + 3 * DAY)
    assert "can't be used since 2026-01-31T10:00:00Z (3d), longer than removal.grace (3d)" in said
    assert said.endswith("the last error: no answer")
    assert failing(follow(good())[0], DAY, NOW + 9 * DAY) == ""
    for grace in (None, timedelta(0)):
        assert failing(read, grace, NOW + 400 * DAY) == ""


def test_reports_say_both(caplog):
    stage = Stage(replace(config(aws_target()), feeds=(FEED,)), lists={"qatech": ["8.8.8.8"]})
    run = stage.run()
    engine.plan(run)
    before = {"qatech": stage.log.events("feed")[0]}
    stage.now += 40 * DAY
    (said,) = engine.plan(replace(stage.run(), feeds_before=before)).notices
    assert "longer than its max_unchanged_age (30d)" in said
    stage.lists["qatech"] = "feed qatech: no answer"
    for days in (0, 4):
        stage.now += days * DAY
        said = engine.sync(replace(stage.run(), feeds_before=before)).notices
        before = {"qatech": stage.log.events("feed")[-1]}
    assert "longer than removal.grace" in said[0]
    assert "longer than removal.grace" in caplog.text
