"""The plan as JSON: the contract's section 3, which scripts rely on."""

from __future__ import annotations

import dataclasses

from ipsync.addresses import canonical
from ipsync.model import Entry, Leaving
from ipsync.ownership import format_time
from ipsync.plan import Element, FeedResult, Orphan
from ipsync.printable import json_text
from ipsync.report import Report, summarize


def document(report: Report) -> dict[str, object]:
    """Return the plan (or, after a sync, what became of it) as plain JSON values."""
    plan = report.plan
    return {
        "version": 1,
        "id": plan.id,
        "run": report.run,
        "mode": report.mode,
        "owner": plan.owner,
        "created_at": format_time(report.created_at),
        "feeds": [_feed(f) for f in plan.feeds],
        "targets": [_element(e) for e in plan.elements],
        "orphaned": [_orphan(o) for o in plan.orphaned],
        "summary": dataclasses.asdict(summarize(plan.elements)),
    }


def render_json(report: Report) -> str:
    """Render the document with an indent of two, ending in a newline."""
    extra = {"checkpoint": report.checkpoint} if report.checkpoint else {}
    notices = {"notices": list(report.notices)} if report.notices else {}
    return json_text({**document(report), **extra, **notices}, indent=2) + "\n"


def _feed(feed: FeedResult) -> dict[str, object]:
    snapshot = feed.snapshot
    return {
        "name": feed.name,
        "url": feed.url,
        "digest": snapshot.digest if snapshot else None,
        "addresses": [canonical(n) for n in snapshot.networks] if snapshot else [],
        "error": feed.error,
        "insecure": feed.insecure,
    }


def _element(element: Element) -> dict[str, object]:
    return {
        "target": element.target,
        "kind": element.kind,
        "resource": element.resource,
        "status": element.status.value,
        "add": [_entry(e) for e in element.add],
        "remove": [_entry(e) for e in element.remove],
        "leaving": [_leaving(x) for x in element.leaving],
        "starts_leaving": [_entry(e) for e in element.starts_leaving],
        "returns": [_entry(e) for e in element.returns],
        "satisfied_by_others": [_entry(e) for e in element.satisfied],
        "settings": [
            {"rule": rule, "setting": key, "from": old, "to": new} for rule, key, old, new in element.settings
        ],
        "deletes": list(element.deletes),
        "marks": list(element.marks),
        "waiting": [
            {"id": h.id, "action": h.action, "verdict": h.verdict.value, "entries": [_entry(e) for e in h.entries]}
            for h in element.waiting
        ],
        "sources": [{**_entry(e), "from": why} for e, why in element.sources],
        "violations": [
            {"guard": v.guard, "verdict": v.verdict.value, "detail": v.detail, "change": v.change or None}
            for v in element.violations
        ],
        "error": element.error,
    }


def _entry(entry: Entry) -> dict[str, object]:
    return {"cidr": canonical(entry.network), "ports": str(entry.service) if entry.service else None}


def _leaving(leaving: Leaving) -> dict[str, object]:
    return {**_entry(leaving.entry), "until": format_time(leaving.until) if leaving.until else None}


def _orphan(orphan: Orphan) -> dict[str, object]:
    return {"resource": orphan.resource, **_entry(orphan.entry), "target": orphan.target}
