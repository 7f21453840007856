"""One pass over clouds in memory: what it changes, what it leaves, and what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factory import GROUP, RULE, Log, Stage, aws_target, config, gcp_target, hosts, networks

from ipsync import engine
from ipsync.core.errors import AuditLogError, Denied, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.events import Intent, Outcome, Record
from ipsync.core.model import Entry, ManagedList, Operation, Service, Status
from ipsync.core.report import exit_code
from ipsync.core.signals import CloudCalled, Contested, FeedFetched, PlanMade, ScopeRead, Signal, StageBegan
from ipsync.testing.memory import MemoryCloud, MemoryReader

HTTPS = Service("tcp", 443, 443)
A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"


def both(**changes: object) -> Stage:
    return Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B, C, D]}, **changes)  # type: ignore[arg-type]


def statuses(report) -> dict[str, str]:
    return {e.target: e.status.value for e in report.plan.target_changes}


def test_the_main_job_over_both_clouds():
    stage = both()
    report = stage.sync()
    assert statuses(report) == {"web": "applied", "edge": "applied"}
    assert exit_code(report, detailed=False) == 0
    assert stage.held() == sorted([A, B, C, D])
    assert stage.ranges() == sorted([A, B, C, D])


def test_the_second_run_writes_nothing():
    stage = both()
    stage.sync()
    writes = stage.cloud.writes
    report = stage.sync()
    assert stage.cloud.writes == writes
    assert statuses(report) == {"web": "in-sync", "edge": "in-sync"}


def test_a_plan_writes_nothing_and_makes_no_writer():
    stage = both()
    run = stage.run()
    report = engine.plan(replace(run, clouds=replace(run.clouds, writer=None)))  # type: ignore[arg-type]
    assert statuses(report) == {"web": "change", "edge": "change"}
    assert stage.cloud.writes == 0
    assert exit_code(report, detailed=True) == 2


def test_a_dropped_address_leaves_after_the_grace():
    stage = both()
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    report = stage.sync()
    assert len(report.plan.target_changes[0].leaving) == 1
    assert D in stage.held()
    stage.now += timedelta(hours=71)
    stage.sync()
    assert D in stage.held()
    assert D in stage.ranges()
    stage.now += timedelta(hours=2)
    stage.sync()
    assert stage.held() == sorted([A, B, C])
    assert stage.ranges() == sorted([A, B, C])


def test_an_address_that_comes_back_starts_its_grace_anew():
    stage = both()
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    stage.sync()
    stage.now += timedelta(hours=71)
    stage.lists["qatech"] = [A, B, C, D]
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    stage.sync()
    stage.now += timedelta(hours=2)
    stage.sync()
    assert D in stage.held()
    assert D in stage.ranges()


@pytest.mark.parametrize(
    ("off", "stays", "leaves"),
    [(-24, 71, 72), (24, 95, 96), (24 * 365, 71, 72)],
    ids=["behind now", "ahead when it was marked", "a year ahead when it was marked"],
)
def test_a_wrong_clock_lets_nothing_go_early(off, stays, leaves):
    """A mark in the future: was the clock ahead then, or is it behind now? The answer that keeps the door open holds."""
    stage = both()
    start = stage.now
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    for hour, held in ((max(0, off), True), (min(0, off), True), (stays, True), (leaves, False)):
        stage.now = start + timedelta(hours=hour)
        stage.sync()
        assert (D in stage.held(), D in stage.ranges()) == (held, held)


@pytest.mark.parametrize(("grace", "left"), [(timedelta(0), 3), (None, 4)])
def test_grace_can_be_nothing_or_for_ever(grace, left):
    stage = Stage(config(aws_target(), grace=grace), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    stage.sync()
    stage.now += timedelta(days=3650)
    stage.sync()
    assert len(stage.held()) == left


def test_a_failing_feed_freezes_its_targets_only():
    stage = Stage(config(aws_target("web"), gcp_target("edge", feeds=("cdn",))), lists={"qatech": [A, B], "cdn": [C]})
    stage.sync()
    stage.lists = {"qatech": "feed qatech: no answer", "cdn": [C, D]}
    report = stage.sync()
    assert statuses(report) == {"web": "error", "edge": "applied"}
    assert exit_code(report, detailed=False) == 4
    assert stage.held() == sorted([A, B])


def test_an_empty_feed_is_refused():
    stage = both()
    stage.sync()
    stage.lists["qatech"] = []
    report = stage.sync()
    assert statuses(report) == {"web": "blocked", "edge": "blocked"}
    assert exit_code(report, detailed=False) == 3
    assert len(stage.held()) == 4


def test_foreign_entries_and_twins_live_on():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C]})
    stage.cloud.put(GROUP, Entry(networks(A)[0], HTTPS))
    stage.cloud.put(GROUP, Entry(networks("10.0.0.0/8")[0], Service("all")))
    report = stage.sync()
    assert [str(e.network) for e in report.plan.target_changes[0].satisfied] == [A]
    stage.lists["qatech"] = [B, C]
    stage.sync()
    assert stage.held() == sorted([A, "10.0.0.0/8", B, C])


def test_too_many_removals_want_an_approval_of_this_plan():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = stage.sync()
    assert exit_code(report, detailed=False) == 3
    assert len(stage.held()) == 4
    wrong = stage.sync(approve="sha256:0")
    assert len(stage.held()) == 4
    assert wrong.notices
    right = stage.sync(approve=report.plan.id)
    assert exit_code(right, detailed=False) == 0
    assert stage.held() == sorted([A, B])


def test_too_many_leaving_warns_at_once_and_asks_when_due():
    stage = both()
    stage.sync()
    stage.lists["qatech"] = [A, B]
    report = stage.sync()
    assert [v.verdict.value for v in report.plan.target_changes[0].violations] == ["allow"]
    assert exit_code(report, detailed=False) == 0
    stage.now += timedelta(hours=73)
    assert exit_code(stage.plan(), detailed=False) == 3


def test_the_id_leaves_the_clock_out():
    stage = both()
    stage.sync()
    stage.lists["qatech"] = [A, B, C]
    first = stage.plan().plan.id
    stage.now += timedelta(hours=5)
    assert stage.plan().plan.id == first
    stage.lists["qatech"] = [A, B, D]
    assert stage.plan().plan.id != first


def test_a_port_taken_out_goes_at_once():
    stage = Stage(config(aws_target(services=(HTTPS, Service("tcp", 80, 80)))), lists={"qatech": [A, B]})
    stage.sync()
    assert len(stage.held()) == 4
    stage.config = config(aws_target())
    stage.sync()
    assert stage.held() == sorted([A, B])


@pytest.mark.parametrize("target", [aws_target, gcp_target])
def test_a_static_address_goes_at_once_but_a_listed_one_has_its_grace(target):
    stage = Stage(config(target(static=networks("10.1.0.0/16", A))), lists={"qatech": [A, B, C]})
    stage.sync()
    stage.config = config(target())
    stage.sync()
    held = stage.held() if target is aws_target else stage.ranges()
    assert held == sorted([A, B, C])


def test_two_targets_on_one_group_share_addresses():
    stage = Stage(
        config(aws_target("one"), aws_target("two", feeds=("cdn",)), grace=timedelta(0)),
        lists={"qatech": [A, B], "cdn": [B, C]},
    )
    stage.sync()
    assert stage.held() == sorted([A, B, C])
    stage.lists["qatech"] = [A]
    stage.sync()
    assert stage.held() == sorted([A, B, C])
    stage.lists["cdn"] = [C]
    stage.sync()
    assert stage.held() == sorted([A, C])


def test_a_frozen_neighbour_holds_what_it_may_want():
    stage = Stage(
        config(aws_target("one"), aws_target("two", feeds=("cdn",)), grace=timedelta(0)),
        lists={"qatech": [A, B, D], "cdn": [B, C]},
    )
    stage.sync()
    stage.lists = {"qatech": [A, D], "cdn": "down"}
    stage.sync()
    assert B in stage.held()


def test_an_orphan_is_reported_and_left_alone():
    stage = Stage(config(aws_target("old")), lists={"qatech": [A, B]})
    stage.sync()
    other = "aws/1/eu-north-1/sg-2"
    stage.cloud.groups[other] = {}
    stage.config = config(aws_target("new", where={"groups": ("sg-2",)}))
    report = stage.sync()
    assert {o.resource for o in report.plan.orphaned} == {GROUP}
    assert stage.held() == sorted([A, B])
    assert stage.held(other) == sorted([A, B])


def test_only_the_named_target_is_touched():
    stage = both()
    report = stage.sync("edge")
    assert statuses(report) == {"edge": "applied"}
    assert stage.held() == []


def test_a_full_group_is_refused_before_any_write_and_swap_finds_the_way():
    stage = Stage(config(aws_target(), grace=timedelta(0)), lists={"qatech": [A, B, C, D]})
    stage.cloud.quota = 4
    stage.sync()
    stage.lists["qatech"] = [A, B, C, "1.0.0.1"]
    report = stage.sync()
    assert [v.guard for v in report.plan.target_changes[0].violations] == ["capacity"]
    assert "remove_first" in report.plan.target_changes[0].violations[0].detail
    stage.config = config(aws_target(remove_first=True), grace=timedelta(0))
    stage.sync()
    assert stage.held() == sorted([A, B, C, "1.0.0.1/32"])


def test_ipv6_has_a_rule_of_its_own_and_overflow_gets_numbered_rules():
    stage = Stage(config(gcp_target(where={"max_ranges": 3})), lists={"qatech": [*hosts(7), "2600::1"]})
    stage.sync()
    names = {k.rpartition("/")[2]: len(p.networks) for k, p in stage.cloud.lists.items()}
    assert names == {"allow-qatech": 3, "allow-qatech-2": 3, "allow-qatech-3": 1, "allow-qatech-v6": 1}
    assert stage.sync().plan.changes == ()


def test_a_foreign_rule_of_that_name_is_refused():
    stage = Stage(config(gcp_target()), lists={"qatech": [A]})
    theirs = ManagedList("allow-qatech", networks("9.0.0.0/24"), (("description", "made by hand"),))
    stage.cloud.lists[RULE] = theirs
    report = stage.sync()
    assert [v.guard for v in report.plan.target_changes[0].violations] == ["ownership"]
    assert exit_code(report, detailed=False) == 3
    assert stage.cloud.lists[RULE] == theirs


def test_every_write_has_its_intent_before_and_its_outcome_after():
    stage = both()
    seen = []
    stage.cloud.before = lambda operation: seen.append(stage.log.records[-1]["event"])
    stage.sync()
    assert seen == ["intent", "intent"]
    assert [r["intent"] for r in stage.log.events("outcome")] == [r["seq"] for r in stage.log.events("intent")]
    assert [r["event"] for r in stage.log.records][:3] == ["run-started", "feed", "plan"]
    assert stage.log.records[-1]["event"] == "run-ended"


class Broken(Log):
    """A log whose disk is full when it matters."""

    def record(self, event):
        if isinstance(event, Intent):
            raise AuditLogError("disk full")
        return Log.record(self, event)


def test_no_record_no_write():
    stage = both(log=Broken())
    with pytest.raises(AuditLogError):
        stage.sync()
    assert stage.cloud.writes == 0


def test_a_log_that_fails_halfway_says_that_something_was_written():
    class Halfway(Log):
        def record(self, event):
            if isinstance(event, Outcome):
                raise AuditLogError("disk full")
            return Log.record(self, event)

    stage = both(log=Halfway())
    with pytest.raises(AuditLogError) as caught:
        stage.sync()
    assert caught.value.wrote
    stage = both(log=Broken())
    with pytest.raises(AuditLogError) as caught:
        stage.sync()
    assert not caught.value.wrote


def raising(error: Exception, *, once: bool = True):
    left = [1 if once else 10**6]

    def hook(operation: Operation) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return hook


def test_a_lost_reply_is_read_back_before_anything_is_said():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.cloud.after = raising(Uncertain("no reply"))
    report = stage.sync()
    assert statuses(report) == {"web": "applied"}
    assert [r["result"] for r in stage.log.events("outcome")] == ["applied"]


def test_a_write_that_was_never_taken_is_failed_not_unknown():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.cloud.before = raising(Uncertain("no reply"))
    report = stage.sync()
    assert statuses(report) == {"web": "error"}
    assert report.plan.target_changes[0].error == "no reply; reading it back shows that nothing was written"
    assert [r["result"] for r in stage.log.events("outcome")] == ["failed"]
    assert exit_code(report, detailed=False) == 1


@pytest.mark.parametrize(("hook", "ended"), [("before", "failed"), ("after", "applied")])
def test_what_became_of_a_write_that_changes_words_alone_is_told_by_the_words(hook, ended):
    """What is said of each range is the same before and after it: that tells nothing."""
    stage = Stage(config(gcp_target()), lists={"qatech": [A]})
    stage.sync()
    rule = stage.cloud.lists[RULE]
    ((_, text),) = rule.note
    stage.cloud.lists[RULE] = replace(rule, note=(("description", f"{text} by hand"),))
    setattr(stage.cloud, hook, raising(Uncertain("no reply")))
    stage.sync()
    assert [r["result"] for r in stage.log.events("outcome")][-1] == ended
    assert (stage.cloud.lists[RULE] == rule) is (ended == "applied")


def blind(stage, monkeypatch):
    """Let the reply to the next write be lost, and nothing be read back: the cloud is gone for the rest of the run."""
    gone = []

    def read_full(reader, states, *, owner):
        if gone:
            raise Unreachable("no answer")
        return complete_as_ever(reader, states, owner=owner)

    def after(operation):
        gone.append(operation)
        raise Uncertain("no reply")

    complete_as_ever = MemoryReader.read_full
    monkeypatch.setattr(MemoryReader, "read_full", read_full)
    stage.cloud.after = after
    return gone


def test_what_could_not_be_read_back_is_unknown_and_said_so(monkeypatch):
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    blind(stage, monkeypatch)
    report = stage.sync()
    assert statuses(report) == {"web": "unknown"}
    assert "it is not known whether it was written; the next run reads" in report.plan.target_changes[0].error
    assert [(r["result"], "now" in r) for r in stage.log.events("outcome")] == [("unknown", False)]
    assert exit_code(report, detailed=False) == 4


def test_the_next_run_finds_out_what_was_unknown(monkeypatch):
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    gone = blind(stage, monkeypatch)
    stage.sync()
    gone.clear()
    stage.open_intents = stage.log.events("intent")  # as the audit log gives them back
    stage.sync()
    assert [(r["intent"], r["result"]) for r in stage.log.events("recovered")] == [(4, "applied")]


def test_after_a_refusal_the_log_says_what_is_there():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    stage.sync()
    stage.lists["qatech"] = [A, B]
    stage.cloud.before = raising(Denied("no"))
    report = stage.sync()
    assert stage.log.events("outcome")[-1]["now"] == stage.log.events("intent")[-1]["before"] != []
    assert statuses(report) == {"web": "error"}
    assert exit_code(report, detailed=False) == 1


def test_a_refusal_that_did_half_of_it_all_the_same_is_partial():
    """Whether EC2 keeps the rules before a duplicate in a batch is not documented: so it is looked at."""
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})

    def half(operation):
        stage.cloud.put(GROUP, operation.entries[0])
        raise Rejected("InvalidParameterValue")

    stage.cloud.before = half
    report = stage.sync()
    assert statuses(report) == {"web": "partial"}
    assert exit_code(report, detailed=False) == 4
    (outcome,) = stage.log.events("outcome")
    assert (outcome["result"], len(outcome["now"])) == ("failed", 1)


def test_what_somebody_undoes_before_it_is_read_back_is_recorded_as_it_is():
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A, B]})

    def undone(operation):
        if operation.kind == "add":
            stage.cloud.groups[GROUP].popitem()
        else:
            stage.cloud.lists[RULE] = replace(stage.cloud.lists[RULE], networks=networks(A))

    stage.cloud.after = undone
    report = stage.sync()
    assert statuses(report) == {"web": "partial", "edge": "partial"}
    assert exit_code(report, detailed=False) == 4
    told = {}
    for record in stage.log.events("outcome"):
        told.setdefault(record["resource"], []).append((record["result"], len(record.get("now", ()))))
    assert told == {GROUP: [("applied", 0), ("partial", 1)], RULE: [("applied", 0), ("partial", 1)]}
    intents = {r["seq"]: r["resource"] for r in stage.log.events("intent")}
    assert all(intents[r["intent"]] == r["resource"] for r in stage.log.events("outcome"))


def test_a_group_that_is_gone_when_it_is_read_back_says_nothing_of_the_others():
    other = GROUP.replace("sg-1", "sg-2")
    targets = (aws_target(), aws_target("api", where={"groups": ("sg-2",)}))
    cloud = MemoryCloud(groups={GROUP: {}, other: {}})
    stage = Stage(config(*targets), cloud=cloud, lists={"qatech": [A, B]})

    def gone(operation):
        if operation.resource == other:
            del cloud.groups[GROUP]

    cloud.after = gone
    report = stage.sync()
    assert statuses(report) == {"web": "unknown", "api": "applied"}
    (error,) = [e.error for e in report.plan.target_changes if e.error]
    assert error == f"written, but it could not be read back: {GROUP} not found; the next run reads it again"


def test_denied_names_itself_and_leaves_the_others_alone():
    stage = both()
    stage.cloud.before = lambda operation: (_ for _ in ()).throw(Denied("no")) if operation.kind == "add" else None
    report = stage.sync()
    assert statuses(report) == {"web": "error", "edge": "applied"}
    assert exit_code(report, detailed=False) == 4


def test_what_moved_meanwhile_is_planned_once_more():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})

    def meddle(operation: Operation) -> None:
        stage.cloud.before = lambda _s: None
        stage.cloud.put(GROUP, Entry(networks(A)[0], HTTPS))

    stage.cloud.before = meddle
    report = stage.sync()
    assert statuses(report) == {"web": "applied"}
    assert [r["result"] for r in stage.log.events("outcome")] == ["stale", "applied"]
    assert stage.held() == sorted([A, B])


def drift(report):
    return [(v.guard, v.verdict.value, v.detail) for e in report.plan.target_changes for v in e.violations]


def test_stale_twice_is_refused_as_drift():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.cloud.before = raising(Stale("changed since it was read"), once=False)
    report = stage.sync()
    assert statuses(report) == {"web": "blocked"}
    said = "changed since it was read; nothing was written to it: plan again"
    assert drift(report) == [("drift", "refuse", said)]
    assert exit_code(report, detailed=False) == 3
    assert len(stage.log.events("outcome")) == 2


def added(report):
    return [str(entry.network) for e in report.plan.target_changes for entry in e.add]


def removed(report):
    return [str(entry.network) for e in report.plan.target_changes for entry in e.remove]


def marking_is_stale(operation):
    if operation.kind != "add":
        raise Stale("moved")


def test_stale_after_a_first_write_is_half_done_however_the_second_try_ends():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.sync()
    stage.lists["qatech"] = [A, C]  # an addition, then a mark
    stage.cloud.before = marking_is_stale
    report = stage.sync()
    assert statuses(report) == {"web": "partial"}
    assert added(report) == [C], "the first try wrote it, and the second found it there"
    assert exit_code(report, detailed=False) == 4


def test_what_a_first_try_added_and_removed_stands_in_the_report_of_the_second():
    stage = Stage(config(aws_target(), gcp_target(), grace=timedelta(0)), lists={"qatech": [A, B, D]})
    stage.sync()
    stage.lists["qatech"] = [A, C, D]  # an addition, then a removal

    def someone_removes_it_first(operation):
        if operation.kind == "remove":
            stage.cloud.groups[GROUP].pop(operation.entries[0].provider_id)
            stage.cloud.before = lambda _s: None

    stage.cloud.before = someone_removes_it_first
    report = stage.sync()
    assert statuses(report) == {"web": "applied", "edge": "applied"}
    assert added(report) == [C, C]
    assert removed(report) == [B], "of the group somebody else removed it"
    assert stage.held() == stage.ranges() == sorted([A, C, D])


@pytest.mark.parametrize(("wrote", "status", "code"), [(False, "error", 1), (True, "partial", 4)])
def test_what_is_stale_and_then_can_not_be_read_is_not_left_out(monkeypatch, wrote, status, code):
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.sync()
    stage.lists["qatech"] = [A, C] if wrote else [A]  # an addition, then a mark; or a mark alone

    def gone(*_args, **_kwargs):
        raise Unreachable("no usable answer")

    def meddle(operation):
        if operation.kind != "add":
            monkeypatch.setattr(MemoryReader, "list_owned", gone)
            raise Stale("moved")

    stage.cloud.before = meddle
    report = stage.sync()
    (target_change,) = report.plan.target_changes
    assert (target_change.status.value, target_change.resource, added(report)) == (status, GROUP, [C] if wrote else [])
    assert target_change.error == "it changed since it was read, and then: no usable answer"
    assert exit_code(report, detailed=False) == code


def test_an_open_intent_is_recovered_by_what_is_really_there():
    stage = Stage(config(aws_target()), lists={"qatech": [A, B]})
    stage.sync()
    intent = stage.log.events("intent")[0]
    stage.open_intents = [intent]
    stage.sync()
    assert stage.log.events("recovered")[0]["result"] == "applied"


def left_open(**changes: object) -> dict[str, object]:
    base = {"seq": 7, "event": "intent", "resource": GROUP, "target": "web", "owner": "acme", "run": "r0"}
    return {
        **base,
        "at": "2026-01-30T09:00:00Z",
        "before": [],
        "after": [f"{A} 443/tcp for web from qatech"],
        **changes,
    }


@pytest.mark.parametrize(
    ("intent", "told"),
    [
        (left_open(), 0),
        (left_open(target="renamed"), 0),
        (left_open(owner="umbrella"), None),
        (left_open(owner="umbrella", target="theirs", resource="aws/1/eu-north-1/sg-9"), None),
        (left_open(target="theirs", resource="aws/1/eu-north-1/sg-9"), 1),
        (left_open(target="theirs", resource="gcp/other/allow"), 1),
        (left_open(target="edge", resource=RULE), None),
    ],
    ids=["ours", "renamed", "an owner's", "another's", "another config's", "another project's", "not read"],
)
def test_an_open_intent_is_recovered_by_the_config_that_has_its_resource(intent, told):
    """Two configs may share one log; what the other one left open, or what isn't read now, is no concern of this run."""
    stage = Stage(config(aws_target(), gcp_target(), grace=timedelta(0)), lists={"qatech": [A]})
    stage.sync("web")
    stage.open_intents = [intent]
    notices = stage.sync("web").notices
    assert [r["intent"] for r in stage.log.events("recovered")] == ([7] if told == 0 else [])
    assert len(notices) == (told or 0)
    assert all(n.startswith(f"{intent['resource']}: what became of the write #7") for n in notices)


