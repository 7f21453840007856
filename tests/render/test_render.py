"""What people and machines read: the contract's JSON, calm text, colour only where asked, markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from factory import GROUP, Stage, aws_target, config, gcp_target, networks

from ipsync.core.errors import Denied
from ipsync.core.model import Entry, Limits, Service
from ipsync.render import render

A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"
ENTRY = {"type": "object", "required": ["cidr", "ports"]}
CONTRACT = {
    "type": "object",
    "required": ["version", "id", "run", "mode", "owner", "created_at", "feeds", "targets", "orphaned", "summary"],
    "properties": {
        "version": {"const": 1},
        "id": {"pattern": "^sha256:[0-9a-f]{64}$"},
        "created_at": {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
        "feeds": {"items": {"required": ["name", "url", "digest", "addresses", "error"]}},
        "targets": {
            "items": {
                "required": [
                    *("target", "kind", "resource", "status", "add", "remove"),
                    *("leaving", "satisfied_by_others", "violations", "error"),
                ],
                "properties": {
                    "status": {"enum": ["in-sync", "change", "blocked", "error", "applied", "partial", "unknown"]},
                    "add": {"items": ENTRY},
                    "leaving": {"items": {"required": ["cidr", "ports", "until"]}},
                    "violations": {"items": {"required": ["guard", "verdict", "detail"]}},
                },
            }
        },
        "summary": {"required": ["add", "remove", "leaving", "in_sync", "blocked", "failed"]},
    },
}


@pytest.fixture
def rich():
    """A report with something of everything."""
    stage = Stage(config(aws_target(), gcp_target(), aws_target("bad", feeds=("cdn",))), lists={})
    stage.lists = {"qatech": [A, B, C, D], "cdn": "feed cdn: no answer in 30 s | look at https://cdn"}
    stage.cloud.put(GROUP, Entry(networks(A)[0], Service("all")))
    stage.sync()
    stage.lists["qatech"] = [A, B, C, "1.0.0.1"]
    stage.sync("edge")
    stage.now += timedelta(hours=80)
    return stage.plan()


def test_json_is_the_contract_s(rich):
    body = json.loads(render(rich, output="json", colour=True))
    jsonschema.validate(body, CONTRACT)
    web = next(t for t in body["targets"] if t["target"] == "web")
    edge = next(t for t in body["targets"] if t["target"] == "edge")
    assert web["resource"] == "aws/1/eu-north-1/sg-1"
    assert web["satisfied_by_others"] == [{"cidr": A, "ports": "443/tcp"}]
    assert edge["resource"] == "gcp/acme/allow-qatech"
    assert edge["remove"] == [{"cidr": D, "ports": None}]
    assert body["summary"]["failed"] == 1


def test_text_is_calm_in_a_log_and_coloured_on_a_terminal(rich):
    calm, coloured = (render(rich, output="text", colour=c) for c in (False, True))
    assert "\x1b" not in calm
    assert "\x1b[32m    + 1.0.0.1/32" in coloured
    for managed in ("already allowed by a rule that isn't ours", "- 1.1.1.1/32", "error: feed cdn", "Plan id: sha256:"):
        assert managed in calm


def test_markdown_holds_a_diff_and_escapes_tables(rich):
    text = render(rich, output="markdown", colour=False)
    assert "```diff" in text
    assert "+ 1.0.0.1/32" in text
    assert "no answer in 30 s \\| look" in text


def test_nothing_to_change_says_so():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    stage.sync()
    assert "Nothing to change." in render(stage.plan(), output="text", colour=False)


def test_an_approval_is_explained_where_one_helps():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = stage.plan()
    text = render(report, output="text", colour=False)
    assert f"ipsync sync --approve {report.plan.id}" in text
    assert "guard max-removals wants an approval: removes 2 of 4 addresses, more than 1" in text


def test_what_a_sync_did_not_do_is_not_counted_as_done():
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B, C]})

    def denied(operation):
        if operation.kind == "add":
            raise Denied("no")

    stage.cloud.before = denied
    text = render(stage.sync(), output="text", colour=False)
    assert "Sync: 3 added, 0 removed, 3 not done or not sure, 0 leaving; 1 target in sync, 0 blocked, 1 failed." in text
    stage.cloud.before = lambda _step: None
    assert "Sync: 3 added, 0 removed, 0 leaving;" in render(stage.sync(), output="text", colour=False)


def test_a_saved_plan_is_approved_where_it_is_applied():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = replace(stage.plan(), mode="apply")
    assert f"ipsync apply FILE --approve {report.plan.id}" in render(report, output="text", colour=False)


def test_a_rule_that_is_made_or_deleted_is_shown_with_every_setting():
    made = [("allow-qatech", "ports", "", "443/tcp"), ("allow-qatech", "network", "", "default")]
    more = [("allow-qatech", "target_tags", "", "web"), ("allow-qatech", "target_service_accounts", "", "")]
    gone = [("allow-qatech-2", "ports", "443/tcp", ""), ("allow-qatech-2", "priority", "1000", "")]
    changed = [("allow-qatech-v6", "ports", "443/tcp", "1-65535/tcp"), ("allow-qatech-v6", "target_tags", "", "web")]
    stage = Stage(config(gcp_target()), lists={"qatech": [A]})
    report = stage.plan()
    (target_change,) = report.plan.target_changes
    shown = replace(target_change, settings=(*made, *more, *gone, *changed))
    report = replace(report, plan=replace(report.plan, target_changes=(shown,)))
    text, page = (render(report, output=output, colour=False) for output in ("text", "markdown"))
    for line in (
        "+ rule allow-qatech is made: ports 443/tcp, network default, target_tags web",
        "- rule allow-qatech-2 is deleted; it had: ports 443/tcp, priority 1000",
    ):
        assert f"    {line}\n" in text
        assert f"\n{line}\n" in page
    assert (
        "    ~ allow-qatech-v6: ports 443/tcp -> 1-65535/tcp\n    ~ allow-qatech-v6: target_tags (none) -> web\n"
        in text
    )
    assert "\n! allow-qatech-v6: ports 443/tcp -> 1-65535/tcp\n" in page


def test_each_change_that_waits_has_its_own_command_and_an_address_says_its_feed():
    target = aws_target(feeds=("qatech", "cdn"), limits=(("qatech", Limits()), ("cdn", Limits())))
    stage = Stage(config(target, grace=timedelta(0)), lists={"qatech": [A, B, C, D], "cdn": ["8.0.0.1"]})
    stage.sync()
    stage.lists["qatech"] = [A, B, "1.0.0.1"]
    stage.lists["cdn"] = ["8.0.0.1", "8.0.0.2"]
    report = stage.plan()
    (held,) = report.plan.target_changes[0].waiting
    again = "ipsync sync -c x.yaml"
    text, page = (render(report, output=output, colour=False, again=again) for output in ("text", "markdown"))
    for shown in (text, page):
        assert f"{again} --approve {held.id}" in shown
        assert f"{again} --approve {report.plan.id}" in shown
        assert "removing 1.1.1.1/32 443/tcp, 9.9.9.9/32 443/tcp waits for an approval" in shown
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "+ 1.0.0.1/32 443/tcp from qatech" in lines
    assert "+ 8.0.0.2/32 443/tcp from cdn" in lines
    assert "+ 8.0.0.2/32 443/tcp from cdn" in page
