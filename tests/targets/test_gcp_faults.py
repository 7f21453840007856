"""Reaching Compute Engine when it doesn't answer as it should: what is tried again, and what may be said afterwards.

After each failure the question is the same: may the write have been carried out? Only "surely not" may be
reported as a refusal; everything else is Uncertain, and the engine reads back.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
import requests
from factory import gcp_target, networks
from google.api_core.exceptions import from_http_response
from google.auth.exceptions import RefreshError, TransportError
from urllib3.exceptions import MaxRetryError, NewConnectionError

from ipsync.core.errors import Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.model import ManagedList, Operation
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.rule_reader import Reader
from ipsync.targets.gcp.rule_writer import Writer
from ipsync.targets.gcp.rules import wanted_settings


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(gcp_calls, "DEADLINE", 0.4)


def answered(status: int, reason: str = "", *, details: list[object] | None = None) -> Exception:
    """Make the error that Google's library makes of such an answer."""
    error = {"code": status, "message": f"said {reason}", "errors": [{"reason": reason, "message": "m"}]}
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps({"error": error | ({"details": details} if details else {})}).encode()
    response.request = requests.Request("POST", "http://127.0.0.1/x").prepare()
    return from_http_response(response)


def refused_connection() -> Exception:
    pool: object = type("Pool", (), {"host": "h"})()
    return requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(pool, "refused")))


class Replies:
    """Raises or returns each of its replies in turn, the last one for ever."""

    def __init__(self, *replies: object) -> None:
        self.replies, self.asked = list(replies), 0

    def __call__(self) -> object:
        reply = self.replies[min(self.asked, len(self.replies) - 1)]
        self.asked += 1
        if isinstance(reply, Exception):
            raise reply
        return reply


def call(replies: Replies, *, writes: bool = True) -> object:
    return gcp_calls.call(replies, subject="patching x", writes=writes, quota=gcp_pacing.quota("acme", writes=False))


@pytest.mark.parametrize(
    "error",
    [
        answered(403, "rateLimitExceeded"),
        answered(429, "rateLimitExceeded"),
        answered(400, "resourceNotReady"),
        answered(409, "operationInProgress"),
        answered(500, "internalError"),
        answered(503, "backendError"),
        requests.ConnectionError("reset"),
        requests.exceptions.ChunkedEncodingError("cut"),
        refused_connection(),
        TransportError("the metadata server doesn't answer"),
    ],
    ids=["403", "429", "not ready", "409", "500", "503", "reset", "cut", "refused", "no token"],
)
def test_what_passes_is_tried_again(error):
    replies = Replies(error, error, "done")
    assert call(replies) == "done"
    assert replies.asked == 3


def test_who_says_nothing_is_asked_twice_since_each_time_is_waited_for():
    """A listing took a minute and a half, and a check two and a half."""
    assert call(Replies(requests.ReadTimeout("slow"), "done")) == "done"
    replies = Replies(requests.ReadTimeout("slow"))
    with pytest.raises(Unreachable, match=r"takes requests and gives no answer; the next run tries again$"):
        call(replies, writes=False)
    assert replies.asked == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(403, "forbidden"), Denied),
        (answered(401, "authError"), Denied),
        (answered(403, "quotaExceeded"), Rejected),
        (answered(400, "invalid"), Rejected),
        (answered(404, "notFound"), Missing),
        (answered(409, "alreadyExists"), Stale),
        (answered(412, "conditionNotMet"), Stale),
        (RefreshError("the key was revoked"), Denied),
    ],
    ids=["403", "401", "quota", "400", "404", "409", "412", "revoked"],
)
def test_what_stays_is_asked_once(error, kind):
    replies = Replies(error)
    with pytest.raises(kind, match="patching x"):
        call(replies)
    assert replies.asked == 1


@pytest.mark.parametrize(
    "last", [answered(403, "forbidden"), answered(404, "notFound"), answered(409, "alreadyExists"), answered(400, "invalid")], ids=["403", "404", "409", "400"]
)  # fmt: skip
def test_a_refusal_after_a_lost_reply_says_nothing_about_the_first_try(last):
    """A delete whose reply is lost finds 404 on the second try: it was done, so `nothing was done` would be a lie."""
    with pytest.raises(Uncertain):
        call(Replies(requests.ReadTimeout("lost"), last))


