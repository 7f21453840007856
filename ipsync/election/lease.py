"""What a Lease says, and where one is kept: what the election needs to know of Kubernetes.

Names, times and the meaning of each field are those of client-go's leaderelection, so that other tools understand them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from ipsync.core.errors import IpsyncError


class LeaseError(IpsyncError):
    """The Lease can't be had: the text says why and what to do."""


class Conflict(Exception):
    """Somebody else wrote the Lease first, or deleted it: read it again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds: how long others leave a Lease alone, how long a leader goes on without a renewal, how often it asks."""

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Lease:
    """One reading of it. `version` guards a write; `kept` is whatever else the store needs to write it again."""

    holder: str = ""
    seconds: int = 0
    acquired_at: datetime | None = None
    renewed_at: datetime | None = None
    transitions: int = 0
    version: str = field(default="", compare=False)
    kept: object = field(default=None, compare=False, repr=False)


class Store(Protocol):
    """Where the Lease is. Each call raises LeaseError; a write also Conflict."""

    @property
    def name(self) -> str:
        """Return how people find it: NAMESPACE/NAME."""

    def read(self) -> Lease | None:
        """Return the Lease, or None where there is none yet."""

    def create(self, lease: Lease) -> Lease:
        """Make it, and return it as it is kept."""

    def replace(self, lease: Lease) -> Lease:
        """Write it over the version that was read, and return it as it is kept."""

    def close(self) -> None:
        """Hang up."""


def held(before: Lease | None, identity: str, *, now: datetime, timing: Timing) -> Lease:
    """Return the Lease as this replica holds it from `now` on: renewed, or taken over."""
    seconds = math.ceil(timing.lease)
    if before and before.holder == identity:
        return replace(before, seconds=seconds, renewed_at=now)
    fresh = Lease(identity, seconds, now, now)
    if before is None:
        return fresh
    return replace(fresh, transitions=before.transitions + 1, version=before.version, kept=before.kept)


def released(before: Lease, *, now: datetime) -> Lease:
    """Return the Lease as its holder leaves it: nobody's, and soon over for who looks at its times."""
    return replace(before, holder="", seconds=1, acquired_at=now, renewed_at=now)
