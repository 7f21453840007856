"""The nouns. Frozen data without behaviour beyond showing and comparing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Protocol

from ipsync.core import traits
from ipsync.core.contents import Contents
from ipsync.core.rollout import Check, Wave
from ipsync.core.sharding import Shard

Network = traits.Network
Note = traits.Note


# ── what the operator wrote ──────────────────────────────────────────────────


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

    def __str__(self) -> str:
        """Write it as the config does: `443/tcp`, `8000-8100/tcp`, `icmp`, `all`."""
        if self.first is None:
            return self.protocol
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A guard's limit: the larger of a count and a percentage, both in addresses."""

    count: int
    percent: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How much more may be covered at once: the larger of a number of addresses, by family, and a percentage."""

    ipv4: int
    ipv6: int
    percent: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The guards' limits, for one feed as one target uses it (contract, section 4).

    What is covered is counted in addresses: a /24 covers 256. By default at most one /14 of IPv4 and sixteen /32 of
    IPv6 for a feed, and 4,096 and sixteen /48 for what a resource gains in one run.
    """

    min_prefix_v4: int = 16
    min_prefix_v6: int = 32
    max_addresses: int = 1000
    max_removals: Threshold = Threshold(1, 30)
    max_additions: Threshold = Threshold(20, 50)
    max_growth: Growth = Growth(4096, 16 * 2**80, 100)
    max_coverage_v4: int = 2**18
    max_coverage_v6: int = 16 * 2**96
    allow_special_use: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Feed:
    """Where a vendor publishes its addresses. `timeout` is in seconds, for the whole fetch."""

    name: str
    url: str
    format: Literal["json", "text"] = "json"
    select: str | None = None
    timeout: float = 30.0
    max_bytes: int = 5 * 1024 * 1024
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: str | None = None
    insecure: bool = False
    max_unchanged_age: float | None = None  # seconds


class Where(Protocol):
    """Where a target's resources are, as its kind says it: frozen and hashable."""

    @property
    def scope(self) -> tuple[object, ...]:
        """What is read with one list call: an account's region, or a project."""

    @property
    def place(self) -> str:
        """The scope as errors name it, where no resource is known."""

    def may_name(self, resource: str) -> bool:
        """Tell whether a target there names a resource, or may, where what it names couldn't be asked."""

    def may_be_at(self, place: str) -> bool:
        """Tell whether a resource of the target may be at a place: a resource's name without its last word."""


@dataclass(frozen=True, slots=True)
class Target:
    """One door the operator wants kept: which feeds and addresses, on which ports, where.

    One entry of the config may lead to many places. In a run it is one such target a place, equal but for `where`.
    """

    name: str
    kind: str
    feeds: tuple[str, ...]
    services: tuple[Service, ...]
    where: Where
    static: tuple[Network, ...] = ()
    limits: tuple[tuple[str, Limits], ...] = ()
    remove_first: bool = False
    wave: str = ""

    @property
    def scope(self) -> tuple[object, ...]:
        """What is read with one list call: an account's region, or a project. Hashable."""
        return (self.kind, *self.where.scope)

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that it has a place for: both, unless its kind says otherwise (`families` of its `where`)."""
        return frozenset(getattr(self.where, "families", BOTH))


Word = Literal["applied", "blocked", "failed", "held", "contested", "feed-changed", "feed-unchanged"]
"""What somebody may want to be told of."""


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of what. A url may hold what lets one post there, so it is as secret as the secret.

    `remind_every` is in seconds: when a state that doesn't change is told again.
    """

    kind: Literal["webhook", "slack", "command"]
    on: tuple[Word, ...]
    url: str = field(default="", repr=False)
    secret: str | None = field(default=None, repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    remind_every: float = 86400.0


@dataclass(frozen=True, slots=True)
class Config:
    """The whole config file, checked.

    In a run of one `shard`, `targets` are at the places that this shard holds, and `elsewhere` at all others.
    """

    owner: str
    feeds: tuple[Feed, ...]
    targets: tuple[Target, ...]
    grace: timedelta | None  # None: never remove
    audit_path: str = "./audit.jsonl"
    audit_hmac_key: str | None = field(default=None, repr=False)
    audit_hmac_keys_before: tuple[str | None, ...] = field(default=(), repr=False)  # None: there was none
    audit_objects: str | None = None  # s3://bucket/prefix or gs://bucket/prefix
    every: float = 900.0  # seconds
    jitter: float = 60.0  # seconds
    listen: tuple[str, int] | None = ("127.0.0.1", 9464)  # where `ipsync run` serves metrics and its status page
    notify: tuple[Notify, ...] = ()
    waves: tuple[Wave, ...] = ()
    checks: tuple[Check, ...] = ()  # what waves name in their `verify`
    digest: str = ""
    source: str = field(default="", compare=False)  # the file's absolute path
    notices: tuple[str, ...] = ()  # what each report says of it
    shard: Shard | None = None
    elsewhere: tuple[Target, ...] = ()


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
    way: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """One resource as it was read.

    entries   every entry that is known; foreign ones only where `complete`
    targets   the names of the configured targets that name this resource; none: only orphans live here
    complete  foreign entries and capacity are known; a survey that finds nothing to do needs neither
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
