"""A day of `ipsync run` against the sandbox: what happens is found in its metrics, on its page and in its messages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest
from receiver import receiver
from worker_desk import Running, told

from ipsync.audit import verify
from ipsync.sandbox.feed import FeedServer

CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}"}}}}
removal: {{grace: 0s}}
targets:
  - {{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [{group}], ports: [443/tcp]}}
audit: {{path: {folder}/audit.jsonl}}
schedule: {{every: 10s, jitter: 0s}}
listen: 127.0.0.1:0
notify:
  - {{webhook: "{hook}", on: [applied, blocked, failed, contested, feed-changed]}}
"""
QUICK = """
from dataclasses import replace
from ipsync.cli import main, worker
read = worker.read
worker.read = lambda *given: replace(read(*given), every=1.0)  # less than a config may say
main()
"""
LISTED = ["18.196.41.10", "18.196.41.20", "18.196.41.30", "18.196.41.40", "18.196.41.50", "18.196.41.60"]


class Day:
    """A worker, its feed, its cloud, and whoever is told."""

    def __init__(self, worker, feed, somebody, cloud, group) -> None:
        self.worker, self.feed, self.somebody, self.cloud, self.group = worker, feed, somebody, cloud, group

    def page(self, path=""):
        url = re.search(r"health are at (\S+)", self.worker.err.read_text())[1]
        with urllib.request.urlopen(url + path, timeout=60) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.page("api/status"))

    def metric(self, series):
        found = re.search(rf"^ipsync_{re.escape(series)} (\S+)$", self.page("metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def until(self, what):
        self.worker.waits_for(what)

    def is_told(self, *texts):
        try:
            self.until(lambda: set(texts) <= set(told(self.somebody)))
        except AssertionError:
            print(told(self.somebody))
            raise

    def open(self):
        return sorted(rule["CidrIpv4"].removesuffix("/32") for rule in self.cloud.rules(self.group))

    def foreign_edit(self):
        """Take a rule away by hand, once."""
        rules = self.cloud.rules(self.group)
        if ids := [rule["SecurityGroupRuleId"] for rule in rules if rule["CidrIpv4"] == f"{LISTED[0]}/32"]:
            client = self.cloud.client("ec2", region="eu-north-1")
            client.revoke_security_group_ingress(GroupId=self.group, SecurityGroupRuleIds=ids)


@contextmanager
def day(aws, folder):
    with FeedServer(LISTED) as feed, receiver() as somebody:
        group, path = aws.make_group("web"), folder / "ipsync.yaml"
        path.write_text(CONFIG.format(feed=feed.url, group=group, folder=folder, hook=somebody.url))
        worker = Running(path, folder, program=("-c", QUICK))
        try:
            worker.waits_for(lambda: worker.says("health are at"))
            yield Day(worker, feed, somebody, aws, group)
        finally:
            worker.process.terminate()
            worker.process.wait()


@pytest.mark.slow
def test_what_happens_is_found_in_metrics_page_and_messages(aws, tmp_path):
    with day(aws, tmp_path) as here:
        _everything_is_let_in(here)
        _the_feed_changes(here)
        _the_feed_breaks_and_heals(here)
        _a_change_waits_and_is_approved(here, tmp_path)
        _somebody_undoes_it(here)
        assert here.page("healthz") == "ok\n"
    assert verify(tmp_path / "audit.jsonl").ok


def _everything_is_let_in(here):
    here.until(lambda: here.metric('entries{state="allowed",target="web"}') == 6)
    here.is_told("applied happened web")
    assert here.metric('last_success_timestamp_seconds{target="web"}') > 0
    assert "All as wished" in here.page()
    assert here.open() == LISTED


def _the_feed_changes(here):
    here.feed.addresses = [*LISTED, "18.196.41.70"]
    here.until(lambda: here.metric('feed_addresses{feed="qatech"}') == 7)
    here.until(lambda: here.metric('entries{state="allowed",target="web"}') == 7)
    here.is_told("feed-changed happened feed qatech")
    assert "18.196.41.70/32" in here.page()


def _the_feed_breaks_and_heals(here):
    here.feed.respond(b"", status="503 Service Unavailable")
    here.is_told("failed began feed qatech")
    assert here.metric('sync_total{result="failed"}') > 0
    assert here.status()["feeds"][0]["error"]
    assert "unusable" in here.page()
    assert len(here.open()) == 7, "the doors stay as they are"
    here.feed.recover()
    here.is_told("failed ended feed qatech")
    here.until(lambda: here.status()["feeds"][0]["error"] is None)


def _a_change_waits_and_is_approved(here, folder):
    here.feed.addresses = [*LISTED[:3], "18.196.41.70"]
    here.until(lambda: here.metric('entries{state="waiting",target="web"}') == 3)
    here.is_told("blocked began web")
    [approval] = here.status()["approvals"]
    assert "Waiting for approval" in here.page()
    assert here.metric('guard_violations_total{guard="max-removals",verdict="needs-approval"}') > 0
    _, *given = shlex.split(approval["command"])
    done = subprocess.run([sys.executable, "-m", "ipsync", *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    here.until(lambda: here.metric('entries{state="waiting",target="web"}') == 0)
    here.is_told("blocked ended web")
    assert here.open() == [*LISTED[:3], "18.196.41.70"]


def _somebody_undoes_it(here):
    def contested():
        here.foreign_edit()
        return here.metric('contested_resources{target="web"}') == 1

    here.until(contested)
    here.is_told("contested began web")
    assert "is contested" in here.page()
