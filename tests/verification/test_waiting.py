"""Waiting for a run: to its end, to the deadline or to a stop, whatever the vendor answers meanwhile."""

from __future__ import annotations

import threading
import time

import pytest

from ipsync.sandbox.qatech import vendor as vendors
from ipsync.verification import waiting
from ipsync.verification.base import Result, Verifier
from ipsync.verification.errors import Unavailable, VerificationError
from ipsync.verification.qatech import answers, asking, bodies, verdict
from ipsync.verification.qatech.client import Client
from ipsync.verification.qatech.verifier import QatechVerifier


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    monkeypatch.setattr(waiting, "LONGEST", 0.02)
    monkeypatch.setattr(asking, "PAUSE", 0.01)


@pytest.fixture
def vendor():
    with vendors.Vendor(["18.196.41.10"]) as made:
        yield made


@pytest.fixture
def verifier(vendor) -> Verifier:
    return QatechVerifier(Client(url=vendor.url, token=vendor.token), bodies.RunRequest(test_plan="pln_smoke"))


def waited(verifier, run_id, *, timeout=10.0, stop=None, told=None):
    return waiting.wait(
        lambda _left: verifier.poll(run_id),
        ended=lambda result: result.ended,
        timeout=timeout,
        stop=stop or threading.Event(),
        tell=(told if told is not None else []).append,
    )


def test_a_run_that_passes(verifier):
    started = verifier.start()
    assert started.state == "running"
    assert started.url.endswith(started.run_id)
    told = []
    assert waited(verifier, started.run_id, told=told) == Result("passed", started.run_id)
    assert [one.state for one in told] == ["running", "running", "passed"]


def test_a_run_that_fails_names_its_tests_and_a_rerun_is_a_run_of_its_own(vendor, verifier):
    vendor.is_open = lambda _: False
    started = verifier.start()
    result = waited(verifier, started.run_id)
    assert (result.state, result.failed) == ("failed", ("The start page is reached",))
    vendor.is_open = lambda _: True
    again = verifier.rerun_failed(started.run_id)
    assert again.run_id != started.run_id
    assert waited(verifier, again.run_id).state == "passed"


def test_a_lost_answer_to_a_start_is_unknown_and_a_refusal_is_raised(vendor, verifier):
    vendor.faults.plan("run.start", "reset-after", "quota")
    lost = verifier.start()
    assert (lost.state, lost.run_id, lost.ended) == ("unknown", "", True)
    assert "look at the project's newest runs" in lost.detail
    with pytest.raises(VerificationError, match="usage limit"):
        verifier.start()


def test_a_plan_without_tests_proves_nothing(vendor):
    client = Client(url=vendor.url, token=vendor.token)
    started = QatechVerifier(client, bodies.RunRequest(test_plan="pln_empty")).start()
    assert started.state == "failed"
    assert "has no tests, so it proves nothing" in started.detail
    vendor.project.polls = 0
    assert verdict.judged(client.run(started.run_id)).detail == "its tests were skipped, so it proves nothing"


@pytest.mark.parametrize(("status", "state"), [("CANCELLED", "cancelled"), ("ERROR", "unknown")])
def test_a_run_that_ends_otherwise(vendor, verifier, status, state):
    started = verifier.start()
    vendor.project.cancel(started.run_id, status=status)
    result = waited(verifier, started.run_id)
    assert result.state == state
    assert "at QA.tech" in result.detail


def test_a_vendor_that_never_ends_is_left_at_the_deadline(vendor, verifier):
    vendor.project.habits.add("never-ends")
    began = time.monotonic()
    result = waited(verifier, verifier.start().run_id, timeout=0.3)
    assert not result.ended
    assert time.monotonic() - began < 20


def test_a_stop_ends_the_wait_at_once(vendor, verifier, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 60)
    monkeypatch.setattr(waiting, "LONGEST", 60)
    vendor.project.habits.add("never-ends")
    stop, began = threading.Event(), time.monotonic()
    threading.Timer(0.2, stop.set).start()
    assert not waited(verifier, verifier.start().run_id, timeout=60, stop=stop).ended
    assert time.monotonic() - began < 20


def test_a_stop_ends_a_question_that_is_on_its_way(vendor):
    stop = threading.Event()
    client = Client(url=vendor.url, token=vendor.token, stop=stop)
    run = client.start(bodies.RunRequest()).short_id
    vendor.faults.plan("run.get", "hang", after=1)
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    assert waited(QatechVerifier(client, bodies.RunRequest()), run, timeout=60, stop=stop).state == "running"
    assert time.monotonic() - began < 20


