"""What probes, metrics and the page say of a replica that waits for another one, and of one that leads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from factory import aws_target, config
from scene import EVIL, Scene

from ipsync.core.signals import Leadership, PassEnded
from ipsync.observers import web
from ipsync.observers.ledger import Ledger
from ipsync.observers.metrics import Metrics
from ipsync.observers.page import StatusPage

LEASE = "ipsync/ipsync-acme-leader"
ASKS, WAITS = Leadership(False, LEASE), Leadership(False, LEASE, "ipsync-0_5c1e07d2")
LEADS, CANT = Leadership(True, LEASE, "ipsync-1_812aa0fe"), Leadership(False, LEASE, "", "Kubernetes refuses (403)")


@pytest.mark.parametrize(
    ("event", "status", "body"),
    [
        (ASKS, "503", f"asks for the Lease {LEASE}"),
        (WAITS, "200", f"ok; waits: ipsync-0_5c1e07d2 holds the Lease {LEASE} and makes the passes"),
        (CANT, "503", "Kubernetes refuses (403)"),
        (LEADS, "503", "the first pass isn't over"),
    ],
)
def test_whether_it_is_ready(health, event, status, body):
    health(event, None)
    answer = web.probe(health.unready, health.note)()
    assert (answer.status[:3], answer.body.decode().strip()) == (status, body)


def test_it_is_well_while_another_leads_however_long(health, clock):
    health.began()
    health(PassEnded("sync", 1), None)
    health.waits(None)
    health(WAITS, None)
    clock.now += 100_000
    assert health.complaint() is None
    health(LEADS, None)
    assert health.complaint() is None
    clock.now += 200
    assert health.complaint() == "a pass is due for 200 s and doesn't begin"


def test_a_pass_that_hangs_is_told_though_the_lease_is_lost_meanwhile(health, clock):
    health.began()
    clock.now += 10_000
    assert "no sign of life" in health.complaint()


def test_metrics_of_targets_and_feeds_are_the_leaders_alone():
    scene = Scene()
    made = scene.stage.config
    ledger = Ledger(made)
    metrics = Metrics(made, ledger)
    assert b"ipsync_leader" not in metrics.text(), "nobody is elected"
    metrics(LEADS, None)
    scene.stage.watched(ledger, metrics)
    assert b'ipsync_entries{state="allowed",target="staging-web"}' in metrics.text()
    assert b"ipsync_leader 1.0" in metrics.text()
    metrics(WAITS, None)
    text = metrics.text()
    assert b"ipsync_leader 0.0" in text
    assert b"staging-web" not in text
    assert b'feed="qatech"' not in text
    assert b"ipsync_sync_total" in text, "counters go on"
    metrics(LEADS, None)
    assert b'ipsync_last_success_timestamp_seconds{target="staging-web"} 0.0' in metrics.text()


def test_who_follows_says_nothing_of_copies():
    made = replace(config(aws_target()), audit_objects="s3://bucket/log")
    metrics = Metrics(made, Ledger(made))
    metrics(WAITS, None)
    assert b"ipsync_audit_copied" not in metrics.text(), "an alert would name a replica that rests"
    metrics(LEADS, None)
    assert b"ipsync_audit_copied 0.0" in metrics.text()


@pytest.mark.parametrize(
    ("event", "title", "said"),
    [
        (ASKS, "Asks for the Lease", "makes no pass before it holds the Lease"),
        (WAITS, "Another replica leads", "ipsync-0_5c1e07d2"),
        (CANT, "No pass: the Lease can&#39;t be had", "Kubernetes refuses (403). No pass begins here"),
    ],
)
def test_the_page_of_a_replica_that_waits(event, title, said):
    scene = Scene().play()
    scene.keeper(event, None)
    page = StatusPage(lambda: scene.keeper.status, lambda: None)
    html = page().body.decode()
    assert f"<strong>{title}</strong>" in html
    assert said in html
    assert "--approve" not in html, "what it saw when it led is old"
    assert "sg-7" not in html
    assert json.loads(page.json().body)["election"]["leads"] is False


def test_the_page_of_a_leader_says_as_whom():
    scene = Scene()
    scene.keeper(WAITS, None)
    scene.keeper(LEADS, None)
    scene.play()
    html = StatusPage(lambda: scene.keeper.status, lambda: None)().body.decode()
    assert 'leads as <span class="names">ipsync-1_812aa0fe</span>' in html
    assert "sg-7" in html


def test_a_holders_name_cannot_harm_the_page():
    scene = Scene()
    scene.keeper(Leadership(False, LEASE, EVIL), None)
    html = StatusPage(lambda: scene.keeper.status, lambda: None)().body.decode()
    assert "<script" not in html
    assert "\x1b" not in html
