"""The marks of a prefix list's entries, in two places: an entry's description, and tags of the list.

`ipsync owner=acme-prod target=edge feed=qatech added=2026-01-31T09:00:00Z` is written with an entry and stays: EC2 can't
change a description in place, and removing an entry to add it anew shuts its address out meanwhile. What changes later
stands in tags of the list (prefix_list_tags.py): since when an entry is leaving, and whom it is for after a rename. The
reader puts both together, so that here they are one note.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from ipsync.core.marks import format_time, parse_time
from ipsync.core.traits import Mark, Note
from ipsync.targets.tag_marks import DESCRIPTION, FEED, SINCE, TARGET

_PREFIX = "ipsync "
Words = tuple[str, str]
"""A target and a feed (or `static`)."""


@dataclass(frozen=True, slots=True)
class Described:
    """What an entry's description says."""

    owner: str
    words: Words
    added: datetime | None


class ListEntryMarks:
    """Marks of entries (core/traits.py, EntryMarks)."""

    fixed = frozenset({DESCRIPTION})

    def mark(self, note: Note, *, owner: str) -> Mark | None:
        """Return this owner's mark; None where the entry isn't this owner's.

        What a tag says of it is about this very entry, even from before it was added: clocks differ, and the writer takes
        an older entry's tags away before it adds one anew.
        """
        pairs = dict(note)
        said = described(pairs.get(DESCRIPTION, ""))
        if said is None or said.owner != owner:
            return None
        target, feed = pairs.get(TARGET, said.words[0]), pairs.get(FEED, said.words[1])
        return Mark(owner, (target,) if target else (), feed, parse_time(pairs.get(SINCE, "")), said.added)

    def note(self, mark: Mark) -> Note:
        """Write a mark as the description of an entry, and as what tags of the list may say of it later."""
        target = mark.targets[0] if mark.targets else ""
        pairs = [(DESCRIPTION, _described(mark, target)), (FEED, mark.origin), (TARGET, target)]
        return tuple(sorted([*pairs, *([(SINCE, format_time(mark.since))] if mark.since else [])]))


def _described(mark: Mark, target: str) -> str:
    words = {"owner": mark.owner, "target": target, "feed": mark.origin}
    if mark.added:
        words["added"] = format_time(mark.added)
    return _PREFIX + " ".join(f"{key}={value}" for key, value in words.items())


@lru_cache(maxsize=4096)
def described(text: str) -> Described | None:
    """Read a description; None where it is none of ipsync's. A word that stands there twice makes it nobody's."""
    if not text.startswith(_PREFIX):
        return None
    found = [word.partition("=") for word in text.split()[1:]]
    said = {key: value for key, _, value in found}
    if "owner" not in said or len(said) != len(found):
        return None
    return Described(said["owner"], (said.get("target", ""), said.get("feed", "")), parse_time(said.get("added", "")))
