"""`ipsync run` from pass to pass: SIGHUP reads the config again, a broken one is refused, and people are told."""

from __future__ import annotations

import gc
import logging
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from threading import Event

import pytest
from factory import aws_target, config
from receiver import receiver
from worker_desk import CONFIG, Running, told

from ipsync import app
from ipsync.audit import verify
from ipsync.cli import worker
from ipsync.core.signals import Leadership
from ipsync.observers.watch import Watched
from ipsync.sandbox.feed import FeedServer


@pytest.fixture
def somebody():
    with receiver() as kept:
        yield kept


def test_a_config_is_read_again_and_a_broken_one_refused(aws, somebody, tmp_path):
    path, group = tmp_path / "ipsync.yaml", aws.make_group("web")
    with FeedServer(["18.196.41.10"]) as feed:
        known = {"feed": feed.url, "group": group, "folder": tmp_path, "hook": somebody.url}
        path.write_text(CONFIG.format(ports="443/tcp", every="1h", **known))
        worker = Running(path, tmp_path)
        try:
            worker.waits_for(lambda: worker.says("Next pass") and told(somebody) == ["applied happened web"])
            path.write_text("version: 1\nowner: NOT GOOD\ntargets: 7\n")
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: told(somebody)[1:] == ["failed began config"])
            assert worker.says("config refused, the one that was read before stays in force: ")
            assert worker.says("owner: 'NOT GOOD' is not an owner")
            assert worker.says(":3: targets: must be a list"), "every error is told"
            path.write_text(CONFIG.format(ports="443/tcp, 8443/tcp", every="2h", **known))
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: worker.says("Next pass", times=2) and len(told(somebody)) == 4)
            assert worker.says("was read again, and is in force from now on")
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(timeout=30) == 0
        finally:
            worker.process.kill()
            worker.process.wait()
    assert sorted(told(somebody)[2:]) == ["applied happened web", "failed ended config"]
    assert {(rule["FromPort"]) for rule in aws.rules(group) if not rule["IsEgress"]} == {443, 8443}
    assert verify(tmp_path / "audit.jsonl").ok


def test_what_a_pass_leaves_behind_is_let_go_after_it(monkeypatch, tmp_path):
    """Else memory grows by a twentieth until Python looks for it by itself, which the commands put off."""

    class Waste:
        def __init__(self) -> None:
            self.itself = self

    left = []
    monkeypatch.setattr(worker, "command", lambda *_names, **_more: "ipsync sync")
    monkeypatch.setattr(app, "sync_once", lambda *_given, **_more: left.append(weakref.ref(Waste())))
    works = worker.Worker(config(aws_target()), tmp_path, (), watched=Watched(), stop=Event(), wrote=Event())
    gc.disable()
    try:
        works.one_pass()
    finally:
        gc.enable()
    assert left[0]() is None


def test_a_log_that_takes_over_standard_output_has_it_for_itself(aws, somebody, tmp_path):
    """Reports went on to stdout when the config was read again, so that the log there didn't verify."""
    path, group = tmp_path / "ipsync.yaml", aws.make_group("web")
    with FeedServer(["18.196.41.10"]) as feed:
        known = {"feed": feed.url, "group": group, "folder": tmp_path, "hook": somebody.url}
        text = CONFIG.format(ports="443/tcp", every="1h", **known)
        path.write_text(text)
        worker = Running(path, tmp_path)
        try:
            worker.waits_for(lambda: worker.says("Next pass"))
            before = worker.out.read_text()
            path.write_text(text.replace(f"{tmp_path}/audit.jsonl", '"-"'))
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: worker.says("Next pass", times=2))
        finally:
            worker.process.kill()
            worker.process.wait()
    kept = tmp_path / "kept.jsonl"
    kept.write_text(worker.out.read_text().removeprefix(before))
    assert verify(kept).ok
    assert "Next pass" in worker.err.read_text()


class Leads:
    """What a worker needs of an elector."""

    standing = Leadership(leads=True, lease="ipsync/ipsync-acme-leader")


def test_what_holds_until_the_next_start_is_told(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(worker, "command", lambda *_names, **_more: "ipsync sync")
    first = config(aws_target())
    changes = {"owner": "other", "digest": "1"}, {"listen": None, "digest": "2"}, {"digest": "3"}
    said = []
    for elector in (Leads(), None):
        for change in changes:
            works = worker.Worker(first, tmp_path, (), watched=Watched(), stop=Event(), wrote=Event(), elector=elector)
            monkeypatch.setattr(worker, "read", lambda *_given, change=change: replace(first, **change))
            with caplog.at_level(logging.INFO, "ipsync"):
                assert works.reload()
            said.append((("Lease" in caplog.text), "a change of `listen`" in caplog.text))
            caplog.clear()
    assert said == [(True, False), (False, True), (False, False), (False, False), (False, True), (False, False)]


HANGS_UP_EARLY = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from ipsync.cli import main, worker
from ipsync.core.errors import UsageError
def read(*_given):
    os.kill(os.getpid(), signal.SIGHUP)
    raise UsageError("went on")
worker.read = read
main()
"""


def test_a_hangup_while_it_starts_ends_nothing(tmp_path):
    """A config that is written and made known as the worker starts would end it: SIGHUP ends who doesn't expect it."""
    done = subprocess.run([sys.executable, "-c", HANGS_UP_EARLY, "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "went on\n")
