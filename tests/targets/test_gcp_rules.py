"""Firewall rules: which are ours to read as whose, what hinders, what a reader can't do, what `check` says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from factory import blocker_of, gcp_target, networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsync.core.errors import CloudError, Rejected, Stale, Unreachable
from ipsync.core.model import Capacity, ManagedList, Operation, Service, State
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp.rule_reader import PERMISSIONS, Reader
from ipsync.targets.gcp.rule_writer import Writer
from ipsync.targets.gcp.rules import wanted_settings

OURS = "ipsync owner=acme target=edge feed=qatech"


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.001)


def target(gcp, name: str = "edge", *, services: tuple[Service, ...] = (Service("tcp", 443, 443),), **where):
    return gcp_target(name, services=services, where={"endpoint": gcp.endpoint, **where})


def seed(gcp, name: str, *ranges: str, **changes) -> None:
    body = {
        "name": name,
        "sourceRanges": list(ranges or ("8.8.8.8",)),
        "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}],
        "description": OURS,
    }
    gcp.seed_firewall("acme", body | changes)


def list_owned(gcp, *targets):
    return {s.resource: s for s in Reader(targets[0]).list_owned(targets, owner="acme")}


def names(state) -> list[str]:
    return sorted(p.name for p in state.managed_lists)


# ── which rule belongs to which target ───────────────────────────────────────


def test_a_rule_with_its_twin_and_overflow_is_one_resource(gcp):
    for name in ("allow", "allow-2", "allow-v6", "allow-v6-2"):
        seed(gcp, name, "2600::1" if "v6" in name else "8.8.8.8")
    found = list_owned(gcp, target(gcp, rule="allow"))
    assert list(found) == ["gcp/acme/allow"]
    state = found["gcp/acme/allow"]
    assert names(state) == ["allow", "allow-2", "allow-v6", "allow-v6-2"]
    assert {(str(e.network), e.provider_id) for e in state.entries} >= {
        ("8.8.8.8/32", "allow"),
        ("2600::1/128", "allow-v6"),
    }
    assert (state.complete, state.max_ranges, state.conflict) == (True, 256, None)


def test_a_neighbour_that_no_ipsync_made_is_nobodys(gcp):
    seed(gcp, "allow")
    seed(gcp, "allow-2", description="by hand")
    seed(gcp, "allow-web")
    found = list_owned(gcp, target(gcp, rule="allow"))
    assert names(found["gcp/acme/allow"]) == ["allow"]
    assert set(found) == {"gcp/acme/allow", "gcp/acme/allow-web"}
    assert found["gcp/acme/allow-web"].targets == ()


def test_names_in_the_config_win_and_the_longest_of_them(gcp):
    for name in ("allow", "allow-v6", "allow-v6-2", "allow-v6-v6"):
        seed(gcp, name)
    found = list_owned(gcp, target(gcp, "one", rule="allow"), target(gcp, "two", rule="allow-v6"))
    assert names(found["gcp/acme/allow"]) == ["allow"]
    assert names(found["gcp/acme/allow-v6"]) == ["allow-v6", "allow-v6-2", "allow-v6-v6"]


def test_reading_one_rule_again_doesnt_take_in_its_neighbours(gcp):
    """After a write the engine reads again what it wrote, and names only that."""
    seed(gcp, "allow")
    seed(gcp, "allow-v6")
    targets = [target(gcp, "one", rule="allow"), target(gcp, "two", rule="allow-v6")]
    reader = Reader(targets[0])
    states = reader.list_owned(targets, owner="acme")
    (again,) = reader.read_full([s for s in states if s.resource == "gcp/acme/allow"], owner="acme")
    assert names(again) == ["allow"]


def test_an_orphan_can_be_read_again(gcp):
    seed(gcp, "stray")
    reader = Reader(target(gcp))
    orphan = next(s for s in reader.list_owned([target(gcp)], owner="acme") if not s.targets)
    assert reader.read_full([orphan], owner="acme") == [orphan]


def test_a_project_without_rules_is_an_empty_state_per_target(gcp):
    (state,) = list_owned(gcp, target(gcp)).values()
    assert (state.managed_lists, state.entries, state.conflict) == ((), (), None)


# ── what is asked of a rule ──────────────────────────────────────────────────


def test_what_was_made_reads_back_as_what_was_asked(gcp):
    services = (Service("udp", 53, 53), Service("tcp", 8000, 8100), Service("tcp", 443, 443), Service("icmp"))
    wanted = target(gcp, services=services, priority=0, target_tags=("web", "api"), network="prod")
    create(gcp, wanted)
    (state,) = list_owned(gcp, wanted).values()
    assert state.managed_lists[0].settings == state.wanted_settings
    assert gcp.firewalls("acme")["allow-qatech"]["priority"] == 0


def create(gcp, wanted, *ranges: str) -> ManagedList:
    managed = ManagedList(
        "allow-qatech", networks(*ranges or ("8.8.8.8",)), (("description", OURS),), wanted_settings(wanted)
    )
    Writer(wanted).execute(Operation("create", "gcp/acme/allow-qatech", (), (), managed=managed))
    return managed


def test_the_order_in_which_tags_are_written_is_nothing_to_change(gcp):
    one, two = target(gcp, target_tags=("web", "api")), target(gcp, target_tags=("api", "web"))
    assert wanted_settings(one) == wanted_settings(two)
    one, two = (target(gcp, target_service_accounts=names) for names in (("b@x", "a@x"), ("a@x", "b@x")))
    assert wanted_settings(one) == wanted_settings(two)


def test_icmpv6_is_a_number_to_google_and_a_name_to_people(gcp):
    wanted = target(gcp, services=(Service("icmpv6"),))
    create(gcp, wanted, "2600::1")
    assert gcp.firewalls("acme")["allow-qatech"]["allowed"] == [{"IPProtocol": "58"}]
    (state,) = list_owned(gcp, wanted).values()
    assert state.managed_lists[0].settings == state.wanted_settings


# ── what hinders ─────────────────────────────────────────────────────────────


def test_a_foreign_twin_hinders_nothing_until_ipv6_is_wanted(gcp):
    """Whose a rule is, the core decides, and only where its name is needed."""
    seed(gcp, "allow-qatech")
    seed(gcp, "allow-qatech-v6", "2600::1", description="by hand", disabled=True)
    (state,) = list_owned(gcp, target(gcp)).values()
    assert blocker_of(state) is None
    assert names(state) == ["allow-qatech", "allow-qatech-v6"]


def test_our_twin_hinders(gcp):
    seed(gcp, "allow-qatech")
    seed(gcp, "allow-qatech-v6", "2600::1", disabled=True)
    (state,) = list_owned(gcp, target(gcp)).values()
    assert "allow-qatech-v6 is disabled" in (blocker_of(state) or "")


def test_a_tag_that_cant_be_taken_off_is_known_at_plan_time(gcp):
    """The library can't clear a list: better a plan that says so than an intent that fails each run."""
    seed(gcp, "allow-qatech", targetTags=["web"])
    (state,) = list_owned(gcp, target(gcp)).values()
    assert "target_tags" in (blocker_of(state) or "")
    assert "gcloud compute firewall-rules delete allow-qatech --project=acme" in (blocker_of(state) or "")
    (state,) = list_owned(gcp, target(gcp, target_tags=("api",))).values()
    assert blocker_of(state) is None


