"""Marks as tags beside each entry; the description is for people, and authorises nothing.

They live on the entry itself, so that any machine sees the same (contract, section 7). For AWS's rules, and for any
kind whose cloud keeps pairs of texts beside an entry.
"""

from __future__ import annotations

from functools import lru_cache

from ipsync.core.marks import format_time, parse_time
from ipsync.core.traits import Mark, Note

OWNER, FEED, TARGET, SINCE = "ipsync:owner", "ipsync:feed", "ipsync:target", "ipsync:leaving-since"
ADDED = "ipsync:added-at"
"""When an entry came to others that were there: what came lately is no measure of how many may leave."""
DESCRIPTION = "description"


class TagMarks:
    """Marks as tags (core/traits.py, EntryMarks)."""

    fixed = frozenset({DESCRIPTION})

    def mark(self, note: Note, *, owner: str) -> Mark | None:
        """Return this owner's mark; None where the entry isn't this owner's."""
        mark = _parsed(note)
        return mark if mark and mark.owner == owner else None

    def note(self, mark: Mark) -> Note:
        """Write a mark as the tags and the description of an entry."""
        target = mark.targets[0] if mark.targets else ""
        pairs = [
            (DESCRIPTION, f"ipsync {mark.owner}: {mark.origin} for {target}"),
            (FEED, mark.origin),
            (OWNER, mark.owner),
            (TARGET, target),
        ]
        times = [(key, format_time(at)) for key, at in ((SINCE, mark.since), (ADDED, mark.added)) if at]
        return tuple(sorted([*pairs, *times]))


@lru_cache(maxsize=65_536)  # an entry's mark is asked for several times, and most entries' tags are alike
def _parsed(pairs: Note) -> Mark | None:
    note = dict(pairs)
    if OWNER not in note:
        return None
    targets = tuple(name for name in (note.get(TARGET, ""),) if name)
    since, added = parse_time(note.get(SINCE, "")), parse_time(note.get(ADDED, ""))
    return Mark(note[OWNER], targets, note.get(FEED, ""), since, added)
