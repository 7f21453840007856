"""Others write while a run waits for a proof: what they did is taken into account, and nothing stale is written."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from waves import CANARY, MAIN, SMOKE, WAVES, A, B, Killed, code, stage, statuses, target, waves

from ipsync import engine
from ipsync.core import planfile
from ipsync.core.errors import AuditLogError
from ipsync.core.events import Approval, Intent, Verification, WaveReached
from ipsync.core.rollout import Wave
from ipsync.render.json import document
from ipsync.verification.base import Result

pytestmark = pytest.mark.usefixtures("quick")


def meanwhile(here, *does):
    """Let these happen, in turn, while the vendor is asked for a run, each by whoever comes in between."""
    left = list(does)

    def polled():
        if left:
            left.pop(0)()

    here.vendor.on_poll = polled


def added(report):
    return {e.target: [str(x.network) for x in e.add] for e in report.plan.target_changes}


def test_one_that_comes_meanwhile_waits_for_the_same_run_and_both_go_on():
    here, others = stage(A), []
    meanwhile(here, lambda: others.append(here.sync()))
    report = here.sync()
    assert (here.vendor.started, here.vendor.polled) == (["run1"], ["run1", "run1"])
    assert [code(report), code(others[0])] == [0, 0]
    assert (statuses(others[0]), statuses(report)) == (
        {"web": "in-sync", "app": "applied"},
        {"web": "applied", "app": "in-sync"},
    )
    assert (added(report)["web"], here.held(MAIN)) == ([A], [A])
    assert waves(report) == {"canary": "verified", "main": "in-sync", "": "in-sync"}
    assert "another run wrote to a cloud while this one waited, so the rest was planned anew" in report.notices
    assert len(here.log.of(Intent)) == 2, "nothing was written twice"
    assert [r["state"] for r in here.log.of(Verification)] == ["asked", "running", "passed"], "its end is recorded once"


def test_what_another_run_wrote_into_the_wave_is_proven_by_a_run_of_its_own():
    here, others = stage(A), []

    def come():
        here.lists["qatech"] = [A, B]
        others.append(here.sync())

    meanwhile(here, come)
    report = here.sync()
    assert here.vendor.polled == ["run1", "run2"]
    assert [code(report), code(others[0])] == [0, 0]
    assert (here.held(CANARY), here.held(MAIN)) == ([A, B], [A, B])
    assert (statuses(report), added(report)["web"]) == ({"web": "applied", "app": "in-sync"}, [A])
    old = here.log.of(Verification)[-1]
    assert (old["run_id"], old["state"], old["superseded"]) == ("run1", "passed", True)


def test_a_proof_of_what_is_no_more_lets_nothing_go():
    """The other run writes the canary again and is killed before it asks."""
    here = stage(A)

    def come():
        here.lists["qatech"] = [A, B]
        here.cloud.after = lambda _write: (_ for _ in ()).throw(Killed)
        with pytest.raises(Killed):
            here.sync()
        here.cloud.after = lambda _write: None

    meanwhile(here, come)
    here.vendor.open = lambda: seen.append(here.held(MAIN)) or True
    seen: list[object] = []
    report = here.sync()
    assert here.vendor.polled == ["run1", "run2"]
    assert seen == [[], []], "main waits for the second"
    assert code(report) == 0
    assert here.log.pending() == []


def test_an_old_proof_hides_no_run_that_goes_on():
    """The other run writes the canary again, asks, and is killed while it waits: its run is picked up."""
    here = stage(A)

    def come():
        here.lists["qatech"] = [A, B]
        meanwhile(here, lambda: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            here.sync()
        here.vendor.on_poll = lambda: None

    meanwhile(here, come)
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1", "run2"]
    assert here.held(MAIN) == [A, B]


def test_two_that_were_told_otherwise_of_one_run_hold():
    here = stage(A)
    here.vendor.ends = [Result("passed")]

    def come():
        here.sync("web")
        here.vendor.ends = [Result("failed", failed=("The start page",))]

    meanwhile(here, come)
    report = here.sync()
    assert (code(report), here.held(MAIN)) == (4, [])
    proof = report.waves[0].proofs[0]
    assert (proof.state, proof.run_id) == ("unknown", "run1")
    assert "another pass was told that it passed, and this one that it failed" in proof.detail
    assert here.vendor.started == ["run1"]
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1", "run2"], "the next run asks anew"


def test_failed_tests_are_run_again_by_one_of_two():
    here = stage(A, checks=[replace(SMOKE, rerun_failed=1)])
    failed = Result("failed", failed=("The start page",))

    def killed():
        raise Killed

    def come():
        here.vendor.ends = [failed]
        meanwhile(here, lambda: None, killed)
        with pytest.raises(Killed):
            here.sync()
        here.vendor.ends = [failed, Result("passed")]
        here.vendor.on_poll = lambda: None

    meanwhile(here, come)
    report = here.sync()
    assert here.vendor.started == ["run1", "run2"], "the second one is the other's"
    assert here.vendor.polled == ["run1", "run1", "run2", "run2"]
    assert (code(report), here.held(MAIN)) == (0, [A])


def test_an_end_that_the_other_saw_counts_where_this_one_gave_up():
    here = stage(A, checks=[replace(SMOKE, timeout=0.02)])

    def come():
        here.vendor.ends = [Result("passed")]
        here.sync("web")
        here.vendor.ends = [Result("running")] * 100

    meanwhile(here, come)
    assert code(here.sync()) == 0
    assert here.vendor.started == ["run1"]


def test_an_end_counts_where_the_other_gave_up():
    here = stage(A, checks=[replace(SMOKE, timeout=0.02)])

    def come():
        here.vendor.ends = [Result("running")] * 100
        here.sync("web")
        here.vendor.ends = []

    meanwhile(here, come)
    here.config = replace(here.config, checks=(replace(SMOKE, timeout=5.0),))
    first = here.run()
    here.config = replace(here.config, checks=(replace(SMOKE, timeout=0.02),))
    report = engine.sync(first)
    assert (code(report), report.waves[0].proofs[0].state) == (0, "passed")


def test_who_always_finds_others_writing_leaves_the_rest_to_the_next_run():
    here = stage(A)
    numbers = iter(range(1, 99))

    def come():
        here.lists["qatech"] = [A, f"8.8.9.{next(numbers)}/32"]
        here.cloud.groups[CANARY] = {}
        meanwhile(here, lambda: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            here.sync()
        here.vendor.on_poll = come

    here.vendor.on_poll = come
    report = here.sync()
    assert code(report) == 4
    assert statuses(report)["app"] == "held"
    assert "another run wrote to a cloud while this one waited" in report.waves[1].detail
    assert len(here.log.of(WaveReached)) < 20


def test_what_was_approved_goes_on_where_it_is_planned_anew():
    listed = [f"8.0.0.{n}/32" for n in range(10)]
    here = stage(*listed, targets=(target("web", "sg-1", "canary"), target("app", "sg-2", "main")))
    here.sync()
    here.now += timedelta(hours=1)
    here.lists["qatech"] = listed[:5]
    here.sync()
    here.now += timedelta(hours=73)
    here.lists["qatech"] = [*listed[:5], A]
    planned = here.plan()
    assert code(planned) == 3, "five removals wait"
    here.cloud.groups["aws/1/eu-north-1/sg-3"] = {}

    def come():  # another config of this log writes elsewhere
        other = replace(here.config, targets=(target("else", "sg-3"),), waves=())
        mine, here.config = here.config, other
        here.sync()
        here.config = mine

    meanwhile(here, come)
    report = here.sync(approve=planned.plan.id)
    assert code(report) == 0
    assert here.held(MAIN) == sorted([*listed[:5], A])
    assert not any("approval" in notice for notice in report.notices)
    assert next(r["holds"] for r in here.log.of(Approval))
    assert all(r["holds"] for r in here.log.of(Approval))


def test_a_saved_plan_is_left_where_another_run_wrote_meanwhile():
    here = stage(A)
    saved = engine.plan(here.run())
    data = planfile.dump(document(saved), saved.plan, here.config, selected={"web", "app"}, lifetime=planfile.LIFETIME)
    file = planfile.load(data, here.config, now=here.now)
    meanwhile(here, lambda: here.sync("web", "app"))
    report = engine.apply(here.run(), file)
    assert (code(report), statuses(report)) == (4, {"web": "applied", "app": "held"})
    assert "what was planned may be old: plan again" in report.waves[1].detail


@pytest.mark.parametrize("pause", [0.0, 0.001])
def test_who_can_not_have_the_right_back_writes_nothing_more(pause):
    here = stage(A, waves=(replace(WAVES[0], pause=pause, verify=() if pause else ("smoke",)), Wave("main")))

    @contextmanager
    def taken(_given_up):
        yield
        raise AuditLogError("a.jsonl is held by run other")

    run = here.run()
    run = replace(run, turn=replace(run.turn, letting_others_write=taken))
    report = engine.sync(run)
    assert (code(report), statuses(report)["app"]) == (4, "held")
    assert "a.jsonl is held by run other" in report.waves[1].detail
    assert here.held(MAIN) == []
    if not pause:
        assert [r["state"] for r in here.log.of(Verification)] == ["asked", "running"], "nothing that others rest on"
        assert [r["state"] for r in here.log.of(WaveReached)] == ["began", "held"]
        assert code(here.sync()) == 0
        assert here.vendor.started == ["run1"], "its result is picked up"


def test_a_write_of_others_in_a_pause_is_seen():
    here, others = stage(A, waves=(Wave("canary", pause=0.001), Wave("main")), checks=()), []

    @contextmanager
    def away(_given_up):
        yield
        others.append(here.sync())

    run = here.run()
    report = engine.sync(replace(run, turn=replace(run.turn, letting_others_write=away)))
    assert (statuses(report), code(report)) == ({"web": "applied", "app": "in-sync"}, 0)
    assert len(here.log.of(Intent)) == 2
