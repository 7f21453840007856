"""The nouns of a run: what was seen, and what is to be done. Frozen data that only shows and compares itself.

What the operator wrote stands in configured.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ipsync.core import traits
from ipsync.core.contents import Contents

Network = traits.Network
Note = traits.Note


ONE_FAMILY = {"icmp": 4, "1": 4, "icmpv6": 6, "58": 6}
"""Protocols that exist in one IP version alone (IANA, Protocol Numbers); clouds refuse them beside the other."""


def suits(protocol: str, version: int) -> bool:
    """Tell whether a protocol, by name or number, can be let in from addresses of this IP version (4, 6)."""
    return ONE_FAMILY.get(protocol, version) == version


BOTH = frozenset({4, 6})
"""The IP versions."""


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """A protocol and a range of ports. `all` is every protocol and port (AWS: -1)."""

    protocol: str
    first: int | None = None
    last: int | None = None
    _text: str = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what each comparison of an entry asks for: there are few services, and very many entries."""
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        object.__setattr__(self, "_text", self.protocol if self.first is None else f"{ports}/{self.protocol}")
        object.__setattr__(self, "_hash", hash((self.protocol, self.first, self.last)))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        """Write it as the config does: `443/tcp`, `8000-8100/tcp`, `icmp`, `all`."""
        return self._text


# ── what was seen ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One feed's list as it was fetched: canonical, sorted, unique."""

    feed: str
    url: str
    networks: tuple[Network, ...]
    digest: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A source that a target lets in. `service` is None for lists without ports.

    `note` and `provider_id` (what the cloud calls it) don't take part in equality.
    """

    network: Network
    service: Service | None = None
    note: Note = field(default=(), compare=False)
    provider_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ManagedList:
    """One physical list of a list target: a GCP rule holds one family and at most `max_ranges`.

    `settings` are everything else that the operator decides, as sorted text pairs
    (("ports", "443/tcp"), ("priority", "1000")). `blocker` is why it can't be managed, if it is ours to manage.
    """

    name: str
    networks: tuple[Network, ...]
    note: Note = ()
    settings: tuple[tuple[str, str], ...] = ()
    blocker: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many rules of one family (4, 6) a resource holds, foreign ones included, and how many fit.

    Family 0 counts whole lists, which several resources share. `what` says what is counted, where it isn't a family's
    rules, and `way` how more would fit, where that isn't a higher quota. Where the limit could not be read, `assumed`
    says why, and what would read it.
    """

    family: int
    used: int
    limit: int
    what: str = ""
    assumed: str = field(default="", compare=False)
    way: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class State:
    """One resource as it was read.

    entries   every entry that is known; foreign ones only where `complete`
    targets   the names of the configured targets that name this resource; none: only orphans live here
    complete  foreign entries and capacity are known; a list call that finds nothing to do needs neither
    managed_lists  list targets only: the physical lists; `wanted_settings` is what the config asks of each
    taken     list targets only: names of further lists that somebody else's hold, so that no list of ours may be made
    families  the IP versions that it can hold: some clouds keep them apart, in resources of their own
    conflict  why this resource can't be managed at all, whatever lists it has, else None; of one list its `blocker`
    """

    kind: str
    resource: str
    targets: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    complete: bool = True
    capacity: tuple[Capacity, ...] = ()
    traits: traits.Traits = field(kw_only=True)
    managed_lists: tuple[ManagedList, ...] = ()
    wanted_settings: tuple[tuple[str, str], ...] = ()
    max_ranges: int = 0
    taken: tuple[str, ...] = ()
    conflict: str | None = None
    batch: int = 1000
    families: frozenset[int] = BOTH


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """A resource, or a whole scope, that could not be read: an error in the plan, never an empty state.

    `all_of` says that nothing is known of these targets, not even which resources they name; of a target with many
    places, nothing at those of `scope` (of all, where that is None).
    """

    targets: tuple[str, ...]
    resource: str
    message: str
    all_of: bool = False
    scope: tuple[object, ...] | None = field(default=None, repr=False, compare=False)


# ── what is to be done ───────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Leaving:
    """An entry that nobody wants any more, and when it may go. `until` None: never."""

    entry: Entry
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One write to one cloud: what the audit log calls an intent.

    kind      add, tag, untag, remove (entries one by one); create, replace, delete (a whole list)
    entries   the entries concerned; for `tag` with the note to set, for `untag` with the pairs to take away
    managed   the list as it shall be (`delete`: as it is)
    was       the list as it is
    before, after   everything of ours on the resource (or list): recovery compares these
    """

    kind: Literal["add", "tag", "untag", "remove", "create", "replace", "delete"]
    resource: str
    before: Contents
    after: Contents
    entries: tuple[Entry, ...] = ()
    managed: ManagedList | None = None
    was: ManagedList | None = None


class Verdict(StrEnum):
    """What a guard answers. `allow` with a violation is a warning."""

    ALLOW = "allow"
    NEEDS_APPROVAL = "needs-approval"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Violation:
    """A guard's word on one element of the plan, with its numbers in `detail`.

    `change` is the id of the held change that it is about; empty where it is about the whole element.
    """

    guard: str
    verdict: Verdict
    detail: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Entries of one resource that a guard holds back from being added or removed, and the id that approves them.

    The id is made of the resource, the action and the entries alone: whatever else moves, it stays.
    """

    id: str
    action: Literal["add", "remove"]
    entries: tuple[Entry, ...]
    verdict: Verdict


class Status(StrEnum):
    """How an element of a plan stands; the last four only after a sync."""

    IN_SYNC = "in-sync"
    CHANGE = "change"
    BLOCKED = "blocked"
    ERROR = "error"
    APPLIED = "applied"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's word that a write was taken."""

    request_id: str = ""
