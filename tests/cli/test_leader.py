"""`ipsync run --leader-elect` in processes of their own: one makes the passes, and another one follows."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
from kube import kubernetes
from worker_desk import Running

from ipsync.audit import verify
from ipsync.sandbox.feed import FeedServer, Raw

CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}"}}}}
targets:
  - {{name: web, kind: aws-security-group, feed: qatech, region: eu-north-1, groups: [{group}], ports: [443/tcp]}}
audit: {{path: {folder}/audit.jsonl}}
schedule: {{every: 10s, jitter: 0s}}
listen: 127.0.0.1:0
"""
QUICK = """
from dataclasses import replace
from ipsync.cli import worker
from ipsync.election import elector
from ipsync.election.lease import Timing
elector.Timing = lambda: Timing(8, 6, 0.5)
read = worker.read
worker.read = lambda *given: replace(read(*given), every=1.0)  # less than a config may say
from ipsync.cli import main
main()
"""
PAGES = re.compile(r"the status page, metrics and health are at (\S+)")


class Replica(Running):
    """A worker with a folder, and so an audit log, of its own."""

    def __init__(self, folder, *, kubeconfig, **known) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "ipsync.yaml").write_text(CONFIG.format(folder=folder, **known))
        environ = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self.folder = folder
        super().__init__(folder / "ipsync.yaml", folder, "--leader-elect", program=("-c", QUICK), env=environ)

    def asks(self, path):
        """Return a page's status and text."""
        try:
            with urllib.request.urlopen(PAGES.search(self.err.read_text())[1] + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def passes(self):
        """Return when each of its passes began and ended."""
        log = self.folder / "audit.jsonl"
        records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        ends = {r["run"]: r["at"] for r in records if r["event"] == "run-ended"}
        return [(r["at"], ends.get(r["run"])) for r in records if r["event"] == "run-started"]

    def goes_on(self):
        """Wait for another whole pass."""
        before = len([end for _, end in self.passes() if end])
        self.waits_for(lambda: len([end for _, end in self.passes() if end]) > before)


class Replicas:
    """What they have in common, and what starts one; all are ended with `over`."""

    def __init__(self, aws, folder, kube, feed, over) -> None:
        self.feed, self.group = feed, aws.make_group("web")
        self._folder, self._over, self._aws = folder, over, aws
        self._kubeconfig = kube.kubeconfig(folder / "kubeconfig")

    def __call__(self, name):
        known = {"feed": self.feed.url, "group": self.group, "kubeconfig": self._kubeconfig}
        made = Replica(self._folder / name, **known)
        self._over.callback(made.process.wait)
        self._over.callback(made.process.kill)
        return made

    def open(self):
        return {rule["CidrIpv4"] for rule in self._aws.rules(self.group)}


@contextmanager
def replicas(aws, folder, kube):
    with ExitStack() as over, FeedServer(["18.196.41.10"]) as feed:
        yield Replicas(aws, folder, kube, feed, over)


@pytest.mark.slow
def test_one_leads_the_other_follows_and_no_pass_overlaps(aws, tmp_path):
    with kubernetes() as kube, replicas(aws, tmp_path, kube) as start:
        first = start("first")
        first.goes_on()
        second = start("second")
        second.waits_for(lambda: second.says("another replica leads: "))
        leader = kube.holder()
        _is_followed(second, leader)
        assert "ipsync_leader 1.0" in first.asks("metrics")[1]
        assert f'"holder": "{leader}"' in first.asks("api/status")[1]

        first.process.send_signal(signal.SIGSTOP)  # as a node that hangs
        hung = [one for one in first.passes() if not one[1]]
        second.waits_for(lambda: second.says("this replica leads from now on"))
        assert kube.holder() != leader
        second.goes_on()
        first.process.send_signal(signal.SIGCONT)
        first.waits_for(lambda: "ipsync_leader 0.0" in first.asks("metrics")[1])
        made = first.passes()
        second.goes_on()
        assert first.passes() == made
        assert first.says("another replica leads: ")

        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(timeout=60) == 0
        assert second.says("the Lease ipsync/ipsync-acme-leader is released")
        first.goes_on()
        assert kube.leases["ipsync", "ipsync-acme-leader"]["spec"]["leaseTransitions"] == 2

        third = start("third")
        third.waits_for(lambda: third.says("another replica leads: "))
        first.process.kill()
        first.process.wait()
        third.goes_on()
        _never_two(_but(first.passes(), hung), second.passes(), third.passes())
        assert all(verify(tmp_path / name / "audit.jsonl").ok for name in ("second", "third"))


def _is_followed(second, leader):
    assert second.asks("healthz") == (200, "ok\n")
    ready = f"ok; waits: {leader} holds the Lease ipsync/ipsync-acme-leader and makes the passes\n"
    second.waits_for(lambda: second.asks("readyz") == (200, ready))
    metrics = second.asks("metrics")[1]
    assert "ipsync_leader 0.0" in metrics
    assert "web" not in metrics, "what it knew of targets would grow old: an alert would name a replica that rests"
    page = second.asks("")[1]
    assert "Another replica leads" in page
    assert leader in page
    assert second.passes() == []


def _but(passes, hung):
    """Leave out the pass in which the node hung: it ends late, and writes nothing more (the test of the Lease's loss)."""
    return [one for one in passes if one[0] not in {began for began, _ in hung}]


def _never_two(*logs):
    ran = sorted(one for log in logs for one in log)
    for (_, ended), (began, _) in pairwise(ran):
        assert ended is None or ended <= began


@pytest.mark.slow
def test_without_the_lease_no_pass_begins(aws, tmp_path):
    with kubernetes() as kube, replicas(aws, tmp_path, kube) as start:
        kube.fault = "403"
        worker = start("worker")
        worker.waits_for(lambda: worker.says("no pass begins, since the Lease can't be acquired", times=2))
        assert worker.says("Role in namespace ipsync")
        assert worker.asks("healthz")[0] == 200
        worker.waits_for(lambda: "refuses (403)" in worker.asks("readyz")[1])
        assert worker.asks("readyz")[0] == 503
        assert "the Lease can" in worker.asks("")[1]
        assert worker.passes() == []

        kube.fault = ""
        worker.goes_on()
        kube.fault = "500"
        worker.waits_for(lambda: worker.says("this replica no longer leads: the Lease couldn't be renewed in time"))
        made = worker.passes()
        worker.waits_for(lambda: worker.says("etcdserver: request timed out", times=6))
        assert len(worker.passes()) <= len(made) + 1, "but for the one that had begun"
        kube.fault = ""
        worker.goes_on()


@pytest.mark.slow
def test_a_pass_that_outlives_its_lease_writes_nothing_more(aws, tmp_path):
    with kubernetes() as kube, replicas(aws, tmp_path, kube) as start:
        worker = start("worker")
        worker.goes_on()
        before = start.open()
        start.feed.addresses = ["18.196.41.10", "18.196.41.77"]
        start.feed.raw = Raw(start.feed.whole_answer(), size=16, delay=1)  # longer than a term
        asked = len(start.feed.requests)
        worker.waits_for(lambda: len(start.feed.requests) > asked)
        kube.fault = "reset"
        said = "the loss of the Lease (the Lease couldn't be renewed in time) ended this run early: nothing was written"
        worker.waits_for(lambda: worker.says(said))
        assert start.open() == before
        start.feed.recover()
        kube.fault = ""
        worker.waits_for(lambda: "18.196.41.77/32" in start.open())
