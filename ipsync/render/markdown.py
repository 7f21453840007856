"""The plan as markdown, for a comment on a pull request: the summary first, a diff block a target."""

from __future__ import annotations

from collections.abc import Iterator

from ipsync.addresses import canonical
from ipsync.model import Entry
from ipsync.plan import Element
from ipsync.report import Report, summarize


def render_markdown(report: Report) -> str:
    """Render a report as GitHub-flavoured markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    total = summarize(report.plan.elements)
    yield f"### ipsync {report.mode} · `{report.plan.owner}`"
    yield ""
    yield (
        f"**{total.add}** to add, **{total.remove}** to remove, **{total.leaving}** leaving · "
        f"{total.in_sync} in sync, {total.blocked} blocked, {total.failed} failed"
    )
    yield ""
    yield "| feed | addresses | |"
    yield "|---|---|---|"
    for feed in report.plan.feeds:
        count = len(feed.snapshot.networks) if feed.snapshot else "–"
        yield f"| {feed.name} | {count} | {_cell(feed.error or feed.url)}{' (insecure)' if feed.insecure else ''} |"
    for element in report.plan.elements:
        yield from _element(element)
    if report.plan.orphaned:
        yield from _orphans(report)
    yield ""
    yield from (f"> {notice}" for notice in report.notices)
    yield f"Plan id: `{report.plan.id}`"


def _element(element: Element) -> Iterator[str]:
    yield ""
    yield f"#### {element.target} · `{element.resource}` · {element.status.value}"
    yield ""
    changes = list(_changes(element))
    if changes:
        yield from ("```diff", *changes, "```")
    if element.error:
        yield f"- **error**: {_cell(element.error)}"
    for violation in element.violations:
        yield f"- **{violation.guard}** ({violation.verdict.value}): {_cell(violation.detail)}"


def _changes(element: Element) -> Iterator[str]:
    yield from (f"+ {_entry(e)}" for e in element.add)
    yield from (f"- {_entry(e)}" for e in element.remove)
    for item in element.leaving:
        yield (
            f"! {_entry(item.entry)} leaves after {item.until:%Y-%m-%d %H:%M} UTC"
            if item.until
            else (f"! {_entry(item.entry)} is no longer listed; grace: never")
        )
    yield from (f"! {_entry(e)} is listed again and stays" for e in element.returns)
    yield from (f"# {_entry(e)} is already allowed by a rule that isn't ours" for e in element.satisfied)
    yield from (f"! {rule}: {key} {old} -> {new}" for rule, key, old, new in element.settings)


def _orphans(report: Report) -> Iterator[str]:
    yield ""
    yield "Orphaned (left alone):"
    for orphan in report.plan.orphaned:
        yield f"- `{orphan.resource}` {_entry(orphan.entry)} (target {orphan.target})"


def _entry(entry: Entry) -> str:
    return f"{canonical(entry.network)} {entry.service}" if entry.service else canonical(entry.network)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
