"""Waves through the app: a real audit log, the vendor on loopback over HTTP, and commands as processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from factory import snapshot
from waves import CANARY, MAIN, A, B, Killed, code, stage

from ipsync import app, audit
from ipsync.audit import AuditLog
from ipsync.core import events
from ipsync.core.rollout import Check, Command, TestedApplication, VendorRun, Wave
from ipsync.sandbox.qatech.project import Project
from ipsync.sandbox.qatech.vendor import TOKEN, Vendor
from ipsync.targets.base import Places
from ipsync.verification.qatech.client import Client


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, quick):
    for name in ("QATECH_API_TOKEN", "QATECH_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def vendor():
    with Vendor(["8.8.8.8"]) as made:
        yield made
    assert made.violations == []


class House:
    """One installation: a config with a log of its own over the cloud of a stage."""

    def __init__(self, here, monkeypatch, path, check, **wave):
        self.here, self.path = here, path
        waves = (Wave("canary", (check.name,), **wave), Wave("main"))
        self.config = replace(here.config, audit_path=str(path), waves=waves, checks=(check,), source="c.yaml")
        monkeypatch.setattr(app.registry, "open_reader", here.cloud.reader)
        monkeypatch.setattr(app.registry, "open_writer", here.cloud.writer)
        monkeypatch.setattr(app.registry, "places", lambda targets: [Places((t.where,)) for t in targets])
        monkeypatch.setattr(app, "fetch_feed", lambda feed: snapshot(here.lists[feed.name]))

    def sync(self, **more):
        return app.sync_once(self.config, **more)

    def records(self, event):
        return [r for r in audit.show(self.path) if event.names(r)] if self.path.exists() else []


@pytest.fixture
def house(tmp_path, monkeypatch, vendor):
    def made(name="audit.jsonl", **changes):
        run = VendorRun(vendor.url, changes.pop("token", TOKEN), changes.pop("plan", "pln_smoke"))
        wave = {"pause": changes.pop("pause", 0.0)}
        check = Check("smoke", run, timeout=changes.pop("timeout", 5.0), **changes)
        here = stage(A)
        vendor.is_open = lambda address: f"{address}/32" in here.held(CANARY)
        return House(here, monkeypatch, tmp_path / name, check, **wave)

    return made


def starts(vendor):
    return [call.operation for call in vendor.calls.made if call.operation == "run.start"]


def operations(vendor):
    return [call.operation for call in vendor.calls.made]


def until(happened, seconds=20.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def told(report):
    return report.waves[0].proofs[0]


def test_the_vendor_proves_that_the_door_is_open(house, vendor):
    home = house()
    report = home.sync()
    assert (code(report), told(report).state, told(report).run_id) == (0, "passed", "run003")
    assert told(report).url == "https://app.qa.tech/p/demo/results/run003"
    assert [r["state"] for r in home.records(events.Verification)] == ["asked", "running", "passed"]
    assert home.records(events.Verification)[0]["request"] == {"test_plan": "pln_smoke"}
    assert TOKEN not in home.path.read_text()
    assert audit.verify(home.path).ok


def test_a_door_that_stays_shut_holds_the_rest(house, vendor):
    home = house(rerun_failed=1)
    vendor.is_open = lambda _address: False
    report = home.sync()
    assert (code(report), home.here.held(MAIN)) == (4, [])
    assert told(report).failed == ("The start page is reached",)
    assert [r["state"] for r in home.records(events.Verification)] == [
        "asked", "running", "failed", "asked", "running", "failed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": "pln_empty"}, "the run has no tests, so it proves nothing"),
        ({"token": "qatech-other-project-2"}, "404"),
        ({"token": "qatech-nobody-s-token"}, "401"),
        ({"token": None}, "QATECH_API_TOKEN is not set"),
    ],
)
def test_what_proves_nothing_is_told_and_holds(house, vendor, changes, said):
    other = Project()
    other.plans.clear()
    vendor.projects["qatech-other-project-2"] = other
    home = house(**changes)
    report = home.sync()
    assert (code(report), home.here.held(MAIN)) == (4, [])
    assert said in told(report).detail
    assert told(report).state != "passed"


def test_a_run_without_tests_is_not_passed_by_a_later_run_that_knows_its_id(house, vendor):
    home = house(plan="pln_empty")
    home.sync()
    report = home.sync()
    assert (told(report).state, code(report)) == ("failed", 4)


def test_a_run_that_somebody_cancels_holds(house, vendor, monkeypatch):
    home = house()
    ask = Client.run
    monkeypatch.setattr(Client, "run", lambda self, *a, **k: vendor.project.cancel(a[0]) or ask(self, *a, **k))
    report = home.sync()
    assert (told(report).state, code(report)) == ("cancelled", 4)


def test_a_result_that_changes_after_it_was_told_is_not_asked_for_again(house, vendor):
    home = house()
    vendor.project.habits.add("changes-result")
    assert code(home.sync()) == 0
    home.here.lists["qatech"] = [A, B]
    vendor.addresses, vendor.is_open = ["1.1.1.1"], lambda _address: False
    vendor.project.habits.clear()
    assert code(home.sync()) == 4
    assert len(starts(vendor)) == 2


@pytest.mark.parametrize("fault", ["reset-after", "malformed", "500", "html", "empty-object"])
def test_a_lost_answer_to_the_start_holds_and_nothing_is_sent_twice(house, vendor, fault):
    home = house()
    vendor.faults.plan("run.start", fault)
    report = home.sync()
    assert (told(report).state, code(report), len(starts(vendor))) == ("unknown", 4, 1)
    assert "look at the project's newest runs" in told(report).detail
    assert home.here.held(MAIN) == []


def test_a_run_that_is_not_known_everywhere_yet_is_asked_for_again(house, vendor, monkeypatch):
    home, ask, missed = house(), Project.get, []

    def late(self, *args, **kwargs):
        if len(missed) < 2:
            missed.append(args)
            return self._run("not-yet")
        return ask(self, *args, **kwargs)

    monkeypatch.setattr(Project, "get", late)
    assert code(home.sync()) == 0
    assert len(missed) == 2


def test_a_process_that_is_killed_while_it_waits_is_made_up_for_by_the_log(house, vendor, monkeypatch):
    home = house()

    def killed(*_args, **_more):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Client, "run", killed)
        with pytest.raises(Killed):
            home.sync()
    app.plan_once(home.config)  # its end hands on what it found
    report = home.sync()
    assert (code(report), len(starts(vendor)), told(report).run_id) == (0, 1, "run003")


def rewritten(home, by):
    (check,) = home.config.checks
    home.config = replace(home.config, checks=(replace(check, by=by),))


def test_what_was_proven_by_another_test_plan_is_no_proof(house, vendor):
    home = house()
    home.sync()
    home.here.cloud.groups[MAIN] = {}  # something waits behind the canary
    rewritten(home, VendorRun(vendor.url, TOKEN, "pln_empty"))
    report = home.sync()
    assert (told(report).state, home.here.held(MAIN)) == ("failed", [])
    rewritten(home, VendorRun(vendor.url, TOKEN, "pln_smoke"))
    report = app.plan_once(home.config)
    assert "its checks are written otherwise than when they failed; a sync asks again" in report.waves[0].detail
    assert (code(home.sync()), len(starts(vendor))) == (0, 3)


def test_a_run_of_another_environment_is_not_picked_up(house, vendor, monkeypatch):
    home = house()
    by = VendorRun(vendor.url, TOKEN, "pln_smoke", (TestedApplication("app_shop", environment="env_staging"),))
    rewritten(home, by)
    with monkeypatch.context() as patch:
        patch.setattr(Client, "run", lambda *_args, **_more: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            home.sync()
    rewritten(home, replace(by, applications=(TestedApplication("app_shop", environment="env_canary"),)))
    report = home.sync()
    assert (code(report), len(starts(vendor)), told(report).run_id) == (0, 2, "run004")
    asked = [r["request"]["applications"] for r in home.records(events.Verification)]
    assert [one["environment"] for (one,) in asked] == ["env_staging"] * 2 + ["env_canary"] * 3


def test_a_check_that_became_a_command_is_asked_as_one(house, vendor, monkeypatch):
    home = house()
    with monkeypatch.context() as patch:
        patch.setattr(Client, "run", lambda *_args, **_more: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            home.sync()
    rewritten(home, Command(("true",)))
    report = home.sync()
    assert (code(report), told(report).state, told(report).run_id) == (0, "passed", "")


def test_no_query_of_an_environment_s_address_stands_in_the_log(house, vendor):
    home = house()
    where = TestedApplication("app_shop", environment_url="https://pr-7.example.com/shop?key=s3cret#t0p")
    rewritten(home, VendorRun(vendor.url, TOKEN, "pln_smoke", (where,)))
    home.sync()
    assert "https://pr-7.example.com/shop" in home.path.read_text()
    assert not [word for word in ("s3cret", "t0p") if word in home.path.read_text()]


def test_a_signal_ends_a_wait_in_the_midst_of_an_answer(house, vendor):
    home, stop = house(timeout=60.0), Event()
    vendor.faults.plan("run.get", "hang")
    vendor.faults.seconds = 30
    ending = threading.Thread(target=lambda: (until(lambda: "run.get" in operations(vendor)), stop.set()))
    ending.start()
    began = time.monotonic()
    report = home.sync(stop=stop)
    ending.join()
    assert time.monotonic() - began < 20
    assert (code(report), told(report).state) == (4, "running")
    assert home.records(events.RunEnded)[-1]["interrupted"] is True
    assert code(home.sync()) == 0
    assert len(starts(vendor)) == 1


def test_while_one_waits_others_may_append_to_the_log(house, vendor):
    home = house()
    appended = []

    def append(_address):
        with AuditLog.open(home.path, owner="x", actor="x", run="x", clock=app.now, writes=False) as other:
            appended.append(other.record(events.Copied(object="x", through=1)).seq)
        return True

    vendor.is_open = append
    assert code(home.sync()) == 0
    assert appended
    assert audit.verify(home.path).ok


@pytest.mark.parametrize("habit", ["out-of-order", "changes-result"])
def test_the_first_end_counts_whatever_is_answered_later(house, vendor, habit):
    """RUNNING comes before INITIATED and after COMPLETED; PASSED becomes FAILED, and FAILED becomes PASSED."""
    vendor.project.habits.add(habit)
    home = house()
    assert code(home.sync()) == 0
    assert [r["state"] for r in home.records(events.Verification)] == ["asked", "running", "passed"]
    assert code(home.sync()) == 0
    assert len(starts(vendor)) == 1
    home.here.lists["qatech"] = [A, B]
    vendor.addresses = ["1.1.1.1"]
    report = home.sync()
    assert (told(report).state, code(report), home.here.held(MAIN)) == ("failed", 4, [A])


def test_an_answer_that_never_comes_ends_with_the_check_s_time(house, vendor):
    home = house(timeout=1.0)
    vendor.faults.seconds = 30.0
    vendor.faults.plan("run.get", *["hang"] * 9)
    began = time.monotonic()
    report = home.sync()
    assert time.monotonic() - began < 10.0, "not with the time that a single question may take"
    assert (told(report).state, home.here.held(MAIN)) == ("unknown", [])
    assert told(report).detail.startswith("no result within 1 s")


@pytest.mark.parametrize("habit", ["never-ends", "other-run"])
def test_what_never_ends_or_speaks_of_another_run_holds(house, vendor, habit):
    vendor.project.habits.add(habit)
    home = house(timeout=0.3)
    report = home.sync()
    assert (told(report).state, code(report), home.here.held(MAIN)) == ("unknown", 4, [])
    vendor.project.habits.clear()
    assert code(home.sync()) == 0
    assert len(starts(vendor)) == 2


def test_two_syncs_of_one_log_at_once_share_a_run(house, vendor):
    """The second one needs the right to write, which the first one gives away while it waits."""
    one, vendor.project.polls = house(timeout=30.0), 10**9
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(one.sync())) for _ in range(2)]
    threads[0].start()
    until(lambda: "run.get" in operations(vendor))
    threads[1].start()
    until(lambda: len(one.records(events.RunStarted)) == 2)
    until(lambda: len(one.records(events.Planned)) == 2)
    vendor.project.polls = 0
    for thread in threads:
        thread.join(30)
    assert [code(report) for report in reports] == [0, 0]
    assert (len(starts(vendor)), {told(report).run_id for report in reports}) == (1, {"run003"})
    assert [r["state"] for r in one.records(events.Verification)] == ["asked", "running", "passed"]
    assert len(one.records(events.Intent)) == 2
    assert audit.verify(one.path).ok


def test_a_signal_ends_a_wait_at_once_also_where_another_run_is_writing(house, vendor):
    home, stop, vendor.project.polls = house(timeout=60.0), Event(), 10**9
    reports = []
    thread = threading.Thread(target=lambda: reports.append(home.sync(stop=stop)))
    thread.start()
    until(lambda: "run.get" in operations(vendor))
    with AuditLog.open(home.path, owner="x", actor="x", run="x", clock=app.now):
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
    assert (code(reports[0]), told(reports[0]).state) == (4, "running")
    vendor.project.polls = 0
    assert code(home.sync()) == 0
    assert len(starts(vendor)) == 1


def test_in_a_pause_another_run_goes_on(house, vendor):
    home, stop = house(pause=60.0), Event()
    reports = []
    thread = threading.Thread(target=lambda: reports.append(home.sync(stop=stop)))
    thread.start()
    until(lambda: [r["state"] for r in home.records(events.WaveReached)] == ["began", "verified"])
    other = replace(home.config, waves=(), checks=(), source="other.yaml")
    assert code(app.sync_once(other)) == 0
    stop.set()
    thread.join(10)
    assert code(reports[0]) == 4
    assert code(home.sync()) == 0


def test_two_that_verify_at_once_each_hear_of_their_own_run(house, vendor):
    one, two = house("one.jsonl"), house("two.jsonl")
    vendor.is_open = lambda _address: True
    vendor.project.polls = 4
    reports = {}
    threads = [threading.Thread(target=lambda h=h: reports.update({id(h): h.sync()})) for h in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    runs = {told(report).run_id for report in reports.values()}
    assert len(runs) == 2
    assert [code(report) for report in reports.values()] == [0, 0]


def test_how_waves_stand_survives_many_runs_and_other_configs(house, vendor):
    home = house()
    vendor.is_open = lambda _address: False
    home.sync()
    other = replace(home.config, source="other.yaml")
    for _ in range(3):
        app.plan_once(other)
        app.plan_once(home.config)
    shown = app.plan_once(home.config)
    assert "its check smoke failed" in shown.waves[0].detail
    assert app.plan_once(other).waves[0].detail == ""


def test_nothing_of_verification_is_loaded_without_a_check():
    text = "import sys; from ipsync import app, config, engine; print([m for m in sys.modules if 'verification' in m])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ── `ipsync check` ───────────────────────────────────────────────────────────


def checked(home):
    return {f.subject: f for f in app.check_once(home.config) if f.subject.startswith("verify")}


@pytest.mark.parametrize(
    ("token", "fault", "ok", "said"),
    [
        (
            TOKEN,
            None,
            True,
            "QA.tech accepts the token; whether the ids are of its project shows when a run is started",
        ),
        ("qatech-nobody-s-token", None, False, "the token is missing or not valid"),
        (None, None, False, "QATECH_API_TOKEN is not set"),
        (TOKEN, "denied", False, "the account is suspended"),
        (TOKEN, "empty-object", False, "the answer is not what was asked for"),
    ],
)
def test_check_asks_whether_the_token_is_taken_and_starts_nothing(house, vendor, token, fault, ok, said):
    if fault:
        vendor.faults.plan("run.get", fault)
    (found,) = checked(house(token=token)).values()
    assert (found.subject, found.ok, said in found.detail) == ("verify smoke", ok, True)
    assert set(operations(vendor)) <= {"run.get"}


def test_check_takes_no_answer_for_a_run_that_can_not_be(house, vendor, monkeypatch):
    monkeypatch.setattr(Client, "run", lambda *_args, **_more: object())
    (found,) = checked(house()).values()
    assert (found.ok, "a run that can't be" in found.detail) == (False, True)


@pytest.mark.parametrize(("program", "ok"), [(sys.executable, True), ("/no/such/program", False)])
def test_check_looks_for_the_program_and_does_not_run_it(tmp_path, monkeypatch, program, ok):
    argv = (program, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")
    home = House(stage(A), monkeypatch, tmp_path / "a.jsonl", Check("own", Command(argv), timeout=5))
    assert [f.ok for f in checked(home).values()] == [ok]
    assert not (tmp_path / "ran").exists()


def test_check_asks_nobody_without_a_check(house, vendor):
    home = house()
    home.config = replace(home.config, waves=(), checks=())
    assert (checked(home), operations(vendor)) == ({}, [])


# ── commands ─────────────────────────────────────────────────────────────────


def command(tmp_path, monkeypatch, text, **more):
    script = tmp_path / "reach.py"
    script.write_text(text)
    argv = (sys.executable, str(script), "--staging")
    check = Check("own", Command(argv), timeout=more.pop("timeout", 20.0), **more)
    return House(stage(A), monkeypatch, tmp_path / "audit.jsonl", check)


def test_a_command_gets_the_change_and_its_exit_code_decides(tmp_path, monkeypatch):
    seen = tmp_path / "seen.json"
    home = command(tmp_path, monkeypatch, f"import sys; open({str(seen)!r}, 'w').write(sys.stdin.read())")
    assert code(home.sync()) == 0
    change = json.loads(seen.read_text())
    assert (change["wave"], change["check"], change["version"], change["owner"]) == ("canary", "own", 1, "acme")
    assert [(t["target"], t["status"], t["add"]) for t in change["targets"]] == [
        ("web", "applied", [{"cidr": A, "ports": "443/tcp"}])
    ]


def test_a_command_that_says_no_holds_the_rest_with_its_last_words(tmp_path, monkeypatch):
    home = command(tmp_path, monkeypatch, "print('no way in\\x1b[31m'); raise SystemExit(3)")
    report = home.sync()
    assert (code(report), told(report).state, home.here.held(MAIN)) == (4, "failed", [])
    assert "ended with exit code 3: no way in" in told(report).detail
    assert "\x1b" not in told(report).detail


def test_a_command_that_repeats_the_token_gives_it_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("QATECH_API_TOKEN", TOKEN)
    text = "import os; print('> Authorization: Bearer', os.environ['QATECH_API_TOKEN'], 'x' * 480); raise SystemExit(1)"
    home = command(tmp_path, monkeypatch, text)
    detail = told(home.sync()).detail
    assert "(the token) xxx" in detail
    assert TOKEN[4:] not in detail + home.path.read_text()


def test_a_command_that_is_not_there_holds_the_rest(tmp_path, monkeypatch):
    home = House(stage(A), monkeypatch, tmp_path / "a.jsonl", Check("own", Command(("/no/such/program",)), timeout=5))
    assert "can't be run: No such file" in told(home.sync()).detail


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    text = f"""\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(pid)!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    home = command(tmp_path, monkeypatch, text, timeout=1.5)
    report = home.sync()
    assert "took longer than 1.5 s" in told(report).detail
    assert not _alive(int(pid.read_text()))


