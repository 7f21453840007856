"""Waves: written in order, each proven before the next, and what isn't proven holds what comes behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from waves import CANARY, MAIN, SMOKE, A, B, C, Killed, Vendor, code, stage, statuses, target, waves

from ipsync.core.errors import Rejected
from ipsync.core.events import Verification, WaveReached
from ipsync.core.model import Status
from ipsync.core.rollout import Wave
from ipsync.core.waves import WaveState
from ipsync.verification.base import Result
from ipsync.verification.errors import NotFound, Unavailable

pytestmark = pytest.mark.usefixtures("quick")


def failing(*listed: str, **changes):
    here = stage(*listed, **changes)
    here.vendor.open = lambda: False
    return here


# ── order ────────────────────────────────────────────────────────────────────


def test_a_wave_is_verified_before_the_next_is_written():
    here = stage(A)
    here.vendor.on_start = lambda: seen.append((here.held(CANARY), here.held(MAIN)))
    seen: list[object] = []
    report = here.sync()
    assert seen == [([A], [])], "the vendor is asked when the canary is open and nothing else"
    assert here.held(MAIN) == [A]
    assert waves(report) == {"canary": "verified", "main": "applied", "": "in-sync"}
    assert code(report) == 0
    assert [r["state"] for r in here.log.of(WaveReached)] == ["began", "verified", "began", "applied"]
    assert [r["state"] for r in here.log.of(Verification)] == ["asked", "running", "passed"]


def test_a_quiet_run_asks_nobody():
    here = stage(A)
    here.sync()
    report = here.sync()
    assert here.vendor.started == ["run1"]
    assert waves(report) == {"canary": "in-sync", "main": "in-sync", "": "in-sync"}
    assert not here.log.of(WaveReached)[4:]


def test_targets_without_a_wave_come_last():
    here = failing(A, targets=(target("web", "sg-1"), target("app", "sg-2", "canary")))
    report = here.sync()
    assert (here.held(CANARY), here.held(MAIN)) == ([], [A])
    assert statuses(report) == {"web": "held", "app": "applied"}


def test_a_resource_that_several_waves_share_is_written_in_the_last_of_them():
    here = failing(A, targets=(target("web", "sg-1", "canary"), target("app", "sg-1", "main")))
    here.cloud.groups = {CANARY: {}}
    report = here.sync()
    assert statuses(report)["web"] == "held"
    assert here.held(CANARY) == []
    assert {e.wave for e in report.plan.target_changes} == {"main"}
    assert statuses(here.sync("web")) == {"web": "held"}, "whoever is selected"


# ── holds ────────────────────────────────────────────────────────────────────


def test_a_check_that_fails_holds_the_waves_behind_and_says_where_to_look():
    here = failing(A)
    report = here.sync()
    assert (here.held(CANARY), here.held(MAIN)) == ([A], []), "nothing is rolled back, nothing goes on"
    assert statuses(report) == {"web": "applied", "app": "held"}
    assert code(report) == 4
    proof = report.waves[0].proofs[0]
    assert (proof.state, proof.run_id, proof.url, proof.failed) == (
        "failed",
        "run1",
        "https://qa/run1",
        ("The start page",),
    )
    assert "smoke failed; failed: The start page (https://qa/run1)" in report.waves[1].detail
    ended = here.log.of(Verification)[-1]
    assert (ended["run_id"], ended["url"], ended["failed"]) == ("run1", "https://qa/run1", ["The start page"])
    assert here.log.of(WaveReached)[-1]["state"] == "held"


def test_the_next_run_begins_with_the_wave_that_failed_and_a_pass_lets_the_rest_go():
    here = failing(A)
    here.sync()
    again = here.sync()
    assert code(again) == 4
    assert here.vendor.started == ["run1", "run2"]
    here.vendor.open = lambda: True
    report = here.sync()
    assert waves(report) == {"canary": "verified", "main": "applied", "": "in-sync"}
    assert here.held(MAIN) == [A]
    here.sync()
    assert here.vendor.started == ["run1", "run2", "run3"]


def test_a_failed_check_is_told_even_where_nothing_waits_behind_it():
    here = failing(A, targets=(target("web", "sg-1", "canary"),))
    report = here.sync()
    assert (statuses(report), code(report)) == ({"web": "applied"}, 4)
    report = here.sync()
    assert (statuses(report), code(report)) == ({"web": "in-sync"}, 4)
    here.vendor.open = lambda: True
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1", "run2", "run3"]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([Result("cancelled", detail="somebody cancelled the run")], "its check smoke was cancelled; somebody"),
        ([Result("unknown", detail="it ended with an error")], "its check smoke proved nothing; it ended"),
        ([Result("failed", detail="its tests were skipped, so it proves nothing")], "skipped"),
        ([NotFound("there is no such run in the project of this token")], "no such run"),
        ([ValueError("odd")], None),
    ],
)
def test_everything_but_passed_holds(ends, said):
    here = stage(A)
    here.vendor.ends = ends
    if said is None:
        with pytest.raises(ValueError, match="odd"):
            here.sync()
    else:
        report = here.sync()
        assert statuses(report)["app"] == "held"
        assert said in report.waves[1].detail
    assert here.held(MAIN) == []


def test_a_start_whose_answer_was_lost_holds_and_is_not_sent_again():
    here = stage(A)
    starts = []
    lost = type(
        "Lost",
        (),
        {
            "asked": lambda self, _: self,
            "start": lambda _self: starts.append(1) or Result("unknown", detail="look there"),
        },
    )()
    here.vendor = lost
    report = here.sync()
    assert (len(starts), statuses(report)["app"], code(report)) == (1, "held", 4)
    assert "look there" in report.waves[1].detail


def test_a_vendor_that_never_ends_holds_at_the_deadline():
    here = stage(A, checks=[replace(SMOKE, timeout=0.05)])
    here.vendor.ends = [Result("running")] * 1000
    report = here.sync()
    assert "no result within 0.05 s" in report.waves[1].detail
    assert statuses(report)["app"] == "held"


def test_a_vendor_that_hiccups_is_asked_again():
    here = stage(A)
    here.vendor.ends = [Unavailable("busy", after=0.001), Result("running"), Result("passed")]
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1"]


def test_failed_tests_are_run_again_once():
    here = stage(A, checks=[replace(SMOKE, rerun_failed=1)])
    here.vendor.ends = [Result("failed", failed=("x",)), Result("passed")]
    report = here.sync()
    assert (here.vendor.polled, code(report)) == (["run1", "run2"], 0)
    here = failing(A, checks=[replace(SMOKE, rerun_failed=1)])
    report = here.sync()
    assert (here.vendor.polled, code(report)) == (["run1", "run2"], 4)


def test_a_rerun_that_has_no_tests_hides_none_that_failed(monkeypatch):
    here = stage(A, checks=[replace(SMOKE, rerun_failed=2)])
    here.vendor.ends = [Result("failed", failed=("Login",))]
    monkeypatch.setattr(Vendor, "rerun_failed", lambda _self, _run: Result("failed", "run2", detail="no tests"))
    proof = here.sync().waves[0].proofs[0]
    assert (proof.state, proof.run_id, proof.failed) == ("failed", "run1", ("Login",))
    assert proof.detail == "its failed tests could not be run again: no tests"


def test_a_run_that_failed_without_a_failed_test_is_not_run_again():
    here = stage(A, checks=[replace(SMOKE, rerun_failed=1)])
    here.vendor.ends = [Result("failed", detail="its tests were skipped")]
    here.sync()
    assert here.vendor.started == ["run1"]


def test_a_wave_that_is_not_applied_whole_holds_and_is_not_verified():
    here = stage(A)
    refused = []
    here.cloud.before = lambda write: refused.append(1) or (_ for _ in ()).throw(Rejected("no"))
    report = here.sync()
    assert (statuses(report), waves(report)["canary"]) == ({"web": "error", "app": "held"}, "incomplete")
    assert (here.vendor.started, len(refused), here.held(MAIN)) == ([], 1, [])
    here.cloud.before = lambda _write: None
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1"]


def test_a_target_that_is_not_selected_holds_the_waves_behind_it():
    here = stage(A)
    report = here.sync("app")
    assert statuses(report) == {"app": "held"}
    assert "web of it isn't selected" in report.waves[1].detail
    assert statuses(here.sync("app", approve=report.waves[0].approve)) == {"app": "applied"}


# ── approvals ────────────────────────────────────────────────────────────────


def test_an_approval_lets_go_what_waits_behind_a_wave_and_asks_nobody():
    here = failing(A)
    held = here.sync()
    shown = here.plan()
    assert shown.waves[0].approve == held.waves[0].approve, "the id stays for as long as the same waits"
    assert "a sync asks again" in shown.waves[0].detail
    report = here.sync(approve=held.waves[0].approve)
    assert here.held(MAIN) == [A]
    assert here.vendor.started == ["run1"]
    assert (waves(report)["canary"], code(report)) == ("approved", 0)
    here.sync()
    assert here.vendor.started == ["run1"], "nothing waits behind it any more"
    here.lists["qatech"] = [A, B]
    assert statuses(here.sync())["app"] == "held", "an approval is for what was looked at"


def test_the_plan_s_id_approves_the_hold_that_it_shows():
    here = failing(A)
    here.sync()
    assert code(here.sync(approve=here.plan().plan.id)) == 0
    assert here.held(MAIN) == [A]


def test_a_plan_s_id_approves_no_proof_that_is_still_to_come():
    here = failing(A)
    report = here.sync(approve=here.plan().plan.id)
    assert statuses(report)["app"] == "held"


def test_an_approval_of_something_else_is_told_as_idle():
    here = failing(A)
    id_ = here.sync().waves[0].approve
    here.lists["qatech"] = [A, B]
    report = here.sync(approve=id_)
    assert statuses(report)["app"] == "held"
    assert any("names wave" in notice for notice in report.notices)


def test_a_wave_that_changes_too_many_targets_needs_approval():
    here = stage(A, waves=[Wave("canary", max_changed_targets=1), Wave("main")], checks=(), targets=(
        target("web", "sg-1", "canary"), target("app", "sg-2", "canary")))  # fmt: skip
    planned = here.plan()
    assert statuses(planned) == {"web": "blocked", "app": "blocked"}
    assert code(planned) == 3
    assert code(here.sync()) == 3
    assert here.held(CANARY) == []
    assert code(here.sync(approve=planned.plan.id)) == 0
    assert here.held(CANARY) == [A]


LARGE = [Wave("canary", max_changed_targets=1), Wave("main")]
LAST = "aws/1/eu-north-1/sg-3"


def large():
    """A first wave of two targets, which may change one, and a target behind it."""
    here = stage(A, waves=LARGE, checks=(), targets=(
        target("web", "sg-1", "canary"), target("app", "sg-2", "canary"), target("shop", "sg-3", "main")))  # fmt: skip
    here.cloud.groups[LAST] = {}
    return here


def test_a_wave_whose_targets_are_blocked_is_not_called_in_sync():
    here = large()
    assert waves(here.plan()) == {"canary": "incomplete", "main": "change", "": "in-sync"}
    here.config = replace(here.config, waves=(Wave("main"), *LARGE[:1]))
    here.cloud.before = lambda _write: (_ for _ in ()).throw(Rejected("no"))
    assert waves(here.sync()) == {"main": "incomplete", "canary": "incomplete", "": "in-sync"}


@pytest.mark.parametrize("by", ["plan", "wave"])
def test_that_a_wave_may_be_large_lets_nothing_go_that_fails_in_it(by):
    here = large()
    planned = here.plan()
    size = planned.plan.target_changes[0].violations[-1].change

    def refuse(write):
        if write.resource == MAIN:
            raise Rejected("no")

    here.cloud.before = refuse
    report = here.sync(approve=planned.plan.id if by == "plan" else size)
    assert statuses(report) == {"web": "applied", "app": "error", "shop": "held"}
    assert waves(report)["canary"] == "incomplete"
    here.cloud.before = lambda _write: None
    assert code(here.sync()) == 0


def test_a_wave_that_may_be_large_is_said_to_be_applied_and_not_approved():
    here = large()
    size = here.plan().plan.target_changes[0].violations[-1].change
    assert waves(here.sync(approve=size)) == {"canary": "applied", "main": "applied", "": "in-sync"}


def test_the_order_is_a_part_of_the_plan_s_id():
    one, two = stage(A), stage(A, waves=[Wave("main"), Wave("canary", ("smoke",))])
    assert one.plan().plan.id != two.plan().plan.id
    assert one.plan().plan.id == one.plan().plan.id


def test_a_plan_asks_nobody_and_writes_nothing():
    here = stage(A)
    report = here.plan()
    assert [(w.name, w.state, w.changed) for w in report.waves] == [
        ("canary", WaveState.CHANGE, 1),
        ("main", WaveState.CHANGE, 1),
        ("", WaveState.IN_SYNC, 0),
    ]
    assert (here.vendor.started, here.held(CANARY), here.log.of(WaveReached)) == ([], [], [])


def asks(here, *only):
    return {w.name: w.asks for w in here.plan(*only).waves if w.asks}


def test_a_plan_says_which_checks_a_sync_asks():
    here = stage(A, waves=(Wave("canary", ("smoke",)), Wave("main", ("smoke",))))
    assert asks(here) == {"canary": ("smoke",), "main": ("smoke",)}
    assert asks(here, "web") == {"canary": ("smoke",)}, "of a wave that isn't selected whole nothing is asked"
    here.sync()
    assert asks(here) == {}
    here = stage(A, checks=[replace(SMOKE, when="always")])
    here.sync()
    assert asks(here) == {"canary": ("smoke",)}
    here.lists["qatech"] = "feed qatech: no answer"
    assert asks(here) == {}, "nor of one that isn't applied whole"


def test_a_plan_tells_of_a_door_that_was_found_shut_though_nothing_waits_behind_it():
    here = failing(A, targets=(target("web", "sg-1", "canary"),))
    here.sync()
    report = here.plan()
    assert (waves(report)["canary"], report.waves[0].proofs[0].url) == ("in-sync", "https://qa/run1")
    assert (report.waves[0].asks, report.waves[0].approve, code(report)) == (("smoke",), "", 0)


# ── kills and signals ────────────────────────────────────────────────────────


def killed(here):
    def kill():
        raise Killed

    return kill


def test_the_next_run_picks_up_a_run_that_a_kill_left_open():
    here = stage(A)
    here.vendor.on_poll = killed(here)
    with pytest.raises(Killed):
        here.sync()
    here.vendor.on_poll = lambda: None
    report = here.sync()
    assert (here.vendor.started, here.vendor.polled) == (["run1"], ["run1", "run1"])
    assert (here.held(MAIN), code(report)) == ([A], 0)


def test_what_was_written_since_an_open_run_began_is_proven_by_another():
    here = stage(A)
    here.vendor.on_poll = killed(here)
    with pytest.raises(Killed):
        here.sync()
    here.lists["qatech"] = [A, B]
    here.cloud.after = lambda _write: killed(here)()
    with pytest.raises(Killed):  # after the second write, before another run was asked for
        here.sync()
    here.vendor.on_poll, here.cloud.after = lambda: None, lambda _write: None
    here.open_intents = here.log.pending()
    here.sync()
    assert here.vendor.polled == ["run1", "run2"]


def test_a_kill_between_the_write_and_the_question_is_made_up_for():
    here = failing(A)
    here.vendor.on_start = killed(here)
    with pytest.raises(Killed):
        here.sync()
    here.vendor.on_start = lambda: None
    report = here.sync()
    assert (here.vendor.started, statuses(report)["app"]) == (["run1"], "held")
    assert here.held(MAIN) == []


def test_a_signal_ends_the_wait_at_once_and_the_next_run_picks_up():
    here = stage(A, checks=[replace(SMOKE, timeout=60)])
    here.stop = Event()
    here.vendor.ends = [Result("running")]
    here.vendor.on_poll = here.stop.set
    report = here.sync()
    assert (statuses(report)["app"], code(report)) == ("held", 4)
    assert "the next pass picks up its result" in report.waves[1].detail
    here.stop = None
    here.vendor.on_poll = lambda: None
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1"]


def test_a_signal_ends_a_pause_and_the_next_run_waits_for_the_rest_of_it_only():
    here = stage(A, waves=[Wave("canary", ("smoke",), pause=3600), Wave("main")])
    here.stop = Event()
    here.stop.wait = lambda _seconds: here.stop.set() or True
    report = here.sync()
    assert "in the pause after wave canary" in report.waves[1].detail
    here.stop = None
    here.now += timedelta(hours=1)
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1"]


# ── when ─────────────────────────────────────────────────────────────────────


def test_always_asks_in_every_run():
    here = stage(A, checks=[replace(SMOKE, when="always")])
    here.sync()
    here.sync()
    assert here.vendor.started == ["run1", "run2"]


@pytest.mark.parametrize(("hours", "runs"), [(23, 1), (24, 2), (-1, 1), (-25, 2)])
def test_every_asks_without_a_change_once_the_last_proof_is_old_or_a_clock_has_jumped(hours, runs):
    here = stage(A, checks=[replace(SMOKE, every=timedelta(hours=24))])
    here.sync()
    here.now += timedelta(hours=hours)
    here.sync()
    assert len(here.vendor.started) == runs


def test_a_wave_that_nobody_ever_verified_is_verified_before_something_behind_it_is_written():
    here = stage(A)
    here.sync()
    here.log.records.clear()  # the log is gone
    here.lists["qatech"] = [A]
    here.cloud.groups[MAIN] = {}
    here.sync()
    assert here.vendor.started == ["run1", "run2"]
    assert here.held(MAIN) == [A]


def test_a_removal_that_waits_in_the_canary_keeps_nobody_out():
    here = stage(*(f"8.0.0.{n}/32" for n in range(10)))
    here.sync()
    here.now += timedelta(hours=1)
    here.lists["qatech"] = [f"8.0.1.{n}/32" for n in range(10)]
    here.sync()
    here.now += timedelta(hours=73)
    here.lists["qatech"] = [*here.lists["qatech"], C]
    report = here.sync()
    assert C in here.held(MAIN)
    assert all(h.action == "remove" for e in report.plan.target_changes for h in e.waiting)
    assert all(e.waiting for e in report.plan.target_changes)
    assert all(e.status in {Status.APPLIED, Status.IN_SYNC} for e in report.plan.target_changes)