def test_of_a_foreign_rule_nothing_is_judged_least_of_all_that_it_should_be_deleted(gcp):
    seed(gcp, "allow-qatech", description="by hand", targetTags=["db"], disabled=True)
    (state,) = list_owned(gcp, target(gcp)).values()
    assert blocker_of(state) is None


def test_an_egress_rule_is_no_place_for_sources(gcp):
    seed(gcp, "allow-qatech", direction="EGRESS", sourceRanges=[], destinationRanges=["8.8.8.8/32"])
    (state,) = list_owned(gcp, target(gcp)).values()
    assert "is not a rule that allows ingress" in (blocker_of(state) or "")


# ── one step ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [{"disabled": True}, {"sourceTags": ["x"]}, {"description": "mine now"}, {"priority": 1}, {"sourceRanges": ["1.1.1.1"]}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["replace", "delete"])
def test_a_change_of_any_kind_between_reading_and_writing_is_stale(gcp, kind, change):
    wanted = target(gcp)
    was = create(gcp, wanted)
    gcp._projects["acme"].rules["allow-qatech"] |= change
    before = gcp.firewalls("acme")
    managed = ManagedList(was.name, networks("9.9.9.9"), was.note, was.settings) if kind == "replace" else was
    with pytest.raises(Stale):
        Writer(wanted).execute(Operation(kind, "gcp/acme/allow-qatech", (), (), managed=managed, was=was))
    assert gcp.firewalls("acme") == before


