"""The plan as text, in the manner of Terraform's: coloured on a terminal, calm in a log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from ipsync.core.addresses import canonical
from ipsync.core.model import Entry, Leaving, Status, Verdict, Violation
from ipsync.core.plan import FeedResult, Orphan, TargetChange
from ipsync.core.report import Report, summarize, unproven
from ipsync.core.waves import GUARD
from ipsync.core.words import count
from ipsync.render import waves
from ipsync.render.groups import Group, grouped, in_sync, lost, told_and_calm
from ipsync.render.rules import approval, approve, later, letting_go, reasons, told, waits

COLOURS = {
    "+": "green",
    "-": "red",
    "~": "yellow",
    "!": "magenta",
    Status.IN_SYNC: "green",
    Status.APPLIED: "green",
    Status.CHANGE: "yellow",
    Status.BLOCKED: "magenta",
    Status.ERROR: "red",
    Status.PARTIAL: "red",
    Status.UNKNOWN: "red",
    Status.HELD: "magenta",
}
DONE = {Status.APPLIED, Status.PARTIAL, Status.UNKNOWN, Status.HELD}


def render_text(report: Report, *, colour: bool, again: str, verbose: bool) -> str:
    """Render a report for a terminal or a log; `again` is the command that an approval is added to.

    What is the same on many resources stands once, and what is in sync is counted; `verbose` lists each by itself.
    """
    return "\n".join(_lines(report, _Ink(colour), again, verbose=verbose)) + "\n"


class _Ink:
    def __init__(self, colour: bool) -> None:  # noqa: FBT001 - one switch, its only use
        self._colour = colour

    def __call__(self, key: str, text: str) -> str:
        return click.style(text, fg=COLOURS[key]) if self._colour else text

    def strong(self, text: str) -> str:
        return click.style(text, bold=True) if self._colour else text


def _lines(report: Report, ink: _Ink, again: str, *, verbose: bool) -> Iterator[str]:
    plan = report.plan
    yield f"{ink.strong('ipsync ' + report.mode)}  owner {plan.owner}{f'  {report.share}' if report.share else ''}"
    yield ""
    for feed in plan.feeds:
        yield _feed(feed, ink)
    changes = plan.target_changes
    shown, calm = (changes, ()) if verbose else told_and_calm(changes)
    groups = (Group((c,)) for c in shown) if verbose else grouped(shown)
    for group in groups:
        yield ""
        yield from _group(group, ink, later(report), again)
    if calm:
        yield ""
        yield f"{ink(Status.IN_SYNC, 'in sync')}  {in_sync(calm)} (-v lists them)"
    if plan.orphaned:
        yield ""
        yield from _orphans(lost(plan.orphaned, verbose=verbose))
    yield ""
    if report.waves:
        yield from (ink(sign, line) if sign else line for sign, line in waves.lines(report, again))
        yield ""
    yield from _summary(report, ink, again)


def _feed(feed: FeedResult, ink: _Ink) -> str:
    insecure = "  (insecure: plain http)" if feed.insecure else ""
    if feed.snapshot is None:
        return f"{ink('-', 'feed ' + feed.name)}  unusable: {feed.error}{insecure}"
    return f"feed {feed.name}  {count(len(feed.snapshot.networks), 'address')}  {feed.url}{insecure}"


def _group(group: Group, ink: _Ink, when: str, again: str) -> Iterator[str]:
    """Yield what is the same on some resources; `when` an approval is given, if not at once, and the command for it."""
    target_change, several = group.change, len(group.changes) > 1
    status = ink(target_change.status, target_change.status.value)
    held = f"  ({count(target_change.held, 'entry')} kept)" if target_change.held and not several else ""
    yield f"{ink.strong(target_change.target)}  {group.where}  {status}{held}"
    if several:
        yield f"    {group.named}"
    yield from _moves(target_change, ink, where=f"in {group.where}" if several else "")
    yield from _objections(group, ink, when, again)


def _moves(target_change: TargetChange, ink: _Ink, *, where: str) -> Iterator[str]:
    why = reasons(target_change)
    moving = (*target_change.add, *target_change.remove)
    why = {e: " ".join(filter(None, (why.get(e), where))) for e in moving} if where else why
    yield from _entries("+", target_change.add, ink, why=why)
    yield from _entries("-", target_change.remove, ink, why=why)
    yield from (_leaving(item, target_change, ink) for item in target_change.leaving)
    yield from _entries("~", target_change.returns, ink, note="listed again: stays")
    for entry in target_change.satisfied:
        yield f"    = {_padded(entry)}already allowed by a rule that isn't ours; left alone"
    yield from (ink(sign, f"    {sign} {text}") for sign, text in told(target_change.settings))
    yield from (ink("-", f"    - rule {name} is deleted") for name in target_change.deletes)
    yield from (
        ink("~", f"    ~ {name}: only its marks change, nothing that is let in") for name in target_change.marks
    )


def _objections(group: Group, ink: _Ink, when: str, again: str) -> Iterator[str]:
    target_change = group.change
    for change in target_change.waiting:
        yield ink("!", f"    ! {waits(change)}")
        if change.verdict is Verdict.NEEDS_APPROVAL:
            said, command = letting_go(group.ids(change), again)
            yield f"      {said}{f'{when}: {command}' if command else ''}"
    if target_change.error:
        yield ink("-", f"    error: {target_change.error}")
    for violation in (v for v in target_change.violations if v.guard != "feed"):
        yield _violation(violation, ink)
        if violation.guard == GUARD:
            yield f"      approve this wave, and only this one{when}: {approve(again, violation.change)}"


def _entries(
    sign: str, entries: Iterable[Entry], ink: _Ink, *, note: str = "", why: Mapping[Entry, str] | None = None
) -> Iterator[str]:
    for entry in entries:
        yield ink(sign, f"    {sign} {_padded(entry)}{(why or {}).get(entry, note)}".rstrip())


def _padded(entry: Entry) -> str:
    ports = str(entry.service) if entry.service else ""
    return f"{canonical(entry.network):<28} {ports:<10} "


def _leaving(item: Leaving, target_change: TargetChange, ink: _Ink) -> str:
    when = f"removed after {item.until:%Y-%m-%d %H:%M} UTC" if item.until else "never removed (grace: never)"
    starts = "no longer listed: " if item.entry in set(target_change.starts_leaving) else "leaving: "
    return ink("~", f"    ~ {_padded(item.entry)}{starts}{when}")


def _violation(violation: Violation, ink: _Ink) -> str:
    words = {
        Verdict.ALLOW: "warns",
        Verdict.NEEDS_APPROVAL: "needs approval",
        Verdict.REFUSE: "refuses",
    }
    return ink("!", f"    ! guard {violation.guard} {words[violation.verdict]}: {violation.detail}")


def _orphans(orphans: Iterable[tuple[Orphan, str]]) -> Iterator[str]:
    yield "Orphaned (made by this owner, wanted by no target of this config; left alone):"
    for orphan, where in orphans:
        yield f"    ? {_padded(orphan.entry)}{where}  made for target {orphan.target or '(none)'}"
    yield "    If a target was renamed or moved, docs/moving.md says how to take these over or close them."


def headline(report: Report) -> str:
    """Return the totals in one sentence: what would be done, or what was."""
    total = summarize(report.plan.target_changes)
    done = any(e.status in DONE for e in report.plan.target_changes)
    changes = _done(report.plan.target_changes) if done else f"Plan: {total.add} to add, {total.remove} to remove"
    return (
        f"{changes}, {total.leaving} leaving; "
        f"{count(total.in_sync, 'target')} in sync, {total.blocked} blocked, {total.failed} failed{f', {total.held} held' if total.held else ''}."
    )


def _summary(report: Report, ink: _Ink, again: str) -> Iterator[str]:
    yield ink.strong(headline(report))
    if all(e.status is Status.IN_SYNC for e in report.plan.target_changes) and not unproven(report):
        yield "Nothing to change."
    yield from report.notices
    yield f"Plan id: {report.plan.id}"
    sentence, command = approval(report, again)
    if sentence:
        yield f"{sentence}: {command}" if command else f"{sentence}."
    if report.checkpoint and report.mode != "plan":
        yield f"Audit log checkpoint: {report.checkpoint}"


def _done(target_changes: Sequence[TargetChange]) -> str:
    """Count what was surely done; of the rest it is said that it wasn't, or isn't known."""
    sure = summarize(tuple(e for e in target_changes if e.status is Status.APPLIED))
    rest = summarize(tuple(e for e in target_changes if e.status is not Status.APPLIED))
    unsure = f", {rest.add + rest.remove} not done or not sure" if rest.add + rest.remove else ""
    return f"Sync: {sure.add} added, {sure.remove} removed{unsure}"
