"""`ipsync run` from pass to pass: SIGHUP reads the config again, a broken one is refused, and people are told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from receiver import receiver

from ipsync.audit import verify
from ipsync.sandbox.feed import FeedServer

CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}"}}}}
targets:
  - {{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [{group}], ports: [{ports}]}}
audit: {{path: {folder}/audit.jsonl}}
schedule: {{every: {every}, jitter: 0s}}
listen: null
notify:
  - {{webhook: "{hook}", on: [applied, failed]}}
"""


class Running:
    """A worker in a process of its own, and what it says."""

    def __init__(self, path, folder) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            command = [sys.executable, "-m", "ipsync", "run", "-c", str(path)]
            self.process = subprocess.Popen(command, stdout=out, stderr=err)

    def waits_for(self, what) -> None:
        until = time.monotonic() + 60
        while not what():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < until, self.err.read_text()
            time.sleep(0.05)

    def says(self, text: str, *, times: int = 1) -> bool:
        return (self.out.read_text() + self.err.read_text()).count(text) >= times


@pytest.fixture
def somebody():
    with receiver() as kept:
        yield kept


def told(somebody) -> list[str]:
    events = [json.loads(body)["data"]["changes"] for _, _, body in somebody.came]
    return [f"{c['word']} {c['state']} {c['subjects'][0]}" for changes in events for c in changes]


def test_a_config_is_read_again_and_a_broken_one_refused(aws, somebody, tmp_path):
    path, group = tmp_path / "ipsync.yaml", aws.make_group("web")
    with FeedServer(["18.196.41.10"]) as feed:
        known = {"feed": feed.url, "group": group, "folder": tmp_path, "hook": somebody.url}
        path.write_text(CONFIG.format(ports="443/tcp", every="1h", **known))
        worker = Running(path, tmp_path)
        try:
            worker.waits_for(lambda: worker.says("Next pass") and told(somebody) == ["applied happened web"])
            path.write_text("version: 1\nowner: NOT GOOD\ntargets: 7\n")
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: told(somebody)[1:] == ["failed began config"])
            assert worker.says("config refused, the one of before stays: ")
            assert worker.says("owner: 'NOT GOOD' is not an owner")
            assert worker.says(":3: targets: must be a list"), "every error is told"
            path.write_text(CONFIG.format(ports="443/tcp, 8443/tcp", every="2h", **known))
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: worker.says("Next pass", times=2) and len(told(somebody)) == 4)
            assert worker.says("was read again, and holds from now on")
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(timeout=30) == 0
        finally:
            worker.process.kill()
            worker.process.wait()
    assert sorted(told(somebody)[2:]) == ["applied happened web", "failed ended config"]
    assert {(rule["FromPort"]) for rule in aws.rules(group) if not rule["IsEgress"]} == {443, 8443}
    assert verify(tmp_path / "audit.jsonl").ok