def test_an_orphan_in_a_scope_that_is_read_is_another_config_s_to_settle():
    theirs = "aws/1/eu-north-1/sg-9"
    other = Stage(config(aws_target("theirs", where={"groups": ("sg-9",)})), lists={"qatech": [A]})
    other.cloud.groups[theirs] = {}
    other.sync()
    stage = Stage(config(aws_target()), cloud=other.cloud, lists={"qatech": [A]})
    stage.open_intents = other.log.events("intent")
    report = stage.sync()
    assert [o.resource for o in report.plan.orphaned] == [theirs]
    assert stage.log.events("recovered") == []


def test_a_missing_group_is_an_error_on_its_own_target():
    stage = Stage(config(aws_target("gone", where={"groups": ("sg-9",)}), gcp_target()), lists={"qatech": [A]})
    report = stage.sync()
    assert statuses(report) == {"gone": "error", "edge": "applied"}


def test_a_signal_ends_the_run_before_the_next_write():
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A]})
    run = stage.run()
    run.stop.set()
    report = engine.sync(run)
    assert stage.cloud.writes == 0
    assert {(e.status, e.error) for e in report.plan.target_changes} == {
        (Status.ERROR, "a signal ended the run before anything was written to it; the next run does the rest")
    }
    assert stage.log.records[-1]["interrupted"] is True
    assert report.notices == ("a signal ended this run early: nothing was written; the next run does the rest",)
    assert exit_code(report, detailed=False) == 1


