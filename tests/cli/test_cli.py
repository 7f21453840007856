"""The commands as users run them: exit codes, streams, files, signals, against the embedded clouds."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from factory import NOW, put

from ipsync import cli
from ipsync.audit import AuditLog, verify
from ipsync.cli import streams
from ipsync.demo import stage as demo
from ipsync.demo import story
from ipsync.sandbox.feed import FeedServer, Raw

CODES = {"ok": 0, "failed": 1, "pending": 2, "refused": 3, "partial": 4}


@pytest.fixture(scope="module")
def _clouds(tmp_path_factory):
    with demo.stage(tmp_path_factory.mktemp("stage")) as clouds:
        yield clouds


@pytest.fixture
def stage(_clouds, tmp_path, monkeypatch):
    """The demo's clouds, emptied and seeded anew, with a config of this test's own."""
    _clouds.aws.reset()
    _clouds.gcp.reset()
    _clouds.feed.recover()
    _clouds.feed.addresses = list(demo.LISTED)
    group = demo.seed(_clouds.aws, _clouds.gcp)
    _clouds.aws.reset_calls()
    text = _clouds.config_path.read_text().replace(str(_clouds.config_path.parent), str(tmp_path))
    path = tmp_path / "ipsync.yaml"
    path.write_text(re.sub(r"groups: \[.*\]", f"groups: [{group}]", text))
    monkeypatch.setenv("IPSYNC_CONFIG", str(path))
    monkeypatch.setenv("IPSYNC_ACTOR", "tests")
    return demo.Stage(_clouds.aws, _clouds.gcp, _clouds.feed, group, path, _clouds.vendor)


def ran(capsys, monkeypatch, *words: str) -> tuple[int, str, str]:
    """Run a command in this process, as `main` does."""
    monkeypatch.setattr(sys, "argv", ["ipsync", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture
def ipsync(capsys, monkeypatch):
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield lambda *words: ran(capsys, monkeypatch, *words)
    for number, handler in before.items():
        signal.signal(number, handler)


def writes(stage) -> int:
    return stage.aws.calls_made.writes + stage.gcp.calls_made.writes


def test_the_main_job(ipsync, stage, tmp_path):
    assert ipsync("plan")[0] == 0
    assert ipsync("plan", "--detailed-exitcode")[0] == CODES["pending"]
    assert writes(stage) == 0
    code, out, _ = ipsync("sync")
    assert code == 0
    assert "Sync: 9 added" in out
    assert ipsync("sync", "--detailed-exitcode")[0] == 0
    assert verify(tmp_path / "audit.jsonl").ok


def test_sync_dry_run_is_plan_to_the_byte(ipsync, stage):
    for options in (["--output", "text"], ["--output", "markdown"], ["--output", "json"]):
        one, other = ipsync("plan", *options), ipsync("sync", "--dry-run", *options)
        bodies = [re.sub(r'"(run|created_at|checkpoint)": "[^"]*"', "", text) for text in (one[1], other[1])]
        assert bodies[0] == bodies[1]
        assert one[0] == other[0]
    assert writes(stage) == 0


def test_json_output_is_one_document_and_nothing_else(ipsync, stage):
    stage.feed.respond(status="500 Oops")
    code, out, _ = ipsync("plan", "--output", "json")
    body = json.loads(out)
    assert code == 1
    assert "answered 500" in body["feeds"][0]["error"]
    assert {t["status"] for t in body["targets"]} == {"error"}


def test_one_target_only(ipsync, stage):
    code, out, _ = ipsync("sync", "--target", "staging-gcp")
    assert code == 0
    assert "staging-web" not in out
    assert stage.aws.calls_made.writes == 0
    code, _, err = ipsync("plan", "--target", "nope")
    assert code == 1
    assert "no such target in the config; it has: staging-gcp, staging-web" in err


def test_an_old_name_in_the_config_is_told_in_the_plan(ipsync, stage):
    text = stage.config_path.read_text()
    stage.config_path.write_text(text.replace("    groups:", "    swap: true\n    groups:"))
    told = "`swap` is now called `remove_first`; rename it in the config (staging-web)"
    assert told in ipsync("plan")[1].splitlines()
    assert told in json.loads(ipsync("sync", "--output", "json")[1])["notices"]


def test_a_partial_failure_is_4_and_says_what_to_grant(ipsync, stage):
    stage.aws.deny("ec2:AuthorizeSecurityGroupIngress")
    code, out, _ = ipsync("sync")
    assert code == CODES["partial"]
    assert "ec2:AuthorizeSecurityGroupIngress" in out
    assert "allow-qatech" in stage.gcp.firewalls(demo.PROJECT)


def test_approve(ipsync, stage, tmp_path):
    config = tmp_path / "ipsync.yaml"
    config.write_text(config.read_text().replace("grace: 72h", "grace: 0s"))
    ipsync("sync")
    stage.feed.addresses = demo.LISTED[:2]
    code, out, _ = ipsync("sync")
    assert code == CODES["refused"]
    plan_id = re.search(r"--approve (sha256:[0-9a-f]+)", out)[1]
    code, out, _ = ipsync("sync", "--approve", "sha256:0")
    assert code == CODES["refused"]
    assert "look at what waits now" in out
    assert ipsync("sync", "--approve", plan_id)[0] == 0
    assert len(stage.gcp.firewalls(demo.PROJECT)["allow-qatech"]["sourceRanges"]) == 2


def held(ipsync, stage) -> None:
    """Let the feed drop more than `max-removals` lets go."""
    config = stage.config_path
    config.write_text(config.read_text().replace("grace: 72h", "grace: 0s"))
    ipsync("sync")
    stage.feed.addresses = demo.LISTED[:2]


def copied(text: str) -> list[str]:
    """Return the command that was printed, as a shell would read it."""
    *_, line = (line for line in text.splitlines() if "--approve" in line)  # the whole plan's comes last
    program, *words = shlex.split(line[line.index("ipsync ") :].rstrip("`"))
    assert program == "ipsync"
    return words


@pytest.mark.parametrize("output", ["text", "markdown"])
@pytest.mark.parametrize("given", ["option", "environment", "default"])
def test_the_command_that_approves_works_as_copied(ipsync, stage, tmp_path, monkeypatch, given, output):
    held(ipsync, stage)
    folder = tmp_path / "it's a $(folder)"
    folder.mkdir()
    moved = stage.config_path.rename(folder / "ipsync.yaml")
    monkeypatch.setenv("IPSYNC_CONFIG", str(moved))
    monkeypatch.chdir(folder)
    if given != "environment":
        monkeypatch.delenv("IPSYNC_CONFIG")
    config = ["-c", str(moved)] if given == "option" else []
    code, out, _ = ipsync("plan", *config, "--target", "staging-gcp", "--output", output)
    assert code == CODES["refused"]
    words = copied(out)
    monkeypatch.delenv("IPSYNC_CONFIG", raising=False)  # another shell, the same folder
    assert ipsync(*words)[0] == 0
    assert len(stage.gcp.firewalls(demo.PROJECT)["allow-qatech"]["sourceRanges"]) == 2
    assert len([r for r in stage.aws.rules(stage.group) if "13.50" in r.get("CidrIpv4", "")]) == 1, "it isn't selected"


@pytest.mark.parametrize("name", ["plan file.json", "-plan.json", "pl\x1ban.json", "pl\u00e4n's.json"])
@pytest.mark.parametrize("output", ["text", "markdown"])
def test_a_saved_plan_is_approved_by_the_command_that_is_printed(ipsync, stage, tmp_path, monkeypatch, name, output):
    held(ipsync, stage)
    monkeypatch.chdir(tmp_path)
    _, out, _ = ipsync("plan", "--out", name, "--output", output)
    *_, line = (line for line in out.splitlines() if "--approve" in line)
    asked = line[line.index("ipsync ") :]
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {asked}"], capture_output=True, check=True)  # as a shell does
    _, *words, _ = os.fsdecode(read.stdout).split("\0")
    code, out, err = ipsync(*words)
    assert code == 0, out + err
    assert len(stage.gcp.firewalls(demo.PROJECT)["allow-qatech"]["sourceRanges"]) == 2


def test_a_plan_file_that_is_refused_is_named(ipsync, stage, tmp_path):
    (tmp_path / "pl\x1ban.json").write_text("{}")
    code, out, err = ipsync("apply", str(tmp_path / "pl\x1ban.json"))
    assert (code, out) == (3, "")
    assert r"/pl\x1ban.json: not applied, nothing was written: this is not a plan file" in err


def test_several_approvals_may_be_given(ipsync, stage):
    held(ipsync, stage)
    plan_id = json.loads(ipsync("plan", "--output", "json")[1])["id"]
    code, out, _ = ipsync("sync", "--approve", "sha256:0", "--approve", plan_id)
    assert (code, "sha256:0" in out) == (0, True), "what approves nothing is said"
    approvals = json.loads(ipsync("audit", "show", "--event", "approval", "--output", "json")[1])
    assert sorted(a["holds"] for a in approvals) == [False, True]


# ── lines for collectors ─────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["plan", "sync"])
def test_with_json_logs_a_pass_is_one_line_of_json(ipsync, stage, command):
    code, out, err = ipsync(command, "--log-format", "json")
    (line,) = out.splitlines()
    body = json.loads(line)
    assert (code, err) == (0, "")
    assert (body["mode"], body["level"], body["exit_code"], body["feeds"][0]["count"]) == (command, "info", 0, 5)
    assert body["message"].startswith("Plan: 9 to add" if command == "plan" else "Sync: 9 added")
    assert {t["status"] for t in body["targets"]} == {"change" if command == "plan" else "applied"}
    assert datetime.fromisoformat(body["at"]).tzinfo


def test_a_line_says_how_to_approve_and_how_bad_it_is(ipsync, stage):
    held(ipsync, stage)
    body = json.loads(ipsync("sync", "--log-format", "json")[1])
    assert (body["level"], body["exit_code"]) == ("warning", 3)
    assert body["approve"].endswith(f"sync -c {stage.config_path} --approve {body['id']}")
    stage.feed.respond(status="500 Oops")
    body = json.loads(ipsync("sync", "--log-format", "json")[1])
    assert (body["level"], body["exit_code"]) == ("error", 1)


def test_an_output_that_was_asked_for_is_given_whatever_the_logs_are(ipsync, stage):
    assert "Nothing to change" not in ipsync("plan", "--log-format", "json", "--output", "text")[1].splitlines()[0]
    assert ipsync("plan", "--log-format", "json", "--output", "markdown")[1].startswith("### ipsync plan")
    assert "addresses" in json.loads(ipsync("plan", "--log-format", "json", "--output", "json")[1])["feeds"][0]


def test_with_json_logs_an_error_is_a_line_of_json_too(ipsync, stage, tmp_path):
    config = tmp_path / "ipsync.yaml"
    config.write_text(config.read_text().replace("/audit.jsonl", "/missing/audit.jsonl"))
    code, out, err = ipsync("sync", "--log-format", "json")
    (line,) = err.splitlines()
    assert (code, out, json.loads(line)["level"]) == (1, "", "error")
    assert json.loads(line)["message"].startswith("audit log: ")
    config.write_text("version: 1\nnope: 1\n")
    (line,) = ipsync("sync", "--log-format", "json")[2].splitlines()
    assert json.loads(line)["message"].count("\n") >= 1, "each problem of a config is told"


def test_a_saved_plan_is_applied_once(ipsync, stage, tmp_path):
    file = tmp_path / "plan.json"
    assert ipsync("plan", "--out", str(file))[0] == 0
    assert json.loads(file.read_text())["digest"].startswith("sha256:")
    assert ipsync("apply", str(file))[0] == 0
    code, _, err = ipsync("apply", str(file))
    assert code == CODES["refused"]
    assert "nothing was written" in err
    file.write_bytes(file.read_bytes().replace(b"203", b"204").replace(b"13.50", b"13.51"))
    assert ipsync("apply", str(file))[0] == CODES["refused"]
    assert ipsync("apply", str(tmp_path / "none"))[0] == 1
    assert ipsync("plan", "--out", str(tmp_path / "no" / "dir"))[0] == 1


def test_a_saved_plan_is_valid_for_as_long_as_asked(ipsync, stage, tmp_path):
    file = tmp_path / "plan.json"
    assert ipsync("plan", "--out", str(file), "--valid-for", "4h")[0] == 0
    made = json.loads(file.read_text())
    times = [datetime.fromisoformat(made[key]) for key in ("created_at", "expires_at")]
    assert times[1] - times[0] == timedelta(hours=4)
    for wrong in ("0s", "25h", "4"):
        code, _, err = ipsync("plan", "--out", str(file), "--valid-for", wrong)
        assert (code, "--valid-for" in err) == (1, True), err


def test_a_plan_that_may_not_be_applied_is_in_the_audit_log(ipsync, stage, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text("{}")
    assert ipsync("apply", str(file))[0] == CODES["refused"]
    _, out, _ = ipsync("audit", "show", "--output", "json")
    assert [r["event"] for r in json.loads(out)] == ["run-started", "run-ended"]
    assert "edited or cut" in json.loads(out)[-1]["refused"]


def test_the_audit_log_on_standard_output_has_it_for_itself(ipsync, stage, tmp_path):
    config = tmp_path / "ipsync.yaml"
    config.write_text(re.sub(r"path: .*audit.jsonl", 'path: "-"', config.read_text()))
    command = [sys.executable, "-m", "ipsync", "sync"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    log = tmp_path / "from-stdout.jsonl"
    log.write_bytes(done.stdout)
    assert verify(log).ok
    assert b"Sync: " in done.stderr
    code, out, err = ipsync("sync", "--output", "json")
    assert (code, out) == (1, "")
    assert "leave out --output json" in err
    code, out, _ = ipsync("plan", "--output", "json")
    assert (code, json.loads(out)["mode"]) == (0, "plan"), "a plan records nothing there"


def test_a_plan_that_can_not_be_recorded_says_so(ipsync, stage, tmp_path):
    (tmp_path / "audit.jsonl").write_text("not a record\n")
    code, _, err = ipsync("plan")
    assert code == 0
    assert "this run is not recorded, and needn't be" in err
    assert "the last record doesn't hold" in err


def test_check(ipsync, stage):
    code, out, _ = ipsync("check")
    assert code == 0, out
    assert "can't be tried before the first sync" in out
    passed, whole = re.search(r"([0-9]+) of ([0-9]+) checks passed, 1 skipped$", out.rstrip()).groups()
    assert int(passed) == int(whole) - 1
    stage.gcp.deny("compute.firewalls.update")
    code, out, _ = ipsync("check", "--output", "json")
    assert code == 1
    missing = [f for f in json.loads(out) if not f["ok"]]
    assert [f["subject"] for f in missing] == ["gcp project acme-demo: compute.firewalls.update"]
    assert [f["resource"].split("/")[:2] for f in missing] == [["gcp", "acme-demo"]]
    _, out, _ = ipsync("audit", "show", "--output", "json")
    records = json.loads(out)
    assert [(r["event"], r["mode"]) for r in records] == [("run-started", "check"), ("run-ended", "check")] * 2
    assert [r["missing"] for r in records[1::2]] == [[], ["gcp project acme-demo: compute.firewalls.update"]]
    stage.feed.respond(status="500 Oops")
    code, out, _ = ipsync("check")
    assert "MISSING  feed qatech" in out
    stage.feed.recover()
    stage.feed.addresses = ["10.0.0.1"]
    assert "guard special-use refuses it" in ipsync("check")[1]
    assert writes(stage) == 0


def test_audit_commands(ipsync, stage, tmp_path):
    ipsync("sync")
    code, out, _ = ipsync("audit", "verify")
    assert code == 0
    head = re.search(r"head (\S+)", out)[1]
    assert ipsync("audit", "verify", "--anchor", head)[0] == 0
    assert "for staging-web: + 3.64.226.93/32 443/tcp" in ipsync("audit", "show", "--target", "staging-web")[1]
    records = json.loads(ipsync("audit", "show", "--address", demo.LISTED[1], "--output", "json")[1])
    assert {r["event"] for r in records} == {"intent"}
    log = tmp_path / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"staging-web", b"staging-wob", 1))
    code, _, err = ipsync("audit", "verify", "--path", str(log))
    assert code == 1
    assert "line" in err
    code, _, err = ipsync("sync")
    assert code == 0, "the last record still holds"


def test_who_let_this_in_why_and_did_it_work(ipsync, stage, monkeypatch):
    stage.aws.deny("ec2:AuthorizeSecurityGroupIngress")
    ipsync("sync")
    stage.aws._settings.denied.clear()
    monkeypatch.setenv("IPSYNC_ACTOR", "ops@desk")
    ipsync("sync")
    for words in (["--address", "3.64.226.93"], ["--target", "staging-web", "--event", "intent"]):
        code, out, err = ipsync("audit", "show", *words)
        lines = [line for line in out.splitlines() if "for staging-web: + " in line]
        assert (code, err, len(lines)) == (0, "", 2)
        assert "; by tests; NOT DONE AS INTENDED: denied" in lines[0]
        assert re.search(r"; by ops@desk; applied \(request \S+\)$", lines[1])
    records = json.loads(ipsync("audit", "show", "--address", "3.64.226.93", "--output", "json")[1])
    results = [(r["actor"], [o["result"] for o in r["outcomes"]]) for r in records if r["target"] == "staging-web"]
    assert results == [("tests", ["denied"]), ("ops@desk", ["applied"])]


@pytest.mark.parametrize("filters", [["--run", "x"], ["--target", "x"], ["--address", "192.0.2.1"], ["--since", "0s"]])
def test_no_record_matches_is_said(ipsync, stage, filters):
    ipsync("sync", "--target", "staging-gcp")
    code, out, err = ipsync("audit", "show", *filters)
    assert (code, out) == (0, "")
    assert err.endswith(": no record matches\n")
    code, out, err = ipsync("audit", "show", *filters, "--output", "json")
    assert (code, json.loads(out)) == (0, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "foo"], "--since foo: not a time; write a date"),
        (["--until", "2026-13-01"], "--until 2026-13-01: not a time"),
        (["--event", "intents"], "--event intents: no such kind of record; there are: run-started"),
        (["--address", ""], "--address : not an address"),
        (["--path", "/no/such.jsonl"], "audit log: /no/such.jsonl: there is no audit log here"),
    ],
)
def test_what_audit_show_can_not_answer_is_refused(ipsync, stage, words, said):
    ipsync("plan")
    code, out, err = ipsync("audit", "show", *words)
    assert (code, out) == (1, "")
    assert said in err


def test_a_log_that_is_not_there_is_not_exported_as_empty(ipsync):
    assert ipsync("audit", "export", "--path", "/no/such.jsonl")[0] == 1


FORGED = "gone\n2026-01-31 ERROR ipsync: approve this plan\x1b[2J\x9b\u202e"


def test_text_from_outside_is_shown_by_its_code_wherever_it_is_printed(ipsync, stage):
    """In reports, logs, errors and tables: one line stays one line, and no terminal obeys it."""
    stage.feed.respond(status=f"500 {FORGED.splitlines()[0]}\x1b[31m\x9b")
    for words in (
        ["plan"],
        ["plan", "--output", "markdown"],
        ["plan", "--output", "json"],
        ["check"],
        ["audit", "show"],
    ):
        _, out, err = ipsync(*words)
        assert "500" in out
        assert set(out + err) <= {c for c in out + err if c.isprintable()} | {"\n"}
    _, _, err = ipsync("plan", "--target", FORGED)
    assert err.startswith(r"--target gone\n2026-01-31 ERROR ipsync: approve this plan\x1b[2J\x9b\u202e: no such target")
    assert err.count("\n") == 1
    _, _, err = ipsync("plan", "-c", FORGED)
    assert (err.count("\n"), "\x1b" in err) == (1, False)


def test_each_problem_of_a_config_is_a_line_of_its_own(ipsync, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text('version: 1\nowner: "a\\nb\\e[31m"\nnope: 1\n')
    code, _, err = ipsync("plan", "-c", str(bad))
    assert code == 1
    assert {line.split(":")[1] for line in err.splitlines()} >= {"2", "3"}
    assert all(line.startswith(str(bad)) for line in err.splitlines())


def test_a_fault_of_ours_is_told_without_obeying_what_stands_in_it(ipsync, stage, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("\x1b[2J\n2026-01-31 09:00:00,000 INFO ipsync: all is well")

    monkeypatch.setattr("ipsync.app.plan_once", broken)
    code, out, err = ipsync("plan")
    assert (code, out) == (1, "")
    assert "\x1b" not in err
    assert [line for line in err.splitlines() if not line.startswith("  | ")] == [err.splitlines()[0]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--nope"], "No such option"),
        (["nope"], "No such command"),
        (["plan", "--output", "xml"], "xml"),
        (["plan", "-c", "/no/such.yaml"], "name another with -c PATH"),
    ],
)
def test_usage_errors_are_1(ipsync, words, said):
    code, _, err = ipsync(*words)
    assert code == 1
    assert said in err


def test_schema_and_version(ipsync):
    assert json.loads(ipsync("schema")[1])["properties"]["owner"]
    assert ipsync("--version")[:2] == (0, "ipsync, version 0.1.0\n")


def test_an_audit_log_that_cannot_be_written_stops_a_sync_and_not_a_plan(ipsync, stage, tmp_path):
    config = tmp_path / "ipsync.yaml"
    config.write_text(config.read_text().replace("/audit.jsonl", "/missing/audit.jsonl"))
    assert ipsync("plan")[0] == 0
    code, _, err = ipsync("sync")
    assert code == 1
    assert err.startswith("audit log: ")
    assert writes(stage) == 0


def test_what_somebody_undoes_each_time_is_said(ipsync, stage):
    """Terraform with inline rules, say: what it takes out is put back, and the third time in a row is told."""
    project = "acme-demo"
    ec2 = stage.aws.client("ec2")

    def undo():
        ids = {r.get("CidrIpv4"): r["SecurityGroupRuleId"] for r in stage.aws.rules(stage.group)}
        ec2.revoke_security_group_ingress(GroupId=stage.group, SecurityGroupRuleIds=[ids["13.50.118.20/32"]])
        rule = stage.gcp.firewalls(project)["allow-qatech"]
        stage.gcp.seed_firewall(project, {**rule, "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})

    ipsync("sync")
    for _ in range(2):
        undo()
        ipsync("plan")  # a look in between counts for nothing
        assert "contested" not in ipsync("sync")[1]
    undo()
    for command in ("plan", "sync"):
        code, out, _ = ipsync(command)
        assert code == 0
        assert out.count("is contested") == 2
        assert "staging-web: aws/123456789012/eu-north-1/" in out
        assert "13.50.118.20/32 443/tcp was put there in each of the last 3 runs" in out
        assert "ports 443/tcp was put there" in out
    assert "contested" not in ipsync("sync")[1]


def test_each_run_is_copied_to_a_bucket_and_a_failed_copy_is_said(ipsync, stage, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", stage.aws.endpoint_url)
    config = tmp_path / "ipsync.yaml"
    config.write_text(config.read_text().replace("audit:\n", "audit:\n  objects: s3://audit-copies/ipsync\n"))
    code, out, _ = ipsync("sync")
    assert code == 0
    assert "NoSuchBucket" in out
    ipsync("plan")
    s3 = stage.aws.client("s3")
    s3.create_bucket(Bucket="audit-copies", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    ipsync("sync")
    ipsync("sync")
    keys = sorted(o["Key"] for o in s3.list_objects_v2(Bucket="audit-copies")["Contents"])
    copies = [s3.get_object(Bucket="audit-copies", Key=key)["Body"].read() for key in keys]
    assert len(copies) == 2
    missing = (tmp_path / "audit.jsonl").read_bytes().removeprefix(b"".join(copies))
    assert [json.loads(line)["event"] for line in missing.splitlines()] == ["copied"]
    assert json.loads(missing)["object"] == f"s3://audit-copies/{keys[1]}"
    events = [json.loads(line) for line in ipsync("audit", "export")[1].splitlines()]
    assert {e["class_uid"] for e in events} == {6003}


class Visitor:
    """In place of whoever looks at the demo's page and ends it."""

    def __init__(self, capsys) -> None:
        self.capsys, self.out = capsys, ""

    def wait(self) -> None:
        self.out = self.capsys.readouterr().out
        url = re.search(r"how it ended: (http://127.0.0.1:[0-9]+/) ", self.out)[1]
        self.page, self.health = (requests.get(url + path, timeout=20) for path in ("", "healthz"))
        self.status = requests.get(f"{url}api/status", timeout=20).json()