@pytest.mark.parametrize("kind", ["replace", "delete"])
def test_a_rule_that_no_ipsync_made_is_never_written_to_whatever_the_step_says(gcp, kind):
    seed(gcp, "allow-qatech", description="by hand")
    (state,) = list_owned(gcp, target(gcp)).values()
    theirs = state.managed_lists[0]
    ours = ManagedList(theirs.name, networks("9.9.9.9"), (("description", OURS),), theirs.settings)
    gcp.reset_calls()
    operation = Operation(
        kind, "gcp/acme/allow-qatech", (), (), managed=ours if kind == "replace" else theirs, was=theirs
    )
    with pytest.raises(Rejected, match="was not made by ipsync"):
        Writer(target(gcp)).execute(operation)
    assert gcp.calls == []


def test_what_would_be_made_without_a_mark_is_not_made(gcp):
    managed = ManagedList("allow-qatech", networks("8.8.8.8"), (("description", "mine"),), wanted_settings(target(gcp)))
    with pytest.raises(Rejected, match="without ipsync's mark"):
        Writer(target(gcp)).execute(Operation("create", "gcp/acme/allow-qatech", (), (), managed=managed))
    assert gcp.calls == []


def test_what_others_set_on_our_rule_lives_through_a_patch(gcp):
    wanted = target(gcp)
    was = create(gcp, wanted)
    gcp._projects["acme"].rules["allow-qatech"]["logConfig"] = {"enable": True}
    managed = ManagedList(was.name, networks("8.8.8.8", "9.9.9.9"), was.note, was.settings)
    Writer(wanted).execute(Operation("replace", "gcp/acme/allow-qatech", (), (), managed=managed, was=was))
    body = gcp.firewalls("acme")["allow-qatech"]
    assert body["logConfig"] == {"enable": True}
    assert body["sourceRanges"] == ["8.8.8.8/32", "9.9.9.9/32"]


# ── reading ──────────────────────────────────────────────────────────────────


def test_the_readers_own_client_refuses_to_write(gcp):
    """Not a promise of our code but of the transport under it."""
    seed(gcp, "allow-qatech")
    client = Reader(target(gcp))._list.__self__
    before, types = gcp.firewalls("acme"), gcp_client.compute()
    body = types.Firewall(name="allow-qatech", description="x")
    for write in (
        lambda: client.patch_unary(project="acme", firewall="allow-qatech", firewall_resource=body),
        lambda: client.update_unary(project="acme", firewall="allow-qatech", firewall_resource=body),
        lambda: client.insert_unary(project="acme", firewall_resource=body),
        lambda: client.delete_unary(project="acme", firewall="allow-qatech"),
    ):
        with pytest.raises(CloudError, match="may only read"):
            write()
    assert (gcp.calls, gcp.firewalls("acme")) == ([], before)


