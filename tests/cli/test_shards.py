"""`--shard` and the environment of a Kubernetes Indexed Job, as users meet them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from typing import NamedTuple

import pytest

from ipsync import cli
from ipsync.cli.shards import chosen
from ipsync.core.sharding import Shard, holder
from ipsync.demo.stage import PROJECT, REGION, stage

ACCOUNT = "123456789012"
COUNT = next(n for n in range(2, 99) if holder(f"aws/{ACCOUNT}/{REGION}", n) != holder(f"gcp/{PROJECT}", n))
AWS, GCP = (holder(place, COUNT) for place in (f"aws/{ACCOUNT}/{REGION}", f"gcp/{PROJECT}"))


def job(index: object, count: object) -> dict[str, str]:
    return {"JOB_COMPLETION_INDEX": str(index), "IPSYNC_SHARDS": str(count)}


def test_the_option_wins_then_the_job_s_environment_and_else_it_is_all():
    assert chosen(None, {}) is None
    assert chosen(None, {"JOB_COMPLETION_INDEX": "3"}) is None, "another Job's index is no order to divide"
    assert chosen(None, job(3, 8)) == Shard(3, 8)
    assert chosen("1/4", job(3, 8)) == chosen("1/4", {"IPSYNC_SHARDS": "nonsense"}) == Shard(1, 4)


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("4/4", {}, "--shard 4/4: there is no shard 4 of 4; they are 0 to 3; write I/N, a shard's number"),
        ("a/b", {}, "--shard a/b: write I/N, a shard's number and how many there are: 0/4, 1/4, 2/4 and 3/4"),
        ("0/0", {}, "--shard 0/0: 0 is no number of shards; there are 1 to 1000"),
        (None, job(8, 8), "JOB_COMPLETION_INDEX '8' of IPSYNC_SHARDS '8': there is no shard 8 of 8; they are 0 to 7; let IPSYNC_SHARDS be"),
        (None, job(0, "eight"), "JOB_COMPLETION_INDEX '0' of IPSYNC_SHARDS 'eight': let IPSYNC_SHARDS be the number of the Job's pods"),
        (None, job(0, ""), "JOB_COMPLETION_INDEX '0' of IPSYNC_SHARDS '': let IPSYNC_SHARDS be the number of the Job's pods"),
        (None, {"IPSYNC_SHARDS": "8"}, "IPSYNC_SHARDS is '8', and JOB_COMPLETION_INDEX isn't set, so nobody knows which"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text, environ, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        chosen(text, environ)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("stage")) as clouds:
        yield clouds


@pytest.fixture
def ipsync(clouds, capsys, monkeypatch, tmp_path):
    """Run a command in this process, as `main` does, with a log of this test's."""
    text = clouds.config_path.read_text().replace(str(clouds.config_path.parent), str(tmp_path))
    path = tmp_path / "ipsync.yaml"
    path.write_text(
        text.replace(
            f"groups: [{clouds.group}]",
            f"groups: [{clouds.group}]\n    guards: {{max-additions: {{count: 1, percent: 0}}}}",
        )
    )
    monkeypatch.setenv("IPSYNC_CONFIG", str(path))
    for name in ("JOB_COMPLETION_INDEX", "IPSYNC_SHARDS"):
        monkeypatch.delenv(name, raising=False)

    def ran(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ipsync", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(ended.value.code, *capsys.readouterr())

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield ran
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_shard_from_the_plan_to_the_proof_of_all_logs(ipsync, clouds, monkeypatch, tmp_path):
    """The commands that are printed work as they are copied, whatever named the shard; each log is its own."""
    done = ipsync("plan", "--shard", f"{AWS}/{COUNT}")
    assert f"owner demo  shard {AWS} of {COUNT}: 1 of 2 scopes" in done.stdout
    assert "staging-gcp" not in done.stdout
    assert (
        f"· shard {AWS} of {COUNT}: 1 of 2 scopes"
        in ipsync("plan", "--shard", f"{AWS}/{COUNT}", "--output", "markdown").stdout
    )
    monkeypatch.setenv("JOB_COMPLETION_INDEX", str(GCP))
    monkeypatch.setenv("IPSYNC_SHARDS", str(COUNT))
    plan = tmp_path / "plan.json"
    assert ipsync("plan", "--out", str(plan)).returncode == 0
    refused = ipsync("apply", str(plan), "--shard", f"{AWS}/{COUNT}")
    assert refused.returncode == 3
    assert f"this plan is of shard {GCP} of {COUNT}, and this run is of shard {AWS} of {COUNT}" in refused.stderr
    assert ipsync("apply", str(plan)).returncode == 0
    assert clouds.gcp.firewalls(PROJECT)["allow-qatech"]
    assert clouds.aws.calls_made.writes == 0
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    assert "nobody knows which shard this is" in ipsync("sync").stderr
    monkeypatch.delenv("IPSYNC_SHARDS")
    assert ipsync("check", "--shard", f"{AWS}/{COUNT}").returncode == 0
    assert ipsync("sync", "--shard", f"{AWS}/{COUNT}").returncode == 0
    logs = [tmp_path / f"audit.shard-{i}-of-{COUNT}.jsonl" for i in sorted((AWS, GCP))]
    assert all(log.exists() for log in logs)
    assert not (tmp_path / "audit.jsonl").exists()
    clouds.feed.addresses = [*clouds.feed.addresses, *(f"18.196.42.{n}" for n in range(9))]
    held = ipsync("sync", "--shard", f"{AWS}/{COUNT}")
    assert held.returncode == 3
    command = held.stdout.rpartition("approve this plan, and only this one: ")[2].splitlines()[0]
    assert f"--shard {AWS}/{COUNT} --approve sha256:" in command
    words = shlex.split(command)
    assert words[0] == "ipsync"
    assert ipsync(*words[1:]).returncode == 0
    shown = ipsync("audit", "show", "--event", "run-started", "--output", "json")
    records = json.loads(shown.stdout)
    assert {r["log"] for r in records} == {f"{i}/{COUNT}" for i in (AWS, GCP)}
    assert [r["at"] for r in records] == sorted(r["at"] for r in records)
    proven = ipsync("audit", "verify", "--anchor", held.stdout.rpartition("checkpoint: ")[2].split()[0])
    assert proven.returncode == 0
    assert [line.partition(": ")[0] for line in proven.stdout.splitlines()] == [str(log) for log in logs]
    logs[0].write_bytes(logs[0].read_bytes().replace(b'"mode":"', b'"mode":"x', 1))
    broken = ipsync("audit", "verify", str(tmp_path / "audit.shard-*.jsonl"))
    assert broken.returncode == 1
    assert f"{logs[0]}, line 1: its hash is not that of its content" in broken.stderr
    assert f"{logs[1]}: " in broken.stdout
