"""A worker's passes against the local clouds: what happens there is found in the metrics and on the page."""

from __future__ import annotations

import os
import re

import pytest
import requests

from ipsync import app, demo
from ipsync import config as configs
from ipsync.observers import watch


@pytest.fixture
def worker(tmp_path):
    with demo.stage(tmp_path) as clouds:
        text = clouds.config_path.read_text().replace("grace: 72h", "grace: 0s")
        clouds.config_path.write_text(text)
        config = configs.load(clouds.config_path, os.environ)
        with watch.worker(config, again="ipsync sync") as watched:
            yield Worker(clouds, config, watched)


class Worker:
    def __init__(self, clouds, config, watched) -> None:
        self.clouds, self.config, self.watched = clouds, config, watched

    def sync(self, *approve: str) -> None:
        self.watched.began()
        app.sync_once(self.config, approve=approve, observers=self.watched.observers)
        self.watched.waits(None)

    def get(self, path: str = ""):
        return requests.get(self.watched.url + path, timeout=20)

    def metric(self, series: str) -> float:
        found = re.search(rf"^{re.escape('ipsync_' + series)} (\S+)$", self.get("metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def target(self, name: str):
        return next(t for t in self.get("api/status").json()["targets"] if t["name"] == name)


WEB = 'target="staging-web"'


@pytest.mark.slow
def test_what_happens_is_found_in_metrics_and_on_the_page(worker):
    assert worker.get("readyz").status_code == 503
    assert "The first pass isn&#39;t over" in worker.get().text
    worker.sync()
    assert worker.get("readyz").status_code == 200
    assert "All as wished" in worker.get().text
    assert worker.metric(f'entries{{state="allowed",{WEB}}}') == 4

    worker.clouds.feed.addresses = [*demo.LISTED, demo.NEWCOMER]
    worker.sync()
    assert f"{demo.NEWCOMER}/32" in worker.get().text
    assert worker.metric('feed_addresses{feed="qatech"}') == 6

    worker.clouds.feed.respond(status="500 Oops")
    worker.sync()
    page = worker.get().text
    assert "Something failed" in page
    assert "answered 500" in page
    assert "What it listed before stays allowed." in page
    assert worker.metric('sync_total{result="failed"}') == 1
    assert worker.metric(f'entries{{state="allowed",{WEB}}}') == 5, "the doors stand as they stood"

    worker.clouds.feed.recover()
    worker.clouds.feed.addresses = demo.LISTED[:2]
    worker.sync()
    assert worker.metric(f'entries{{state="waiting",{WEB}}}') > 1
    assert worker.target("staging-web")["status"] in {"waiting", "blocked"}
    approvals = worker.get("api/status").json()["approvals"]
    assert approvals[0]["command"] in worker.get().text
    worker.sync(*(word for a in approvals for word in a["command"].split() if word.startswith("change:")))
    assert worker.get("api/status").json()["approvals"] == []
    assert worker.metric(f'entries{{state="waiting",{WEB}}}') == 0

    for _ in range(4):  # somebody closes what each pass opens
        group, ours = worker.clouds.group, f"{demo.LISTED[1]}/32"
        door = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": ours}]}
        ec2 = worker.clouds.aws.client("ec2", region=demo.REGION)
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[door])
        worker.sync()
    assert worker.metric(f"contested_resources{{{WEB}}}") == 1
    assert "is contested" in worker.get().text
    assert worker.metric('cloud_calls_total{operation="add",provider="aws",result="ok"}') >= 5
    assert worker.get("healthz").text == "ok\n"
