"""Each way to tell somebody, against loopback: what arrives, and every way in which it can't."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from receiver import receiver, says

from ipsync.observers import notify
from ipsync.observers.notify import http
from ipsync.observers.notify.command import Command
from ipsync.observers.notify.message import Change, Message, cloud_event, without
from ipsync.observers.notify.sinks import Try, Undelivered
from ipsync.observers.notify.slack import Slack, escaped
from ipsync.observers.notify.webhook import Webhook, signature_headers

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
CHANGE = Change(
    "blocked", "began", "max-removals: needs approval: 3 of 4", "warning", ("web",), ("aws/1",), "change:ab"
)
MESSAGE = Message("id-1", "acme", "r1", NOW, (CHANGE,), "ipsync sync -c x.yaml")


@pytest.fixture
def somebody():
    with receiver() as kept:
        yield kept


def sent(sink, message: Message = MESSAGE, *, cancelled=lambda: False) -> str:
    return sink.send(message, Try(NOW, cancelled))


def refused(sink, **more) -> Undelivered:
    with pytest.raises(Undelivered) as raised:
        sent(sink, **more)
    return raised.value


# ── webhook ──────────────────────────────────────────────────────────────────


def test_a_webhook_gets_a_cloud_event_that_it_can_check(somebody):
    assert sent(Webhook(somebody.url, "s3cret")) == "answered 200 OK"
    ((_, headers, body),) = somebody.came
    assert headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    event = json.loads(body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "/ipsync/acme",
        "type": "ipsync.notification.v1",
        "subject": "blocked",
        "time": "2026-01-31T09:00:00Z",
        "datacontenttype": "application/json",
    }
    assert data["changes"][0]["approve"] == "ipsync sync -c x.yaml --approve change:ab"
    assert data["changes"][0]["subjects"] == ["web"]
    signed = headers["ipsync-timestamp"].encode() + b"." + body
    assert headers["ipsync-timestamp"] == str(int(NOW.timestamp()))
    assert headers["ipsync-signature"] == "sha256=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()


def test_the_recipe_in_the_page_checks_a_signature():
    """docs/notifications.md says how a receiver checks it; the code of that page is run here."""
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs/notifications.md").read_text()
    scope: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], scope)
    headers = signature_headers("k", b"{}", at=1000)
    assert scope["genuine"](headers, b"{}", secret="k", now=1100)
    assert not scope["genuine"](headers, b"{ }", secret="k", now=1100)
    assert not scope["genuine"](headers, b"{}", secret="x", now=1100)
    assert not scope["genuine"](headers, b"{}", secret="k", now=1400)


def test_without_a_secret_nothing_is_signed(somebody):
    sent(Webhook(somebody.url))
    assert "ipsync-signature" not in somebody.came[0][1]


@pytest.mark.parametrize(
    ("answer", "again", "said"),
    [
        (says(500, b"try later"), True, "it answered 500 Internal Server Error: try later"),
        (says(429, b"", ("Retry-After", "7")), True, "it answered 429"),
        (says(404), False, "it answered 404 Not Found"),
        (
            says(302, b"", ("Location", "https://evil.example/steal?token=abc")),
            False,
            "it redirects to evil.example (302)",
        ),
        (says(307), False, "it redirects (307)"),
        (lambda handler: handler.reset(), True, "no connection or a broken one"),
        (says(403, b"\x1b[2J" + b"x" * 300), False, "\\x1b[2J"),
    ],
)
def test_what_a_webhook_answers_is_told_in_a_sentence(somebody, answer, again, said):
    somebody.answers = [answer]
    error = refused(Webhook(somebody.url, "s3cret"))
    assert said in str(error)
    assert error.again is again
    assert len(str(error)) < 250
    assert "secretsecret" not in str(error)
    assert "token" not in str(error)
    assert len(somebody.came) == 1, "nothing is followed"


@pytest.mark.parametrize(
    "words",
    [
        b'{"status":404,"error":"Not Found","path":"/services/T0/B0/secretsecret"}',
        b"Cannot POST \\/services\\/T0\\/B0\\/SecretSecret",
        b"no route for %2Fservices%2FT0%2FB0%2Fsecretsecret",
        b"x" * 75 + b" secretsecret",
        b"expected the key s3cret",
    ],
)
def test_a_peer_that_repeats_the_address_or_the_secret_is_not_quoted(somebody, words):
    """As Spring and Express do in their 404s; what is told stands in logs and in the audit log."""
    somebody.answers = [says(404, words)]
    error = refused(Webhook(somebody.url, "s3cret"))
    assert str(error) == ("it answered 404 Not Found: (its words repeat the address or the secret, and are left out)")


def test_a_short_path_hides_no_answer(somebody):
    somebody.answers = [says(200, b"ok")]
    address = somebody.url.partition("/services")[0]
    assert sent(Webhook(f"{address}/ok")) == "answered 200 OK"


def test_when_to_come_again_is_heard(somebody):
    somebody.answers = [says(503, b"", ("Retry-After", "7"))]
    assert refused(Webhook(somebody.url)).after == 7


def test_a_webhook_that_hangs_ends_in_time(somebody, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.3)
    somebody.answers = [somebody.hang]
    error = refused(Webhook(somebody.url))
    assert error.again
    assert "no whole answer within 0.3 s" in str(error)


def test_a_webhook_that_hangs_is_broken_off(somebody):
    somebody.answers = [somebody.hang]
    assert "broken off" in str(refused(Webhook(somebody.url), cancelled=lambda: bool(somebody.came)))


# ── Slack ────────────────────────────────────────────────────────────────────


def test_slack_gets_plain_text_that_calls_nobody(somebody):
    text = "tag <!channel> & <https://evil.example|click> @channel @Here *bold*"
    sent(Slack(somebody.url), Message("i", "acme", "r", NOW, (Change("failed", "began", text, "error", ("web",)),)))
    posted = json.loads(somebody.came[0][2])
    assert posted["text"].splitlines()[0] == "ipsync acme: failed"
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in posted["text"]
    assert "<" not in posted["text"]
    assert "@channel" not in posted["text"]
    assert "@Here" not in posted["text"]
    assert (posted["mrkdwn"], posted["parse"], posted["link_names"], posted["unfurl_links"]) == (
        False,
        "none",
        False,
        False,
    )


def test_escaping_is_as_slack_wants_it():
    assert escaped("a & b <c> &amp;") == "a &amp; b &lt;c&gt; &amp;amp;"


def test_slacks_own_refusals_are_explained(somebody):
    somebody.answers = [says(404, b"no_service")]
    error = refused(Slack(somebody.url))
    assert "taken away in Slack" in str(error)
    assert not error.again


def test_many_changes_fit_into_a_message(somebody):
    many = tuple(Change("failed", "began", f"error {n}" + "x" * 500, "error", (f"t{n}",)) for n in range(500))
    message = Message("i", "acme", "r", NOW, many)
    sent(Slack(somebody.url), message)
    assert len(json.loads(somebody.came[0][2])["text"]) < 40_000
    assert "and 485 more" in json.loads(somebody.came[0][2])["text"]
    event = json.loads(cloud_event(message))
    assert (len(event["data"]["changes"]), event["data"]["more"]) == (50, 450)


# ── command ──────────────────────────────────────────────────────────────────


def python(code: str, **more) -> Command:
    return Command((sys.executable, "-c", code), **more)


def test_a_command_gets_the_event_on_its_standard_input(tmp_path):
    out = tmp_path / "got"
    assert sent(python(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())")) == "exited with 0"
    assert json.loads(out.read_text())["id"] == "id-1"


def test_no_shell_reads_its_words(tmp_path):
    sent(Command(("/bin/echo", f"; touch {tmp_path}/hit", "$(touch hit)")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said", "again"),
    [
        (Command(("/nowhere/page",)), "can't be started: No such file or directory", False),
        (Command(("/etc/passwd",)), "can't be started: Permission denied", False),
        (Command(("a\0b",)), "can't be started", False),
        (python("raise SystemExit(3)"), "it exited with 3", True),
        (python("import os; os.kill(os.getpid(), 9)"), "was killed by signal 9", True),
    ],
)
def test_what_becomes_of_a_command_is_told(command, said, again):
    error = refused(command)
    assert said in str(error)
    assert error.again is again


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path):
    pid = tmp_path / "pid"
    child = f"sleep 60 & echo $! > {pid}; sleep 60"
    error = refused(Command(("/bin/sh", "-c", child), timeout=0.5))
    assert "still running after 0.5 s, and was killed" in str(error)
    until = time.monotonic() + 20
    while running(pid.read_text().strip()):
        assert time.monotonic() < until
        time.sleep(0.02)


def running(pid: str) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
    return shown.stdout.strip() not in {"", "Z"}


# ── names and secrets ────────────────────────────────────────────────────────


def test_no_secret_in_names_and_no_repetition_of_one():
    sinks = [
        Webhook("https://h.example/tok3n", "s3cret"),
        Slack("https://hooks.slack.com/services/T/B/x"),
        Command(("/a/page", "tok3n")),
    ]
    assert [sink.name for sink in sinks] == ["h.example", "hooks.slack.com", "page"]
    assert "tok3n" not in repr(sinks[0])
    told = Change("failed", "began", "said s3cret and https://h.example/tok3n", "error", ("web",))
    hidden = without(Message("i", "a", "r", NOW, (told,)), sinks[0].secrets)
    assert hidden.changes[0].text == "said (hidden) and (hidden)"


def test_two_sinks_of_one_name_are_told_apart():
    from ipsync.core.configured import Notify

    settings = [Notify("webhook", ("failed",), url=f"https://h.example/{n}") for n in "ab"]
    assert [name for name, _, _ in notify.named_sinks(settings)] == ["webhook h.example", "webhook h.example #2"]
