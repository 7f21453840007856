"""Answers of another shape: a gateway's page, an empty object, another kind. None of them is an empty project."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from factory import NOW, Log, config, gcp_target, hosts, snapshot
from hypothesis import given
from hypothesis import strategies as st

from ipsync import engine
from ipsync.core.errors import Uncertain, Unreachable
from ipsync.core.model import State
from ipsync.core.report import exit_code
from ipsync.targets import registry
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.rule_reader import Reader

SHAPES = ("empty-object", "status-object", "other-kind", "list", "html")
OURS = "ipsync owner=acme target=edge feed=qatech"
SEED = {"sourceRanges": ["8.8.8.8"], "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}], "description": OURS}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.001)


@pytest.fixture
def spoiled(gcp):
    """Let a test replace answers: a function from (operation path, JSON) to JSON."""
    real = gcp.answer

    def by(change):
        def answer(verb, path, body):
            status, found, fault = real(verb, path, body)
            return status, change(path, found), fault

        gcp.answer = answer

    yield by
    del gcp.answer


def target(gcp, **where):
    return gcp_target(where={"endpoint": gcp.endpoint, **where})


def run(gcp, listed, log=None):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name), registry.open_reader, registry.open_writer, pause=lambda _s: None
    )
    made = config(target(gcp), grace=timedelta(0))
    return engine.Run("r", made, clouds, log or Log(), lambda: NOW, frozenset({"edge"}))


# ── lists ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("page", [0, 1, 2], ids=["first page", "second page", "last page"])
def test_a_page_of_another_shape_is_no_short_list(gcp, monkeypatch, shape, page):
    monkeypatch.setattr("ipsync.targets.gcp.rule_reader.PAGE", 2)
    for i in range(5):
        gcp.seed_firewall("acme", {**SEED, "name": f"r{i}"})
    gcp.faults.plan("firewalls.list", *[shape] * 50, after=page)
    with pytest.raises(Unreachable, match="isn't Google's"):
        Reader(target(gcp)).list_owned([target(gcp)], owner="acme")


@pytest.mark.parametrize("shape", SHAPES)
def test_after_such_a_page_nothing_is_written(gcp, shape):
    engine.sync(run(gcp, hosts(4)))
    before = gcp.firewalls("acme")
    gcp.reset_calls()
    gcp.faults.plan("firewalls.list", *[shape] * 50)
    report = engine.sync(run(gcp, hosts(5)))
    assert [e.status.value for e in report.plan.target_changes] == ["error"]
    assert exit_code(report, detailed=False) == 1
    assert (gcp.calls_made.writes, gcp.firewalls("acme")) == (0, before)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_page_that_comes_right_the_second_time_is_taken(gcp, shape):
    gcp.faults.plan("firewalls.list", shape)
    (state,) = Reader(target(gcp)).list_owned([target(gcp)], owner="acme")
    assert isinstance(state, State)


@pytest.mark.parametrize("lacking", ["kind", "name", "network", "direction", "allowed", "sourceRanges"])
def test_a_rule_that_lacks_something_makes_its_page_unreadable(gcp, spoiled, lacking):
    for name in ("allow-qatech", "other"):
        gcp.seed_firewall("acme", {**SEED, "name": name})

    def without(path, found):
        for item in found.get("items", ())[:1]:
            item.pop(lacking)
        return found

    spoiled(lambda path, found: without(path, json.loads(json.dumps(found))))
    with pytest.raises(Unreachable, match="isn't Google's"):
        Reader(target(gcp)).list_owned([target(gcp)], owner="acme")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_json_but_a_list_of_rules_is_a_page(value):
    from google.protobuf.json_format import Parse, ParseError

    answer = gcp_client.compute().FirewallList()
    try:
        Parse(json.dumps(value), type(answer).pb(answer), ignore_unknown_fields=True)
    except ParseError:
        return
    with pytest.raises(gcp_answers.Unreadable):
        gcp_answers.page(answer)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 451])
def test_a_refusal_that_isnt_googles_says_nothing(gcp, status):
    """A gateway's own page: no project is missing, and no role would help."""
    real = gcp.answer
    gcp.answer = lambda verb, path, body: (status, {"message": "blocked by policy"}, real(verb, path, body)[2])
    try:
        with pytest.raises(Unreachable, match="isn't Google's") as caught:
            Reader(target(gcp)).list_owned([target(gcp)], owner="acme")
    finally:
        del gcp.answer
    assert "add-iam-policy-binding" not in str(caught.value)


