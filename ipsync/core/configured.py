"""What the operator wrote, checked: the config file's nouns, with its defaults. config/ reads the file and builds them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from ipsync.core.model import BOTH, Network, Service
from ipsync.core.rollout import Check, Wave
from ipsync.core.sharding import Shard


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

    def selected(self, only: Collection[str]) -> frozenset[str]:
        """Return the names of the targets that a selection acts for; without one, of all."""
        return frozenset(only) or frozenset(t.name for t in self.targets)

    def feeds_of(self, names: Collection[str]) -> frozenset[str]:
        """Return the feeds that targets of these names use; no other one is fetched."""
        return frozenset(feed for t in (*self.targets, *self.elsewhere) if t.name in names for feed in t.feeds)
