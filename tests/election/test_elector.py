"""Who leads: one at a time, whatever clocks and answers do; and what a replica says of it."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest

from ipsync.election import elector as module
from ipsync.election.elector import Elector
from ipsync.election.lease import Conflict, Lease, LeaseError, Timing

NAME = "ipsync/ipsync-acme-leader"


class Memory:
    """A Lease in memory. `faults` yields what is wrong with each call: nothing, `no` or `lost`."""

    name = NAME

    def __init__(self, faults=lambda: "") -> None:
        self.lease: Lease | None = None
        self.faults = faults
        self.closed = 0
        self._version = 0

    def read(self):
        self._fail(self.faults(), "no", "lost")
        return self.lease

    def create(self, lease):
        if self.lease is not None:
            raise Conflict
        return self._keep(lease)

    def replace(self, lease):
        if self.lease is None or lease.version != self.lease.version:
            raise Conflict
        return self._keep(lease)

    def close(self):
        self.closed += 1

    def _keep(self, lease):
        fault = self.faults()
        self._fail(fault, "no")
        self._version += 1
        self.lease = replace(lease, version=str(self._version))
        self._fail(fault, "lost")
        return self.lease

    def _fail(self, fault, *which):
        if fault in which:
            raise LeaseError("Kubernetes gives no answer")


class World:
    """Electors whose clocks go at one pace and show different times. No thread of theirs runs but those of terms."""

    def __init__(self, number=2, faults=lambda: "") -> None:
        self.now, self.store = 0.0, Memory(faults)
        self.stop = threading.Event()
        self.electors = [
            Elector(self.store, identity=name, stop=self.stop, clock=lambda ahead=ahead: self.now + ahead)
            for name, ahead in zip("abcd"[:number], [0, 10_000, -500, 77], strict=False)
        ]

    def leaders(self):
        return [e.identity for e in self.electors if e.standing.leads]

    def turn(self, *names):
        return [e.turn() for e in self.electors if e.identity in names]

    def passes(self, seconds, *names):
        """Let time pass, and these ask every two seconds."""
        for _ in range(round(seconds / 2)):
            self.now += 2
            self.turn(*names)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(module, "Thread", NoThread)
    return World()


class NoThread:
    """A thread that isn't begun: terms end by the clock alone."""

    def __init__(self, **_more) -> None:
        self.is_alive = self.start = lambda: False

    def join(self, _seconds) -> None:
        """Wait for nothing."""


def test_the_first_leads_and_the_other_waits_for_it(world):
    world.turn("a", "b")
    assert world.leaders() == ["a"]
    standing = world.electors[1].standing
    assert (standing.holder, standing.lease, standing.trouble) == ("a", NAME, "")
    world.passes(100, "a", "b")
    assert world.leaders() == ["a"]
    assert world.store.lease.transitions == 0


def test_who_dies_is_followed_after_the_leases_duration_and_not_before(world):
    world.passes(20, "a", "b")
    world.passes(14, "b")
    assert world.leaders() == [], "the term is over before anybody else begins"
    world.passes(2, "b")
    assert world.leaders() == ["b"]
    assert world.store.lease.transitions == 1
    world.turn("a")
    assert world.electors[0].standing.holder == "b"


def test_a_clock_that_is_wrong_by_hours_takes_nothing_over(world):
    """The times in the Lease are another machine's; only their changing counts."""
    world.turn("a")
    world.store.lease = replace(world.store.lease, renewed_at=world.store.lease.renewed_at.replace(year=1999))
    world.turn("b")
    assert world.leaders() == ["a"]
    world.store.lease = replace(world.store.lease, renewed_at=world.store.lease.renewed_at.replace(year=2999))
    world.passes(18, "b")
    assert world.leaders() == ["b"]


def test_the_holders_own_duration_counts(world):
    world.store.lease = Lease("z", 60)
    world.passes(60, "a")
    assert world.leaders() == []
    world.passes(4, "a")
    assert world.leaders() == ["a"]


def test_a_leader_that_cannot_renew_ends_its_term_in_time(world, caplog):
    world.turn("a")
    world.store.faults = lambda: "no"
    world.passes(8, "a")
    assert world.leaders() == ["a"]
    assert "couldn't be renewed, and is asked for again: Kubernetes gives no answer" in caplog.text
    world.passes(2, "a")
    assert world.leaders() == []
    assert world.electors[0].standing.trouble == "Kubernetes gives no answer"
    assert world.electors[0].term.why == "the Lease couldn't be renewed in time"


def test_a_term_that_was_over_never_goes_on(world):
    world.turn("a")
    before = world.electors[0].term
    world.now += 11
    assert before.is_set()
    world.turn("a")
    assert world.leaders() == ["a"]
    assert before.is_set()


