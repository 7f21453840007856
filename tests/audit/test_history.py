"""What the log's end says of feeds and messages: of runs that could write, of one owner and config."""

from __future__ import annotations

from datetime import UTC, datetime

from factory import put

from ipsync.audit import AuditLog, history, open_optional

MINE = "/etc/ipsync.yaml"


def log_of(folder, run: str, *, owner: str = "acme") -> AuditLog:
    clock = lambda: datetime(2026, 1, 31, 9, tzinfo=UTC)  # noqa: E731
    return AuditLog.open(folder / "audit.jsonl", owner=owner, actor="a", run=run, clock=clock)


def run(
    folder, name: str, *feeds: tuple[str, str], mode: str = "sync", owner: str = "acme", source: str = MINE
) -> None:
    with log_of(folder, name, owner=owner) as log:
        put(log, "run-started", mode=mode, config=source)
        for feed, digest in feeds:
            put(log, "feed", feed=feed, digest=digest)
        put(log, "run-ended", mode=mode, targets=[])


def digests(folder, *names: str) -> dict[str, str]:
    with log_of(folder, "now") as log:
        return {name: record["digest"] for name, record in log.feeds_before(names, config=MINE).items()}


def test_each_feed_has_its_last_record(tmp_path):
    run(tmp_path, "r1", ("a", "1"), ("b", "1"))
    run(tmp_path, "r2", ("a", "2"))
    assert digests(tmp_path, "a", "b", "c") == {"a": "2", "b": "1"}
    assert digests(tmp_path) == {}


def test_a_plan_and_others_on_the_log_say_nothing(tmp_path):
    run(tmp_path, "r1", ("a", "1"))
    run(tmp_path, "r2", ("a", "2"), mode="plan")
    run(tmp_path, "r3", ("a", "3"), owner="umbrella")
    run(tmp_path, "r4", ("a", "4"), source="/etc/other.yaml")
    assert digests(tmp_path, "a") == {"a": "1"}


def test_messages_are_of_one_owner_and_config_the_newest_first(tmp_path):
    with log_of(tmp_path, "r1") as log:
        for sink, source in (("one", MINE), ("two", "/etc/other.yaml"), ("three", MINE)):
            put(log, "notified", sink=sink, config=source)
    with log_of(tmp_path, "r2", owner="umbrella") as log:
        put(log, "notified", sink="four", config=MINE)
    with log_of(tmp_path, "r3") as log:
        assert [record["sink"] for record in log.notified_before(config=MINE)] == ["three", "one"]


def test_what_was_told_is_known_however_much_was_recorded_since(tmp_path):
    """Of 20,000 resources that a guard blocks a run records six megabytes: what was told two runs ago was told again."""
    with log_of(tmp_path, "r1") as log:
        put(log, "notified", kind="webhook", sink="one", config=MINE, told=["old"])
        put(log, "notified", kind="webhook", sink="one", config=MINE, told=["new"])
        put(log, "notified", kind="slack", sink="one", config=MINE, told=[])
        put(log, "notified", kind="webhook", sink="one", config="/etc/other.yaml", told=["theirs"])
    for number in range(3):
        run(tmp_path, f"long{number}", ("a", "x" * 3_000_000))
    path = tmp_path / "audit.jsonl"
    clock = lambda: datetime(2026, 2, 1, 9, tzinfo=UTC)  # noqa: E731
    with AuditLog.open(path, owner="acme", actor="a", run="put-aside", clock=clock, max_bytes=1) as log:
        put(log, "run-ended", mode="sync")
    assert len(list(tmp_path.glob("audit.jsonl.*-*"))) >= 1, "it stands in a rotated file now"
    run(tmp_path, "r2", ("a", "1"))
    with log_of(tmp_path, "r3") as log:
        before = log.notified_before(config=MINE)
        assert [(record["kind"], record["told"]) for record in before] == [("slack", []), ("webhook", ["new"])]
        put(log, "notified", kind="webhook", sink="one", config=MINE, told=["newest"])
    with log_of(tmp_path, "r4") as log:
        assert [r["told"] for r in log.notified_before(config=MINE)] == [["newest"], []]


def test_messages_of_a_log_that_points_to_none_are_searched_for(tmp_path, monkeypatch):
    with log_of(tmp_path, "r1") as log:
        put(log, "notified", kind="webhook", sink="one", config=MINE)
        monkeypatch.setattr(history.Open, "ended", lambda _self, fields: {"open": [], **fields})
        put(log, "run-ended", mode="sync")  # as it was written once
    with log_of(tmp_path, "r2") as log:
        assert [r["sink"] for r in log.notified_before(config=MINE)] == ["one"]


def test_a_long_record_hides_no_feed_of_the_run_before(tmp_path):
    run(tmp_path, "r1", ("a", "1"))
    with log_of(tmp_path, "r2") as log:
        put(log, "plan", verdicts=["x" * 5_000_000])
        put(log, "run-ended", mode="sync", targets=["x" * 5_000_000])
    assert digests(tmp_path, "a") == {"a": "1"}


def test_where_nothing_can_be_recorded_nothing_is_known(tmp_path):
    nowhere = open_optional("-", owner="acme", actor="a", run="r", clock=lambda: datetime.now(UTC))
    assert nowhere.feeds_before(["a"], config=MINE) == {}
    assert nowhere.notified_before(config=MINE) == []
