"""A worker in a process of its own with one target and one webhook, for the tests of `ipsync run`."""

from __future__ import annotations

import json
import subprocess
import sys
import time

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

    def __init__(self, path, folder, *options: str, program=("-m", "ipsync"), env=None) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            command = [sys.executable, *program, "run", "-c", str(path), *options]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=env)

    def waits_for(self, what) -> None:
        until = time.monotonic() + 60
        while not what():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < until, self.err.read_text()
            time.sleep(0.05)

    def says(self, text: str, *, times: int = 1) -> bool:
        return (self.out.read_text() + self.err.read_text()).count(text) >= times


def told(somebody) -> list[str]:
    events = [json.loads(body)["data"]["changes"] for _, _, body in somebody.came]
    return [f"{c['word']} {c['state']} {c['subjects'][0]}" for changes in events for c in changes]
