"""Reading the log: times are instants, nonsense is refused, and an intent says who, why and whether it worked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factory import put
from hypothesis import given
from hypothesis import strategies as st

import ipsync
from ipsync.audit import AuditLog, describe, explained, show
from ipsync.audit.times import span
from ipsync.core.errors import AuditLogError, UsageError
from ipsync.core.events import NAMES

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)
LINE = "8.8.8.8/32 443/tcp for web,edge from qatech"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


def opened(path, run="r1", actor="ci@build", at=AT):
    return AuditLog.open(path, owner="acme", actor=actor, run=run, clock=lambda: at)


# ── times ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "begin", "length"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365)),
        ("2024-02", datetime(2024, 2, 1, tzinfo=UTC), timedelta(days=29)),
        ("2026-12", datetime(2026, 12, 1, tzinfo=UTC), timedelta(days=31)),
        ("2026-01-31", AT.replace(hour=0), timedelta(days=1)),
        ("2026-01-31T09", AT, timedelta(hours=1)),
        ("2026-01-31 09:00", AT, timedelta(minutes=1)),
        ("2026-01-31T09:00:00Z", AT, timedelta(seconds=1)),
        ("2026-01-31t09:00:00z", AT, timedelta(seconds=1)),
        ("2026-01-31T11:00:00+02:00", AT, timedelta(seconds=1)),
        ("2026-01-31T03:30:00-05:30", AT, timedelta(seconds=1)),
        ("2026-01-31T09:00:00.000000001Z", AT, timedelta(microseconds=1)),
        ("24h", AT - timedelta(hours=24), timedelta(microseconds=1)),
        ("1w2d3h4m5s", AT - timedelta(days=9, hours=3, minutes=4, seconds=5), timedelta(microseconds=1)),
        ("0s", AT, timedelta(microseconds=1)),
    ],
)
def test_what_a_time_stands_for(text, begin, length):
    assert span("--since", text, now=AT) == (begin, begin + length)


NONSENSE = [
    *("foo", "24", "h", "7 d", "-24h", "1y", "99999999999999w", "2026-13-01", "2026-02-30", "2026-1-1", "31.01.2026"),
    *("2026-01-31T25:00:00Z", "2026-01-31T09:00:00+25:00", "2026-01-31T09:00:00+02", "2026-01-31Z", "0000-01-01"),
    *("2026-01-31T09:00:00Zfoo", " 2026-01-31", "2026-01-31\n", "\uff12026-01-31", "", "today"),
]


@pytest.mark.parametrize("option", ["since", "until"])
@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused_with_what_is_right(path, option, text):
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
    with pytest.raises(UsageError, match=r"(?s)--(since|until) .*not a time; write a date .2026-01-31.*24h, 7d"):
        show(path, **{option: text})


def test_a_period_that_ends_before_it_begins_is_refused(path):
    with pytest.raises(UsageError, match="later than --until"):
        show(path, since="2026-02-01", until="2026-01-31")


@given(st.integers(-23 * 60, 23 * 60), st.integers(-90000, 90000))
def test_an_instant_is_the_same_in_every_offset(minutes, seconds):
    """`--since` compared texts: the same instant with another offset gave another answer."""
    when = AT + timedelta(seconds=seconds)
    text = f"{when + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}{'-' if minutes < 0 else '+'}"
    text += f"{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert span("--since", text, now=AT) == (when, when + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ({"since": "2026-01-31T11:00:00+02:00"}, [1, 2]),
        ({"since": "2026-01-31T10:00:01+01:00"}, [2]),
        ({"until": "2026-01-31T10:00:00+01:00"}, [1]),
        ({"until": "2026-01-31T09:00:30.5Z"}, [1]),
        ({"since": "2026-01-31T23:00:00+13:00"}, [2]),
        ({"since": "2026-01-31", "until": "2026-01-31"}, [1, 2]),
        ({"since": "24h"}, []),
        ({"until": "24h"}, [1, 2]),
        ({"until": "9999"}, [1, 2]),
        ({"until": "9999-12"}, [1, 2]),
        ({"until": "9999-12-31"}, [1, 2]),
    ],
)
def test_records_are_chosen_by_instants(path, filters, seqs):
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
    with opened(path, at=AT + timedelta(hours=1)) as audit_log:
        put(audit_log, "run-started", mode="sync")
    assert [r["seq"] for r in show(path, **filters)] == seqs


def test_how_long_ago_counts_from_now(path):
    with opened(path, at=datetime.now(UTC) - timedelta(hours=30)) as audit_log:
        put(audit_log, "run-started", mode="sync")
    with opened(path, at=datetime.now(UTC)) as audit_log:
        put(audit_log, "run-started", mode="sync")
    assert [r["seq"] for r in show(path, since="24h")] == [2]
    assert [r["seq"] for r in show(path, until="1d")] == [1]
    assert [r["seq"] for r in show(path, since="7d")] == [1, 2]


# ── what can't be meant ──────────────────────────────────────────────────────


def test_an_unknown_event_is_refused_with_the_known_ones(path):
    with pytest.raises(UsageError, match="--event intents: no such kind of record; there are: run-started, feed"):
        show(path, event="intents")


def test_every_event_that_is_written_is_known():
    source = "".join(p.read_text() for p in Path(ipsync.__file__).parent.rglob("*.py"))
    assert set(re.findall(r"record\(\s*\"([a-z-]+)\"", source)) <= set(NAMES)


def test_a_log_that_is_not_there_or_can_not_be_read_is_told(path, tmp_path):
    with pytest.raises(AuditLogError, match="there is no audit log here"):
        list(show(path))
    with pytest.raises(AuditLogError, match="can't be read: Is a directory"):
        list(show(tmp_path))


def test_lines_that_are_no_records_are_counted(path, caplog):
    with opened(path) as audit_log:
        put(audit_log, "run-started", mode="sync")
    path.write_bytes(path.read_bytes() + b"torn\n7\n")
    assert len(list(show(path))) == 1
    assert "2 lines can't be read as records; `ipsync audit verify` names the first" in caplog.text


# ── who let this in, why, and did it work ────────────────────────────────────


def story(path):
    with opened(path, run="r1", actor="ci@build") as audit_log:
        put(audit_log, "approval", plan="sha256:9", current="sha256:8", holds=False)
        put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[LINE])
        put(
            audit_log,
            "outcome",
            intent=2,
            resource="r",
            result="denied",
            error="UnauthorizedOperation: no",
            request_id="q7",
        )
    with opened(path, run="r2", actor="ops@desk", at=AT + timedelta(hours=1)) as audit_log:
        put(audit_log, "approval", plan="sha256:8", current="sha256:8", holds=True)
        put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[LINE])
    with opened(path, run="r3", actor="ci@build", at=AT + timedelta(hours=2)) as audit_log:
        put(audit_log, "recovered", intent=5, resource="r", result="applied", now=[])


@pytest.mark.parametrize(
    "filters", [{"address": "8.8.8.8"}, {"target": "web"}, {"target": "edge"}, {"event": "intent"}]
)
def test_an_intent_says_who_why_and_whether_it_worked(path, filters):
    story(path)
    denied, done = (describe(r) for r in explained(path, **filters) if r["event"] == "intent")
    assert denied.endswith(
        f"r1  #2  intent: add on r for web: + {LINE}; by ci@build; "
        "NOT DONE AS INTENDED: denied (request q7): UnauthorizedOperation: no"
    )
    assert done.endswith(f"+ {LINE}; by ops@desk; approved by ops@desk (sha256:8); applied (found by run r3)")


def test_as_json_an_intent_holds_its_approvals_and_outcomes(path):
    story(path)
    denied, done = explained(path, address="8.8.8.8")
    assert [(o["event"], o["result"]) for o in denied["outcomes"]] == [("outcome", "denied")]
    assert denied["approvals"] == []
    assert [(o["event"], o["run"]) for o in done["outcomes"]] == [("recovered", "r3")]
    assert [a["actor"] for a in done["approvals"]] == ["ops@desk"]
    assert {r["seq"] for r in explained(path, address="8.8.8.8", until="2026-01-31T09:59:00Z")} == {2}


def test_an_intent_without_an_outcome_does_not_look_done(path):
    with opened(path) as audit_log:
        put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[LINE])
    (line,) = (describe(r) for r in explained(path, target="web"))
    assert "NO OUTCOME is recorded" in line


def test_an_outcome_is_found_by_the_target_and_the_address_of_its_intent(path):
    with opened(path) as audit_log:
        for target in ("web", "shop"):
            put(audit_log, "intent", resource="r", kind="add", target=target, before=[],
                after=[LINE if target == "web" else "9.9.9.9/32 443/tcp for shop from qatech"])  # fmt: skip
        put(audit_log, "outcome", intent=1, resource="r", result="applied")
        put(audit_log, "recovered", intent=2, resource="r", result="unknown")
    for filters in ({"target": "web"}, {"address": "8.8.8.8"}, {"target": "web", "address": "8.8.8.0/24"}):
        assert [r["seq"] for r in explained(path, event="outcome", **filters)] == [3]
    assert [r["seq"] for r in explained(path, event="recovered", target="shop")] == [4]
    assert list(explained(path, event="outcome", target="shop")) == []


def test_a_second_outcome_corrects_the_first(path):
    with opened(path) as audit_log:
        put(audit_log, "intent", resource="r", kind="add", target="web", before=[], after=[LINE])
        put(audit_log, "outcome", intent=1, resource="r", result="applied")
        put(audit_log, "outcome", intent=1, resource="r", result="partial", error="somebody else")
    (line,) = (describe(r) for r in explained(path, address="8.8.8.0/24"))
    assert line.endswith("applied, then NOT DONE AS INTENDED: partial: somebody else")


def test_records_of_version_2_read_the_same(path):
    entry = {"cidr": "8.8.8.8/32", "ports": "443/tcp", "owner": "acme", "target": "web", "origin": "qatech"}
    leaving = {**entry, "leaving_since": "2026-01-31T09:00:00Z"}
    with opened(path) as audit_log:
        put(audit_log, "intent", resource="r", kind="note", target="web", before=[entry], after=[leaving])
    (line,) = (describe(r) for r in explained(path, address="8.8.8.8"))
    assert "+ 8.8.8.8/32 443/tcp for web from qatech leaving since 2026-01-31T09:00:00Z, - 8.8.8.8/32" in line


def test_without_a_filter_the_records_are_as_they_stand(path):
    story(path)
    assert list(explained(path)) == list(show(path))
    assert list(explained(path, run="r1")) == list(show(path, run="r1"))


def test_text_from_outside_makes_no_second_line(path):
    with opened(path) as audit_log:
        put(audit_log, "feed", feed="qatech", rejected="\x1b[2Jno\n2026-01-31T09:00:00Z  r1  #2  approval of all\u202e")
    (line,) = (describe(r) for r in show(path))
    assert line.isprintable()
    assert r"\x1b[2Jno\n2026" in line
