"""`ipsync qatech` as a user or a pipeline runs it, against the local QA.tech."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from ipsync import cli
from ipsync.cli import streams
from ipsync.sandbox.qatech.project import Project, Run
from ipsync.sandbox.qatech.vendor import TOKEN, Vendor
from ipsync.verification import waiting
from ipsync.verification.qatech import asking

UUID = "00000000-0000-0000-0000-000000000001"
SITE = "https://app.qa.tech/p/demo/results"


@pytest.fixture(scope="module")
def _vendor():
    with Vendor() as made:
        yield made


@pytest.fixture
def vendor(_vendor, monkeypatch):
    _vendor.addresses, _vendor.is_open, _vendor.retry_after = ["18.196.41.10", "2600::1"], lambda _: True, 0
    _vendor.project = Project()
    _vendor.projects = {TOKEN: _vendor.project}
    _vendor.faults.clear()
    _vendor.calls.clear()
    _vendor.bodies.clear()
    monkeypatch.setenv("QATECH_API_URL", _vendor.url)
    monkeypatch.setenv("QATECH_API_TOKEN", TOKEN)
    monkeypatch.setattr(asking, "PAUSE", 0.01)
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    monkeypatch.setattr(waiting, "LONGEST", 0.05)
    return _vendor


@pytest.fixture
def ipsync(vendor, capsys, monkeypatch):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ipsync", "qatech", *words])
        before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return ended.value.code, out, err

    return run


# ── each command ─────────────────────────────────────────────────────────────


def test_outbound_ips_needs_no_token(ipsync, monkeypatch):
    monkeypatch.delenv("QATECH_API_TOKEN")
    assert ipsync("outbound-ips") == (0, "18.196.41.10/32\n2600::1/128\n", "")
    code, out, _ = ipsync("outbound-ips", "--output", "json")
    assert (code, json.loads(out)) == (0, {"addresses": ["18.196.41.10/32", "2600::1/128"]})


def test_a_run_is_started_and_its_status_asked(ipsync):
    code, out, _ = ipsync("run", "start", "--test-plan", "pln_smoke")
    assert code == 0
    assert out.splitlines() == [
        f"run run003  running  {SITE}/run003",
        "    1 test of test plan Smoke (pln_smoke)",
        "    its result: ipsync qatech run status run003 --wait",
    ]
    assert ipsync("run", "status", "run003") == (0, "run run003  running (INITIATED)\n", "")
    assert ipsync("run", "status", "run003")[1] == "run run003  running (RUNNING)\n"
    assert ipsync("run", "status", "run003")[1] == "run run003  passed\n"
    assert ipsync("run", "status", "run003", "--test-cases", "failed")[1] == "run run003  passed\n"
    assert "    PASSED     The start page is reached\n" in ipsync("run", "status", "run003", "--test-cases", "all")[1]


def test_a_start_that_waits_for_a_pass(ipsync):
    code, out, err = ipsync("run", "start", "--wait")
    assert code == 0
    assert out.startswith(f"run run003  passed  {SITE}/run003\n")
    assert f"run run003 started: {SITE}/run003" in err
    assert "run run003: RUNNING" in err


def test_failed_tests_exit_with_3_their_names_and_the_run_s_url(ipsync, vendor):
    vendor.is_open = lambda address: ":" not in address
    code, out, _ = ipsync("run", "start", "--wait")
    assert code == 3
    assert out.splitlines() == [
        f"run run003  failed  {SITE}/run003",
        "    2 tests of test plan Default (pln_default)",
        "    FAILED     The start page is reached: The site does not answer 2600::1",
        "    FAILED     A visitor logs in: The site does not answer 2600::1",
    ]
    assert ipsync("run", "status", "run003")[0] == 0
    assert ipsync("run", "status", "run003", "--wait")[0] == 3
    vendor.is_open = lambda _: True
    assert ipsync("run", "rerun", "run003", "--failed-only", "--wait")[0] == 0
    assert ipsync("run", "rerun", "run003", "--test-case", UUID)[0] == 0
    assert ipsync("run", "rerun", "run003")[0] == 0
    assert vendor.bodies[-3:] == [{"failedOnly": True}, {"projectTestCaseIds": [UUID]}, {}]


def test_json_is_one_document_of_one_shape(ipsync, vendor):
    keys = set()
    for words in (["start"], ["start", "--wait"], ["status", "run003"], ["rerun", "run003"]):
        code, out, _ = ipsync("run", *words, "--output", "json")
        keys.add(tuple(json.loads(out)))
        assert code == 0
    vendor.is_open = lambda _: False
    code, out, _ = ipsync("run", "start", "--test-plan", "pln_smoke", "--wait", "--output", "json")
    found = json.loads(out)
    assert {tuple(found)} == keys
    assert code == 3
    assert (found["state"], found["failed"], found["result"]) == ("failed", ["The start page is reached"], "FAILED")
    assert found["url"] == f"{SITE}/{found['run']}"
    assert found["test_plan"] == {"name": "Smoke", "short_id": "pln_smoke"}
    assert found["test_cases"][0]["result_title"] == "The site does not answer 18.196.41.10, 2600::1"


@pytest.fixture
def unwritable(monkeypatch):
    """Let standard output take nothing, as a full disk does, or a reader that went away."""

    def let(number):
        kept = streams.say_all

        def refuse(pieces, *, aside=False):
            if not aside:
                raise streams.UnwritableError(OSError(number, os.strerror(number)))
            kept(pieces, aside=True)

        monkeypatch.setattr(streams, "say_all", refuse)

    return let


def test_whoever_reads_no_more_changes_no_exit_code(ipsync, vendor, unwritable):
    vendor.is_open = lambda _: False
    unwritable(errno.EPIPE)
    assert ipsync("run", "start", "--wait")[0] == 3
    assert ipsync("run", "start")[0] == 0
    vendor.faults.plan("run.start", "reset-after")
    code, _, err = ipsync("run", "start", "--output", "json")
    assert (code, "whether a run was started is not known" in err) == (1, True)


def test_what_was_done_is_named_where_standard_output_is_full(ipsync, unwritable):
    unwritable(errno.ENOSPC)
    full = "standard output can't be written: No space left on device"
    assert ipsync("run", "start")[::2] == (1, f"{full}; run run003 was started: {SITE}/run003\n")
    code, _, err = ipsync("run", "start", "--wait")
    assert (code, err.splitlines()[-1]) == (1, f"{full}; run run004 was started: {SITE}/run004")
    code, _, err = ipsync("run", "status", "run004", "--wait")
    assert err.splitlines()[-1] == f"{full}; ask again: ipsync qatech run status run004"
    words = ["--name", "Checkout", "--goal", "Buy a shoe", "--application", "app_shop"]
    code, _, err = ipsync("test-case", "create", *words)
    assert (code, err) == (
        1,
        f"{full}; test case {UUID[:-1]}5 was made: https://app.qa.tech/p/demo/test-cases/{UUID[:-1]}5/edit\n",
    )


def test_a_test_case_is_made_with_everything_that_it_can_have(ipsync, vendor):
    code, out, _ = ipsync(
        "test-case", "create", "--name", "Checkout", "--goal", "Buy a shoe", "--application", "app_shop",
        "--expected-result", "Thanks", "--config", "cfg_login", "--config", "cfg_card", "--scenario", "scenario_doors",
        "--wait-for", UUID, "--resume-from", UUID,
    )  # fmt: skip
    assert code == 0
    assert out.startswith("test case 00000000-0000-0000-0000-000000000003  Checkout  https://app.qa.tech/")
    assert vendor.bodies == [
        {
            "name": "Checkout", "goal": "Buy a shoe", "applicationShortId": "app_shop", "expectedResult": "Thanks",
            "configShortIds": ["cfg_login", "cfg_card"], "scenarioShortId": "scenario_doors",
            "waitForDependenciesProjectTestCaseIds": [UUID], "resumeFromDependencyProjectTestCaseId": UUID,
        }
    ]  # fmt: skip
    out = ipsync("test-case", "create", "--name", "n", "--goal", "g", "--application", "app_shop", "--output", "json")[
        1
    ]
    assert set(json.loads(out)) == {"id", "name", "url"}


# ── applications ─────────────────────────────────────────────────────────────


def test_options_belong_to_the_application_before_them(ipsync, vendor):
    code, _, err = ipsync(
        "run", "start", "--application", "app_shop", "--environment-url", "https://pr-7.example.com",
        "--environment-name=PR 7", "--test-plan", "pln_smoke", "--device-preset", "preset_phone", "--application=app_admin",
        "--environment", "env_staging", "--application", "app_shop",
    )  # fmt: skip
    assert (code, err) == (0, "")
    url = {"url": "https://pr-7.example.com", "name": "PR 7"}
    assert vendor.bodies == [
        {
            "testPlanShortId": "pln_smoke",
            "applications": [
                {"applicationShortId": "app_shop", "environment": url, "devicePresetShortId": "preset_phone"},
                {"applicationShortId": "app_admin", "environment": {"shortId": "env_staging"}},
                {"applicationShortId": "app_shop"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--environment", "env_1", "--application", "app_1"], "--environment stands before any --application"),
        (["--device-preset", "preset_1"], "--device-preset stands before any --application"),
        (["--application", "app_1", "--environment", "env_1", "--environment", "env_2"], "--environment stands twice behind --application app_1"),
        (["--application", "app_1", "--environment", "env_1", "--environment-url", "https://a.example"], "keep one"),
        (["--application", "app_1", "--environment-name", "x"], "--environment-url; add that"),
        (
            ["--application", "app_1", "--environment", "env_1", "--environment-name", "x"],
            "--environment env_1 has its name at QA.tech already; leave --environment-name out",
        ),
        (["--application", "app_1", "--environment", "--application"], "begins with env_"),
        (["--application", "env_1"], "is the id of an environment, and not that of an application"),
        (["--test-plan", "app_1"], "is the id of an application, and not that of a test plan"),
        (["--application"], "requires an argument"),
        (["--timeout", "5m"], "--timeout is for --wait"),
        (["--wait", "--timeout", "soon"], "is not a duration"),
        (["--wait", "--timeout", "0s"], "no time is no wait"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_sent(ipsync, vendor, words, told):
    code, out, err = ipsync("run", "start", *words)
    assert (code, out) == (1, "")
    assert told in err
    assert vendor.calls.made == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "status", "pln_1"], "is the id of a test plan, and not that of a run"),
        (["run", "rerun", "run001", "--failed-only", "--test-case", UUID], "not for both"),
        (["run", "rerun", "run001", "--test-case", "rtc_1"], "which is a UUID"),
        (["test-case", "create", "--name", "n" * 81, "--goal", "g", "--application", "app_1"], "81 characters"),
        (["test-case", "create", "--name", "n", "--goal", "g"], "Missing option '--application'"),
        (["nonsense"], "No such command"),
    ],
)
def test_usage_errors_exit_with_1(ipsync, vendor, words, told):
    code, out, err = ipsync(*words)
    assert (code, out) == (1, "")
    assert told in err
    assert vendor.calls.made == []


def test_the_legacy_address_is_answered_with_the_migration(ipsync, monkeypatch):
    monkeypatch.setenv("QATECH_API_URL", "https://app.qa.tech/api/projects/9f3c/runs")
    code, _, err = ipsync("run", "start")
    assert code == 1
    assert "legacy API" in err.splitlines()[0]
    assert "  1. leave the url out" in err.splitlines()[1]


def test_without_a_token(ipsync, monkeypatch):
    monkeypatch.delenv("QATECH_API_TOKEN")
    code, _, err = ipsync("run", "start")
    assert (code, err.startswith("QATECH_API_TOKEN is not set; it takes the project's API token")) == (1, True)


# ── ends that are no pass ────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "state"), [("CANCELLED", "cancelled"), ("ERROR", "unknown")])
def test_a_run_that_ended_otherwise_exits_with_1(ipsync, vendor, status, state):
    ipsync("run", "start")
    vendor.project.cancel("run003", status=status)
    code, out, _ = ipsync("run", "status", "run003", "--wait")
    assert code == 1
    assert out.startswith(f"run run003  {state}\n    ! ")


def test_a_plan_without_tests_exits_with_3(ipsync):
    code, out, _ = ipsync("run", "start", "--test-plan", "pln_empty", "--wait")
    assert code == 3
    assert "proves nothing" in out


def test_a_run_without_tests_that_is_said_to_have_passed_exits_with_3(ipsync, monkeypatch):
    monkeypatch.setattr(Run, "result", "PASSED")
    code, out, _ = ipsync("run", "start", "--test-plan", "pln_empty", "--wait")
    assert code == 3
    assert "the run has no tests, so it proves nothing" in out


def test_no_result_in_time_exits_with_1_and_says_that_the_run_goes_on(ipsync, vendor):
    vendor.project.habits.add("never-ends")
    code, out, err = ipsync("run", "start", "--wait", "--timeout", "1s", "--output", "json")
    assert code == 1
    assert (json.loads(out)["run"], json.loads(out)["state"]) == ("run003", "running")
    assert "no longer waiting: no result within 1 s" in err
    assert f"run run003 goes on at QA.tech: {SITE}/run003" in err
    assert "ipsync qatech run status run003 --wait" in err


@pytest.mark.parametrize("words", [["run", "start"], ["run", "start", "--wait"], ["run", "rerun", "run003"]])
def test_a_lost_answer_is_unknown_and_a_script_learns_it(ipsync, vendor, words):
    ipsync("run", "start")
    vendor.faults.plan("run.rerun" if "rerun" in words else "run.start", "reset-after")
    code, out, err = ipsync(*words, "--output", "json")
    assert code == 1
    assert (json.loads(out)["state"], json.loads(out)["run"]) == ("unknown", None)
    assert err.startswith("whether a run was started is not known: ")
    assert "look at the project's newest runs" in err
    assert len(vendor.project.runs) == 2


def test_a_run_that_is_not_known_everywhere_yet_is_waited_for_by_who_started_it(ipsync, monkeypatch):
    ask, missed = Project.get, []

    def late(self, *args, **kwargs):
        if not missed:
            missed.append(args)
            return self._run("not-yet")
        return ask(self, *args, **kwargs)

    monkeypatch.setattr(Project, "get", late)
    code, out, _ = ipsync("run", "start", "--wait")
    assert (code, len(missed)) == (0, 1)
    assert out.startswith("run run003  passed")
    assert ipsync("run", "status", "run404", "--wait")[0] == 1, "another one isn't"


def test_a_token_that_is_revoked_during_a_wait_still_tells_the_run(ipsync, vendor):
    vendor.faults.plan("run.get", "denied", after=1)
    code, out, err = ipsync("run", "start", "--wait", "--output", "json")
    assert code == 1
    assert (json.loads(out)["run"], json.loads(out)["state"]) == ("run003", "unknown")
    assert "403" in err


@pytest.mark.parametrize("operation", ["outbound-ips", "run.start", "run.get", "run.rerun", "test-cases.create"])
@pytest.mark.parametrize("fault", ["500", "denied", "quota", "throttle", "malformed", "empty-object", "html"])
def test_every_failure_is_a_sentence_and_exit_1(ipsync, vendor, operation, fault):
    words = {
        "outbound-ips": ["outbound-ips"],
        "run.start": ["run", "start"],
        "run.get": ["run", "status", "run003"],
        "run.rerun": ["run", "rerun", "run003"],
        "test-cases.create": ["test-case", "create", "--name", "n", "--goal", "g", "--application", "app_shop"],
    }[operation]
    vendor.project.start({})
    vendor.faults.plan(operation, *[fault] * 3)
    code, out, err = ipsync(*words)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "fault in ipsync" not in err


def test_text_from_the_vendor_drives_no_terminal_and_forges_no_line(ipsync, vendor):
    vendor.project.cases = {UUID: "x\n\x1b[2Jrun run003  passed"}
    vendor.is_open = lambda _: False
    code, out, _ = ipsync("run", "start", "--wait")
    assert code == 3
    assert "x\\n\\x1b[2Jrun run003  passed" in out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3


# ── signals, terminals ───────────────────────────────────────────────────────


def started(vendor, *words, **options):
    env = {**os.environ, "QATECH_API_URL": vendor.url, "QATECH_API_TOKEN": TOKEN}
    return subprocess.Popen([sys.executable, "-m", "ipsync", "qatech", *words], env=env, text=True, **options)


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_signal_ends_the_wait_at_once(vendor):
    vendor.project.habits.add("never-ends")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = started(vendor, "run", "start", "--wait", **pipes)
    until(lambda: any(call.operation == "run.get" for call in vendor.calls.made))
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 1
    assert out.startswith("run run003  running")
    assert f"no longer waiting: a signal came\nrun run003 goes on at QA.tech: {SITE}/run003\n" in err


def test_a_signal_while_a_start_is_on_its_way_leaves_it_unknown(ipsync, vendor):
    vendor.faults.seconds = 60.0
    vendor.faults.plan("run.start", "hang")

    def kill():
        until(lambda: vendor.calls.made)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=kill).start()
    code, out, err = ipsync("run", "start", "--wait")
    assert (code, out) == (1, "")
    assert err.startswith("whether a run was started is not known: it was broken off")


@pytest.fixture
def interruptible():
    """Let what a test starts be ended by Ctrl-C, also where the suite is a shell's background job: that ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_terminal_sees_one_line_that_changes_until_ctrl_c(vendor):
    vendor.project.habits.add("never-ends")
    ours, theirs = pty.openpty()
    process = started(vendor, "run", "start", "--wait", stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    until(lambda: sum(call.operation == "run.get" for call in vendor.calls.made) > 1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    seen = b""
    with suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 4096):
            seen += piece
    os.close(ours)
    assert process.returncode == 1
    assert out.startswith("run run003  running")
    assert b"\rrun run003  INITIATED  " in seen
    assert b" \rno longer waiting: a signal came\r\n" in seen
    assert b"\x1b" not in seen


def test_a_pass_loads_nothing_of_it():
    code = (
        "import sys\nimport ipsync.app, ipsync.daemon, ipsync.config, ipsync.cli.sync, ipsync.cli.reporting, ipsync.cli.check\n"
        "print([m for m in sys.modules if m.startswith(('ipsync.verification', 'ipsync.cli.qatech'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
