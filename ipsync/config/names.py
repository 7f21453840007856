"""Names that stand in one section of the file and are used in another."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def instead(name: str, known: Collection[str], section: str) -> str:
    """Say what a name that isn't there may mean; `section` is where it would stand."""
    near = get_close_matches(name, known, 1)
    there = ", ".join(known)
    return f"did you mean {near[0]}?" if near else f"the file has: {there}" if there else f"add it under {section}"