def test_the_demo_keeps_its_promises_and_a_page_of_how_it_ended(ipsync, monkeypatch, capsys):
    visitor = Visitor(capsys)
    monkeypatch.setattr(story, "stopping", lambda: visitor)
    code, out, _ = ipsync("demo", "--serve")
    assert code == 0, visitor.out + out
    assert "NOT as promised" not in visitor.out + out
    assert "A guard refuses a change" in visitor.page.text
    assert "feed qatech lists no address" in visitor.page.text
    assert visitor.health.text == "ok\n"
    assert [p["result"] for p in visitor.status["passes"]] == ["refused", "done", "done", "done", "done"]


def test_what_a_changed_config_leaves_behind_is_told(ipsync, stage, tmp_path):
    """A changed owner, or a project that left the config: the doors stayed open without a word."""
    assert ipsync("sync")[0] == 0
    path = tmp_path / "ipsync.yaml"
    text = path.read_text()
    path.write_text(text.replace("owner: demo", "owner: umbrella"))
    _, out, _ = ipsync("plan", "--output", "json")
    (said,) = json.loads(out)["notices"]
    assert said.startswith("the owner is umbrella now, but earlier runs of this config made what stands in aws/")
    assert f"gcp/{demo.PROJECT}/allow-qatech as demo" in said
    path.write_text(re.sub(r"  - name: staging-gcp.*?(?=\naudit:)", "", text, flags=re.DOTALL))
    for command in ("check", "plan", "sync"):
        _, out, _ = ipsync(command)
        told = f"gcp/{demo.PROJECT} is no longer in the config, nor in what it lists, but earlier runs let addresses in at gcp/{demo.PROJECT}/"
        assert (told in out) == (command != "check")
    path.write_text(text)
    assert "no longer in the config" not in ipsync("plan")[1]


