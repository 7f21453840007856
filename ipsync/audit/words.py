"""How a person reads a record, and what a write changed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ipsync.audit.record import LOG
from ipsync.core.contents import Contents, contents
from ipsync.core.events import (
    Approval,
    FeedRead,
    Intent,
    Notified,
    Outcome,
    Planned,
    Recovered,
    RunEnded,
    RunStarted,
    Verification,
    WaveReached,
    intent_of,
)
from ipsync.core.printable import printable
from ipsync.core.rollout import named
from ipsync.core.words import count, tally


def describe(record: Mapping[str, Any]) -> str:
    """Return one line for a person: when, which run, what; whatever stands in the record, it is one line."""
    words = _WORDS.get(str(record.get("event")), _plain)(record)
    log = f"{record[LOG]}  " if LOG in record else ""  # of several that are read together
    return printable(
        f"{record.get('at')}  {log}{record.get('run')}  #{record.get('seq')}  {words}{_explanation(record)}"
    )


# ── what a write changes ─────────────────────────────────────────────────────


def added(record: Mapping[str, Any]) -> Contents:
    """Return what an intent puts there."""
    return contents(record, "after").without(contents(record, "before"))


def taken(record: Mapping[str, Any]) -> Contents:
    """Return what an intent takes away."""
    return contents(record, "before").without(contents(record, "after"))


# ── words ────────────────────────────────────────────────────────────────────


def _explanation(record: Mapping[str, Any]) -> str:
    """Say of an explained intent who did it, who approved it, and what came of it."""
    if "outcomes" not in record:
        return ""
    approvals = "".join(f"; approved by {a.get('actor')} ({_approved(a)})" for a in record.get("approvals", ()))
    outcomes = ", then ".join(_result(outcome, record) for outcome in record["outcomes"])
    return f"; by {record.get('actor')}{approvals}; {outcomes or 'NO OUTCOME is recorded: the next run recovers it by reading the cloud'}"


def _approved(approval: Mapping[str, Any]) -> object:
    return approval.get("change") or approval.get("plan")


def _result(outcome: Mapping[str, Any], intent: Mapping[str, Any]) -> str:
    result = str(outcome.get("result"))
    word = result if result == "applied" else f"NOT DONE AS INTENDED: {result}"
    later = f" (found by run {outcome.get('run')})" if outcome.get("run") != intent.get("run") else ""
    return f"{word}{later}{_details(outcome)}"


def _intent(record: Mapping[str, Any]) -> str:
    changes = [*(f"+ {t}" for t in added(record).texts()), *(f"- {t}" for t in taken(record).texts())]
    return f"intent: {record.get('kind')} on {record.get('resource')} for {record.get('target')}: {', '.join(changes)}"


def _details(record: Mapping[str, Any]) -> str:
    request = f" (request {record['request_id']})" if record.get("request_id") else ""
    return request + (f": {record['error']}" if record.get("error") else "")


def _outcome(record: Mapping[str, Any]) -> str:
    return f"{record.get('event')} of #{intent_of(record)}: {record.get('result')}{_details(record)}"


def _recovered(record: Mapping[str, Any]) -> str:
    if "torn_bytes" in record:
        return f"recovered: cut off {record['torn_bytes']} bytes of a record that a crash left unfinished"
    return _outcome(record)


def _feed(record: Mapping[str, Any]) -> str:
    if record.get("rejected"):
        return f"feed {record.get('feed')} rejected: {record['rejected']}"
    return f"feed {record.get('feed')}: {_count(record.get('count'), 'address')}, {record.get('digest')}"


def _plan(record: Mapping[str, Any]) -> str:
    summary = record.get("summary", {})
    said = Counter(f"{v['guard']}: {v['verdict']}" for v in record.get("verdicts", ()))
    verdicts = "".join(f"; {text}" + (f", {n:,} times" if n > 1 else "") for text, n in said.items())
    return f"plan {record.get('id')}: {summary.get('add')} to add, {summary.get('remove')} to remove{verdicts}"


def _started(record: Mapping[str, Any]) -> str:
    plan = f" of plan {record['plan']}" if record.get("plan") else ""
    shard = f" of shard {record['shard']}" if record.get("shard") else ""
    return f"{record.get('mode')}{plan}{shard} started by {record.get('actor')}"


def _ended(record: Mapping[str, Any]) -> str:
    states = Counter[str]()
    for each in record.get("targets", ()):
        states[f"{each['target']} {each['status']}"] += int(each.get("resources", 1))
    early = " early, as it was asked to" if record.get("interrupted") else ""
    how = _without_targets(record) or ", ".join(tally(states))
    return f"{record.get('mode')} ended{early}{': ' if how else ''}{how}"


def _without_targets(record: Mapping[str, Any]) -> str:
    """Say what a run that wrote nothing ended with: a plan file that was refused, or what a check missed."""
    if record.get("refused"):
        return f"refused, {record['refused']}"
    if "missing" in record:
        missed = f", missing: {', '.join(record['missing'])}" if record["missing"] else ""
        skipped = f", {len(record['skipped'])} skipped" if record.get("skipped") else ""
        return f"{_count(record.get('passed'), 'check')} passed{skipped}{missed}"
    return ""


def _approval(record: Mapping[str, Any]) -> str:
    holds = "" if record.get("holds") else f", which let nothing go (the plan was {record.get('current')})"
    return f"approval of {record.get('plan')} by {record.get('actor')}{holds}"


def _notified(record: Mapping[str, Any]) -> str:
    said = ", ".join(dict.fromkeys(str(each.get("word")) for each in record.get("about", ())))
    failed = f", not delivered: {record['error']}" if record.get("error") else ""
    return f"notified {record.get('sink')} of {said}{failed}"


def _verification(record: Mapping[str, Any]) -> str:
    run = f" run {record['run_id']}" if record.get("run_id") else ""
    url = f" {record['url']}" if record.get("url") else ""
    failed = f"; failed: {', '.join(record['failed'])}" if record.get("failed") else ""
    detail = f"; {record['detail']}" if record.get("detail") else ""
    where = f"check {record.get('check')} of wave {record.get('wave')}"
    return f"{where}: {record.get('state')}{run}{url}{failed}{detail}"


def _wave(record: Mapping[str, Any]) -> str:
    detail = f": {record['detail']}" if record.get("detail") else ""
    return f"{named(record.get('wave') or '')} {record.get('state')}{detail}"


def _count(number: object, noun: str) -> str:
    """Write a number with its noun; whatever stands in the record."""
    return count(number, noun) if isinstance(number, int) else f"{number} {noun}"


def _plain(record: Mapping[str, Any]) -> str:
    return str(record.get("event"))


_WORDS = {
    Intent.name: _intent,
    Outcome.name: _outcome,
    Recovered.name: _recovered,
    FeedRead.name: _feed,
    Planned.name: _plan,
    Approval.name: _approval,
    Notified.name: _notified,
    RunStarted.name: _started,
    RunEnded.name: _ended,
    Verification.name: _verification,
    WaveReached.name: _wave,
}