def test_a_fault_on_a_later_page_costs_that_page_alone_and_every_call_is_counted(gcp, monkeypatch):
    monkeypatch.setattr("ipsync.targets.gcp.rule_reader.PAGE", 2)
    for i in range(5):
        seed(gcp, f"r{i}")
    reader = Reader(target(gcp))
    real, answers = gcp.answer, []

    def third_fails(verb, path, body):
        answers.append(path)
        return (503, {"error": {"code": 503, "message": "no"}}, None) if len(answers) == 3 else real(verb, path, body)

    gcp.answer = third_fails
    try:
        states = reader.list_owned([target(gcp)], owner="acme")
    finally:
        del gcp.answer
    assert len(answers) == 4
    assert len(states) == 6
    assert reader.calls == (("firewalls.list", "ok"),) * 2 + (("firewalls.list", "error"), ("firewalls.list", "ok"))


def test_a_page_that_never_comes_is_no_short_list(gcp, monkeypatch):
    monkeypatch.setattr("ipsync.targets.gcp.rule_reader.PAGE", 2)
    monkeypatch.setattr(gcp_calls, "DEADLINE", 0.2)
    for i in range(5):
        seed(gcp, f"r{i}")
    real = gcp.answer
    gcp.answer = lambda verb, path, body: (
        (503, {"error": {"code": 503, "message": "no"}}, None) if "pageToken" in path else real(verb, path, body)
    )
    try:
        with pytest.raises(Unreachable):
            Reader(target(gcp)).list_owned([target(gcp)], owner="acme")
    finally:
        del gcp.answer


def test_pages_that_never_end_are_refused(gcp):
    real = gcp.answer

    def same_token(verb, path, body):
        status, found, fault = real(verb, path, body)
        return status, found | {"nextPageToken": "0"}, fault

    gcp.answer = same_token
    try:
        with pytest.raises(Unreachable, match="same page"):
            Reader(target(gcp)).list_owned([target(gcp)], owner="acme")
    finally:
        del gcp.answer


def test_more_than_500_rules(gcp):
    for i in range(501):
        seed(gcp, f"r{i}", description="by hand")
    assert list_owned(gcp, target(gcp)).keys() == {"gcp/acme/allow-qatech"}
    assert [c.operation for c in gcp.calls] == ["firewalls.list"] * 2


# ── check ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("missing", PERMISSIONS)
def test_check_names_exactly_what_is_missing(gcp, missing):
    gcp.deny(missing)
    findings = Reader(target(gcp)).check([target(gcp)], owner="acme")
    bad = [f for f in findings if not f.ok]
    assert any(missing in f.subject for f in bad)
    assert {f.subject.rpartition(": ")[2] for f in findings} >= set(PERMISSIONS)
    assert all("gcloud projects add-iam-policy-binding acme" in f.remedy for f in bad)
    assert gcp.calls_made.writes == 0


@pytest.mark.parametrize("status", [403, 404])
def test_check_says_so_when_permissions_cant_be_asked_for(gcp, status):
    """Cloud Resource Manager is an API of its own, often off; that is no reason to try for a minute."""
    real, asked = gcp.answer, []

    def off(verb, path, body):
        if "testIamPermissions" not in path:
            return real(verb, path, body)
        asked.append(path)
        error = {"code": status, "message": "it is disabled", "errors": [{"reason": "accessNotConfigured"}]}
        return status, {"error": error}, None

    gcp.answer = off
    try:
        findings = Reader(target(gcp)).check([target(gcp)], owner="acme")
    finally:
        del gcp.answer
    assert len(asked) == 1
    (bad,) = [f for f in findings if not f.ok]
    assert "it is disabled" in bad.detail
    assert "gcloud services enable cloudresourcemanager.googleapis.com --project=acme" in bad.remedy
    assert any(f.ok and "compute.firewalls.list" in f.subject for f in findings)


