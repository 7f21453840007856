"""Lists and numbers as sentences hold them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_PLURALS = {"address": "addresses", "entry": "entries"}


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 entry`, `2 entries`."""
    return f"{number} {noun if number == 1 else _PLURALS.get(noun, f'{noun}s')}"


def few(texts: Sequence[str], number: int) -> str:
    """Name the first few, and count the rest: `a, b and 1,297 more`."""
    rest = len(texts) - number
    return ", ".join(texts[:number]) + (f" and {rest:,} more" if rest > 0 else "")
