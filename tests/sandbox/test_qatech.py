"""The local QA.tech refuses what the real one refuses, and its runners get in where the doors say so."""

from __future__ import annotations

import pytest
import requests

from ipsync.sandbox.qatech.vendor import TOKEN, Vendor

AUTH = {"Authorization": f"Bearer {TOKEN}"}
UUID = "00000000-0000-0000-0000-000000000001"
CASE = {"name": "n", "goal": "g", "applicationShortId": "app_shop"}


@pytest.fixture(scope="module")
def vendor():
    with Vendor(["18.196.41.10", "3.64.226.93"]) as made:
        yield made


@pytest.fixture
def post(vendor):
    def send(path, **options):
        return requests.post(f"{vendor.url}{path}", headers=AUTH, timeout=10, **options)

    return send


@pytest.fixture
def run(post):
    return post("/run").json()["run"]["shortId"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/run", {"testPlan": "pln_smoke"}, "body has no field testPlan"),
        ("/run", {"testPlanShortId": "smoke"}, "body.testPlanShortId must match"),
        ("/run", {"applications": {}}, "body.applications must be an array"),
        ("/run", {"applications": [{}]}, "body.applications[0].applicationShortId is required"),
        ("/run", {"applications": [{"applicationShortId": "app_shop", "environment": {"name": "x"}}]}, "fits none of its forms"),
        ("/run", {"notifications": [{"type": "mail", "channel": "x"}]}, "must be one of slack"),
        ("/run", {"trigger": "CRON"}, "must be one of API, GITHUB"),
        ("/run", [], "body must be an object"),
        ("/run/RUN", {"failedOnly": "yes"}, "body.failedOnly must be of type bool"),
        ("/run/RUN", {"failedOnly": True, "projectTestCaseIds": [UUID]}, "not both"),
        ("/run/RUN", {"projectTestCaseIds": ["x"]}, "must match"),
        ("/run/RUN", {"failedOnly": True}, "No tests to rerun"),
        ("/test-cases", {}, "body.name is required"),
        ("/test-cases", {**CASE, "name": "n" * 81}, "must have 1 to 80 characters"),
        ("/test-cases", {**CASE, "name": ""}, "must have 1 to 80 characters"),
        ("/test-cases", {**CASE, "goal": None}, "body.goal must be a string"),
    ],
)  # fmt: skip
def test_bodies_are_judged(vendor, post, run, path, body, told):
    answer = post(path.replace("RUN", run), json=body)
    assert answer.status_code == 400
    assert told in answer.json()["message"]
    assert vendor.violations == []


def test_the_body_of_a_start_may_be_left_out_and_no_other(post, run):
    assert post("/run").status_code == 200
    assert post(f"/run/{run}").status_code == 400
    assert post("/test-cases", data=b"{").status_code == 400


@pytest.mark.parametrize("path", ["/run/a/b", "/runs", "/", "/outbound-ips"])
def test_there_are_five_endpoints(post, path):
    assert post(path, json={}).status_code == 404


def test_all_but_the_addresses_need_a_token(vendor, run):
    assert requests.get(f"{vendor.url}/outbound-ips", timeout=10).json() == {"ipAddresses": vendor.addresses}
    for headers in ({}, {"Authorization": "Bearer other"}):
        assert requests.get(f"{vendor.url}/run/{run}", headers=headers, timeout=10).status_code == 401


def test_a_query_is_judged(vendor, run):
    for query in ("testCases=none", "test_cases=all"):
        assert requests.get(f"{vendor.url}/run/{run}?{query}", headers=AUTH, timeout=10).status_code == 400


@pytest.mark.parametrize(("shut", "result"), [(set(), "PASSED"), ({"3.64.226.93"}, "FAILED")])
def test_runners_come_from_every_address_when_the_run_ends(vendor, post, shut, result):
    vendor.project.polls = 1
    started = post("/run", json={"testPlanShortId": "pln_smoke"}).json()["run"]["shortId"]
    url = f"{vendor.url}/run/{started}?testCases=failed"
    assert requests.get(url, headers=AUTH, timeout=10).json()["result"] is None
    vendor.is_open = lambda address: address not in shut
    told = requests.get(url, headers=AUTH, timeout=10).json()
    assert told["result"] == result
    assert [case["resultTitle"] for case in told["runTestCases"]] == [f"The site does not answer {a}" for a in shut]
    vendor.is_open = lambda _: True
    assert requests.get(url, headers=AUTH, timeout=10).json()["result"] == result


def test_a_plan_without_tests_is_skipped(post, vendor):
    started = post("/run", json={"testPlanShortId": "pln_empty"}).json()["run"]
    assert started["testCount"] == 0
    vendor.project.polls = 0
    assert (
        requests.get(f"{vendor.url}/run/{started['shortId']}", headers=AUTH, timeout=10).json()["result"] == "SKIPPED"
    )


def test_without_a_runner_nothing_passes(run, vendor, monkeypatch):
    monkeypatch.setattr(vendor, "addresses", [])
    monkeypatch.setattr(vendor.project, "polls", 0)
    assert requests.get(f"{vendor.url}/run/{run}", headers=AUTH, timeout=10).json()["result"] == "FAILED"
