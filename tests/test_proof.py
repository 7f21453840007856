"""`make prove` in short: each proof runs on every commit; the figures that count come from the long run."""

from __future__ import annotations

import pytest

from proof import ROOT, breaks, calls, kills, processes, replay, surroundings, vendor
from proof.table import Row, broken, text


def assert_kept(rows):
    assert broken(rows) == [], text(rows)


def test_a_killed_run_is_made_good_by_the_next():
    assert_kept(kills.rows(40))


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


def test_the_table_tells_promises_from_notes():
    rows = [Row("kills", 1000, "all", "all", ok=True), Row("  of them", 3, "x"), Row("wipes", 2, "1", "0", ok=False)]
    assert text(rows).splitlines() == [
        "what   runs   reached  to reach",
        "kills  1,000  all      all       ok",
        "  of them: x",
        "wipes  2      1        0         BROKEN",
    ]
    assert broken(rows) == rows[2:]