@pytest.mark.parametrize(
    "error", [refused_connection(), requests.ConnectTimeout("no route"), TransportError("no token"), answered(429)], ids=["refused", "no route", "no token", "429"]
)  # fmt: skip
def test_what_never_left_is_surely_not_done(error):
    with pytest.raises(Unreachable):
        call(Replies(error))


@pytest.mark.parametrize("error", [requests.ReadTimeout("slow"), answered(503, "backendError")], ids=["slow", "503"])
def test_what_may_have_arrived_is_uncertain_for_a_write_and_unreachable_for_a_read(error):
    with pytest.raises(Uncertain):
        call(Replies(error))
    with pytest.raises(Unreachable):
        call(Replies(error), writes=False)


def test_a_fault_of_our_own_is_neither_tried_again_nor_dressed_up_as_googles():
    replies = Replies(AttributeError("a typo"))
    with pytest.raises(AttributeError):
        call(replies)
    assert replies.asked == 1


def test_the_message_says_why_nobody_answered():
    with pytest.raises(Unreachable, match="refused"):
        call(Replies(refused_connection()), writes=False)


DISABLED = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "SERVICE_DISABLED",
    "domain": "googleapis.com",
    "metadata": {"service": "compute.googleapis.com"},
}


@pytest.mark.parametrize(
    "error", [answered(403, "accessNotConfigured"), answered(403, "forbidden", details=[DISABLED])], ids=["old", "new"]
)
def test_an_api_that_is_off_is_told_apart_from_a_missing_role(gcp, error):
    reader, replies = Reader(target(gcp)), Replies(error)
    reader._list = lambda **_: replies()
    with pytest.raises(Denied, match=r"gcloud services enable compute\.googleapis\.com --project=acme") as caught:
        reader.list_owned([target(gcp)], owner="acme")
    assert "add-iam-policy-binding" not in str(caught.value)
    assert replies.asked == 1


# ── operations ───────────────────────────────────────────────────────────────


def target(gcp, **where):
    return gcp_target(where={"endpoint": gcp.endpoint, **where})


def creation(gcp, **where) -> Operation:
    settings = wanted_settings(target(gcp, **where))
    note = (("description", "ipsync owner=acme target=edge feed=qatech"),)
    managed = ManagedList("allow-qatech", networks("8.8.8.8"), note, settings)
    return Operation("create", "gcp/acme/allow-qatech", (), (), managed=managed)


def test_who_may_write_but_not_look_at_operations_is_uncertain_not_denied(gcp):
    """The rule has been made by then: `denied, nothing was done` would be a lie."""
    gcp.deny("compute.globalOperations.get")
    with pytest.raises(Uncertain, match="gcloud compute operations describe") as caught:
        Writer(target(gcp)).execute(creation(gcp))
    assert "compute.globalOperations.get" in str(caught.value)
    assert "allow-qatech" in gcp.firewalls("acme")


def test_an_operation_that_is_forgotten_is_uncertain(gcp):
    writer = Writer(target(gcp))
    real = gcp.answer
    gcp.answer = lambda verb, path, body: real(verb, path.replace("/operations/", "/operations/not-"), body)
    try:
        with pytest.raises(Uncertain):
            writer.execute(creation(gcp))
    finally:
        del gcp.answer


def test_waiting_keeps_to_one_deadline(gcp, monkeypatch):
    monkeypatch.setattr(gcp_calls, "DEADLINE", 1.0)
    gcp.operation_polls = 10**6
    gcp.faults.plan("globalOperations.wait", *["500"] * 10_000)
    began = time.monotonic()
    with pytest.raises(Uncertain):
        Writer(target(gcp)).execute(creation(gcp))
    assert time.monotonic() - began < 1.6


def test_a_wait_that_hangs_keeps_to_the_deadline_too(gcp, monkeypatch):
    monkeypatch.setattr(gcp_calls, "DEADLINE", 1.0)
    monkeypatch.setattr(gcp.faults, "seconds", 4.0)
    gcp.faults.plan("globalOperations.wait", "hang")
    began = time.monotonic()
    with pytest.raises(Uncertain):
        Writer(target(gcp)).execute(creation(gcp))
    assert time.monotonic() - began < 3.0


def test_an_operation_done_at_once_needs_no_wait(gcp):
    gcp.operation_polls = 0
    receipt = Writer(target(gcp)).execute(creation(gcp))
    assert receipt.request_id.startswith("operation-")
    assert [c.operation for c in gcp.calls] == ["firewalls.insert"]


