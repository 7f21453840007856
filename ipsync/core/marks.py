"""Whose entry is it, and since when is it leaving: the marks that ipsync leaves on what it made.

How a kind writes them is its own (core/traits.py); what they mean is decided here and in diff.py.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ipsync.core.model import Entry, State
from ipsync.core.traits import Mark, Traits

STATIC = "static"
"""The origin of an address that the operator wrote into the config, in place of a feed's name."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def format_time(moment: datetime) -> str:
    """Write a moment as UTC with seconds, the only form that marks and plans use."""
    return moment.astimezone(UTC).strftime(_TIME)


def parse_time(text: str) -> datetime | None:
    """Read `format_time`'s form; anything else is None, which means: not marked yet."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def mark_of(entry: Entry, *, owner: str, traits: Traits) -> Mark | None:
    """Return this owner's mark on an entry, or None where the entry isn't this owner's."""
    if traits.lists:
        return traits.lists.mark(entry.note, entry.network, owner=owner)
    return traits.entry_marks.mark(entry.note, owner=owner)


def owned_marks(state: State, *, owner: str) -> dict[Entry, Mark]:
    """Return the marks of everything that this owner holds on a resource."""
    marks = ((e, mark_of(e, owner=owner, traits=state.traits)) for e in state.entries)
    return {e: mark for e, mark in marks if mark}