def test_the_first_answer_that_it_ended_counts(vendor, verifier):
    vendor.project.habits |= {"out-of-order"}
    told = []
    result = waited(verifier, verifier.start().run_id, told=told)
    assert [one.state for one in told] == ["running", "running", "passed"]
    vendor.project.habits = {"changes-result"}
    run = verifier.start().run_id
    result = waited(verifier, run)
    assert result.state == "passed"
    assert verifier.poll(run).state == "failed"


def test_an_answer_about_another_run_is_not_waited_for(vendor, verifier):
    vendor.project.habits.add("other-run")
    with pytest.raises(VerificationError, match="about run other00"):
        waited(verifier, verifier.start().run_id)


def test_a_server_that_hiccups_is_asked_until_the_deadline(vendor, verifier):
    vendor.retry_after = 0
    vendor.faults.plan("run.get", *["500", "html", "reset-before"] * 3)
    told = []
    assert waited(verifier, verifier.start().run_id, told=told).state == "passed"
    assert [type(one) for one in told[:3]] == [Unavailable] * 3


def test_nobody_answers_until_the_deadline(vendor, verifier):
    run = verifier.start().run_id
    vendor.faults.plan("run.get", *["500"] * 500)
    assert waited(verifier, run, timeout=0.3) is None


def test_a_server_that_says_when_is_asked_then(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 60)
    monkeypatch.setattr(waiting, "LONGEST", 60)
    asked = iter([Unavailable("busy", after=0.01), Result("passed")])

    def ask(_left):
        found = next(asked)
        if isinstance(found, Unavailable):
            raise found
        return found

    began = time.monotonic()
    assert waiting.wait(ask, ended=lambda r: r.ended, timeout=120, stop=threading.Event()) == Result("passed")
    assert time.monotonic() - began < 20


# ── verdicts ─────────────────────────────────────────────────────────────────


def told(status, result, *cases, **more):
    shown = [
        {"id": "i", "shortId": "s", "name": name, "status": case_status, "result": case_result,
         "resultTitle": None, "evaluationThought": None, "promptGoal": None, "promptExamples": None}
        for name, case_status, case_result in cases
    ]  # fmt: skip
    body = {"id": "1", "shortId": "abc", "status": status, "result": result, "runTestCases": shown, **more}
    return verdict.judged(answers.read(answers.RunState, body))


@pytest.mark.parametrize(
    "status", ["INITIATED", "RUNNING", "COMPLETED", "ERROR", "CANCELLED", "PAUSED", "", "completed"]
)
@pytest.mark.parametrize("result", ["PASSED", "FAILED", "SKIPPED", None, "FLAKY", "", "passed"])
def test_one_pair_of_words_alone_is_passed(status, result):
    assert (told(status, result).state == "passed") is ((status, result) == ("COMPLETED", "PASSED"))


def test_words_that_are_not_known_are_told():
    assert told("PAUSED", None) == Result("running", "abc", detail="its status is PAUSED, which is not known")
    assert told("COMPLETED", "FLAKY").detail == "its result is FLAKY, which is not known"
    assert told("COMPLETED", None) == Result(
        "running", "abc", detail="it is completed, and its result is not there yet"
    )


def test_what_contradicts_itself_proves_nothing():
    for case in (("COMPLETED", "FAILED"), ("ERROR", None), ("CANCELLED", None)):
        result = told("COMPLETED", "PASSED", ("a", *case))
        assert (result.state, result.failed) == ("unknown", ("a",))


def test_what_was_skipped_in_a_run_that_passed_is_told_and_did_not_fail():
    result = told("COMPLETED", "PASSED", ("a", "COMPLETED", "SKIPPED"), ("b", "COMPLETED", "PASSED"))
    assert result == Result("passed", "abc", detail="not run in it: a")


def test_the_tests_that_did_not_pass_are_named():
    cases = [("a", "COMPLETED", "PASSED"), ("b", "COMPLETED", "FAILED"), ("c", "ERROR", None), ("d", "RUNNING", None), ("e", "COMPLETED", "SKIPPED")]  # fmt: skip
    assert told("COMPLETED", "FAILED", *cases).failed == ("b", "c", "e")
    assert told("COMPLETED", "FAILED", url="https://app.qa.tech/x").url == "https://app.qa.tech/x"
