"""Every event is a class: what a record writes, and that its name stands in core/events.py alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import ipsync
from ipsync.core import events, signals
from ipsync.core.events import Intent, Outcome, Recovered, RunEnded

ROOT = Path(ipsync.__file__).parent
ORDINARY = {"feed", "plan", "wave"}
"""Names of events that are other words too: a key of the config, a command. They are looked for where events are."""


def test_a_field_without_a_value_is_not_written():
    outcome = Outcome(intent=3, resource="r", result="applied", request_id="")
    assert outcome.fields() == {"intent": 3, "resource": "r", "result": "applied", "request_id": ""}
    assert RunEnded(mode="check", passed=0, missing=()).fields() == {
        "mode": "check",
        "targets": [],
        "passed": 0,
        "missing": [],
    }


def test_records_are_told_by_their_names():
    assert Intent.names({"event": "intent"})
    assert not Intent.names({"event": "outcome"})
    assert not Intent.names({})
    assert events.intent_of({"intent": 7}) == 7
    assert events.intent_of({}) == 0
    assert {"intent", "outcome", "recovered", "verification", "rolled-back"} <= set(events.NAMES)
    assert len(events.NAMES) == len(set(events.NAMES))


@pytest.mark.parametrize("event", [*events.RECORDS, *signals.Signal.__subclasses__()])
def test_events_are_frozen_and_say_what_they_are(event):
    assert event.__doc__
    assert event.__dataclass_params__.frozen
    with pytest.raises((FrozenInstanceError, TypeError)):
        Recovered(intent=1, resource="r", result="applied", now=()).intent = 2


def test_every_record_is_listed():
    made = [made for made in vars(events).values() if isinstance(made, type) and issubclass(made, events.Record)]
    assert set(events.RECORDS) == set(made) - {events.Record}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_event_is_named_by_a_literal_elsewhere(path):
    if path == Path(events.__file__):
        return
    tree = ast.parse(path.read_text())
    assert [f"line {node.lineno}: {node.value!r}" for node in _named(tree)] == []


def _named(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield each text that is an event's name; one that is an ordinary word only where an event is asked for."""
    near = {id(c) for node in ast.walk(tree) if _asks(node) for c in ast.walk(node)}
    names = set(events.NAMES) - set(events.RESERVED)
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in names)
    yield from (node for node in found if node.value not in ORDINARY or id(node) in near)


def _asks(node: ast.AST) -> bool:
    """Tell whether a comparison or a call speaks of events: `record["event"] == …`, `log.events(…)`."""
    if isinstance(node, ast.Compare):
        return any(isinstance(c, ast.Constant) and c.value == "event" for c in ast.walk(node))
    called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    return called in {"events", "record", "emit"}
