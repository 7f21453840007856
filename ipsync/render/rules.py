"""What a report says of rules as a whole (a GCP rule), of changes that wait, and of why an address is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ipsync.core.addresses import canonical
from ipsync.core.model import Entry, Held, Verdict
from ipsync.core.plan import TargetChange

Setting = tuple[str, str, str, str]
"""Rule, setting, from, to."""
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


def reasons(target_change: TargetChange) -> dict[Entry, str]:
    """Return where each entry comes from, as `from FEED`; nothing where all of them come from one feed."""
    feeds = {why for _, why in target_change.sources}
    return {entry: f"from {why}" for entry, why in target_change.sources} if len(feeds) > 1 or "static" in feeds else {}
