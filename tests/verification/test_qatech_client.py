"""QA.tech's endpoints under every fault: what is known is said, what isn't is unknown, and nothing is started twice."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest

from ipsync.core.errors import IpsyncError
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.qatech import vendor as vendors
from ipsync.verification.errors import AnswerLost, BrokenOff, Unavailable, VerificationError
from ipsync.verification.qatech import asking, bodies
from ipsync.verification.qatech.client import Client

UUID = "a1b2c3d4-e5f6-4789-a012-3456789abcde"
ASK = {
    "outbound-ips": lambda client, _run: client.outbound_ips(),
    "run.start": lambda client, _run: client.start(bodies.RunRequest()),
    "run.get": lambda client, run: client.run(run, test_cases="failed"),
    "run.rerun": lambda client, run: client.rerun(run, bodies.RerunRequest()),
    "test-cases.create": lambda client, _run: client.create_test_case(
        bodies.TestCaseRequest(name="n", goal="g", application="app_shop")
    ),
}
READS = {"outbound-ips", "run.get"}
SURELY_NOT = {"throttle", "denied", "quota"}
PASSING = {"throttle", "500", "reset-before", "reset-after", "malformed", "html"}
"""What a question that only reads is asked again after."""
FAULTS = [
    "throttle", "500", "denied", "quota", "reset-before", "reset-after", "hang", "malformed", "empty-object",
    "status-object", "other-kind", "list", "html",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "PAUSE", 0.01)


@pytest.fixture(scope="module")
def _vendor():
    with vendors.Vendor() as made:
        made.faults.seconds = 60.0
        yield made


@pytest.fixture
def vendor(_vendor):
    _vendor.addresses, _vendor.is_open, _vendor.retry_after = (
        ["18.196.41.10", "2600:1f14:436:5801::10"],
        lambda _: True,
        0,
    )
    _vendor.project = vendors.Project()
    _vendor.projects = {vendors.TOKEN: _vendor.project}
    _vendor.faults.clear()
    _vendor.calls.clear()
    _vendor.bodies.clear()
    yield _vendor
    assert _vendor.violations == [], "the API's description rejects one of our answers"


@pytest.fixture
def client(vendor):
    return Client(url=vendor.url, token=vendor.token, timeout=5)


@pytest.fixture
def run(client):
    return client.start(bodies.RunRequest()).short_id


def failure(call, kind=IpsyncError):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).isprintable()
    assert vendors.TOKEN not in f"{caught.value}{caught.value.__context__!r}"
    return caught.value


# ── every endpoint ───────────────────────────────────────────────────────────


def test_the_addresses_need_no_token_and_get_none(vendor):
    assert Client(url=vendor.url).outbound_ips().ip_addresses == ("18.196.41.10/32", "2600:1f14:436:5801::10/128")


def test_the_addresses_are_asked_for_without_the_token_that_is_there(wire):
    wire.addresses = ["8.8.8.8"]
    assert at(wire).outbound_ips().ip_addresses == ("8.8.8.8/32",)
    assert "authorization" not in wire.requests[0].headers


def test_a_run_from_its_start_to_its_end(client, vendor):
    started = client.start(bodies.RunRequest(test_plan="pln_smoke"))
    assert (started.test_count, started.test_plan.short_id) == (1, "pln_smoke")
    told = [(state.status, state.result) for state in (client.run(started.short_id) for _ in range(3))]
    assert told == [("INITIATED", None), ("RUNNING", None), ("COMPLETED", "PASSED")]
    assert client.run(started.short_id).run_test_cases == ()
    (case,) = client.run(started.short_id, test_cases="all").run_test_cases
    assert (case.name, case.result) == ("The start page is reached", "PASSED")
    assert client.run(started.short_id, test_cases="failed").run_test_cases == ()


def test_a_shut_door_fails_what_goes_through_it_and_a_rerun_takes_that_alone(client, vendor):
    vendor.is_open = lambda address: ":" not in address
    vendor.project.polls = 0
    started = client.start(bodies.RunRequest(test_plan="pln_smoke"))
    state = client.run(started.short_id, test_cases="failed")
    assert state.result == "FAILED"
    assert [case.result_title for case in state.run_test_cases] == ["The site does not answer 2600:1f14:436:5801::10"]
    vendor.is_open = lambda _: True
    again = client.rerun(started.short_id, bodies.RerunRequest(failed_only=True))
    assert again.short_id != started.short_id
    assert client.run(again.short_id).result == "PASSED"


def test_a_test_case_that_was_made_is_run(client, vendor):
    made = client.create_test_case(
        bodies.TestCaseRequest(
            name="Checkout", goal="Buy", application="app_shop", configs=("cfg_card",), scenario="scenario_doors"
        )
    )
    assert made.name == "Checkout"
    started = client.start(bodies.RunRequest())
    assert "Checkout" in [case.name for case in client.run(started.short_id, test_cases="all").run_test_cases]


@pytest.mark.parametrize(
    ("ask", "status", "told"),
    [
        (lambda c: c.start(bodies.RunRequest(test_plan="pln_other")), 404, "token of the project"),
        (lambda c: c.start(bodies.RunRequest(applications=(bodies.Application(short_id="app_other"),))), 404, "app_other not found"),
        (lambda c: c.run("nosuch"), 404, "Run nosuch not found"),
        (lambda c: c.rerun("nosuch", bodies.RerunRequest()), 404, "Run nosuch not found"),
        (lambda c: c.rerun(c.start(bodies.RunRequest()).short_id, bodies.RerunRequest(failed_only=True)), 400, "No tests to rerun"),
        (lambda c: c.create_test_case(bodies.TestCaseRequest(name="n", goal="g", application="app_shop", resume_from=UUID)), 404, UUID),
    ],
)  # fmt: skip
def test_what_the_project_does_not_have(client, ask, status, told):
    text = str(failure(lambda: ask(client), VerificationError))
    assert f"QA.tech answered {status} (" in text
    assert told in text


def test_a_token_of_another_project_finds_nothing_of_this_one(client, vendor, run):
    vendor.projects["token-of-another-project"] = vendors.Project()
    other = Client(url=vendor.url, token="token-of-another-project", token_name="verify.smoke.qatech.token")
    text = str(failure(lambda: other.run(run), VerificationError))
    assert "404" in text
    assert "verify.smoke.qatech.token is the token of the project that it stands in" in text
    wrong = Client(url=vendor.url, token="nobody's-token")
    text = str(failure(lambda: wrong.start(bodies.RunRequest()), VerificationError))
    assert "401 (Missing or invalid API key)" in text
    assert "Settings > Integrations > API" in text
    assert "nobody" not in text


# ── every endpoint × every fault ─────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", vendors.OPERATIONS)
def test_every_fault_of_every_endpoint(client, vendor, run, operation, fault):
    vendor.calls.clear()
    vendor.faults.plan(operation, fault)
    quick = (
        Client(url=vendor.url, token=vendor.token, timeout=0.3 if operation in READS else 1)
        if fault == "hang"
        else client
    )
    began = time.monotonic()
    if operation in READS and fault in PASSING:
        ASK[operation](quick, run)
    else:
        error = failure(lambda: ASK[operation](quick, run))
        if operation not in READS:
            assert isinstance(error, AnswerLost) is (fault not in SURELY_NOT)
            assert ("is not known" in str(error)) is (fault not in SURELY_NOT)
            assert ("look " in str(error) and "not sent again" in str(error)) is (fault not in SURELY_NOT)
        assert isinstance(error, Unavailable) is (fault == "throttle" or (operation in READS and fault == "hang"))
    asked = sum(call.operation == operation for call in vendor.calls.made)
    assert asked == (2 if operation in READS and fault in PASSING else 1)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("operation", sorted(READS))
def test_a_question_that_only_reads_is_asked_three_times_and_no_more(client, vendor, run, operation):
    vendor.calls.clear()
    vendor.faults.plan(operation, *["throttle"] * 9)
    assert "429" in str(failure(lambda: ASK[operation](client, run), Unavailable))
    assert len(vendor.calls.made) == 3


def test_a_pause_that_is_longer_than_the_time_left_is_not_waited_for(client, vendor, run):
    vendor.calls.clear()
    vendor.retry_after = 3600
    vendor.faults.plan("run.get", "throttle")
    began = time.monotonic()
    error = failure(lambda: client.run(run), Unavailable)
    assert error.after == 3600
    assert "ask again in 3600 s" in str(error)
    assert time.monotonic() - began < 20
    assert len(vendor.calls.made) == 1


def test_a_run_whose_answer_was_lost_may_have_been_started(client, vendor):
    vendor.faults.plan("run.start", "reset-after")
    failure(lambda: client.start(bodies.RunRequest()), AnswerLost)
    assert len(vendor.project.runs) == 1


def test_what_never_left_is_not_unknown(client):
    nobody = Client(url="http://127.0.0.1:1/v1", token=vendors.TOKEN, timeout=1)
    text = str(failure(lambda: nobody.start(bodies.RunRequest()), Unavailable))
    assert text.startswith("no run was started: 127.0.0.1:1: no connection")


# ── answers ──────────────────────────────────────────────────────────────────

STARTED = {
    "success": True,
    "run": {
        "id": "1",
        "shortId": "abc",
        "url": "https://a",
        "testCount": 1,
        "testPlan": {"name": "n", "shortId": "pln_1"},
    },
}
STATE = {"id": "1", "shortId": "abc", "status": "RUNNING", "result": None, "runTestCases": []}
CASE = dict.fromkeys(("id", "shortId", "name", "status", "result", "resultTitle", "evaluationThought", "promptGoal", "promptExamples"), "x")  # fmt: skip
MADE = {"success": True, "testCase": {"id": "1", "name": "n", "url": "https://a"}}


@pytest.fixture(scope="module")
def _wire():
    with FeedServer() as server:
        yield server


@pytest.fixture
def wire(_wire):
    _wire.recover()
    _wire.requests.clear()
    return _wire


def at(server, **changes):
    return Client(**{"url": server.url.removesuffix("/outbound-ips"), "token": vendors.TOKEN, "timeout": 5, **changes})


def paths(document, before=()):
    for key, value in document.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


def without(document, path):
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("operation", "document"),
    [("outbound-ips", {"ipAddresses": []}), ("run.start", STARTED), ("run.get", STATE), ("test-cases.create", MADE)],
)
def test_unknown_fields_are_fine_and_each_missing_one_is_an_error_that_names_it(wire, operation, document):
    wire.respond(json.dumps({**document, "version": 2, "extra": {"a": [None]}}).encode())
    ASK[operation](at(wire), "abc")
    for path in paths(document):
        wire.respond(json.dumps(without(document, path)).encode())
        error = failure(lambda: ASK[operation](at(wire), "abc"))
        assert path[-1] in str(error)
        assert not isinstance(error, Unavailable)


def test_each_field_of_a_test_case_is_needed(wire):
    for key in CASE:
        cases = [{k: v for k, v in CASE.items() if k != key}]
        wire.respond(json.dumps({**STATE, "runTestCases": cases}).encode())
        assert f"`runTestCases.0.{key}` is missing" in str(failure(lambda: at(wire).run("abc", test_cases="all")))


def test_test_cases_may_be_left_out_where_nobody_asked_for_them(wire):
    wire.respond(json.dumps(without(STATE, ["runTestCases"])).encode())
    assert at(wire).run("abc").run_test_cases == ()
    assert "`runTestCases` is missing" in str(failure(lambda: at(wire).run("abc", test_cases="failed")))


@pytest.mark.parametrize(
    "changes",
    [
        {"result": 1},
        {"status": None},
        {"shortId": 7},
        {"runTestCases": {}},
        {"runTestCases": [None]},
        {"shortId": "../x"},
    ],
)
def test_fields_of_another_kind_are_errors(wire, changes):
    wire.respond(json.dumps({**STATE, **changes}).encode())
    assert f"`{next(iter(changes))}" in str(failure(lambda: at(wire).run("abc")))


def test_a_number_is_a_number(wire):
    wire.respond(json.dumps(STARTED).replace('"testCount": 1', '"testCount": true').encode())
    assert "`testCount` is of another kind" in str(failure(lambda: at(wire).start(bodies.RunRequest()), AnswerLost))


@pytest.mark.parametrize("success", [False, None, 1, "true"])
def test_only_a_success_is_one(wire, success):
    wire.respond(json.dumps({**STARTED, "success": success}).encode())
    assert "success: true" in str(failure(lambda: at(wire).start(bodies.RunRequest()), AnswerLost))


def test_an_address_that_is_none_is_an_error(wire):
    wire.respond(b'{"ipAddresses": ["8.8.8.8", "8.8.8.8/0"]}')
    assert "`ipAddresses.1`" in str(failure(lambda: at(wire).outbound_ips()))


def test_the_answer_about_another_run_proves_nothing(client, vendor, run):
    vendor.project.habits.add("other-run")
    assert "it is about run other00" in str(failure(lambda: client.run(run), VerificationError))


@pytest.mark.parametrize(
    "body",
    [b'{"id": "1", "id": "2"}', b'{"id": NaN}', b"[" * 100_000, b"\xff", b"", b'{"ipAddresses": ["8.8.8.8"]'],
    ids=str,
)
def test_json_that_can_mean_two_things_is_none(wire, body):
    wire.respond(body[:100_000])
    assert "not JSON" in str(failure(lambda: at(wire).start(bodies.RunRequest()), AnswerLost))


# ── redirects, statuses ──────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("place", ["OTHER/v1/run", "/v2/run", "//evil.example", ""])
def test_redirects_are_not_followed(wire, vendor, status, place):
    place = place.replace("OTHER/v1", vendor.url)
    wire.respond(status=status, headers=[("Location", place)] if place else [])
    error = failure(lambda: at(wire).start(bodies.RunRequest()), VerificationError)
    assert not isinstance(error, AnswerLost)
    assert "it redirects" in str(error)
    assert "QATECH_API_URL" in str(error)
    assert vendor.calls.made == []
    assert len(wire.requests) == 1


def test_see_other_says_that_it_was_done(wire):
    wire.respond(status="303 See Other", headers=[("Location", "/v1/run/abc")])
    failure(lambda: at(wire).start(bodies.RunRequest()), AnswerLost)
    assert "it redirects" in str(failure(lambda: at(wire).run("abc"), VerificationError))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "each id is this project's"),
        (401, "set QATECH_API_TOKEN"),
        (402, "usage limit"),
        (403, "suspended"),
        (404, "check the id"),
        (405, "a fault over there"),
        (429, "too many requests"),
        (599, "a fault over there"),
    ],
)
def test_each_refusal_says_what_helps_in_qatech_s_words(wire, status, told):
    words = f"no such\n\x1b[31m thing {vendors.TOKEN}"
    wire.respond(json.dumps({"message": words}).encode(), status=f"{status} Oops", headers=[("Retry-After", "600")])
    text = str(failure(lambda: at(wire).run("abc")))
    assert text.startswith(
        f"run abc can't be read: QA.tech answered {status} (no such\\n\\x1b[31m thing (the token)); "
    )
    assert told in text


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 7}', b"\xff"])
def test_a_refusal_without_a_message_is_told_by_its_reason(wire, body):
    wire.respond(body, status="404 Not Found")
    assert "answered 404 (Not Found); " in str(failure(lambda: at(wire).run("abc")))


def test_a_refusal_whose_body_is_cut_is_one_all_the_same(wire):
    wire.respond(b'{"message": "x"}', status="402 Payment Required", length=False)
    error = failure(lambda: at(wire).start(bodies.RunRequest()), VerificationError)
    assert not isinstance(error, AnswerLost)
    assert "usage limit" in str(error)


def test_a_server_that_drips_is_left_at_the_deadline(wire):
    wire.respond(json.dumps(STATE).encode())
    wire.raw = type(wire.raw)(wire.raw.data, size=1, delay=0.2)
    began = time.monotonic()
    assert "no whole answer within 0.4 s" in str(failure(lambda: at(wire, timeout=0.4).run("abc"), Unavailable))
    assert time.monotonic() - began < 20


# ── the token, the end ───────────────────────────────────────────────────────


def test_the_token_is_sent_and_shown_nowhere(wire, caplog):
    caplog.set_level(logging.DEBUG)
    wire.respond(json.dumps({**STATE, "status": f"RUNNING {vendors.TOKEN}", vendors.TOKEN: 1}).encode())
    client = at(wire)
    state = client.run("abc")
    assert wire.requests[0].headers["authorization"] == f"Bearer {vendors.TOKEN}"
    assert state.status == "RUNNING (the token)"
    assert vendors.TOKEN not in f"{client!r} {state!r} {caplog.text}"


def test_without_a_token_nothing_is_asked(vendor):
    text = str(failure(lambda: Client(url=vendor.url).start(bodies.RunRequest())))
    assert text.startswith("QATECH_API_TOKEN is not set")
    assert vendor.calls.made == []


@pytest.mark.parametrize("operation", vendors.OPERATIONS)
def test_an_exchange_ends_at_once_when_it_is_stopped(vendor, run, operation):
    vendor.faults.plan(operation, "hang")
    stop = threading.Event()
    client = Client(url=vendor.url, token=vendor.token, timeout=30, stop=stop)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    failure(lambda: ASK[operation](client, run), BrokenOff if operation in READS else AnswerLost)
    assert time.monotonic() - began < 20


def test_a_stop_ends_the_pause_between_two_questions(vendor, run):
    vendor.faults.plan("run.get", "throttle")
    vendor.retry_after = 25
    stop = threading.Event()
    client = Client(url=vendor.url, token=vendor.token, timeout=30, stop=stop)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    failure(lambda: client.run(run), BrokenOff)
    assert time.monotonic() - began < 20
