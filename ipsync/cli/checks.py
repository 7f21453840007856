"""`ipsync check`: is everything there that a sync needs? Config, feeds, credentials, each permission."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click

from ipsync.app import fetch_feed, log_if_writable, selection
from ipsync.core import guards
from ipsync.core.errors import IpsyncError
from ipsync.core.model import Config, Feed, Limits, Target
from ipsync.core.printable import json_text, plain, printable
from ipsync.targets import registry
from ipsync.targets.base import Finding

log = logging.getLogger(__name__)


def run(config: Config, *, only: Iterable[str] = ()) -> list[Finding]:
    """Try everything that a sync of these targets needs, and change nothing. Never raises for what it finds."""
    names = selection(config, only)
    with log_if_writable(config) as audit_log:
        audit_log.record("run-started", mode="check")
        found = _tried(config, names)
        missing, skipped = ([f.subject for f in found if is_so(f)] for is_so in (_missing, _skipped))
        passed = len(found) - len(missing) - len(skipped)
        audit_log.record("run-ended", mode="check", targets=[], passed=passed, missing=missing, skipped=skipped)
    return found


def _tried(config: Config, names: Container[str]) -> list[Finding]:
    chosen = [t for t in config.targets if t.name in names]
    used = {f for t in chosen for f in t.feeds}
    scopes: dict[tuple[object, ...], list[Target]] = {}
    for target in chosen:
        scopes.setdefault(target.scope, []).append(target)
    with ThreadPoolExecutor() as pool:
        feeds = [pool.submit(_feed, f, chosen) for f in config.feeds if f.name in used]
        clouds = [pool.submit(_scope, targets, config.owner) for targets in scopes.values()]
        found = [finding for job in (*feeds, *clouds) for finding in job.result()]
    count = f"{len(config.targets)} targets, {len(config.feeds)} feeds"
    return [Finding("config", ok=True, detail=count), *found]


def _feed(feed: Feed, targets: Sequence[Target]) -> list[Finding]:
    subject = f"feed {feed.name}"
    try:
        snapshot = fetch_feed(feed)
    except IpsyncError as error:
        return [Finding(subject, ok=False, detail=str(error), remedy="mend the feed or its entry in the config")]
    except Exception as error:  # noqa: BLE001 - whatever one check raises is that check's row
        return [_fault(subject, error)]
    limits = [dict(t.limits).get(feed.name, Limits()) for t in targets if feed.name in t.feeds]
    violations = {v for limit in limits for v in guards.check_snapshot(snapshot, limit)}
    if violations:
        return [Finding(subject, ok=False, detail=v.detail, remedy=f"guard {v.guard} refuses it") for v in violations]
    return [Finding(subject, ok=True, detail=f"{len(snapshot.networks)} addresses from {feed.url}")]


def _scope(targets: Sequence[Target], owner: str) -> list[Finding]:
    subject = f"targets {', '.join(t.name for t in targets)}"
    try:
        return registry.open_reader(targets[0]).check(targets, owner=owner)
    except IpsyncError as error:
        return [Finding(subject, ok=False, detail=str(error))]
    except Exception as error:  # noqa: BLE001 - as above
        return [_fault(subject, error)]


def _fault(subject: str, error: Exception) -> Finding:
    log.debug("checking %s: a fault in ipsync", subject, exc_info=error)
    return Finding(
        subject, ok=False, detail=f"a fault in ipsync: {error!r}", remedy="`ipsync check -v` says where; report it"
    )


def _missing(finding: Finding) -> bool:
    return not finding.ok


def _skipped(finding: Finding) -> bool:
    return finding.ok and finding.skipped


def render(findings: Sequence[Finding], *, output: str, colour: bool) -> str:
    """Render the findings as text or JSON, ending in a newline."""
    if output == "json":
        return json_text([dataclasses.asdict(f) for f in findings], indent=2) + "\n"
    return "\n".join(_lines([_shown(f) for f in findings], colour)) + "\n"


def _lines(findings: Sequence[Finding], colour: bool) -> Iterator[str]:  # noqa: FBT001 - one switch, passed on
    for finding in findings:
        word, ink = (
            ("MISSING", "red") if _missing(finding) else ("skipped", "yellow") if _skipped(finding) else ("ok", "green")
        )
        yield f"{click.style(f'{word:<7}', fg=ink) if colour else f'{word:<7}'}  {_said(finding)}"
        if not finding.ok and finding.remedy:
            yield from (f"         {line}" for line in finding.remedy.split("\n"))
    bad, skipped = (sum(map(is_so, findings)) for is_so in (_missing, _skipped))
    rest = (f", {skipped} skipped" if skipped else "") + (f", {bad} to mend" if bad else "")
    yield f"{len(findings) - bad - skipped} of {len(findings)} checks passed{rest}"


def _shown(finding: Finding) -> Finding:
    """Return the finding as people may read it; a remedy's lines are ours, whatever stands in them."""
    remedy = "\n".join(map(printable, finding.remedy.split("\n")))
    return dataclasses.replace(plain(finding), remedy=remedy)


def _said(finding: Finding) -> str:
    return f"{finding.subject}: {finding.detail}" if finding.detail else finding.subject