def test_check_asks_with_a_scope_that_keys_need_and_never_at_the_endpoint_of_compute(gcp, monkeypatch):
    """A service account's key gets no token without a scope; a private Compute endpoint isn't Resource Manager's."""
    from google.auth.credentials import AnonymousCredentials

    asked, urls = [], []
    monkeypatch.setattr("google.auth.default", lambda **kw: (asked.append(kw), (AnonymousCredentials(), None))[1])

    def post(self, url, **kw):
        urls.append(url)
        import requests

        response = requests.Response()
        response.status_code, response._content = 200, json.dumps({"permissions": []}).encode()
        return response

    monkeypatch.setattr("google.auth.transport.requests.AuthorizedSession.post", post)
    reader = Reader(target(gcp))
    reader._where = gcp_target(where={"endpoint": "https://compute.psc.example"}).where
    assert reader._held() == set()
    assert asked == [{"scopes": ("https://www.googleapis.com/auth/cloud-platform",)}]
    assert urls == ["https://cloudresourcemanager.googleapis.com/v1/projects/acme:testIamPermissions"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_description_ends_a_survey(gcp, text):
    gcp.reset()
    for name in ("allow-qatech", "allow-qatech-v6", "allow-qatech-2", "stray"):
        ranges = ("2600::1",) if "v6" in name else ("8.8.8.8",)
        seed(gcp, name, *ranges, description=("ipsync owner=acme" + text)[:2048])
    found = list_owned(gcp, target(gcp))
    assert found["gcp/acme/allow-qatech"].targets == ("edge",)
    assert all(isinstance(state, State) for state in found.values())


# ── the project's quota of rules ─────────────────────────────────────────────


def room_of(gcp) -> Capacity:
    reader = Reader(target(gcp))
    states = [replace(s, complete=False) for s in reader.list_owned([target(gcp)], owner="acme")]
    (state, *_) = reader.read_full(states, owner="acme")
    assert state.complete
    (room,) = state.capacity
    return room


def test_the_quota_is_read_where_it_is_asked_for_and_not_else(gcp):
    gcp.quota = 7
    for name in ("allow-qatech", "theirs"):
        seed(gcp, name, description="by hand")
    assert room_of(gcp) == Capacity(0, 2, 7, "firewall rules of project acme")
    assert [c.operation for c in gcp.calls] == ["firewalls.list", "firewalls.list", "projects.get"]
    gcp.reset_calls()
    reader = Reader(target(gcp))
    reader.read_full(reader.list_owned([target(gcp)], owner="acme"), owner="acme")
    assert [c.operation for c in gcp.calls] == ["firewalls.list"] * 2


def test_a_quota_that_cant_be_read_is_assumed_with_what_would_read_it(gcp):
    gcp.deny("compute.projects.get")
    room = room_of(gcp)
    assert (room.used, room.limit) == (0, 100)
    assert "compute.projects.get" in room.assumed


@pytest.mark.parametrize("shape", ["empty-object", "status-object", "other-kind", "list", "html"])
def test_another_answer_is_no_quota(gcp, shape):
    gcp.faults.plan("projects.get", *[shape] * 20)
    assert "isn't Google's" in room_of(gcp).assumed


def test_no_role_is_advised_where_there_are_no_credentials(gcp):
    from google.auth.exceptions import RefreshError

    reader = Reader(target(gcp))

    def refused(**_):
        raise RefreshError("invalid_grant: expired")

    reader._list = refused
    finding = reader.check([target(gcp)], owner="acme")[0]
    assert not finding.ok
    assert "add-iam-policy-binding" not in finding.detail + finding.remedy


def test_check_advises_no_role_where_the_api_is_off(gcp):
    """The message itself says how to enable it; a role beside that would be the wrong advice."""
    real = gcp.answer

    def off(verb, path, body):
        if "testIamPermissions" in path:
            return real(verb, path, body)
        return (
            403,
            {"error": {"code": 403, "message": "it is off", "errors": [{"reason": "accessNotConfigured"}]}},
            None,
        )

    gcp.answer = off
    try:
        finding = Reader(target(gcp)).check([target(gcp)], owner="acme")[0]
    finally:
        del gcp.answer
    assert not finding.ok
    assert "gcloud services enable compute.googleapis.com --project=acme" in finding.detail
    assert "add-iam-policy-binding" not in finding.detail + finding.remedy