def test_faults_while_waiting_are_waited_out(gcp, monkeypatch):
    monkeypatch.setattr(gcp_calls, "DEADLINE", 5.0)
    gcp.faults.plan("globalOperations.wait", "reset-before", "throttle", "500", "malformed")
    Writer(target(gcp)).execute(creation(gcp))
    assert [c.operation for c in gcp.calls].count("firewalls.insert") == 1


# ── the library ──────────────────────────────────────────────────────────────


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_library_is_imported_by_the_first_client_only_and_without_aws():
    out = python(
        "import sys; from factory import gcp_target\n"
        "from ipsync.targets.gcp.rule_reader import Reader\n"
        "from ipsync.targets.gcp.rule_writer import Writer\n"
        "print('google.cloud.compute_v1.types' in sys.modules, end=' ')\n"
        "Reader(gcp_target(where={'endpoint': 'http://127.0.0.1:1'}))\n"
        "print('google.cloud.compute_v1.types' in sys.modules, 'boto3' in sys.modules, 'botocore' in sys.modules)"
        .replace("import sys;", "import sys; sys.path.insert(0, 'tests');")
    )  # fmt: skip
    assert out == "False True False False"


def test_services_that_nobody_asked_for_are_not_imported():
    """The package's __init__ imports 120 services: 0.4 s and 40 MiB for nothing."""
    out = python(
        "import sys; from ipsync.targets.gcp import client as gcp_client; gcp_client.compute()\n"
        "print(sum(n.startswith('google.cloud.compute_v1.services.') and n.count('.') == 4 for n in sys.modules))"
    )
    assert int(out) <= 3


def test_the_whole_library_can_still_be_imported_afterwards():
    out = python(
        "from ipsync.targets.gcp import client as gcp_client; ours = gcp_client.compute()\n"
        "from google.cloud import compute_v1\n"
        "print(compute_v1.FirewallsClient is ours.FirewallsClient, hasattr(compute_v1, 'InstancesClient'))"
    )
    assert out == "True True"


def test_loopback_needs_no_credentials_and_another_host_gets_none_of_ours_left_out(gcp):
    assert set(gcp_client.options(target(gcp).where)) == {"client_options", "credentials"}
    away = gcp_target(where={"endpoint": "https://compute.psc.example"}).where
    assert "credentials" not in gcp_client.options(away)
    assert gcp_client.options(gcp_target().where) == {}


# ── somebody edits between two tries ─────────────────────────────────────────

EDITED = ["8.8.8.8/32", "9.9.9.9/32"]


def edited(cloud) -> None:
    cloud._projects["acme"].rules["allow-qatech"]["sourceRanges"] = list(EDITED)


def made_and_replaced(gcp):
    made = creation(gcp)
    Writer(target(gcp)).execute(made)
    managed = ManagedList("allow-qatech", networks("8.8.8.8", "8.8.4.4"), made.managed.note, made.managed.settings)
    return Operation("replace", "gcp/acme/allow-qatech", (), (), managed=managed, was=made.managed)


@pytest.mark.parametrize(
    ("fault", "told", "text"),
    [("throttle", Stale, "somebody changed the rule"), ("reset-after", Uncertain, "its reply was lost")],
)
def test_an_edit_between_two_tries_of_a_write_isnt_overwritten(gcp, fault, told, text):
    """A throttled patch comes up to a minute after the look: what people changed meanwhile would be lost."""
    operation = made_and_replaced(gcp)
    gcp.faults.plan("firewalls.patch", fault)
    gcp.hooks["firewalls.get"] = lambda cloud: cloud.hooks.update({"firewalls.get": edited})
    with pytest.raises(told, match=text):
        Writer(target(gcp)).execute(operation)
    assert gcp.firewalls("acme")["allow-qatech"]["sourceRanges"] == EDITED


@pytest.mark.parametrize("fault", ["reset-after", "throttle", "500", "malformed", "empty-object"])
@pytest.mark.parametrize("kind", ["replace", "delete"])
def test_a_further_try_that_finds_what_it_expects_goes_through(gcp, fault, kind):
    operation = made_and_replaced(gcp)
    if kind == "delete":
        operation = Operation("delete", operation.resource, (), (), managed=operation.was, was=operation.was)
    gcp.faults.plan(f"firewalls.{'patch' if kind == 'replace' else 'delete'}", fault)
    Writer(target(gcp)).execute(operation)
    left = {name: len(body["sourceRanges"]) for name, body in gcp.firewalls("acme").items()}
    assert left == ({"allow-qatech": 2} if kind == "replace" else {})