def test_an_operator_replaces_the_log_s_key(ipsync, stage, tmp_path, monkeypatch):
    """A changed key ended every run, and what was told to do about it ended in the same error."""
    path, log = tmp_path / "ipsync.yaml", tmp_path / "audit.jsonl"
    text = path.read_text()

    def with_keys(keys: str) -> None:
        path.write_text(text.replace(f"path: {log}", f"path: {log}\n  {keys}"))

    with_keys("hmac_key: one")
    assert ipsync("sync")[0] == 0
    with_keys("hmac_key: two")
    code, _, err = ipsync("sync")
    assert (code, "add the former key to audit.hmac_keys_before" in err) == (1, True)
    assert ipsync("plan")[0] == 0
    with_keys("hmac_key: two\n  hmac_keys_before: [one]")
    assert ipsync("audit", "verify")[0] == 1
    assert ipsync("sync")[0] == 0
    assert ipsync("audit", "verify")[0] == 0
    with_keys("hmac_key: three")
    _, _, err = ipsync("sync")
    subprocess.run(["sh", "-c", err.strip().rpartition("keep this one whole: ")[2]], check=True)
    assert ipsync("sync")[0] == ipsync("audit", "verify")[0] == 0
    (aside,) = tmp_path.glob("audit-log-until-*/audit.jsonl")
    monkeypatch.setenv("IPSYNC_AUDIT_KEY", "two")
    assert ipsync("audit", "verify", "--path", str(aside))[0] == 1
    monkeypatch.setenv("IPSYNC_AUDIT_KEYS_BEFORE", "zero,one")
    assert ipsync("audit", "verify", "--path", str(aside))[0] == 0


