"""What tells one kind of target from another, as far as the core must know: nothing else in it branches on a kind.

A kind (targets/base.py) declares its traits once; its reader puts them into every State.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

Network = IPv4Network | IPv6Network
Note = tuple[tuple[str, str], ...]
"""What a cloud stores beside an entry or a list, verbatim and sorted: tags, or ("description", text)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry's provenance. `origin` is a feed's name or `static`; `since` is when it began to leave.

    `added` is when it came to others that were there already; None for what is old, or for nobody knows when.
    """

    owner: str
    targets: tuple[str, ...]
    origin: str
    since: datetime | None = None
    added: datetime | None = None


class EntryMarks(Protocol):
    """How marks are written beside each entry, and read."""

    fixed: frozenset[str]
    """Keys of a note that are written with the entry and can't be changed later."""

    def mark(self, note: Note, *, owner: str) -> Mark | None:
        """Return this owner's mark; None where the entry isn't this owner's."""

    def note(self, mark: Mark) -> Note:
        """Write a mark as what the cloud stores beside the entry."""


class ListMarks(Protocol):
    """How the marks of all entries of a list are written on the list, and read."""

    def targets(self, note: Note, *, owner: str) -> tuple[str, ...] | None:
        """Return the targets that a list's marks name; None where the list isn't this owner's."""

    def mark(self, note: Note, network: Network, *, owner: str) -> Mark | None:
        """Return one entry's mark; None where the list isn't this owner's."""

    def note(self, owner: str, marks: Mapping[Network, Mark]) -> Note:
        """Write all marks of a list. No mark is ever left out: raises UsageError where they don't fit."""

    def fits(self, owner: str, marks: Mapping[Network, Mark]) -> bool:
        """Tell whether one list can hold these marks."""

    def room(self, owner: str, marks: Mapping[Network, Mark]) -> int:
        """Return how many entries one list may hold so that there is room for their marks at the worst."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How a kind of target is written.

    entries   the marks beside each entry, of a kind that takes single entries; else None
    lists     the marks on a list, of a kind that takes whole lists, one family each; else None
    ports     whether an entry of its own says to which ports it lets in
    noun      what people call such a resource: `group`, `rule`
    holder    what they call what it belongs to, the second word of its name: `account`, `project`; "" for nothing
    at_once   whether a scope's resources may be read and written by several threads at once, each resource by one
    """

    entries: EntryMarks | None = None
    lists: ListMarks | None = None
    ports: bool = True
    noun: str = "resource"
    holder: str = ""
    at_once: bool = False

    @property
    def whole_lists(self) -> bool:
        """Tell whether a write replaces a whole list; otherwise it adds or removes entries."""
        return self.lists is not None

    @property
    def entry_marks(self) -> EntryMarks:
        """Return how entries of their own are marked. Raises TypeError for a kind of whole lists."""
        if self.entries is None:
            raise TypeError("this kind keeps its marks on whole lists")
        return self.entries

    @property
    def list_marks(self) -> ListMarks:
        """Return how lists are marked. Raises TypeError for a kind of single entries."""
        if self.lists is None:
            raise TypeError("this kind keeps its marks beside each entry")
        return self.lists
