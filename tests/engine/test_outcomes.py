"""What became of a write, as it is told: of an intent that an earlier run left open, and of what took two tries."""

from __future__ import annotations

import pytest
from factory import RULE, networks

from ipsync.core.contents import Contents, OwnedEntry
from ipsync.core.model import Entry, ManagedList, Operation, State, Status
from ipsync.core.plan import Plan, TargetChange
from ipsync.engine.outcomes import Result, second_try
from ipsync.engine.recover import compared, held_now
from ipsync.targets.gcp.rules import TRAITS

OLD, NEW, OTHER = (
    OwnedEntry(cidr, None, "acme", ("edge",), "qatech") for cidr in ("8.8.0.1/32", "8.8.0.2/32", "8.8.0.3/32")
)

NOTE = (("description", "ipsync owner=acme target=edge feed=qatech"),)


def line(entry):
    return {"cidr": entry.cidr, "owner": entry.owner, "target": list(entry.targets), "origin": entry.origin}


@pytest.mark.parametrize(
    ("there", "result"), [((OLD, NEW), "applied"), ((OLD,), "failed"), ((), "partial"), ((OLD, OTHER), "partial")]
)
def test_what_is_there_tells_what_became_of_an_open_intent(there, result):
    intent = {"before": [line(OLD)], "after": [line(OLD), line(NEW)]}
    assert compared(Contents(there), intent) == result


def operation(kind: str, name: str, was: tuple[str, ...], after: tuple[str, ...]) -> Operation:
    made, had = (ManagedList(name, networks(*texts), (), ()) for texts in (after or was, was))
    return Operation(kind, f"gcp/acme/{name}", Contents(), Contents(), managed=made, was=had if was else None)  # type: ignore[arg-type]


def change(status: Status, **more: object) -> TargetChange:
    return TargetChange("edge", "gcp-firewall", RULE, status, **more)  # type: ignore[arg-type]


def plan(*changes: TargetChange) -> Plan:
    return Plan("acme", (), changes, ())


FIRST = change(
    Status.PARTIAL,
    add=tuple(map(Entry, networks("8.8.0.2", "8.8.0.9"))),
    remove=tuple(map(Entry, networks("8.8.0.1", "8.8.0.8"))),
    settings=(("allow-qatech", "ports", "22/tcp", "443/tcp"), ("allow-qatech-2", "ports", "22/tcp", "443/tcp")),
    deletes=("allow-qatech-3", "allow-qatech-4"),
)
DONE = (
    operation("replace", "allow-qatech", ("8.8.0.1",), ("8.8.0.2",)),
    operation("delete", "allow-qatech-3", ("8.8.0.7",), ()),
)
STALE = [Result(RULE, Status.PARTIAL, "it changed", stale=True, done=DONE)]


def test_what_the_first_try_did_stands_beside_what_the_second_did():
    second = change(
        Status.APPLIED,
        add=(Entry(networks("8.8.0.0/28")[0]),),
        settings=(("allow-qatech-2", "priority", "1000", "900"),),
        deletes=("allow-qatech-5",),
    )
    (told,) = second_try(plan(FIRST), plan(second), STALE).target_changes
    assert [str(e.network) for e in told.add] == ["8.8.0.0/28", "8.8.0.2/32"]
    assert [str(e.network) for e in told.remove] == ["8.8.0.1/32"]
    assert told.settings == (FIRST.settings[0], *second.settings)
    assert told.deletes == ("allow-qatech-3", "allow-qatech-5")


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (Status.IN_SYNC, Status.APPLIED),
        (Status.ERROR, Status.PARTIAL),
        (Status.BLOCKED, Status.PARTIAL),
        (Status.UNKNOWN, Status.UNKNOWN),
    ],
)
def test_a_second_try_that_ends_badly_leaves_it_half_done(ended, status):
    (told,) = second_try(plan(FIRST), plan(change(ended)), STALE).target_changes
    assert told.status is status


def test_where_the_first_try_did_nothing_the_second_speaks_alone():
    first = change(Status.ERROR, add=FIRST.add)
    (told,) = second_try(plan(first), plan(change(Status.IN_SYNC)), STALE).target_changes
    assert told == change(Status.IN_SYNC)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ((), "it changed since it was read, and then: no target names it any more"),
        ((TargetChange("edge", "gcp-firewall", "gcp/acme", Status.ERROR, error="no answer"),), "then: no answer"),
    ],
)
def test_what_is_missing_after_the_second_reading_says_why(second, why):
    first = change(Status.ERROR, held=3)
    told, *_ = second_try(plan(first), plan(*second), STALE).target_changes
    assert told.status is Status.ERROR
    assert told.error.endswith(why)
    assert (told.target, told.kind, told.resource, told.held) == ("edge", "gcp-firewall", RULE, 3)


def test_what_was_not_stale_stays_as_the_first_try_told_it():
    assert second_try(plan(FIRST), plan(), []).target_changes == (FIRST,)


@pytest.mark.parametrize("turned", [False, True])
def test_a_rule_named_like_another_s_overflow_is_read_as_itself(turned):
    """`allow-qatech-2` may be a rule of its own, or what `allow-qatech` overflows into: its own state speaks."""
    own, like = f"{RULE}-2", ManagedList("allow-qatech-2", networks("8.8.0.1"), NOTE, ())
    states = [
        State("gcp-firewall", RULE, ("edge",), traits=TRAITS),
        State("gcp-firewall", own, ("cdn",), traits=TRAITS, managed_lists=(like,)),
    ]
    now = held_now(own, states[::-1] if turned else states, "acme")
    assert now == Contents((OwnedEntry("8.8.0.1/32", None, "acme", ("edge",), "qatech"),))
    assert held_now("gcp/acme/elsewhere", states, "acme") is None
