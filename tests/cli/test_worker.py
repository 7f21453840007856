"""`ipsync run` from pass to pass: SIGHUP reads the config again, a broken one is refused, and people are told."""

from __future__ import annotations

import gc
import signal
import weakref
from threading import Event

import pytest
from factory import aws_target, config
from receiver import receiver
from worker_desk import CONFIG, Running, told

from ipsync import app
from ipsync.audit import verify
from ipsync.cli import worker
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
            assert worker.says("config refused, the one of before stays: ")
            assert worker.says("owner: 'NOT GOOD' is not an owner")
            assert worker.says(":3: targets: must be a list"), "every error is told"
            path.write_text(CONFIG.format(ports="443/tcp, 8443/tcp", every="2h", **known))
            worker.process.send_signal(signal.SIGHUP)
            worker.waits_for(lambda: worker.says("Next pass", times=2) and len(told(somebody)) == 4)
            assert worker.says("was read again, and holds from now on")
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