def test_a_write_is_announced_before_its_intent_and_reading_isn_t():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    seen = []
    engine.sync(replace(stage.run(), announcing=lambda: seen.append(len(stage.log.events("intent")))))
    assert seen == [0]
    engine.sync(replace(stage.run(), announcing=lambda: seen.append("again")))
    assert seen == [0]


def test_the_audit_log_hears_first_and_an_observer_that_fails_is_not_in_the_way(caplog):
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A]})
    heard = []

    def broken(event, recorded):
        raise RuntimeError("no route to the webhook")

    def observer(event, recorded):
        if isinstance(event, Record):
            assert stage.log.records[recorded.seq - 1]["event"] == event.name
        heard.append(event)

    report = engine.sync(replace(stage.run(), subscribers=(broken, observer)))
    assert statuses(report) == {"web": "applied", "edge": "applied"}
    assert [e.name for e in heard if isinstance(e, Record)] == [r["event"] for r in stage.log.records]
    assert "an observer failed on RunStarted; the run goes on" in caplog.text


def test_what_is_no_record_is_told_too():
    stage = Stage(config(aws_target(), gcp_target()), lists={"qatech": [A]})
    heard = []
    engine.sync(replace(stage.run(), subscribers=(lambda event, recorded: heard.append((event, recorded)),)))
    told = [event for event, _ in heard if isinstance(event, Signal)]
    assert [e.stage for e in told if isinstance(e, StageBegan)] == ["read", "plan", "open", "close", "verify"]
    assert [(e.result.name, len(e.result.snapshot.networks)) for e in told if isinstance(e, FeedFetched)] == [
        ("qatech", 1)
    ]
    assert {(e.scope[0], e.error) for e in told if isinstance(e, ScopeRead)} == {
        ("aws-security-group", None),
        ("gcp-firewall", None),
    }
    (made,) = [e for e in told if isinstance(e, PlanMade)]
    assert {s.resource for s in made.observed.states} == {GROUP, RULE}
    calls = {(e.provider, e.operation, e.result) for e in told if isinstance(e, CloudCalled)}
    assert {("aws", "add", "ok"), ("gcp", "create", "ok")} <= calls
    assert all((recorded is None) == isinstance(event, Signal) for event, recorded in heard)


def test_what_somebody_undoes_is_told_by_resource_and_that_nobody_does():
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    heard, runs = [], []
    for _ in range(5):
        before = len(stage.log.records)
        made = replace(stage.run(), subscribers=(lambda event, _: heard.append(event),), earlier=list(reversed(runs)))
        engine.sync(made)
        runs.append(stage.log.records[before:])
        stage.cloud.groups[GROUP].clear()
    told = [e.told for e in heard if isinstance(e, Contested)]
    assert [set(each) for each in told] == [set(), set(), set(), {GROUP}, {GROUP}]


def test_each_call_of_a_reader_is_told_once_and_a_failed_write_as_what_it_is(monkeypatch):
    stage = Stage(config(aws_target()), lists={"qatech": [A]})
    real = MemoryReader.list_owned

    def listing(self, *args, **kwargs):
        self.calls += (("Describe", "ok"),)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(MemoryReader, "list_owned", listing)
    stage.cloud.before = raising(Denied("no"))
    heard = []
    engine.sync(replace(stage.run(), subscribers=(lambda event, _recorded: heard.append(event),)))
    calls = [(e.operation, e.result) for e in heard if isinstance(e, CloudCalled)]
    assert calls == [("Describe", "ok"), ("add", "error")]
