"""`notify:` from the config to the message: one-shot runs that remember by the audit log, and `ipsync notify --test`."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys

import pytest
from receiver import receiver, says

from ipsync import cli
from ipsync.audit import verify
from ipsync.cli import streams, telling
from ipsync.sandbox.feed import FeedServer

CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}"}}}}
targets:
  - {{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [{group}], ports: [443/tcp]}}
audit: {{path: {folder}/audit.jsonl}}
notify:
  - {{webhook: "${{HOOK}}", secret: "${{HOOK_SECRET}}", on: [applied, failed]}}
"""


@pytest.fixture
def somebody(monkeypatch):
    with receiver() as kept:
        monkeypatch.setenv("HOOK", kept.url)
        monkeypatch.setenv("HOOK_SECRET", "s3cret-of-the-hook")
        yield kept


@pytest.fixture
def feed():
    with FeedServer(["18.196.41.10", "18.196.41.11"]) as served:
        yield served


@pytest.fixture
def path(aws, feed, somebody, tmp_path, monkeypatch):
    made = tmp_path / "ipsync.yaml"
    made.write_text(CONFIG.format(feed=feed.url, group=aws.make_group("web"), folder=tmp_path))
    monkeypatch.setenv("IPSYNC_CONFIG", str(made))
    return made


@pytest.fixture
def ipsync(capsys, monkeypatch):
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}

    def ran(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ipsync", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    yield ran
    for number, handler in before.items():
        signal.signal(number, handler)


def told(somebody) -> list[str]:
    events = [json.loads(body)["data"]["changes"] for _, _, body in somebody.came]
    return [" ".join(f"{c['word']} {c['state']}" for c in changes) for changes in events]


def test_runs_of_cron_tell_each_change_once(ipsync, path, feed, somebody, tmp_path):
    for words in (["plan"], ["sync", "--dry-run"], ["check"]):
        ipsync(*words)
    assert somebody.came == []
    assert ipsync("sync")[0] == 0
    assert ipsync("sync")[0] == 0
    feed.respond(status="500 Oops")
    assert [ipsync("sync")[0] for _ in range(3)] == [1, 1, 1]
    ipsync("sync", "--dry-run")
    feed.recover()
    assert ipsync("sync")[0] == 0
    assert told(somebody) == ["applied happened", "failed began", "failed ended"]
    log = tmp_path / "audit.jsonl"
    assert verify(log).ok
    assert log.read_text().count('"event":"notified"') == 3
    assert "s3cret-of-the-hook" not in log.read_text()
    assert "secretsecret" not in log.read_text()
    _, shown, _ = ipsync("audit", "show", "--path", str(log), "--event", "notified")
    assert "notified webhook 127.0.0.1 of failed" in shown


def test_a_run_waits_no_longer_than_it_may(ipsync, path, somebody, monkeypatch):
    monkeypatch.setattr(telling, "LAST_CALL", 0.2)
    somebody.answers = [somebody.hang]
    code, out, err = ipsync("sync")
    assert code == 0, "the clouds are as wished, whoever was told"
    assert "Sync: 2 added" in out
    assert "webhook 127.0.0.1 was not told (applied): it was broken off; given up because ipsync ends" in err
    assert "s3cret-of-the-hook" not in out + err


def test_a_log_on_standard_output_remembers_nothing_and_that_is_said(ipsync, path, feed, somebody, tmp_path):
    path.write_text(path.read_text().replace(f"{tmp_path}/audit.jsonl", "'-'"))
    feed.respond(status="500 Oops")
    done = subprocess.run([sys.executable, "-m", "ipsync", "sync"], capture_output=True, text=True, check=False)
    assert "notify: audit.path is -, so what was told is not remembered" in done.stderr
    assert (done.returncode, len(somebody.came)) == (1, 1)


def test_a_saved_plan_tells_what_it_applied(ipsync, path, somebody, tmp_path):
    ipsync("plan", "--out", str(tmp_path / "plan"))
    assert somebody.came == []
    assert ipsync("apply", str(tmp_path / "plan"))[0] == 0
    assert ipsync("apply", str(tmp_path / "plan"))[0] == 3
    assert told(somebody) == ["applied happened"]


# ── notify --test ────────────────────────────────────────────────────────────


def test_a_sample_goes_to_each(ipsync, path, somebody):
    slack = '  - {slack: "${HOOK}", on: [failed]}\n  - {command: ["true"]}\n'
    path.write_text(path.read_text() + slack)
    code, out, _ = ipsync("notify", "--test")
    assert code == 0
    assert out.splitlines() == [
        "ok      webhook 127.0.0.1: answered 200 OK",
        "ok      slack 127.0.0.1: answered 200 OK",
        "ok      command true: exited with 0",
    ]
    samples = [json.loads(body) for _, _, body in somebody.came]
    assert sorted("sample" if "data" in s else s["text"].splitlines()[0] for s in samples) == [
        "ipsync acme: applied (a sample)",
        "sample",
    ]


def test_a_sample_that_fails_is_told_and_the_others_go_on(ipsync, path, somebody):
    path.write_text(path.read_text() + '  - {command: ["/nowhere/page"]}\n')
    somebody.answers = [says(302, b"", ("Location", "https://evil.example/secret"))]
    code, out, err = ipsync("notify", "--test")
    assert code == 1
    assert "FAILED  webhook 127.0.0.1: it redirects to evil.example (302), and redirects are not followed" in out
    assert "FAILED  command page: it can't be started: No such file or directory" in out
    assert "secretsecret" not in out + err
    assert len(somebody.came) == 1


def test_a_sample_that_fails_is_a_failure_although_nobody_reads_it(ipsync, path, somebody, monkeypatch):
    def refuse(*_pieces, aside=False):
        if not aside:
            raise streams.UnwritableError(OSError(errno.EPIPE, "Broken pipe"))

    monkeypatch.setattr(streams, "say_all", refuse)
    somebody.answers = [says(302, b"", ("Location", "https://evil.example/secret"))]
    assert ipsync("notify", "--test")[0] == 1


def test_nothing_is_sent_unasked(ipsync, path, somebody):
    code, _, err = ipsync("notify")
    assert (code, "give --test" in err) == (1, True)
    path.write_text(path.read_text().partition("notify:")[0])
    code, _, err = ipsync("notify", "--test")
    assert (code, "names nobody to tell" in err) == (1, True)
    assert somebody.came == []
