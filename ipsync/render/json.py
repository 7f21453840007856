"""The plan as JSON: the contract's section 3, which scripts rely on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from textwrap import indent

from ipsync.core.addresses import canonical
from ipsync.core.marks import format_time
from ipsync.core.model import Entry, Leaving
from ipsync.core.plan import FeedResult, Orphan, TargetChange
from ipsync.core.printable import json_text
from ipsync.core.report import Report, summarize
from ipsync.render import waves
from ipsync.render.text import headline


def document(report: Report) -> dict[str, object]:
    """Return the plan (or, after a sync, what became of it) as plain JSON values."""
    plan = report.plan
    return {**_head(report), "targets": [_element(e) for e in plan.target_changes], **_tail(report)}


def _head(report: Report) -> dict[str, object]:
    plan = report.plan
    return {
        "version": 1,
        "id": plan.id,
        "run": report.run,
        "mode": report.mode,
        "owner": plan.owner,
        "created_at": format_time(report.created_at),
        **_share(report),
        "feeds": [_feed(f) for f in plan.feeds],
    }


def _share(report: Report) -> dict[str, object]:
    share = report.share
    if share is None:
        return {}
    shard = share.shard
    return {"shard": {"index": shard.index, "count": shard.count, "scopes": share.scopes, "of": share.of}}


def _tail(report: Report) -> dict[str, object]:
    plan = report.plan
    ordered = {"waves": waves.as_json(report)} if report.waves else {}
    return {
        **ordered,
        "orphaned": [_orphan(o) for o in plan.orphaned],
        "summary": dataclasses.asdict(summarize(plan.target_changes)),
    }


def json_pieces(report: Report) -> Iterator[str]:
    """Yield the document with an indent of two, an element of `targets` at a time, ending in a newline."""
    yield json_text(_head(report), indent=2).removesuffix("\n}") + ',\n  "targets": ['
    between = "\n"
    for target_change in report.plan.target_changes:
        yield between + indent(json_text(_element(target_change), indent=2), "    ")
        between = ",\n"
    yield "],\n" if between == "\n" else "\n  ],\n"
    yield json_text({**_tail(report), **_extra(report)}, indent=2).removeprefix("{\n") + "\n"


def render_line(report: Report, *, at: datetime, code: int, approve: str, next_at: datetime | None) -> str:
    """Render the document as one line of a log, for collectors: with a time, a level and a message as logs have them.

    A feed's addresses are left out (collectors cut long lines): `count` says how many they are. `code` is the exit
    code, `approve` the command that lets through what is held, `next_at` when the worker's next pass comes.
    """
    levels = {0: "info", 2: "info", 3: "warning"}
    head = {"at": format_time(at), "level": levels.get(code, "error"), "logger": "ipsync", "message": headline(report)}
    held = {"approve": approve} if approve else {}
    later = {"next_at": format_time(next_at)} if next_at else {}
    feeds = [{**_feed(f), "count": len(f.snapshot.networks) if f.snapshot else None} for f in report.plan.feeds]
    for feed in feeds:
        del feed["addresses"]
    return json_text({**head, "exit_code": code, **held, **later, **document(report), **_extra(report), "feeds": feeds})


def _extra(report: Report) -> dict[str, object]:
    checkpoint = {"checkpoint": report.checkpoint} if report.checkpoint else {}
    return checkpoint | ({"notices": list(report.notices)} if report.notices else {})


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


def _element(target_change: TargetChange) -> dict[str, object]:
    return {
        "target": target_change.target,
        "kind": target_change.kind,
        "resource": target_change.resource,
        "status": target_change.status.value,
        "add": [_entry(e) for e in target_change.add],
        "remove": [_entry(e) for e in target_change.remove],
        "leaving": [_leaving(x) for x in target_change.leaving],
        "starts_leaving": [_entry(e) for e in target_change.starts_leaving],
        "returns": [_entry(e) for e in target_change.returns],
        "satisfied_by_others": [_entry(e) for e in target_change.satisfied],
        "settings": [
            {"rule": rule, "setting": key, "from": old, "to": new} for rule, key, old, new in target_change.settings
        ],
        "deletes": list(target_change.deletes),
        "marks": list(target_change.marks),
        "waiting": [
            {"id": h.id, "action": h.action, "verdict": h.verdict.value, "entries": [_entry(e) for e in h.entries]}
            for h in target_change.waiting
        ],
        "sources": [{**_entry(e), "from": why} for e, why in target_change.sources],
        "violations": [
            {"guard": v.guard, "verdict": v.verdict.value, "detail": v.detail, "change": v.change or None}
            for v in target_change.violations
        ],
        "error": target_change.error,
        "wave": target_change.wave or None,
    }


def _entry(entry: Entry) -> dict[str, object]:
    return {"cidr": canonical(entry.network), "ports": str(entry.service) if entry.service else None}


def _leaving(leaving: Leaving) -> dict[str, object]:
    return {**_entry(leaving.entry), "until": format_time(leaving.until) if leaving.until else None}


def _orphan(orphan: Orphan) -> dict[str, object]:
    return {"resource": orphan.resource, **_entry(orphan.entry), "target": orphan.target}