def test_two_configs_on_one_log_tell_nothing_of_each_other(ipsync, stage, tmp_path):
    assert ipsync("sync")[0] == 0
    text = (
        (tmp_path / "ipsync.yaml")
        .read_text()
        .replace("owner: demo", "owner: umbrella")
        .replace("allow-qatech", "allow-b")
    )
    other = tmp_path / "other.yaml"
    other.write_text(text)
    _, out, _ = ipsync("sync", "-c", str(other), "--output", "json")
    assert "notices" not in json.loads(out)
    (tmp_path / "ipsync.yaml").unlink()
    _, out, _ = ipsync("plan", "-c", str(other), "--output", "json")
    assert "as demo" in json.loads(out)["notices"][0], "the other config's file is gone: it was moved"


# ── processes of their own ───────────────────────────────────────────────────


def started(*words: str, **options) -> subprocess.Popen:
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ipsync", *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="Linux has it")
@pytest.mark.parametrize("words", [["schema"], ["--help"], ["--version"], ["plan"], ["check"], ["audit", "show"]])
def test_standard_output_that_takes_nothing_is_one_sentence(ipsync, stage, words):
    ipsync("plan", "--target", "staging-gcp")
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ipsync", *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if b" WARNING " not in line]) == 1
    assert b"No space left on device" in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="Linux has it")
