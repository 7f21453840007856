"""What happens to rules as a whole (a GCP rule): made with these settings, given other ones, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
