"""Reading the log: which records, and how a person reads one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ipsync.errors import UsageError
from ipsync.journal.files import all_files
from ipsync.journal.record import Record


def show(  # noqa: PLR0913 - filters, by name
    path: Path,
    *,
    run: str | None = None,
    target: str | None = None,
    address: str | None = None,
    since: str | None = None,
    until: str | None = None,
    event: str | None = None,
) -> Iterator[Record]:
    """Yield the records that fit every filter. Times are as in the log, or any beginning of one (a date)."""
    wanted = _network(address) if address else None
    for record in _records(path):
        at = str(record.get("at", ""))
        if (run and record.get("run") != run) or (event and record.get("event") != event):
            continue
        if (since and at < since) or (until and at[: len(until)] > until):
            continue
        if (target and not _names(record, target)) or (wanted and not _holds(record, wanted)):
            continue
        yield record


def describe(record: Mapping[str, Any]) -> str:
    """Return one line for a person: when, which run, what."""
    words = _WORDS.get(str(record.get("event")), _plain)(record)
    return f"{record.get('at')}  {record.get('run')}  #{record.get('seq')}  {words}"


def _records(path: Path) -> Iterator[Record]:
    for file in all_files(path):
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield dict(json.loads(line))
                except ValueError:
                    continue  # a torn or damaged line: `audit verify` names it


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"--address {text}: not an address or a network") from None


def _names(record: Mapping[str, Any], target: str) -> bool:
    listed = record.get("targets") or record.get("verdicts") or ()
    return record.get("target") == target or any(item.get("target") == target for item in listed)


def _holds(record: Mapping[str, Any], wanted: Any) -> bool:
    if record.get("event") == "intent":
        texts = set(record.get("before", ())) ^ set(record.get("after", ()))
    else:
        texts = set(record.get("now", ()))
    return any(_inside(text.split(" ")[0], wanted) for text in texts)


def _inside(text: str, wanted: Any) -> bool:
    try:
        held = ip_network(text)
    except ValueError:
        return False
    return held.version == wanted.version and (wanted.subnet_of(held) or held.subnet_of(wanted))


# ── words ────────────────────────────────────────────────────────────────────


def _intent(record: Mapping[str, Any]) -> str:
    before, after = record.get("before", ()), record.get("after", ())
    changes = [f"+ {t}" for t in after if t not in before] + [f"- {t}" for t in before if t not in after]
    return f"intent: {record.get('kind')} on {record.get('resource')} for {record.get('target')}: {', '.join(changes)}"


def _outcome(record: Mapping[str, Any]) -> str:
    error = f": {record['error']}" if record.get("error") else ""
    request = f" (request {record['request_id']})" if record.get("request_id") else ""
    return f"{record.get('event')} of #{record.get('intent')}: {record.get('result')}{request}{error}"


def _recovered(record: Mapping[str, Any]) -> str:
    if "torn_bytes" in record:
        return f"recovered: cut off {record['torn_bytes']} bytes of a record that a crash left unfinished"
    return _outcome(record)


def _feed(record: Mapping[str, Any]) -> str:
    if record.get("rejected"):
        return f"feed {record.get('feed')} rejected: {record['rejected']}"
    return f"feed {record.get('feed')}: {record.get('count')} addresses, {record.get('digest')}"


def _plan(record: Mapping[str, Any]) -> str:
    summary = record.get("summary", {})
    verdicts = "".join(f"; {v['guard']}: {v['verdict']}" for v in record.get("verdicts", ()))
    return f"plan {record.get('id')}: {summary.get('add')} to add, {summary.get('remove')} to remove{verdicts}"


def _started(record: Mapping[str, Any]) -> str:
    plan = f" of plan {record['plan']}" if record.get("plan") else ""
    return f"{record.get('mode')}{plan} started by {record.get('actor')}"


def _ended(record: Mapping[str, Any]) -> str:
    states = ", ".join(f"{t['target']} {t['status']}" for t in record.get("targets", ()))
    early = " early, by a signal" if record.get("interrupted") else ""
    how = _without_targets(record) or states
    return f"{record.get('mode')} ended{early}{': ' if how else ''}{how}"


def _without_targets(record: Mapping[str, Any]) -> str:
    """Say what a run that wrote nothing ended with: a plan file that was refused, or what a check missed."""
    if record.get("refused"):
        return f"refused, {record['refused']}"
    if "missing" in record:
        missed = f", missing: {', '.join(record['missing'])}" if record["missing"] else ""
        return f"{record.get('passed')} checks passed{missed}"
    return ""


def _approval(record: Mapping[str, Any]) -> str:
    holds = "" if record.get("holds") else f", which is not the plan {record.get('current')}"
    return f"approval of {record.get('plan')} by {record.get('actor')}{holds}"


def _plain(record: Mapping[str, Any]) -> str:
    return str(record.get("event"))


_WORDS = {
    "intent": _intent,
    "outcome": _outcome,
    "recovered": _recovered,
    "feed": _feed,
    "plan": _plan,
    "approval": _approval,
    "run-started": _started,
    "run-ended": _ended,
}