def test_a_source_that_is_no_network_is_that_rules_error_alone(gcp):
    one, two = target(gcp), gcp_target("two", where={"endpoint": gcp.endpoint, "rule": "two"})
    for name in ("allow-qatech", "two", "stray"):
        gcp.seed_firewall("acme", {**SEED, "name": name})
    for name in ("allow-qatech", "stray"):
        gcp._projects["acme"].rules[name]["sourceRanges"] = ["8.8.8.8", "somewhere"]
    found = {s.resource: s for s in Reader(one).list_owned([one, two], owner="acme")}
    assert "rule allow-qatech has a source" in found["gcp/acme/allow-qatech"].message
    assert found["gcp/acme/allow-qatech"].targets == ("edge",)
    assert "rule stray has a source" in found["gcp/acme/stray"].message
    assert [str(e.network) for e in found["gcp/acme/two"].entries] == ["8.8.8.8/32"]


# ── one rule, and writes ─────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unreadable_answer_to_the_look_before_a_write_writes_nothing(gcp, shape):
    engine.sync(run(gcp, hosts(4)))
    gcp.reset_calls()
    gcp.faults.plan("firewalls.get", *[shape] * 50)
    report = engine.sync(run(gcp, hosts(5)))
    assert [e.status.value for e in report.plan.target_changes] == ["error"]
    assert gcp.calls_made.writes == 0


def test_another_rule_than_the_one_asked_for_is_unreadable(gcp, spoiled):
    engine.sync(run(gcp, hosts(4)))
    spoiled(lambda path, found: {**found, "name": "other"} if path.endswith("/allow-qatech") else found)
    (target_change,) = engine.sync(run(gcp, hosts(5))).plan.target_changes
    assert (target_change.status.value, "came in place of allow-qatech" in target_change.error) == ("error", True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operation", ["firewalls.insert", "firewalls.patch", "globalOperations.wait"])
def test_a_write_with_an_unreadable_answer_is_read_back(gcp, shape, operation):
    engine.sync(run(gcp, hosts(4)))
    log = Log()
    gcp.faults.plan(operation, *[shape] * 50)
    more = [*hosts(5), "2600::1"]
    report = engine.sync(run(gcp, more, log))
    assert {e.status.value for e in report.plan.target_changes} == {"applied"}, "read back, it is there"
    assert sum(len(body["sourceRanges"]) for body in gcp.firewalls("acme").values()) == 6
    assert {r["result"] for r in log.events("outcome")} == {"applied"}


def test_a_write_that_never_came_through_a_gateway_is_not_said_to_be_done(gcp, spoiled):
    engine.sync(run(gcp, hosts(4)))
    real, log = gcp.answer, Log()
    gcp.answer = lambda verb, path, body: (200, {}, None) if verb == "PATCH" else real(verb, path, body)
    report = engine.sync(run(gcp, hosts(5), log))
    (target_change,) = report.plan.target_changes
    assert target_change.status.value in {"error", "partial", "unknown"}
    assert [r["result"] for r in log.events("outcome")] == ["failed"]
    assert len(gcp.firewalls("acme")["allow-qatech"]["sourceRanges"]) == 4


def test_an_answer_to_a_write_that_is_no_operation_is_uncertain():
    types = gcp_client.compute()
    with pytest.raises(Uncertain, match="isn't Google's"):
        gcp_calls.call(
            lambda: gcp_answers.operation(types.Operation()),
            subject="patching x",
            writes=True,
            quota=gcp_pacing.quota("acme", writes=False),
        )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "compute#firewall", "name": "op"}, "but a compute#firewall"),
        ({"kind": "compute#operation"}, "without name"),
        ({"kind": "compute#operation", "name": "op"}, "no status"),
        ({"kind": "compute#operation", "name": "other", "status": "DONE"}, "in place of op"),
    ],
)
def test_what_is_no_operation(fields, words):
    with pytest.raises(gcp_answers.Unreadable, match=words):
        gcp_answers.operation(gcp_client.compute().Operation(**fields), name="op")


# ── permissions ──────────────────────────────────────────────────────────────


def test_none_held_is_an_empty_object():
    assert gcp_answers.permissions({}) == set()
    assert gcp_answers.permissions({"permissions": ["a", "b"]}) == {"a", "b"}


@pytest.mark.parametrize("answer", [[], None, "x", {"status": "ok"}, {"permissions": "all"}, {"permissions": [1]}])
def test_what_is_no_list_of_permissions(answer):
    with pytest.raises(gcp_answers.Unreadable):
        gcp_answers.permissions(answer)


@pytest.mark.parametrize("shape", ["status-object", "other-kind", "list", "html"])
def test_check_ends_in_its_table_all_the_same(gcp, shape):
    gcp.faults.plan("testIamPermissions", *[shape] * 50)
    findings = Reader(target(gcp)).check([target(gcp)], owner="acme")
    assert [f.ok for f in findings] == [True, False]
    assert "isn't Google's" in findings[1].detail
