"""What a report says of rules as a whole (a GCP rule), of changes that wait, and of why an address is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ipsync.core.addresses import canonical
from ipsync.core.model import Entry, Held, Verdict
from ipsync.core.plan import TargetChange
from ipsync.core.report import Report, approving, written
from ipsync.render.waves import AGAIN

Setting = tuple[str, str, str, str]
"""Rule, setting, from, to."""
AT_ONCE = 40
"""As many approvals as one command can be asked to hold."""
ALWAYS = {"network", "ports", "priority"}
"""Settings that every rule has: where one of them comes from nothing, the rule does too."""


def told(settings: Iterable[Setting]) -> Iterator[tuple[str, str]]:
    """Yield a sign (+ made, - deleted, ~ changed) and a sentence for each rule that is made or deleted, each setting."""
    rules: dict[str, list[Setting]] = {}
    for setting in settings:
        rules.setdefault(setting[0], []).append(setting)
    for rule, rows in rules.items():
        yield from _rule(rule, rows)


def _rule(rule: str, rows: Sequence[Setting]) -> Iterator[tuple[str, str]]:
    if any(key in ALWAYS and not old for _, key, old, _ in rows):
        yield "+", f"rule {rule} is made: {_listed((key, new) for _, key, _, new in rows)}"
    elif any(key in ALWAYS and not new for _, key, _, new in rows):
        yield "-", f"rule {rule} is deleted; it had: {_listed((key, old) for _, key, old, _ in rows)}"
    else:
        yield from (("~", f"{rule}: {key} {old or '(none)'} -> {new or '(none)'}") for _, key, old, new in rows)


def _listed(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key} {value}" for key, value in pairs if value)


def waits(held: Held) -> str:
    """Return a sentence on a change that a guard holds back; what stands beside it goes on."""
    entries = ", ".join(f"{canonical(e.network)} {e.service or ''}".rstrip() for e in held.entries)
    action = {"add": "adding", "remove": "removing"}[held.action]
    word = "needs approval" if held.verdict is Verdict.NEEDS_APPROVAL else "is refused"
    return f"{action} {entries} {word}"


def approve(again: str, *ids: str) -> str:
    """Return the command `again` with these approvals."""
    return " ".join((again, *(f"--approve {id_}" for id_ in ids)))


def letting_go(ids: Sequence[str], again: str) -> tuple[str, str]:
    """Return what to say of approving a change that waits on so many resources, and the command: one id for each.

    The command is blank where it would hold too many of them.
    """
    if len(ids) > AT_ONCE:
        return f"each of these {len(ids):,} changes has an id of its own: -v shows it", ""
    these = "this change, and only this one" if len(ids) == 1 else f"these {len(ids)} changes, and only these"
    return f"approve {these}", approve(again, *ids)


def later(report: Report) -> str:
    """Return when an approval of what waits can be given, where not at once: what an apply has begun can't be applied again."""
    return AGAIN if report.mode == "apply" and written(report) else ""


def approval(report: Report, again: str) -> tuple[str, str]:
    """Return what to say of approving all that waits, and the command; blanks where nothing waits, or no command can."""
    ids = approving(report)
    if not ids:
        return "", ""
    if later(report) or len(ids) > AT_ONCE:
        how = "`ipsync plan --out FILE`" if report.mode == "apply" else "`ipsync plan`"
        return f"To approve all that waits, plan again with {how}, and approve that plan after looking at it", ""
    command = approve(again, *ids)
    if ids == (report.plan.id,):
        return "After looking at it, approve this plan, and only this one", command
    return "After looking at it, approve all that waits", command


def reasons(target_change: TargetChange) -> dict[Entry, str]:
    """Return where each entry comes from, as `from FEED`; nothing where all of them come from one feed."""
    feeds = {why for _, why in target_change.sources}
    return {entry: f"from {why}" for entry, why in target_change.sources} if len(feeds) > 1 or "static" in feeds else {}
