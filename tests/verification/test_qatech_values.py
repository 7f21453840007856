"""What is sent to QA.tech is checked before it leaves: ids by their kind, the address, the token, the bodies."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsync.sandbox.qatech.vendor import Vendor
from ipsync.verification.errors import VerificationError, WrongValue
from ipsync.verification.qatech import access, bodies, ids
from ipsync.verification.qatech.client import Client

UUID = "a1b2c3d4-e5f6-4789-a012-3456789abcde"


def refused(call, *values, **named) -> str:
    with pytest.raises(WrongValue) as caught:
        call(*values, **named)
    return str(caught.value)


# ── ids ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prefix", ids.KINDS)
def test_each_kind_takes_its_own_ids_and_names_what_another_one_is(prefix):
    assert ids.short_id(prefix, f"{prefix}_aB3xY9") == f"{prefix}_aB3xY9"
    assert ids.short_id(prefix, f"{prefix}-shop_aB3xY9") == f"{prefix}-shop_aB3xY9"
    for other, (what, _) in ids.KINDS.items():
        if other != prefix:
            text = refused(ids.short_id, prefix, f"{other}_aB3xY9")
            assert text.startswith(f"{other}_aB3xY9 is the id of {what}, and not that of {ids.KINDS[prefix][0]}")
            assert f"begins with {prefix}_ (like {ids.KINDS[prefix][1]})" in text
    assert "is the UUID of a test case, and not that of" in refused(ids.short_id, prefix, UUID)


@pytest.mark.parametrize(
    "bad", ["", "pln", "pln_", "pln-", "pln-x", "xpln_a", "PLN_a", "pln_a b", "pln_ä", "pln_a\n", "pln_" + "a" * 200]
)
def test_what_is_no_id_is_refused_in_one_line(bad):
    text = refused(ids.short_id, "pln", bad)
    assert "is not the id of a test plan" in text
    assert text.isprintable()
    assert len(text) < 200


def test_test_cases_are_named_by_uuids():
    assert ids.uuid(UUID) == UUID
    assert "'x' is not the id of a test case, which is a UUID" in refused(ids.uuid, "x")
    assert "cfg_1 is the id of a config, and not that of a test case" in refused(ids.uuid, "cfg_1")


def test_a_run_s_id_is_one_part_of_a_path():
    assert ids.run_id("def456") == "def456"
    for bad in ("", ".", "..", "a/b", "a?b", "a%2f", "a b", "/", UUID, "pln_abc123"):
        assert "of a run, which is short and has no prefix" in refused(ids.run_id, bad)


@given(st.text(st.sampled_from("aZ0._~-/?#%&=\\ \n\u00e4\u0661\u202e"), max_size=8))
def test_nothing_but_a_plain_part_of_a_path_is_a_run_s_id(text):
    try:
        ids.run_id(text)
    except WrongValue:
        return
    assert text.isascii()
    assert not set(text) & set("/?#%&=\\ ")
    assert text not in {".", ".."}


# ── the address and the token ────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fine",
    [
        access.BASE,
        "https://proxy.example:8443/qatech/v1/",
        "http://127.0.0.1:9/v1",
        "http://[::1]:9/v1",
        "http://localhost/v1",
    ],
)
def test_addresses_that_can_be_the_api_s(fine):
    assert access.base_url(fine, name="url") == fine.rstrip("/")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("", "is not an https:// address"),
        ("api.qa.tech/v1", "is not an https:// address"),
        ("ftp://api.qa.tech", "is not an https:// address"),
        ("https://api.qa.tech/v1\n", "is not an https:// address"),
        ("https://[::1/v1", "is not an https:// address"),
        ("https://user:pass@api.qa.tech/v1", "holds more than an address"),
        ("https://api.qa.tech/v1?token=x", "holds more than an address"),
        ("http://api.qa.tech/v1", "plain http to another machine"),
        ("http://10.0.0.1/v1", "plain http to another machine"),
        ("http://127.0.0.1.evil.example/v1", "plain http to another machine"),
    ],
)  # fmt: skip
def test_addresses_that_cannot(bad, told):
    text = refused(access.base_url, bad, name="QATECH_API_URL")
    assert text.startswith("QATECH_API_URL ")
    assert told in text
    assert "pass" not in text


@pytest.mark.parametrize(
    "legacy",
    [
        "https://app.qa.tech/api/projects/9f3c/runs",
        "https://app.qa.tech",
        "https://APP.qa.tech/api",
        "https://gateway.example/api/projects/9f3c",
    ],
)
def test_the_legacy_address_is_refused_with_the_way_out(legacy):
    with pytest.raises(WrongValue) as caught:
        access.base_url(legacy, name="verify.smoke.qatech.url")
    first, *steps = caught.value.lines
    assert first.startswith("verify.smoke.qatech.url: that is QA.tech's legacy API")
    assert access.BASE in first
    assert [
        word
        for word in ("leave the url out", "API token", "pln_", "run start", "run status")
        if word not in " ".join(steps)
    ] == []


@pytest.mark.parametrize("bad", [None, "", "abc def", "abc\n", "ä", "\x1b[2Jabc"])
def test_a_token_that_cannot_be_one_is_never_shown(bad):
    text = refused(access.token, bad, name="QATECH_API_TOKEN")
    assert text.startswith("QATECH_API_TOKEN ")
    assert "abc" not in text


# ── bodies ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (bodies.Environment, "by one of them"),
        (lambda: bodies.Environment(short_id="env_1", url="https://a.example"), "by one of them"),
        (lambda: bodies.Environment(short_id="env_1", name="x"), "leave the name out"),
        (lambda: bodies.Environment(short_id="app_1"), "is the id of an application"),
        (lambda: bodies.Environment(url="staging"), "https://staging.example.com"),
        (lambda: bodies.Environment(url="ftp://staging"), "https://staging.example.com"),
        (lambda: bodies.Environment(url="https://u:hunter2@staging"), "holds a user or password"),
        (lambda: bodies.Environment(url="https://staging", name=" "), "the name is empty"),
        (lambda: bodies.Application(short_id="env_1"), "is the id of an environment"),
        (lambda: bodies.Application(short_id="app_1", device_preset="phone"), "begins with preset_"),
        (lambda: bodies.Notification(channel=""), "the channel is empty"),
        (lambda: bodies.RunRequest(test_plan="abc123"), "begins with pln_"),
        (lambda: bodies.RunRequest(commit_message="\udcff"), "the commit message is no text"),
        (lambda: bodies.RerunRequest(failed_only=True, test_cases=(UUID,)), "not for both"),
        (lambda: bodies.RerunRequest(test_cases=("rtc_1",)), "which is a UUID"),
        (lambda: bodies.TestCaseRequest(name="", goal="g", application="app_1"), "the name is empty"),
        (lambda: bodies.TestCaseRequest(name="n" * 81, goal="g", application="app_1"), "has 81 characters"),
        (lambda: bodies.TestCaseRequest(name="n", goal=" ", application="app_1"), "the goal is empty"),
        (lambda: bodies.TestCaseRequest(name="n", goal="g", application="pln_1"), "is the id of a test plan"),
        (lambda: bodies.TestCaseRequest(name="n", goal="g", application="app_1", configs=("env_1",)), "begins with cfg_"),
        (lambda: bodies.TestCaseRequest(name="n", goal="g", application="app_1", scenario="s"), "begins with scenario_"),
        (lambda: bodies.TestCaseRequest(name="n", goal="g", application="app_1", wait_for=("x",)), "which is a UUID"),
        (lambda: bodies.TestCaseRequest(name="n", goal="g", application="app_1", resume_from="x"), "which is a UUID"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(make, told):
    text = refused(make)
    assert told in text
    assert "hunter2" not in text


def test_what_is_not_asked_for_is_left_out():
    assert bodies.RunRequest().body() == {}
    assert bodies.RerunRequest().body() == {}
    assert bodies.RerunRequest(failed_only=True).body() == {"failedOnly": True}


TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
MAYBE = st.none() | TEXT
TAIL = st.text("abcXYZ019", min_size=1, max_size=6)


def short(prefix):
    return st.builds(lambda mid, tail: f"{prefix}{mid}_{tail}", st.sampled_from(["", "-shop"]), TAIL)


UUIDS = st.uuids().map(str)
ENVIRONMENTS = st.builds(bodies.Environment, short_id=short("env")) | st.builds(
    bodies.Environment, url=st.sampled_from(["https://staging.example.com", "http://10.0.0.1:8080/a?b=c"]), name=MAYBE
)
APPLICATIONS = st.builds(
    bodies.Application,
    short_id=short("app"),
    environment=st.none() | ENVIRONMENTS,
    device_preset=st.none() | short("preset"),
)
NOTIFICATIONS = st.builds(bodies.Notification, channel=TEXT, notify_on=st.sampled_from([None, "failure", "always"]))
RUNS = st.builds(
    bodies.RunRequest,
    test_plan=st.none() | short("pln"),
    applications=st.lists(APPLICATIONS, max_size=3).map(tuple),
    notifications=st.lists(NOTIFICATIONS, max_size=2).map(tuple),
    trigger=st.sampled_from([None, "API", "GITHUB"]),
    actor=MAYBE, branch=MAYBE, commit_hash=MAYBE, commit_message=MAYBE, repository=MAYBE,
)  # fmt: skip
RERUNS = st.builds(bodies.RerunRequest, failed_only=st.booleans()) | st.builds(
    bodies.RerunRequest, test_cases=st.lists(UUIDS, max_size=3).map(tuple)
)
CASES = st.builds(
    bodies.TestCaseRequest,
    name=TEXT, goal=TEXT, application=short("app"), expected_result=MAYBE,
    configs=st.lists(short("cfg"), max_size=2).map(tuple), scenario=st.none() | short("scenario"),
    wait_for=st.lists(UUIDS, max_size=2).map(tuple), resume_from=st.none() | UUIDS,
)  # fmt: skip


@pytest.fixture(scope="module")
def vendor():
    with Vendor() as made:
        yield made


@settings(max_examples=40)
@given(RUNS, RERUNS, CASES)
def test_every_body_that_can_be_made_arrives_whole_and_is_one_that_the_api_describes(vendor, run, rerun, case):
    client, before = Client(url=vendor.url, token=vendor.token), len(vendor.bodies)
    for ask in (lambda: client.start(run), lambda: client.rerun("abc", rerun), lambda: client.create_test_case(case)):
        with suppress(VerificationError):  # such an id isn't there: the body was taken all the same
            ask()
    assert vendor.bodies[before:] == [run.body(), rerun.body(), case.body()]


def test_every_field_that_the_api_describes_can_be_sent():
    environment = bodies.Environment(url="https://a.example", name="canary")
    application = bodies.Application(short_id="app_1", environment=environment, device_preset="preset_1")
    run = bodies.RunRequest(
        test_plan="pln_1", applications=(application,), trigger="GITHUB", actor="a", branch="b", commit_hash="c",
        commit_message="m", repository="r", notifications=(bodies.Notification(channel="#ops", notify_on="always"),),
    )  # fmt: skip
    assert run.body() == {
        "trigger": "GITHUB", "actor": "a", "branch": "b", "commitHash": "c", "commitMessage": "m", "repository": "r",
        "testPlanShortId": "pln_1",
        "applications": [
            {"applicationShortId": "app_1", "environment": {"url": "https://a.example", "name": "canary"}, "devicePresetShortId": "preset_1"}
        ],
        "notifications": [{"type": "slack", "channel": "#ops", "notifyOn": "always"}],
    }  # fmt: skip
    assert bodies.Environment(short_id="env_1").body() == {"shortId": "env_1"}
    case = bodies.TestCaseRequest(
        name="n", goal="g", application="app_1", expected_result="e", configs=("cfg_1",), scenario="scenario_1",
        wait_for=(UUID,), resume_from=UUID,
    )  # fmt: skip
    assert case.body() == {
        "name": "n", "goal": "g", "applicationShortId": "app_1", "expectedResult": "e", "configShortIds": ["cfg_1"],
        "scenarioShortId": "scenario_1", "waitForDependenciesProjectTestCaseIds": [UUID], "resumeFromDependencyProjectTestCaseId": UUID,
    }  # fmt: skip
    assert bodies.RerunRequest(test_cases=(UUID,)).body() == {"projectTestCaseIds": [UUID]}
