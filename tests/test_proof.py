"""`make prove` in short: each proof runs on every commit; the figures that count come from the long run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from proof import ROOT, breaks, calls, fleet, grace, history, kills, processes, replay, surroundings, vendor
from proof.table import Row, broken, text


def assert_kept(rows):
    assert broken(rows) == [], text(rows)


def test_a_killed_run_is_made_good_by_the_next():
    assert_kept(kills.rows(20))


def test_a_killed_change_of_many_accounts_is_made_good_by_the_next():
    assert_kept(fleet.rows(3, scopes=20))


def test_a_fleet_that_closes_before_all_is_open_is_seen(monkeypatch):
    apply = import_module("ipsync.engine.apply")  # the package has a function of that name
    monkeypatch.setattr(apply._Task, "opening", property(lambda task: len(task.operations)))
    assert f"loses {fleet.DROPPED} while" in text(fleet.rows(1, scopes=20))


@pytest.mark.slow
def test_a_killed_process_is_made_good_by_the_next():
    assert_kept(processes.rows(2, 1))


@pytest.mark.slow
def test_whatever_a_cloud_call_meets_is_made_good():
    assert_kept(calls.rows(quick=True))


@pytest.mark.slow
def test_whatever_the_vendor_answers_proves_nothing_that_is_not_so():
    assert_kept(vendor.rows(quick=True))


@pytest.mark.slow
def test_disks_clocks_signals_and_neighbours_do_no_harm():
    assert_kept(surroundings.rows(quick=True))


@pytest.mark.parametrize("broken", breaks.BREAKS, ids=lambda broken: broken.what)
def test_each_break_finds_the_line_that_it_breaks(broken):
    text = (ROOT / "ipsync" / broken.path).read_text()
    assert broken.old in text
    assert broken.other in text


@pytest.mark.slow
def test_a_promise_broken_on_purpose_is_noticed():
    assert_kept(breaks.rows(quick=True))


@pytest.mark.slow
def test_a_published_list_replayed_wipes_nothing():
    assert_kept(replay.rows(replay.FIXTURE))


def test_what_stays_covered_is_removed_too_early_and_not_lost():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lists = [{"8.8.0.1/32", "9.9.9.9/32", "8.8.0.0/28"}, {"8.8.0.0/28"}, {"8.8.0.1/32", "9.9.9.9/32", "8.8.0.0/28"}]
    made = history.mirror([history.Version(at + timedelta(days=n), frozenset(lst)) for n, lst in enumerate(lists)])
    assert (made.premature, made.lost) == (2, 1)


def test_the_list_that_is_most_of_a_mirrors_mistakes_is_left_out():
    made = [replay.Replayed(str(n), [], door(0), door(n)) for n in (1, 20, 5)]
    assert [m.name for m in replay.without_the_largest(made)] == ["1", "5"]
    assert replay.fewer(made[::2], lambda d: d.premature) == (0, 6, 1.0)


def door(premature):
    version = history.Version(datetime(2026, 1, 1, tzinfo=UTC), frozenset())
    return history.Door([version], premature=premature)


def test_the_same_figures_draw_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    points = [grace.Point(days, 60 - days, 600, 900 - days, 2000, 24.0 * days, 30.0 * days, 40) for days in grace.DAYS]
    for name in ("one", "two"):
        grace.draw(points, tmp_path / name)
    drawn = (tmp_path / "one").read_text()
    assert drawn == (tmp_path / "two").read_text()
    assert all(text in drawn for text in ("addresses lost", "removal.grace", "Approvals asked"))


def test_the_table_tells_promises_from_notes():
    rows = [Row("kills", 1000, "all", "all", ok=True), Row("  of them", 3, "x"), Row("wipes", 2, "1", "0", ok=False)]
    assert text(rows).splitlines() == [
        "what   runs   reached  to reach",
        "kills  1,000  all      all       ok",
        "  of them: x",
        "wipes  2      1        0         BROKEN",
    ]
    assert broken(rows) == rows[2:]
