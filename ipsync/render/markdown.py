"""The plan as markdown, for a comment on a pull request: the summary first, a diff block a target.

Whatever isn't our own word stands in a code span or a code block. GitHub and GitLab look for links, images, HTML,
@mentions, #123 and commit ids outside of code only (html-pipeline leaves `pre` and `code` alone), while a backslash or
an entity is gone before they look for an @mention. The texts that come here hold no line break (ipsync.core.printable).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ipsync.core.addresses import canonical
from ipsync.core.model import Entry, Status, Verdict
from ipsync.core.plan import FeedResult, Orphan, TargetChange
from ipsync.core.report import Report, summarize
from ipsync.core.waves import GUARD
from ipsync.render import waves
from ipsync.render.groups import Group, grouped, in_sync, lost, told_and_calm
from ipsync.render.rules import approval, approve, later, letting_go, reasons, told, waits

LONGEST = 65_000
"""Characters: GitHub takes no comment over 65,536."""


def render_markdown(report: Report, *, again: str, verbose: bool) -> str:
    """Render a report as GitHub-flavoured markdown that fits into a comment.

    `again` is the command that an approval is added to; `verbose` lists each resource by itself. Where all of it is too
    long, what there is to decide on comes before the rest, and the number of what was left out is told.
    """
    head, tail = "\n".join(_head(report)) + "\n", "\n".join(_tail(report, again)) + "\n"
    sections = [_Section("\n".join(lines) + "\n", urgent=urgent) for lines, urgent in _sections(report, again, verbose)]
    return head + _fitting(sections, LONGEST - len(head) - len(tail)) + tail


@dataclass(frozen=True, slots=True)
class _Section:
    text: str
    urgent: bool


def _fitting(sections: Sequence[_Section], room: int) -> str:
    """Return the sections that fit, in their order: first of all the urgent ones."""
    room -= len(_left_out(len(sections)))
    kept = set()
    for index in sorted(range(len(sections)), key=lambda i: not sections[i].urgent):
        if len(sections[index].text) <= room:
            kept.add(index)
            room -= len(sections[index].text)
    text = "".join(section.text for index, section in enumerate(sections) if index in kept)
    return text + (_left_out(len(sections) - len(kept)) if len(kept) < len(sections) else "")


def _left_out(number: int) -> str:
    return f"\n**{number:,} more sections don't fit into a comment**; `ipsync plan` shows all of it.\n"


def _sections(report: Report, again: str, verbose: bool) -> Iterator[tuple[Iterator[str], bool]]:  # noqa: FBT001 - passed on
    changes = report.plan.target_changes
    shown, calm = (changes, ()) if verbose else told_and_calm(changes)
    for group in (Group((c,)) for c in shown) if verbose else grouped(shown):
        yield _element(group, again, later(report)), group.change.status is not Status.IN_SYNC
    if calm:
        yield iter(("", f"{in_sync(calm)} in sync")), False
    if report.plan.orphaned:
        yield _orphans(lost(report.plan.orphaned, verbose=verbose)), False


def _head(report: Report) -> Iterator[str]:
    total = summarize(report.plan.target_changes)
    yield f"### ipsync {report.mode} · {_code(report.plan.owner)}{f' · {report.share}' if report.share else ''}"
    yield ""
    yield (
        f"**{total.add}** to add, **{total.remove}** to remove, **{total.leaving}** leaving · "
        f"{total.in_sync} in sync, {total.blocked} blocked, {total.failed} failed{f', {total.held} held' if total.held else ''}"
    )
    yield ""
    yield "| feed | addresses | |"
    yield "|---|---|---|"
    yield from (_feed(feed) for feed in report.plan.feeds)


def _tail(report: Report, again: str) -> Iterator[str]:
    yield ""
    for _, line in waves.lines(report, again):
        yield f"{'  ' if line.startswith(' ') else ''}- {_code(line.strip())}"
    if report.waves:
        yield ""
    for notice in report.notices:
        yield from (f"> {_code(notice)}", "")
    yield f"Plan id: {_code(report.plan.id)}"
    sentence, command = approval(report, again)
    if sentence:
        yield from ("", f"{sentence}{':' if command else '.'}")
    if command:
        yield from ("", "```sh", command, "```")


def _feed(feed: FeedResult) -> str:
    count = len(feed.snapshot.networks) if feed.snapshot else "–"
    insecure = " (insecure)" if feed.insecure else ""
    return f"| {_cell(feed.name)} | {count} | {_cell(feed.error or feed.url)}{insecure} |"


def _element(group: Group, again: str, when: str) -> Iterator[str]:
    target_change = group.change
    yield ""
    yield f"#### {_code(target_change.target)} · {_code(group.where)} · {target_change.status.value}"
    yield ""
    if len(group.changes) > 1:
        yield from (_code(group.named), "")
    changes = list(_changes(target_change))
    if changes:
        yield from ("```diff", *changes, "```")
    if target_change.error:
        yield f"- **error**: {_code(target_change.error)}"
    for held in target_change.waiting:
        yield f"- {_code(waits(held))}"
        if held.verdict is Verdict.NEEDS_APPROVAL:
            said, command = letting_go(group.ids(held), again)
            yield f"  - {said}{f'{when}: {_code(command)}' if command else ''}"
    for violation in target_change.violations:
        yield f"- **{_code(violation.guard)}** ({violation.verdict.value}): {_code(violation.detail)}"
        if violation.guard == GUARD:
            yield f"  - approve this wave, and only this one{when}: {_code(approve(again, violation.change))}"


def _changes(target_change: TargetChange) -> Iterator[str]:
    """Yield the lines of the diff block; each begins with its sign, so that none can end the block."""
    why = reasons(target_change)
    yield from (f"+ {_entry(e)} {why.get(e, '')}".rstrip() for e in target_change.add)
    yield from (f"- {_entry(e)} {why.get(e, '')}".rstrip() for e in target_change.remove)
    for item in target_change.leaving:
        yield (
            f"! {_entry(item.entry)} is removed after {item.until:%Y-%m-%d %H:%M} UTC"
            if item.until
            else (f"! {_entry(item.entry)} is no longer listed, and is never removed (grace: never)")
        )
    yield from (f"! {_entry(e)} is listed again and stays" for e in target_change.returns)
    yield from (f"# {_entry(e)} is already allowed by a rule that isn't ours" for e in target_change.satisfied)
    yield from (f"{sign.replace('~', '!')} {text}" for sign, text in told(target_change.settings))
    yield from (f"- rule {name} is deleted" for name in target_change.deletes)
    yield from (f"! {name}: only its marks change, nothing that is let in" for name in target_change.marks)


def _orphans(orphans: Iterable[tuple[Orphan, str]]) -> Iterator[str]:
    yield ""
    yield "Orphaned (left alone):"
    yield ""
    for orphan, where in orphans:
        yield f"- {_code(where)} {_code(_entry(orphan.entry))} (target {_code(orphan.target)})"


def _entry(entry: Entry) -> str:
    return f"{canonical(entry.network)} {entry.service}" if entry.service else canonical(entry.network)


def _code(text: str) -> str:
    """Return a code span that shows exactly this text (CommonMark 6.1), between more backticks than it holds in a row."""
    if not text.strip(" "):
        return "(none)"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _cell(text: str) -> str:
    r"""Return a code span for a table, where a bare pipe ends the cell even in code (GFM 4.10).

    Renderers differ on a backslash before the escaped pipe, so such a one is shown by its code.
    """
    return re.sub(r"(\\*)\|", lambda found: r"\x5c" * len(found[1]) + r"\|", _code(text))
