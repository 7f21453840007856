"""Lists as sentences hold them. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def few(texts: Sequence[str], number: int) -> str:
    """Name the first few, and count the rest: `a, b and 1,297 more`."""
    rest = len(texts) - number
    return ", ".join(texts[:number]) + (f" and {rest:,} more" if rest > 0 else "")
