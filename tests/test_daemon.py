"""The loop: at once, on time by the monotonic clock, through failing passes, until a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import time_machine

from ipsync import daemon
from ipsync.core.errors import AuditLogError
from ipsync.core.exit_codes import ExitCode


def serve_briefly(one_pass, *, every: float, stop: threading.Event, seconds: float = 5.0) -> None:
    threading.Timer(seconds, stop.set).start()
    daemon.serve(one_pass, every=every, jitter=0, stop=stop)


def test_a_pass_at_once_and_then_every_interval():
    stop, times = threading.Event(), []

    def one_pass() -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            stop.set()

    began = time.monotonic()
    serve_briefly(one_pass, every=1, stop=stop, seconds=20)
    assert times[0] - began < 0.5
    assert [round(b - a) for a, b in pairwise(times)] == [1, 1]


def test_a_failing_pass_never_ends_the_loop(caplog):
    stop, count = threading.Event(), []

    def one_pass() -> None:
        count.append(1)
        if len(count) == 2:
            stop.set()
        raise RuntimeError("boom")

    serve_briefly(one_pass, every=1, stop=stop, seconds=20)
    assert len(count) == 2
    assert "the next one comes as scheduled" in caplog.text


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_set_by_a_day_changes_nothing(hours):
    """With plain schedule 1.2.2, a clock set back 24 h brought the next run 24 h late."""
    stop, count = threading.Event(), []
    began = time.monotonic()
    with time_machine.travel(datetime(2026, 1, 31, 9, tzinfo=UTC), tick=True) as clock:
        monotonic = time.clock_gettime  # time-machine moves the wall clock only

        def one_pass() -> None:
            count.append(monotonic(time.CLOCK_MONOTONIC))
            if len(count) == 1:
                clock.shift(hours * 3600)
            else:
                stop.set()

        serve_briefly(one_pass, every=1, stop=stop)
    assert len(count) == 2
    assert 0.9 <= count[1] - count[0] < 3
    assert time.monotonic() - began < 5


def test_jitter_spreads_the_runs():
    job = daemon.SteadyJob(interval=100, scheduler=daemon.schedule.Scheduler())
    job.to(160).seconds.do(lambda: None)
    waits = set()
    for _ in range(200):
        job._schedule_next_run()
        waits.add(round(job.due - time.monotonic()))
    assert min(waits) >= 99
    assert max(waits) <= 160
    assert len(waits) > 20


WORKER = """
import threading, time
from ipsync import daemon
from ipsync.core.errors import AuditLogError
from ipsync.core.exit_codes import ExitCode
daemon.PATIENCE = 0.5
stop = threading.Event()
wrote = threading.Event()
daemon.stop_on_signals(stop{more})
print("ready", flush=True)
stop.wait()
time.sleep({busy})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("busy", "code"), [(0, 0), (60, ExitCode.PARTIAL)], ids=["at once", "a cloud hangs"])
def test_a_signal_ends_the_worker_soon_whatever_a_cloud_does(number, busy, code):
    command = [sys.executable, "-c", WORKER.format(busy=busy, more="")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "ready\n"
        worker.send_signal(number)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == code
    assert ("hasn't answered" in said) == (code != 0)


@pytest.mark.parametrize(
    ("more", "code"),
    [(", wrote=wrote", 1), (", wrote=wrote, untouched=0", 0), (", wrote=(wrote.set(), wrote)[1]", ExitCode.PARTIAL)],
    ids=["sync", "run", "after an intent"],
)
def test_where_nothing_was_intended_nothing_is_unknown(more, code):
    """A feed that hangs while SIGTERM comes: no target is in doubt."""
    command = [sys.executable, "-c", WORKER.format(busy=60, more=more)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "ready\n"
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == code
    assert ("nothing was written" in said) == (code != ExitCode.PARTIAL)


def test_a_hangup_that_is_ignored_stays_so():
    """As `nohup ipsync run` asks."""
    command = ["sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, WORKER.format(busy=0, more="")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "ready\n"
        worker.send_signal(signal.SIGHUP)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 0
    assert "SIGHUP" not in said


def test_each_pass_is_told_with_the_time_of_the_next():
    stop, told = threading.Event(), []
    passes = iter([lambda: "one", lambda: 1 / 0, lambda: stop.set() or "three"])

    def one_pass():
        return next(passes)()

    def tell(made, next_at):
        told.append((made, next_at and round((next_at - datetime.now(UTC)).total_seconds())))

    threading.Timer(20, stop.set).start()
    daemon.serve(one_pass, every=1, jitter=0, stop=stop, tell=tell)
    assert told == [("one", 1), (None, 1), ("three", None)]


def test_what_was_expected_to_fail_is_told_in_a_sentence(caplog):
    stop = threading.Event()

    def one_pass() -> None:
        stop.set()
        raise AuditLogError("held by pid 7")

    serve_briefly(one_pass, every=1, stop=stop)
    assert "the next one comes as scheduled: held by pid 7" in caplog.text
    assert "Traceback" not in caplog.text
