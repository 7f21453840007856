"""A log that the code of version 1 wrote, as it is: it verifies, reads, is settled, and goes on in version 2.

`version1/` was made by the commit before records held objects: twelve runs over a group and a rule with a removal that
was denied, an approval, a lost reply, a rotated file; the last run was killed amid two writes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from factory import GROUP, NOW, RULE, Stage, aws_target, config, gcp_target, networks

from ipsync import engine
from ipsync.audit import AuditLog, describe, explained, export, show, verify
from ipsync.core.contents import contents
from ipsync.core.contested import RUNS_BEFORE

DATA = Path(__file__).with_name("version1")
HEAD = "83:27f7a37e567d18dd39ef1bc5596cb9c6f155cd04df86eec4af2c60c2bf802188"
LAST = ["8.8.5.1", "2600:1f14::1", "8.9.0.1", "8.9.0.2"]
NEW = "8.9.0.3"
LATER = NOW + timedelta(hours=173)


@pytest.fixture
def path(tmp_path):
    shutil.copytree(DATA, tmp_path / "log")
    return tmp_path / "log" / "audit.jsonl"


def opened(path: Path, run: str = "v2") -> AuditLog:
    return AuditLog.open(path, owner="acme", actor="ci@build-8", run=run, clock=lambda: LATER)


def lines(text: str) -> list[str]:
    return (DATA / text).read_text().splitlines()


def test_it_verifies(path):
    assert verify(path, anchor=HEAD).ok
    assert verify(path).records == 83


def test_it_is_shown_as_it_was(path):
    assert [describe(record) for record in show(path)] == lines("show.txt")
    assert [describe(record) for record in explained(path, address="8.8.0.1")] == lines("show-8.8.0.1.txt")
    assert [r["seq"] for r in show(path, address=NEW)] == [82, 83]
    assert [r["seq"] for r in show(path, address="8.8.0.0/16", event="outcome")] == [31]
    assert {r["seq"] for r in show(path, target="edge", event="intent")} < {
        r["seq"] for r in show(path, event="intent")
    }


def test_it_is_exported(path):
    events = list(export(show(path), version="9"))
    assert len(events) == 83
    denied = events[30]
    assert (denied["activity_name"], denied["status"], denied["api"]["operation"]) == (
        "Delete",
        "Failure",
        "outcome:remove",
    )
    assert denied["unmapped"]["now"][0].startswith("8.8.0.1/32 443/tcp for web from qatech leaving since")


def test_what_each_run_did_is_read(path):
    with opened(path) as audit_log:
        runs = audit_log.runs_before(RUNS_BEFORE, config="/etc/ipsync/ipsync.yaml")
        assert [run[0]["run"] for run in runs] == ["00000000000c", "00000000000b", "00000000000a"]
        assert [p["resources"] for p in audit_log.places] == [[GROUP, RULE]]
        (intent,) = [r for r in runs[0] if r["event"] == "intent" and r["resource"] == GROUP]
    put = contents(intent, "after").without(contents(intent, "before"))
    assert [(e.cidr, e.ports, e.targets, e.origin) for e in put.entries] == [
        (f"{NEW}/32", "443/tcp", ("web",), "qatech")
    ]


def stage(listed: list[str]) -> Stage:
    """Return the clouds as version 1 left them, with this much of the last list let in."""
    made = Stage(config(aws_target(), gcp_target()), lists={"qatech": listed})
    made.sync()
    made.now = LATER
    return made


def goes_on(path: Path, made: Stage):
    with opened(path) as audit_log:
        run = replace(
            made.run(),
            recorder=audit_log,
            open_intents=tuple(audit_log.pending.values()),
            earlier=audit_log.runs_before(RUNS_BEFORE),
        )
        return engine.sync(run)


@pytest.mark.parametrize(
    ("there", "found"), [([*LAST, NEW], "applied"), (LAST, "failed"), ([*LAST[1:], NEW], "partial")]
)
def test_its_open_intents_are_settled_and_the_chain_goes_on_in_version_2(path, there, found):
    made = stage(there)
    made.lists["qatech"] = [*LAST, NEW, "8.9.0.4"]
    goes_on(path, made)
    assert verify(path, anchor=HEAD).ok
    whole = [json.loads(line) for line in path.read_bytes().splitlines()]
    new = [r for r in whole if r["seq"] > 83]
    assert {r["v"] for r in new} == {2}
    assert [(r["intent"], r["resource"], r["result"]) for r in new if r["event"] == "recovered"] == [
        (82, GROUP, found),
        (83, RULE, found),
    ]
    with opened(path, run="v3") as audit_log:
        assert audit_log.pending == {}
    assert made.ranges() == sorted(str(n) for n in networks(*LAST, NEW, "8.9.0.4") if n.version == 4)


def test_a_mixed_log_is_read_as_one(path):
    made = stage([*LAST, NEW])
    made.lists["qatech"] = [*LAST, NEW, "8.8.0.1"]
    goes_on(path, made)
    found = [describe(record) for record in explained(path, address="8.8.0.1")]
    assert found[:8] == lines("show-8.8.0.1.txt")
    assert [line.partition("  intent: ")[2].rpartition(" (request")[0] for line in found[8:]] == [
        "add on aws/1/eu-north-1/sg-1 for web: + 8.8.0.1/32 443/tcp for web from qatech; by ci@build-8; applied",
        "replace on gcp/acme/allow-qatech for edge: + 8.8.0.1/32 for edge from qatech; by ci@build-8; applied",
    ]
    done = [e for e in export(show(path), version="9") if e["api"]["operation"] == "outcome:add"][-1]
    assert (done["activity_name"], done["status"], done["resources"][0]["uid"]) == ("Create", "Success", GROUP)
    last = [r for r in show(path, event="intent") if r["resource"] == RULE][-1]
    assert last["after_settings"] == {"network": "default", "ports": "443/tcp", "priority": "1000"}
    assert {"cidr": "8.8.0.1/32", "owner": "acme", "target": ["edge"], "origin": "qatech"} in last["after"]
