"""A log a shard: where it is, and several of them read and proven together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from factory import NOW, config, put

from ipsync.audit import AuditLog, describe, explained, shards, verify, verify_all
from ipsync.core.errors import AuditLogError, UsageError
from ipsync.core.sharding import Shard


def written(path: Path, *minutes: int, run: str = "r") -> str:
    """Write a record at each of these minutes, and return the checkpoint of the last."""
    head = None
    for minute in minutes:
        at = NOW + timedelta(minutes=minute)
        with AuditLog.open(path, owner="acme", actor="me", run=run, clock=lambda at=at: at) as log:
            head = put(log, "run-started", mode="sync")
    return f"{head.seq}:{head.hash}"


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("./audit.jsonl", "audit.shard-2-of-8.jsonl"),
        ("/var/lib/ipsync/audit.jsonl", "/var/lib/ipsync/audit.shard-2-of-8.jsonl"),
        ("audit", "audit.shard-2-of-8"),
        ("a.b/audit.log.jsonl", "a.b/audit.log.shard-2-of-8.jsonl"),
        ("-", "-"),
    ],
)
def test_a_shard_s_log_is_named_after_the_config_s(path, log):
    made = shards.sharded(config(), Shard(2, 8))
    assert (made.shard, made.audit_path) == (Shard(2, 8), "-")
    assert shards.path_of(path, Shard(2, 8)) == log
    if path != "-":
        assert shards.shard_of(Path(log)) == Shard(2, 8)
    assert shards.sharded(config(), None) == config()


def test_the_logs_beside_a_config_s(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert shards.beside(path) == [path], "the error is about the config's own"
    logs = [Path(shards.path_of(str(path), Shard(i, n))) for n, i in ((2, 0), (2, 1), (16, 2), (16, 10))]
    for log in (*logs, tmp_path / "other.shard-0-of-2.jsonl", tmp_path / "audit.shard-3-of-2.jsonl"):
        written(log, 1)
    assert shards.beside(path) == logs
    logs[0].rename(f"{logs[0]}.1-1")  # it rotated, and no run has begun the next file yet
    written(path, 1)
    assert shards.beside(path) == [path, *logs]
    assert shards.missing(logs)[:3] == ["shard 0 of 16", "shard 1 of 16", "shard 3 of 16"]
    assert shards.missing(logs[:2]) == []


def test_files_and_patterns_name_logs_each_once(tmp_path):
    one, two = (tmp_path / f"audit.shard-{i}-of-2.jsonl" for i in range(2))
    written(one, 1)
    written(two, 1)
    (tmp_path / "audit.shard-0-of-2.jsonl.1-42").touch()
    assert shards.named([f"{tmp_path}/audit.shard-*"]) == [one, two]
    assert shards.named([f"{two}", f"{one}.1-42", f"{one}"]) == [two, one]
    odd = tmp_path / "audit[0-9].jsonl"
    odd.touch()
    assert shards.named([f"{odd}"]) == [odd], "a file that is there is meant as it is written"
    for nothing in (f"{tmp_path}/no-*", f"{one}.lock"):
        with pytest.raises(AuditLogError, match="no audit log has such a name"):
            shards.named([nothing])


def test_records_of_all_logs_come_by_their_time_and_say_whose_they_are(tmp_path):
    one, two = (tmp_path / f"audit.shard-{i}-of-2.jsonl" for i in range(2))
    written(one, 1, 4, run="a")
    written(two, 2, 3, run="b")
    found = list(shards.together([one, two], explained))
    assert [(r["log"], r["run"], r["seq"]) for r in found] == [
        ("0/2", "a", 1),
        ("1/2", "b", 1),
        ("1/2", "b", 2),
        ("0/2", "a", 2),
    ]
    assert describe(found[1]).startswith("2026-01-31T09:02:00Z  1/2  b  #1  sync started")
    assert "log" not in next(shards.together([one], explained)), "alone it is as it stands in the file"
    (tmp_path / "old").mkdir()
    other = tmp_path / "old" / one.name
    written(other, 5)
    assert {r["log"] for r in shards.together([one, other], explained)} == {str(one), str(other)}


def test_an_anchor_holds_where_one_of_the_logs_has_it(tmp_path):
    one, two = (tmp_path / f"{name}.jsonl" for name in "ab")
    head, other = written(one, 1, 2), written(two, 1, 2, 3)
    results, lost = verify_all([one, two], anchors=[head, other[:10]])
    assert ([r.ok for r in results], [r.records for r in results], lost) == ([True, True], [2, 3], [])
    two.write_bytes(b"".join(two.read_bytes().splitlines(keepends=True)[:2]))
    results, lost = verify_all([one, two], anchors=[head, other])
    assert ([r.ok for r in results], lost) == ([True, True], [other]), "its end was cut off"
    with pytest.raises(UsageError, match="not a checkpoint"):
        verify_all([one], anchors=["nope"])


def test_a_log_that_doesn_t_hold_is_named_and_the_others_are_told(tmp_path):
    one, two = (tmp_path / f"{name}.jsonl" for name in "ab")
    head = written(one, 1, 2)
    written(two, 1, 2, run="b")
    one.write_bytes(one.read_bytes().replace(b'"actor":"me"', b'"actor":"be"', 1))
    results, lost = verify_all([one, two, tmp_path / "none"], anchors=[head])
    assert [r.ok for r in results] == [False, True, False]
    assert "a.jsonl, line 1: its hash" in results[0].problem
    assert lost == [head], "what doesn't hold proves nothing"
    assert verify(one, anchor=head) == results[0]