def test_a_run_keeps_its_exit_code_when_its_report_can_not_be_written(stage):
    """1 would say that nothing was touched."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ipsync", "sync"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0
    assert b"standard output can't be written" in done.stderr
    assert "allow-qatech" in stage.gcp.firewalls(demo.PROJECT)


@pytest.fixture
def unread(monkeypatch):
    """Let standard output's reader be gone."""

    def refuse(*_pieces, aside=False):
        if not aside:
            raise streams.UnwritableError(OSError(errno.EPIPE, "Broken pipe"))

    monkeypatch.setattr(streams, "say_all", refuse)


@pytest.mark.usefixtures("unread")
def test_what_failed_is_a_failure_although_nobody_reads_it(ipsync, stage, tmp_path):
    stage.aws.deny("ec2:AuthorizeSecurityGroupIngress")
    assert ipsync("check", "--target", "staging-web")[0] == 1
    with AuditLog.open(tmp_path / "good.jsonl", owner="acme", actor="ci", run="r1", clock=lambda: NOW) as good:
        put(good, "approval", plan="sha256:0", holds=True)
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes((tmp_path / "good.jsonl").read_bytes().replace(b"sha256:0", b"sha256:1"))
    assert ipsync("audit", "verify", str(tmp_path / "good.jsonl"))[0] == 0
    assert ipsync("audit", "verify", str(tmp_path / "good.jsonl"), str(broken))[0] == 1


