"""The loop: at once, on time by the monotonic clock, through failing passes, until a signal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

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


def test_a_signal_in_the_middle_of_a_wait_locks_nothing_up():
    """A wait holds its event's lock for moments; a handler that took it in one of them would wait for itself."""
    code = """
import os, signal, threading
from ipsync import daemon
stop, again = threading.Event(), threading.Event()
daemon.stop_on_signals(stop, reload=again)
for event, number in ((again, signal.SIGHUP), (stop, signal.SIGTERM)):
    with event._cond:
        os.kill(os.getpid(), number)
    print(event.wait(10), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\nTrue\n"


RELOADER = """
import os, sys, threading, time
from ipsync import daemon
stop, again = threading.Event(), threading.Event()
daemon.stop_on_signals(stop, reload=again)
os.write(1, b"ready\\n")  # one write, or the terminal may be gone before the second
for _ in range(400):  # as the loop does: a signal that comes just before a wait is seen after it
    for event, word in ((again, "again"), (stop, "stop")):
        if event.is_set():
            os.write(int(os.environ["SAY"]), word.encode())
            sys.exit()
    time.sleep(0.05)
"""


def test_a_hangup_asks_for_the_config_to_be_read_again():
    with subprocess.Popen(
        [sys.executable, "-c", RELOADER], stdout=subprocess.PIPE, text=True, env={**os.environ, "SAY": "1"}
    ) as worker:
        assert worker.stdout.readline() == "ready\n"
        worker.send_signal(signal.SIGHUP)
        said, _ = worker.communicate(timeout=30)
    assert said == "again"


def test_a_terminal_that_is_closed_ends_the_worker():
    """The kernel says so with SIGHUP too: nobody wants a worker that goes on unseen."""
    reading, writing = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.set_inheritable(writing, True)
        os.execve(sys.executable, [sys.executable, "-c", RELOADER], {**os.environ, "SAY": str(writing)})
    os.close(writing)
    while b"ready" not in os.read(terminal, 1024):
        pass
    os.close(terminal)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == b"stop"
    os.waitpid(pid, 0)


# ── reload, back-off, overrun ────────────────────────────────────────────────


@pytest.mark.parametrize(("pace", "passes"), [(daemon.Pace(3600, 0), 2), (None, 1)], ids=["taken", "refused"])
def test_a_config_that_is_read_again_is_gone_by_at_once(pace, passes):
    stop, again, made, read = threading.Event(), threading.Event(), [], []
    threading.Timer(20, stop.set).start()

    def reads():
        read.append(len(made))
        threading.Timer(0.3, stop.set).start()
        return pace

    def one_pass() -> None:
        made.append(1)
        if len(made) == 1:
            again.set()

    daemon.serve(one_pass, every=1000, jitter=0, stop=stop, reload=daemon.Reload(again, reads))
    assert read == [1]
    assert len(made) == passes


def test_a_changed_schedule_takes_effect():
    stop, again, nexts = threading.Event(), threading.Event(), []
    threading.Timer(20, stop.set).start()

    def tell(_made, next_at):
        nexts.append(round((next_at - datetime.now(UTC)).total_seconds(), -1))
        (again if len(nexts) == 1 else stop).set()

    reload = daemon.Reload(again, lambda: daemon.Pace(60, 0))
    daemon.serve(lambda: "done", every=1000, jitter=0, stop=stop, tell=tell, reload=reload)
    assert nexts == [1000, 60]


def test_no_pass_begins_before_it_may_and_then_one_begins_at_once(monkeypatch):
    monkeypatch.setattr(daemon, "TICK", 0.01)
    stop, asked, made = threading.Event(), [], []
    threading.Timer(20, stop.set).start()

    def may_begin():
        asked.append(1)
        if len(asked) > 12:
            stop.set()
        return not 2 <= len(asked) <= 9

    reload = daemon.Reload(threading.Event(), lambda: None)
    daemon.serve(lambda: made.append(len(asked)), every=1000, jitter=0, stop=stop, reload=reload, may_begin=may_begin)
    assert made == [1, 10], "at once, not a thousand seconds after the last one"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(daemon, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_while_every_pass_fails_they_come_later_and_later(monkeypatch, caplog):
    clock, results = Clock(monkeypatch), iter("ffffffgff")
    monkeypatch.setattr(daemon.random, "random", lambda: 0.0)
    loop = daemon._Loop(lambda: next(results), daemon.Pace(900, 0), lambda made: made == "f")
    waits = []
    for _ in range(9):
        assert len(loop.turn()) == 1
        waits.append(round(loop.left))
        assert loop.turn() == [], "nothing is due before"
        clock.now += loop.left
    assert waits == [900, 1800, 3600, 3600, 3600, 3600, 900, 900, 1800]
    assert "6 passes in a row have failed; the next one comes in 3600 s" in caplog.text


@pytest.mark.parametrize(
    ("every", "failures", "chance", "seconds"),
    [
        (900, 1, 0.5, 900),
        (900, 2, 0.0, 1800),
        (900, 2, 0.999, 1440.36),
        (10, 4, 0.0, 80),
        (10, 1000, 0.0, 3600),
        (10, 10**6, 1.0, 2880),
        (7200, 50, 0.0, 7200),
        (7200, 50, 1.0, 7200),
    ],
)
def test_how_long_it_waits(every, failures, chance, seconds):
    assert daemon.backed_off(every, failures, chance=chance) == pytest.approx(seconds)


def test_a_pass_that_overruns_is_told_and_never_stacked(monkeypatch, caplog):
    clock, running = Clock(monkeypatch), []

    def one_pass() -> None:
        running.append(1)
        clock.now += 4000
        assert loop.left < -3000, "it is due all the while"
        running.pop()

    loop = daemon._Loop(one_pass, daemon.Pace(900, 0), lambda _made: False)
    loop.turn()
    assert "this pass took 4000 s, longer than schedule.every (900 s)" in caplog.text
    assert running == []
    assert round(loop.left) == 900
    assert loop.turn() == []


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
