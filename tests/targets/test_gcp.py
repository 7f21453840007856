"""GCP: what the library and the API do to the unwary, each trap sprung once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import NOW, Log, config, gcp_target, hosts, networks, snapshot

from ipsync import engine
from ipsync.core.configured import Limits, Threshold
from ipsync.core.errors import Denied, Missing, Rejected, Stale, Uncertain
from ipsync.core.model import ManagedList, Operation, Service
from ipsync.core.report import exit_code
from ipsync.targets import registry
from ipsync.targets.gcp import calls as gcp_calls
from ipsync.targets.gcp import client as gcp_client
from ipsync.targets.gcp.rule_reader import Reader
from ipsync.targets.gcp.rule_writer import Writer
from ipsync.targets.gcp.rules import wanted_settings

THEIRS = {"name": "allow-qatech", "sourceRanges": ["9.0.0.0/8"], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]}


def target(gcp, name: str = "edge", **changes):
    where = {"endpoint": gcp.endpoint, **changes.pop("where", {})}
    return gcp_target(name, where=where, **changes)


def run(made, listed, *, log=None, now=NOW):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name), registry.open_reader, registry.open_writer, pause=lambda _s: None
    )
    names = frozenset(t.name for t in made.targets)
    return engine.Run("r", made, clouds, log or Log(), lambda: now, names)


def synced(gcp, listed, **changes):
    grace = changes.pop("grace", timedelta(hours=72))
    return engine.sync(run(config(target(gcp, **changes), grace=grace), listed))


def names(gcp) -> dict[str, int]:
    return {name: len(body["sourceRanges"]) for name, body in gcp.firewalls("acme").items()}


def test_the_rule_that_is_made(gcp):
    synced(gcp, ["8.8.8.8", "1.1.1.0/24"], services=(Service("tcp", 443, 443), Service("tcp", 8000, 8100)),
           where={"target_tags": ("web",), "priority": 900})  # fmt: skip
    body = gcp.firewalls("acme")["allow-qatech"]
    assert body["sourceRanges"] == ["1.1.1.0/24", "8.8.8.8/32"]
    assert body["allowed"] == [{"IPProtocol": "tcp", "ports": ["443", "8000-8100"]}]
    assert (body["priority"], body["targetTags"], body["direction"]) == (900, ["web"], "INGRESS")
    assert body["network"].endswith("/global/networks/default")
    assert body["description"] == "ipsync owner=acme target=edge feed=qatech"


def test_all_protocols(gcp):
    synced(gcp, ["8.8.8.8"], services=(Service("all"),))
    assert gcp.firewalls("acme")["allow-qatech"]["allowed"] == [{"IPProtocol": "all"}]
    assert exit_code(synced(gcp, ["8.8.8.8"], services=(Service("all"),)), detailed=True) == 0


def test_only_what_differs_is_patched_and_never_put(gcp):
    synced(gcp, ["8.8.8.8"])
    sent = []
    real = gcp.answer
    gcp.answer = lambda verb, path, body: (sent.append((verb, body)), real(verb, path, body))[1]
    try:
        synced(gcp, ["8.8.8.8"], where={"priority": 5})
        synced(gcp, ["8.8.8.8", "8.8.4.4"], where={"priority": 5})
    finally:
        del gcp.answer
    patches = [body for verb, body in sent if verb == "PATCH"]
    assert patches[0] == b'{"name": "allow-qatech", "priority": 5}' or b'"priority"' in patches[0]
    assert b"sourceRanges" not in patches[0]
    assert b"priority" not in patches[1]
    assert b"added=8.8.4.4@" in patches[1]  # the description changes for what came later, and says when
    assert {verb for verb, _ in sent} == {"GET", "PATCH", "POST"}


def test_bare_and_oddly_written_addresses_are_the_same_networks(gcp):
    synced(gcp, ["8.8.8.8", "1.1.1.1"])
    synced(gcp, ["8.8.8.8", "1.1.1.1", "2600::1"])
    project = gcp._projects["acme"]
    project.rules["allow-qatech"]["sourceRanges"] = ["8.8.8.8", "1.1.1.1"]
    project.rules["allow-qatech-v6"]["sourceRanges"] = ["2600:0:0:0:0:0:0:1"]
    assert exit_code(synced(gcp, ["8.8.8.8", "1.1.1.1", "2600::1"]), detailed=True) == 0


def test_over_256_ranges_go_to_numbered_rules_and_families_apart(gcp):
    gcp.max_ranges = 256
    synced(gcp, [*hosts(600), "2600::1"])
    assert names(gcp) == {"allow-qatech": 256, "allow-qatech-2": 256, "allow-qatech-3": 88, "allow-qatech-v6": 1}
    assert exit_code(synced(gcp, [*hosts(600), "2600::1"]), detailed=True) == 0


def test_an_emptied_numbered_rule_is_deleted_never_emptied(gcp):
    listed = [*hosts(5), "2600::1"]
    synced(gcp, listed, where={"max_ranges": 4}, grace=timedelta(0))
    assert names(gcp) == {"allow-qatech": 4, "allow-qatech-2": 1, "allow-qatech-v6": 1}
    synced(gcp, [*hosts(4), "2600::1"], where={"max_ranges": 4}, grace=timedelta(0))
    assert names(gcp) == {"allow-qatech": 4, "allow-qatech-v6": 1}
    synced(gcp, hosts(4), where={"max_ranges": 4}, grace=timedelta(0))
    assert names(gcp) == {"allow-qatech": 4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "was not made by this owner"),
        ({"description": "ipsync owner=globex target=x"}, "was not made by this owner"),
        (
            {"description": "ipsync owner=acme", "denied": THEIRS["allowed"], "allowed": None},
            "is not a rule that allows",
        ),
        ({"description": "ipsync owner=acme", "network": "global/networks/prod"}, "can't change its network"),
        ({"description": "ipsync owner=acme", "disabled": True}, "is disabled; somebody closed it on purpose"),
        ({"description": "ipsync owner=acme", "sourceTags": ["x"]}, "also lets in sources by tag"),
    ],
)
def test_a_rule_that_is_not_ours_to_change_is_refused_with_the_way_out(gcp, change, words):
    gcp.seed_firewall("acme", {**THEIRS, **change})
    before = gcp.firewalls("acme")
    report = synced(gcp, ["8.8.8.8"])
    (target_change,) = report.plan.target_changes
    assert exit_code(report, detailed=False) == 3
    assert [v.guard for v in target_change.violations][:1] == ["ownership"]
    assert words in target_change.violations[0].detail
    assert gcp.firewalls("acme") == before


def test_an_ipsync_rule_of_no_target_is_an_orphan(gcp):
    synced(gcp, ["8.8.8.8"])
    report = synced(gcp, ["8.8.8.8"], where={"rule": "another"})
    assert [o.resource for o in report.plan.orphaned] == ["gcp/acme/allow-qatech"]
    assert names(gcp) == {"allow-qatech": 1, "another": 1}


def test_longer_configured_names_are_not_mixed_up(gcp):
    one, two = target(gcp, "one", where={"rule": "allow"}), target(gcp, "two", where={"rule": "allow-web"})
    made = config(one, two)
    engine.sync(run(made, [*hosts(2), "2600::1"]))
    assert names(gcp) == {"allow": 2, "allow-v6": 1, "allow-web": 2, "allow-web-v6": 1}
    assert exit_code(engine.sync(run(made, [*hosts(2), "2600::1"])), detailed=True) == 0


def test_all_pages_and_one_list_call(gcp, monkeypatch):
    for i in range(7):
        gcp.seed_firewall("acme", {**THEIRS, "name": f"r{i}"})
    synced(gcp, ["8.8.8.8"])
    gcp.reset_calls()
    synced(gcp, ["8.8.8.8"])
    assert [c.operation for c in gcp.calls] == ["firewalls.list"]
    monkeypatch.setattr("ipsync.targets.gcp.rule_reader.PAGE", 3)
    gcp.reset_calls()
    assert exit_code(synced(gcp, ["8.8.8.8"]), detailed=True) == 0
    assert [c.operation for c in gcp.calls] == ["firewalls.list"] * 3


# ── one step ─────────────────────────────────────────────────────────────────


def managed(gcp, *texts: str, **settings: str) -> ManagedList:
    wanted = {**dict(wanted_settings(target(gcp))), **settings}
    note = (("description", "ipsync owner=acme target=edge feed=qatech"),)
    return ManagedList("allow-qatech", networks(*texts), note, tuple(sorted(wanted.items())))


def operation(kind: str, managed: ManagedList | None, was: ManagedList | None = None) -> Operation:
    return Operation(kind, "gcp/acme/allow-qatech", (), (), managed=managed, was=was)


@pytest.fixture
def writer(gcp):
    return Writer(target(gcp))


def test_an_empty_source_list_is_never_sent(gcp, writer):
    made = managed(gcp, "8.8.8.8")
    writer.execute(operation("create", made))
    gcp.reset_calls()
    for kind in ("create", "replace"):
        with pytest.raises(Rejected, match="whole internet; nothing was sent"):
            writer.execute(operation(kind, managed(gcp), made))
    with pytest.raises(Rejected, match="entry by entry"):
        writer.execute(operation("add", None))
    assert gcp.calls == []


def test_what_changed_since_it_was_read_is_stale(gcp, writer):
    made = managed(gcp, "8.8.8.8")
    writer.execute(operation("create", made))
    with pytest.raises(Stale):
        writer.execute(operation("create", made))
    with pytest.raises(Stale, match="somebody changed the rule"):
        writer.execute(operation("replace", managed(gcp, "8.8.4.4"), managed(gcp, "9.9.9.9")))
    writer.execute(operation("delete", made, made))
    with pytest.raises(Stale, match="was deleted"):
        writer.execute(operation("delete", made, made))


def test_target_tags_cannot_be_cleared_silently(gcp, writer):
    """The library leaves an empty list out of the request: the patch would change nothing, and say so nowhere."""
    tagged = managed(gcp, "8.8.8.8", target_tags="web")
    writer.execute(operation("create", tagged))
    with pytest.raises(Rejected, match="can't be taken off"):
        writer.execute(operation("replace", managed(gcp, "8.8.8.8"), tagged))


def test_one_request_id_over_all_tries(gcp, writer, monkeypatch):
    monkeypatch.setattr(gcp_calls, "FIRST_PAUSE", 0.01)
    made = managed(gcp, "8.8.8.8")
    gcp.faults.plan("firewalls.insert", "reset-after", "throttle", "500", "malformed")
    writer.execute(operation("create", made))
    assert names(gcp) == {"allow-qatech": 1}
    assert [c.operation for c in gcp.calls].count("firewalls.insert") == 5
    assert len(gcp._projects["acme"].operations) == 1


def test_a_slow_operation_is_waited_for(gcp, writer):
    gcp.operation_polls = 4
    writer.execute(operation("create", managed(gcp, "8.8.8.8")))
    assert [c.operation for c in gcp.calls].count("globalOperations.wait") == 4


@pytest.mark.parametrize(
    ("code", "error"),
    [("PERMISSION_DENIED", Denied), ("RESOURCE_NOT_FOUND", Missing), ("QUOTA_EXCEEDED", Rejected)],
)
def test_a_failed_operation_is_a_failure_without_a_status_code_too(gcp, writer, code, error):
    gcp.failing.append({"code": code, "message": "no"})
    with pytest.raises(error, match="no"):
        writer.execute(operation("create", managed(gcp, "8.8.8.8")))


def test_an_operation_without_end_is_uncertain(gcp, writer, monkeypatch):
    monkeypatch.setattr(gcp_calls, "DEADLINE", 0.5)
    gcp.operation_polls = 10**6
    with pytest.raises(Uncertain, match="hasn't ended"):
        writer.execute(operation("create", managed(gcp, "8.8.8.8")))


def test_a_reply_that_stays_lost_is_uncertain(gcp, writer, monkeypatch):
    monkeypatch.setattr(gcp_calls, "DEADLINE", 0.5)
    gcp.faults.plan("firewalls.insert", *["reset-after"] * 20)
    with pytest.raises(Uncertain):
        writer.execute(operation("create", managed(gcp, "8.8.8.8")))


def test_quota_exceeded_is_not_tried_again(gcp, writer):
    gcp.faults.plan("firewalls.insert", "quota")
    with pytest.raises(Rejected, match="Quota 'FIREWALLS' exceeded"):
        writer.execute(operation("create", managed(gcp, "8.8.8.8")))
    assert [c.operation for c in gcp.calls].count("firewalls.insert") == 1


def test_a_reader_holds_nothing_that_writes(gcp):
    reader = Reader(target(gcp))
    held = [getattr(reader, name) for name in vars(reader)]
    assert not any(hasattr(item, "patch_unary") and not isinstance(item, type(gcp_client)) for item in held)


def test_no_google_credentials_is_said(gcp, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    (target_change,) = engine.plan(run(config(gcp_target()), hosts(1))).plan.target_changes
    assert "no Google credentials for project acme" in target_change.error


# ── names that others hold ───────────────────────────────────────────────────

BY_HAND = {**THEIRS, "description": "by hand"}


@pytest.mark.parametrize("description", ["by hand", "", "ipsync owner=globex target=x", "ipsync"])
def test_overflow_steps_over_a_name_that_somebody_else_holds(gcp, description):
    for name in ("allow-qatech-2", "allow-qatech-v6-2", "allow-qatech-v6-3"):
        gcp.seed_firewall("acme", {**BY_HAND, "name": name, "description": description})
    before = gcp.firewalls("acme")
    listed = [*hosts(5), *(f"2600::{i}" for i in range(1, 6))]
    report = synced(gcp, listed, where={"max_ranges": 4})
    assert exit_code(report, detailed=False) == 0, report
    made = {name: size for name, size in names(gcp).items() if name not in before}
    assert made == {"allow-qatech": 4, "allow-qatech-3": 1, "allow-qatech-v6": 4, "allow-qatech-v6-4": 1}
    assert {name: gcp.firewalls("acme")[name] for name in before} == before
    assert exit_code(synced(gcp, listed, where={"max_ranges": 4}), detailed=True) == 0


def test_a_name_that_is_taken_between_plan_and_write_is_stepped_over_in_the_same_run(gcp):
    gcp.hooks["firewalls.insert"] = lambda cloud: cloud.hooks.update(
        {"firewalls.insert": lambda c: c.seed_firewall("acme", {**BY_HAND, "name": "allow-qatech-2"})}
    )
    report = synced(gcp, hosts(5), where={"max_ranges": 4})
    assert exit_code(report, detailed=False) == 0, report
    assert names(gcp) == {"allow-qatech": 4, "allow-qatech-2": 1, "allow-qatech-3": 1}
    assert gcp.firewalls("acme")["allow-qatech-2"]["description"] == "by hand"


def test_overflow_keeps_away_from_a_name_that_the_config_gives_to_another_target(gcp):
    one = target(gcp, "one", where={"rule": "allow", "max_ranges": 4})
    two = target(gcp, "two", feeds=("other",), where={"rule": "allow-2", "max_ranges": 4})
    made = config(one, two)
    engine.sync(run(made, hosts(5)))
    assert names(gcp) == {"allow": 4, "allow-3": 1, "allow-2": 4, "allow-2-2": 1}
    assert exit_code(engine.sync(run(made, hosts(5))), detailed=True) == 0


def test_the_base_name_held_by_a_human_stays_an_obstacle(gcp):
    gcp.seed_firewall("acme", {**BY_HAND, "name": "allow-qatech"})
    report = synced(gcp, hosts(5))
    assert exit_code(report, detailed=False) == 3
    assert [v.guard for e in report.plan.target_changes for v in e.violations] == ["ownership"]


# ── descriptions that are full ───────────────────────────────────────────────

ANYTHING = (("qatech", Limits(max_removals=Threshold(1000, 100), max_additions=Threshold(1000, 100))),)


def test_300_static_addresses_that_are_dropped_go_at_once(gcp):
    static = hosts(300)
    synced(gcp, ["1.1.1.1"], static=static, limits=ANYTHING)
    assert names(gcp) == {"allow-qatech": 256, "allow-qatech-2": 45}
    synced(gcp, ["1.1.1.1"], static=static[:1], limits=ANYTHING)
    assert {r for body in gcp.firewalls("acme").values() for r in body["sourceRanges"]} == {"1.1.1.1/32", "8.0.0.0/32"}


def test_600_addresses_that_a_feed_drops_all_leave_when_due(gcp):
    """Also beside 256 static ones: from about 250 marks on, some used to be left out."""
    listed, kept = hosts(600), hosts(1)
    changes = {"limits": ANYTHING, "static": hosts(256, first=1000)}
    synced(gcp, listed, **changes)
    report = synced(gcp, kept, **changes)
    assert len(report.plan.target_changes[0].leaving) == 599
    gcp.reset_calls()
    again = synced(gcp, kept, **changes)
    assert gcp.calls_made.writes == 0
    assert [leaving.until for leaving in again.plan.target_changes[0].leaving] == [NOW + timedelta(hours=72)] * 599
    engine.sync(run(config(target(gcp, **changes)), kept, now=NOW + timedelta(hours=73)))
    left = {r for body in gcp.firewalls("acme").values() for r in body["sourceRanges"]}
    assert left == {str(n) for n in (*kept, *hosts(256, first=1000))}


def test_names_that_leave_no_room_for_marks_are_an_obstacle(gcp):
    feeds = tuple(f"{'a' * 60}-{i:02}" for i in range(30))
    limits = tuple((f, Limits()) for f in feeds)
    report = synced(gcp, ["8.8.8.8"], feeds=feeds, limits=limits)
    (target_change,) = report.plan.target_changes
    assert [v.guard for v in target_change.violations] == ["ownership"]
    assert "leave too little room" in target_change.violations[0].detail
    assert gcp.firewalls("acme") == {}


# ── services that one family has ─────────────────────────────────────────────


def test_icmp_stays_out_of_the_ipv6_rule_which_google_would_refuse(gcp):
    services, listed = (Service("tcp", 443, 443), Service("icmp"), Service("icmpv6")), ["8.8.8.8", "2600::1"]
    assert exit_code(synced(gcp, listed, services=services), detailed=False) == 0
    allowed = {name: [a["IPProtocol"] for a in body["allowed"]] for name, body in gcp.firewalls("acme").items()}
    assert allowed == {"allow-qatech": ["tcp", "icmp"], "allow-qatech-v6": ["tcp", "58"]}
    assert exit_code(synced(gcp, listed, services=services), detailed=True) == 0


def test_the_local_google_refuses_a_protocol_of_the_other_family(gcp, writer):
    for wrong in (managed(gcp, "2600::1", ports="443/tcp,icmp"), managed(gcp, "8.8.8.8", ports="icmpv6")):
        with pytest.raises(Rejected, match="IP version"):
            writer.execute(operation("create", wrong))