def test_a_signal_ends_a_command_and_the_next_run_asks_again(tmp_path, monkeypatch):
    began = tmp_path / "began"
    home = command(tmp_path, monkeypatch, f"import time; open({str(began)!r}, 'w').close(); time.sleep(60)")
    stop = Event()
    ending = threading.Thread(target=lambda: (until(began.exists), stop.set()))
    ending.start()
    report = home.sync(stop=stop)
    ending.join()
    assert (code(report), told(report).state) == (4, "unknown")
    assert home.here.held(MAIN) == []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_old_proof_is_asked_for_again_by_the_log_s_time(house, vendor):
    home = house(every=timedelta(hours=24))
    home.sync()
    assert home.sync().waves[0].proofs == ()
    assert told(home.sync(clock=lambda: app.now() + timedelta(hours=25))).state == "passed"


def test_a_saved_plan_is_applied_in_waves(house, vendor):
    home = house()
    vendor.is_open = lambda _address: False
    data = app.save(app.plan_once(home.config), home.config)
    assert starts(vendor) == []
    report = app.apply_once(home.config, data)
    assert (code(report), home.here.held(CANARY), home.here.held(MAIN)) == (4, [A], [])
    again = app.plan_once(home.config)
    data, id_ = app.save(again, home.config), again.waves[0].approve
    assert code(app.apply_once(home.config, data, approve=[id_])) == 0
    assert home.here.held(MAIN) == [A]
    assert len(starts(vendor)) == 1