@pytest.mark.parametrize(("words", "code"), [(["sync"], 4), (["plan", "--detailed-exitcode"], 2), (["schema"], 0)])
def test_a_reader_that_goes_away_changes_no_exit_code(stage, words, code):
    if code == CODES["partial"]:
        stage.aws.deny("ec2:AuthorizeSecurityGroupIngress")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "ipsync", *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_worker_runs_until_a_signal(stage, tmp_path, number, log_format):
    worker = started("run", "--log-format", log_format)
    try:
        deadline = time.monotonic() + 30
        while not _ended(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        told = [worker.stdout.readline()]
        while log_format == "text" and told[-1] and b"Next pass" not in told[-1]:
            told.append(worker.stdout.readline())
        worker.send_signal(number)
        worker.wait(timeout=20)
        out, err = b"".join([*told, worker.stdout.read()]), worker.stderr.read()
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == 0
    assert "allow-qatech" in stage.gcp.firewalls(demo.PROJECT)
    _check_pass(out.decode(), log_format)
    assert number.name in (json.loads(err.splitlines()[-1])["message"] if log_format == "json" else err.decode())
    assert verify(tmp_path / "audit.jsonl").ok


def test_the_worker_serves_what_it_knows(stage, tmp_path):
    worker = started("run", "--metrics-file", str(tmp_path / "ipsync.prom"))
    try:
        url = _told_url(worker)
        deadline = time.monotonic() + 30
        while requests.get(f"{url}readyz", timeout=20).status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert requests.get(f"{url}healthz", timeout=20).text == "ok\n"
        served = requests.get(f"{url}metrics", timeout=20)
        page, status = requests.get(url, timeout=20), requests.get(f"{url}api/status", timeout=20).json()
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=20)
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == 0
    assert "All as wished" in page.text
    assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
    assert {t["name"]: (t["status"], t["allowed"]) for t in status["targets"]} == {
        "staging-web": ("in sync", 4),
        "staging-gcp": ("in sync", 5),
    }
    assert served.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for text in (served.text, (tmp_path / "ipsync.prom").read_text()):
        assert 'ipsync_entries{state="allowed",target="staging-gcp"} 5.0\n' in text
        assert 'ipsync_sync_total{result="done"} 1.0\n' in text


