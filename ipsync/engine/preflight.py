"""`ipsync check`: is everything there that a sync needs? Config, feeds, credentials, each permission, who proves waves.

Writes nothing, and starts nothing at a vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from ipsync.core import guards
from ipsync.core.configured import Feed, Limits, Target
from ipsync.core.errors import IpsyncError
from ipsync.core.events import RunEnded, RunStarted
from ipsync.core.rollout import Check
from ipsync.core.words import count
from ipsync.engine.expand import expand, opened
from ipsync.engine.run import Run, pool, scopes
from ipsync.targets.base import Finding
from ipsync.targets.findings import subjects

log = logging.getLogger(__name__)


def check(run: Run) -> list[Finding]:
    """Try everything that a sync of these targets needs, and change nothing. Never raises for what it finds."""
    run.emit(RunStarted(mode="check"))
    found = _findings(run)
    run.emit(
        RunEnded(
            mode="check",
            passed=sum(f.passed for f in found),
            missing=subjects(f for f in found if not f.ok),
            skipped=subjects(f for f in found if f.ok and f.skipped),
        )
    )
    return found


def _findings(run: Run) -> list[Finding]:
    sizes = f"{count(len(run.config.targets), 'target')}, {count(len(run.config.feeds), 'feed')}"
    run, told = expand(run)
    listed = [Finding("places", ok=True, detail=text) for text in told]
    listed += [Finding("shard", ok=True, detail=str(run.share))] if run.share else []
    targets = [t for t in run.config.targets if t.name in run.selected]
    asking = [*targets, *(t for t in run.config.elsewhere if t.name in run.selected)]
    used = run.config.feeds_of(run.selected)
    with pool() as threads:
        feeds = [threads.submit(_check_feed, run, f, asking) for f in run.config.feeds if f.name in used]
        shared = scopes(targets, {t.scope for t in targets}).values()
        clouds = [threads.submit(_check_scope, run, of_scope) for of_scope in shared]
        proofs = [threads.submit(_check_proof, run, check) for check in run.config.checks]
        found = [finding for job in (*feeds, *clouds, *proofs) for finding in job.result()]
    return [Finding("config", ok=True, detail=sizes), *listed, *found]


def _check_feed(run: Run, feed: Feed, targets: Sequence[Target]) -> list[Finding]:
    subject = f"feed {feed.name}"
    try:
        snapshot = run.clouds.fetch(feed)
    except IpsyncError as error:
        return [Finding(subject, ok=False, detail=str(error), remedy="fix the feed or its entry in the config")]
    except Exception as error:  # noqa: BLE001 - whatever one check raises is that check's row
        return [_fault(subject, error)]
    limits = {dict(t.limits).get(feed.name, Limits()) for t in targets if feed.name in t.feeds}
    violations = {v for limit in limits for v in guards.check_snapshot(snapshot, limit)}
    if violations:
        return [Finding(subject, ok=False, detail=v.detail, remedy=f"guard {v.guard} refuses it") for v in violations]
    return [Finding(subject, ok=True, detail=f"{count(len(snapshot.networks), 'address')} from {feed.url}")]


def _check_scope(run: Run, targets: Sequence[Target]) -> list[Finding]:
    place = targets[0].where.place
    return [f if f.resource else replace(f, resource=place) for f in _of_scope(run, targets)]


def _of_scope(run: Run, targets: Sequence[Target]) -> list[Finding]:
    subject = f"target{'s' if len(targets) > 1 else ''} {', '.join(t.name for t in targets)}"
    try:
        return opened(run, targets[0]).check(targets, owner=run.config.owner)
    except IpsyncError as error:
        return [Finding(subject, ok=False, detail=str(error))]
    except Exception as error:  # noqa: BLE001 - as above
        return [_fault(subject, error)]


def _check_proof(run: Run, check: Check) -> list[Finding]:
    """Ask whoever proves a wave whether it would take a request; nothing is started."""
    from ipsync.verification.base import Checkable  # noqa: PLC0415 - a config without checks loads nothing of it

    subject = f"verify {check.name}"
    try:
        verifier = run.verifier(check, dict)
        if not isinstance(verifier, Checkable):
            return [Finding(subject, ok=True, detail="it can't be asked without starting something", skipped=True)]
        return [Finding(subject, ok=True, detail=verifier.check())]
    except IpsyncError as error:
        return [Finding(subject, ok=False, detail=str(error))]
    except Exception as error:  # noqa: BLE001 - as above
        return [_fault(subject, error)]


def _fault(subject: str, error: Exception) -> Finding:
    log.debug("checking %s: a fault in ipsync", subject, exc_info=error)
    return Finding(
        subject, ok=False, detail=f"a fault in ipsync: {error!r}", remedy="`ipsync check -v` says where; report it"
    )
