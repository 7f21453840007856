"""The rules and the dashboard ask for metrics that exist, with labels and values that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from factory import aws_target, config

from ipsync.core.signals import Leadership
from ipsync.observers.ended import RESULTS
from ipsync.observers.ledger import Ledger
from ipsync.observers.metrics import STATES, Metrics

FOLDER = Path(__file__).parents[2] / "deploy/monitoring"
PAGE = FOLDER.parents[1] / "docs/monitoring.md"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "ipsync.rules.yaml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((FOLDER / "ipsync.dashboard.json").read_text())
NEVER_OURS = {"job", "instance"}
"""Labels that Prometheus adds."""
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
CONTRACT = [
    "ipsync_sync_total",
    "ipsync_sync_duration_seconds",
    "ipsync_last_success_timestamp_seconds",
    "ipsync_feed_addresses",
    "ipsync_feed_last_success_timestamp_seconds",
    "ipsync_entries",
    "ipsync_pending_changes",
    "ipsync_guard_violations_total",
    "ipsync_cloud_calls_total",
    "ipsync_verification_total",
    "ipsync_notifications_total",
    "ipsync_build_info",
]


def queries() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = [v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    return [*(rule["expr"] for rule in RULES), *panels, *variables]


@pytest.fixture(scope="module")
def metrics():
    """Each series' name, and its labels."""
    made = replace(config(aws_target()), audit_objects="s3://bucket/log")
    whole = Metrics(made, Ledger(made))
    whole(Leadership(True, "ipsync/lease"), None)
    registry = whole.registry
    found = {}
    for collector in registry._collector_to_names:
        for family in collector.collect():
            extra = {"le"} if family.type == "histogram" else set()
            for suffix in SUFFIXES[family.type]:
                found[family.name + suffix] = {*collector._labelnames, *extra}
    return found


def test_every_metric_that_is_asked_for_exists(metrics):
    asked = {name for query in queries() for name in re.findall(r"\bipsync_\w+", query)}
    assert asked - metrics.keys() == set()
    assert len(asked) > 10


def test_every_label_that_is_asked_for_exists_and_has_such_values(metrics):
    values = {"state": {*STATES, "orphaned"}, "result": {*RESULTS.values(), "ok", "error", "unknown", "delivered"}}
    values |= {"verdict": {"allow", "needs-approval", "refuse"}, "job": {"ipsync"}}
    for query in queries():
        for name, selector in re.findall(r"\b(ipsync_\w+)\{([^}]*)\}", query):
            for label, text in re.findall(r'(\w+)[=!~]+"([^"]*)"', selector):
                assert label in metrics[name] | NEVER_OURS, f"{name} has no label {label}"
                assert text.startswith("$") or set(text.split("|")) <= values[label], f"{label} is never {text}"


def test_the_contract_s_names_are_there_and_on_the_page(metrics):
    page = PAGE.read_text()
    missing = [n for n in CONTRACT if n not in metrics and f"{n}_bucket" not in metrics]
    assert missing == []
    named = set(re.findall(r"`(ipsync_\w+)", page))
    assert {re.sub(r"_(bucket|sum|count)$", "", n) for n in metrics} == named, (
        "docs/monitoring.md describes each, and no other"
    )


def test_every_metric_has_a_panel(metrics):
    shown = {
        n for panel in DASHBOARD["panels"] for t in panel["targets"] for n in re.findall(r"\bipsync_\w+", t["expr"])
    }
    assert metrics.keys() - shown == set()


def test_every_alert_says_what_to_do_and_is_tested():
    tests = yaml.safe_load((FOLDER / "ipsync.rules.test.yaml").read_text())["tests"]
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        cases = [
            bool(t.get("exp_alerts"))
            for test in tests
            for t in test["alert_rule_test"]
            if t["alertname"] == rule["alert"]
        ]
        assert set(cases) == {True, False}, f"{rule['alert']}: one that fires, and one that doesn't"


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool isn't here (Debian's package prometheus)")
def test_prometheus_itself_takes_the_metrics_and_the_rules():
    made = config(aws_target())
    text = Metrics(made, Ledger(made)).text()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in (["check", "rules", "ipsync.rules.yaml"], ["test", "rules", "ipsync.rules.test.yaml"]):
        done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