def _told_url(worker) -> str:
    """Return where a worker that has just started says that it serves."""
    for line in worker.stderr:
        if found := re.search(rb"http://127.0.0.1:[0-9]+/", line):
            return found[0].decode()
    raise AssertionError("it ended without a word")


def test_a_port_in_use_ends_the_worker_before_it_begins(stage, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "ipsync.yaml"
        config.write_text(re.sub(r"listen: \S+", f"listen: 127.0.0.1:{port}", config.read_text()))
        done = subprocess.run(
            [sys.executable, "-m", "ipsync", "run"], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"listen: 127.0.0.1:{port} can't be listened on: Address already in use; give `listen`"
    )
    assert writes(stage) == 0
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_sync_goes_on_while_a_plan_waits_for_a_feed(ipsync, stage, tmp_path, command):
    """They held the audit log while they read: a sync that was scheduled meanwhile failed after ten seconds."""
    log, text = tmp_path / "audit.jsonl", (tmp_path / "ipsync.yaml").read_text()
    other = tmp_path / "slow.yaml"
    with FeedServer() as slow:
        slow.raw = Raw(b"HTTP/1.1 200 OK", size=1, delay=60)
        other.write_text(text.replace(stage.feed.url, slow.url))
        waiting = started(command, "-c", str(other))
        try:
            deadline = time.monotonic() + 30
            while not (log.exists() and b'"run-started"' in log.read_bytes()) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert ipsync("sync")[0] == 0
            assert waiting.poll() is None
        finally:
            waiting.kill()
            waiting.communicate()
    assert verify(log).ok


def _check_pass(out: str, log_format: str) -> None:
    """One pass: it says when it was, what was done, and when the next one comes."""
    if log_format == "text":
        first, *_, last = out.splitlines()
        assert re.fullmatch(r"── [0-9]{4}(-[0-9]{2}){2} [0-9:]{8} UTC", first)
        assert re.fullmatch(r"Next pass: [0-9]{4}(-[0-9]{2}){2} [0-9:]{8} UTC|No further pass: ending", last)
        assert "Sync: 9 added" in out
        return
    (line,) = out.splitlines()
    body = json.loads(line)
    assert body["message"].startswith("Sync: 9 added")
    assert timedelta(minutes=14) < datetime.fromisoformat(body["next_at"]) - datetime.fromisoformat(body["at"])


def test_sigterm_while_only_a_feed_hangs_leaves_nothing_unknown(stage, tmp_path):
    code = "import sys; from ipsync import daemon; daemon.PATIENCE = 0.5; sys.argv = ['ipsync', 'sync']\nfrom ipsync.cli import main; main()"
    with socket.create_server(("127.0.0.1", 0)) as hung:
        url = f"http://127.0.0.1:{hung.getsockname()[1]}/"
        config = tmp_path / "ipsync.yaml"
        config.write_text(re.sub(r"url: .*", f"url: {url}", config.read_text(), count=1))
        pass_ = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hung.settimeout(30)
        connection, _ = hung.accept()
        with connection:
            pass_.send_signal(signal.SIGTERM)
            _, err = pass_.communicate(timeout=20)
    assert pass_.returncode == 1, err
    assert b"nothing was written" in err
    assert writes(stage) == 0


def test_cron_finds_the_metrics_of_all_its_passes_in_one_file(ipsync, stage, tmp_path):
    path = tmp_path / "ipsync.prom"
    assert ipsync("sync", "--metrics-file", str(path))[0] == 0
    assert ipsync("sync", "--metrics-file", str(path))[0] == 0
    text = path.read_text()
    assert 'ipsync_sync_total{result="done"} 2.0\n' in text
    assert 'ipsync_cloud_calls_total{operation="add",provider="aws",result="ok"}' in text
    assert 'operation="DescribeSecurityGroupRules",provider="aws",result="ok"' in text
    assert 'operation="firewalls.list",provider="gcp",result="ok"' in text
    assert sorted(p.name for p in tmp_path.iterdir() if "prom" in p.name) == ["ipsync.prom"], "nothing lies beside it"


@pytest.mark.parametrize("path", ["gone/ipsync.prom", "ipsync.yaml/x.prom", "."])
def test_a_metrics_file_that_can_not_be_written_changes_no_exit_code(ipsync, stage, tmp_path, path):
    code, _, err = ipsync("sync", "--metrics-file", str(tmp_path / path))
    assert code == 0
    assert f"--metrics-file {tmp_path / path} can't be written: " in err
    assert "Traceback" not in err
    assert "allow-qatech" in stage.gcp.firewalls(demo.PROJECT)


def test_a_pass_that_fails_writes_the_metrics_too(ipsync, stage, tmp_path):
    path = tmp_path / "ipsync.prom"
    (tmp_path / "audit.jsonl").mkdir()
    assert ipsync("sync", "--metrics-file", str(path))[0] == 1
    assert 'ipsync_sync_total{result="failed"} 1.0\n' in path.read_text()


def _ended(folder: Path) -> bool:
    log = folder / "audit.jsonl"
    return log.exists() and b'"run-ended"' in log.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_sandbox_leaves_no_folder_behind(tmp_path, monkeypatch, number):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    box = started("sandbox")
    try:
        while b"Ctrl-C" not in box.stdout.readline():
            assert box.poll() is None
        assert list(tmp_path.glob("ipsync-sandbox-*"))
        box.send_signal(number)
        box.wait(timeout=20)
    finally:
        box.kill()
        box.communicate()
    assert (box.returncode, list(tmp_path.glob("ipsync-sandbox-*"))) == (0, [])


def test_a_run_for_one_cloud_imports_nothing_of_the_other(stage):
    code = (
        "import sys\nfrom ipsync.cli import main\nsys.argv = ['ipsync', 'plan', '--target', sys.argv[1]]\n"
        "try:\n    main()\nfinally:\n    print(sorted({m.split('.')[0] for m in sys.modules} & {'boto3', 'botocore', 'google'}))"
    )
    for target, modules in (("staging-web", "['botocore']"), ("staging-gcp", "['google']")):
        done = subprocess.run([sys.executable, "-c", code, target], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == modules


def test_a_run_loads_nothing_that_only_others_need(stage):
    text = stage.config_path.read_text()
    stage.config_path.write_text(re.sub(r"\n  - name: staging-gcp.*?(?=\n\w|\Z)", "", text, flags=re.DOTALL))
    code = (
        "import sys\nfrom ipsync.cli import main\nsys.argv = ['ipsync', 'plan']\n"
        "try:\n    main()\nfinally:\n    print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"ipsync.targets.aws.group_reader", "botocore.client"} <= loaded, "or this test sees nothing"
    assert not loaded & {"ipsync.render.markdown", "boto3", "moto"}
    assert not [name for name in loaded if name.startswith("ipsync.targets.gcp.")]


def test_the_sandbox_says_how_to_use_it(tmp_path):
    box = started("sandbox", "--dir", str(tmp_path / "box"))
    try:
        lines = [box.stdout.readline().decode() for _ in range(7)]
        config = (tmp_path / "box" / "ipsync.yaml").read_text()
        box.send_signal(signal.SIGINT)
        box.communicate(timeout=20)
    finally:
        box.kill()
    assert any(line.startswith("export IPSYNC_CONFIG=") for line in lines), lines
    assert "127.0.0.1" in config
    assert box.returncode == 0


def test_what_the_system_refuses_is_told_with_its_file_and_without_a_number(capfd):
    def refused():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", "/srv/ipsync")

    assert cli._code_of(refused) == 1
    assert capfd.readouterr().err.endswith("/srv/ipsync: Is a directory\n")