def test_a_lost_reply_is_found_by_reading(world):
    world.store.faults = iter(["", "lost", "", ""]).__next__
    world.turn("a")
    assert world.leaders() == [], "it can't know"
    world.store.faults = lambda: ""
    world.passes(2, "a", "b")
    assert world.leaders() == ["a"]
    assert world.store.lease.transitions == 0


def test_who_was_taken_over_notices_and_writes_nothing(world):
    world.turn("a", "b")
    world.store.lease = Lease("b", 15, version="99")
    world.turn("a")
    assert world.leaders() == []
    assert world.store.lease.holder == "b"
    term = world.electors[0].term
    assert (term.why, term.ended_by) == (
        f"b holds the Lease {NAME}",
        f"the loss of the Lease (b holds the Lease {NAME})",
    )


def test_a_lease_that_was_deleted_is_made_again(world):
    world.turn("a")
    world.store.lease = None
    world.passes(2, "a", "b")
    assert world.leaders() == ["a"]


def test_it_is_asked_for_less_and_less_often_while_it_cannot_be_had(world, caplog):
    world.store.faults = lambda: "no"
    waits = [world.turn("a")[0] for _ in range(8)]
    assert waits[:1] < [2.1]
    assert all(
        longest * 0.8 <= wait <= longest for wait, longest in zip(waits, [2, 4, 8, 16, 30, 30, 30, 30], strict=True)
    )
    assert (
        "no pass begins, since the Lease can't be acquired; asked again in 30 s: Kubernetes" in caplog.text
        or waits[-1] < 30
    )
    world.store.faults = lambda: ""
    assert world.turn("a") == [2]


def test_a_fault_of_our_own_ends_nothing(world, caplog):
    world.store.faults = lambda: 1 / 0
    world.turn("a")
    assert "a fault in ipsync" in world.electors[0].standing.trouble
    world.store.faults = lambda: ""
    world.turn("a")
    assert world.leaders() == ["a"]


def test_given_back_it_is_anothers_at_once(world):
    world.turn("a", "b")
    world.electors[0].close()
    assert (world.store.lease.holder, world.store.lease.seconds, world.store.closed) == ("", 1, 1)
    world.turn("b")
    assert world.leaders() == ["b"]
    world.electors[0].close()
    assert world.store.lease.holder == "b", "who doesn't hold it gives nothing back"


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_lost_two_never_lead_at_once(monkeypatch, seed):
    """Each takes its turns when chance lets it, long pauses included; answers and requests get lost."""
    monkeypatch.setattr(module, "Thread", NoThread)
    chance = random.Random(seed)
    bad = chance.choice([0.0, 0.1, 0.5, 0.9])
    world = World(3, lambda: chance.choice(["no", "lost"]) if chance.random() < bad else "")
    led = set()
    for _ in range(400):
        world.now += (
            chance.choice([0.1, 0.5, 1, 1, 2, 2, 4, 9, 14.9, 15.1]) if chance.random() < 0.2 else chance.random()
        )
        world.turn(chance.choice("abc"))
        assert len(world.leaders()) <= 1
        led |= set(world.leaders())
    assert bad > 0.5 or len(led) > 1, "chance never let anybody follow, so nothing was tried"


# ── with its threads ─────────────────────────────────────────────────────────

QUICK = Timing(0.6, 0.4, 0.05)


def until(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_call_that_hangs_ends_the_term_all_the_same(caplog):
    store, hang = Memory(), threading.Event()
    elector = Elector(store, identity="a", stop=threading.Event(), timing=QUICK)
    elector.start()
    until(lambda: elector.standing.leads)
    store.faults = lambda: hang.wait(30) and ""
    assert elector.term.wait(20), "whoever waits for its end is woken"
    hang.set()
    until(lambda: "no longer leads: the Lease couldn't be renewed in time" in caplog.text)
    until(lambda: elector.standing.leads)
    elector.close()
    assert store.lease.holder == ""


def test_a_signal_ends_the_term_and_keeps_the_lease_until_the_pass_is_over():
    store, stop = Memory(), threading.Event()
    elector = Elector(store, identity="a", stop=stop, timing=QUICK)
    elector.start()
    until(lambda: elector.standing.leads)
    stop.set()
    assert elector.term.wait(20)
    assert (elector.term.why, elector.term.ended_by) == ("a signal", "a signal")
    before = store.lease.version
    until(lambda: store.lease.version != before)
    assert store.lease.holder == "a", "a write may be in flight"
    elector.close()
    assert store.lease.holder == ""
