"""Threads and clients share one quota in turn; a throttle slows them all down, and only patience or a signal ends a wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from ipsync.core.pacing import Limit
from ipsync.sandbox.faults import TokenBucket
from ipsync.targets import pace

SMALL = Limit(2, 4)


def test_one_quota_is_one_pacer(passing):
    assert pace.pacer(("aws", "1"), SMALL, "it") is pace.pacer(("aws", "1"), SMALL, "it")
    assert pace.pacer(("aws", "2"), SMALL, "it") is not pace.pacer(("aws", "1"), SMALL, "it")


def test_calls_wait_for_their_token(passing):
    pacer = pace.pacer(("x",), SMALL, "it")
    start = pace.now()
    times = [pacer.take() - start for _ in range(4)]
    assert times == pytest.approx([0, 0, 1.25, 1.5], abs=0.05)


def test_who_came_first_leaves_first(passing, monkeypatch):
    """Each waits for the one before; here each gets in line once the one before stands in it."""
    pacer, order, open_ = pace.Pacer(Limit(1, 1), "it"), [], threading.Event()
    pacer.take()
    monkeypatch.setattr(pace, "pause", lambda stop, seconds: open_.wait(5) and passing.pause(stop, seconds))
    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=lambda n=number: (pacer.take(), order.append(n))))
        threads[-1].start()
        while pacer._drawn < number + 2:
            pass
    open_.set()
    for thread in threads:
        thread.join()
    assert order == sorted(order)


def test_a_signal_ends_the_wait_of_a_run_s_threads_at_once(monkeypatch):
    monkeypatch.setattr(pace, "pause", threading.Event.wait)
    stop, pacer = threading.Event(), pace.Pacer(Limit(1, 0.001), "Authorize")
    pacer.take()
    pace.ends_with(stop)
    try:
        with pace.threads(2) as threads:
            waiting = [threads.submit(pacer.take) for _ in range(2)]
            stop.set()
            for each in waiting:
                with pytest.raises(pace.GivenUp, match=r"a signal ended the run while a call \(Auth"):
                    each.result(timeout=5)
    finally:
        pace.ends_with(threading.Event())


def test_a_call_that_needs_no_wait_leaves_even_then(passing):
    stop = threading.Event()
    stop.set()
    pace.ends_with(stop)
    try:
        pace.Pacer(SMALL, "it").take()
        with pytest.raises(pace.GivenUp):
            pace.sleep(0.1)
    finally:
        pace.ends_with(threading.Event())


def test_patience_ends_where_nothing_passed_for_ten_minutes(passing, caplog):
    pacer, tries = pace.Pacer(Limit(50, 5), "Authorize in eu-north-1"), 0
    since = pace.now()
    said = ""
    while not said:
        tries += 1
        try:
            pacer.throttled(left=pacer.take(), since=since)
        except pace.GivenUp as error:
            said = str(error)
    assert said.startswith("Authorize in eu-north-1 was throttled for 10 minutes and not one call passed")
    assert 600 <= pace.now() - since < 610
    assert 100 < tries < 700
    assert [r.message for r in caplog.records if "is throttled" in r.message] != []


def test_as_long_as_some_pass_nobody_is_given_up(passing):
    pacer, since = pace.Pacer(Limit(50, 5), "it"), pace.now()
    for _ in range(5000):
        pacer.throttled(left=pacer.take(), since=since)
        pacer.passed()
    assert pace.now() - since > pace.PATIENCE


def test_full_pacers_are_forgotten_and_used_ones_are_not(passing, monkeypatch):
    monkeypatch.setattr(pace, "KEPT", 3)
    used = pace.pacer((0,), Limit(1, 0.001), "it")
    used.take()
    for number in range(1, 9):
        pace.pacer((number,), SMALL, "it")
    assert len(pace._PACERS) <= 3
    assert pace.pacer((0,), SMALL, "it") is used


@pytest.mark.parametrize("others", [0, 60])
def test_threads_beside_others_of_the_same_quota_lose_no_call(passing, monkeypatch, others):
    """A cloud with the same bucket, from which others take as well: alone, nothing is throttled."""
    monkeypatch.setattr("ipsync.sandbox.faults.time", SimpleNamespace(monotonic=pace.now))
    cloud, pacer, refused = TokenBucket(50, 5), pace.Pacer(Limit(50, 5), "it"), []

    def call(number):
        since = pace.now()
        while True:
            left = pacer.take()
            if number < others:
                cloud.allows()
            if cloud.allows():
                return pacer.passed()
            refused.append(number)
            pacer.throttled(left=left, since=since)

    start = pace.now()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(300)))
    floor = (300 + others - 50) / 5
    assert pace.now() - start <= floor * (1.1 if not others else 2)
    assert len(refused) <= (0 if not others else 30)
