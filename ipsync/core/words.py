"""Lists and numbers as sentences hold them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_PLURALS = {"address": "addresses", "entry": "entries"}


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 entry`, `2 entries`, `1,300 entries`."""
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, f'{noun}s')}"


def tally(texts: Iterable[str]) -> list[str]:
    """Name each once, in the order of the first: `web applied on 1,284 resources`, `edge applied`; a Counter is counted."""
    return [text if n == 1 else f"{text} on {count(n, 'resource')}" for text, n in Counter(texts).items()]


def then(said: object, ours: str) -> str:
    """Add a sentence of ours to what somebody said, who may have ended it with a full stop."""
    return f"{str(said).rstrip('.')}. {ours}"


def few(texts: Sequence[str], number: int) -> str:
    """Name the first few, and count the rest: `a, b and 1,297 more`."""
    rest = len(texts) - number
    return ", ".join(texts[:number]) + (f" and {rest:,} more" if rest > 0 else "")


def without_names(text: str, resource: str) -> str:
    """Return a text with blanks where it names the resource, its account or project, or its region."""
    names = {re.escape(word) for word in resource.split("/")[1:] if word and word in text}  # mostly none
    return re.sub(rf"(?<![\w-])(?:{'|'.join(sorted(names))})(?![\w-])", "\0", text) if names else text
