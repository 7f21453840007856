"""Which shard holds a scope: rendezvous hashing over the scopes' own names, the same on every machine. Pure.

Each shard weighs every scope by SHA-256 of its own number and the scope's name; the heaviest holds it. So no shard needs
to know of the others, and another number of shards moves only what a new shard wins or a gone one held: about 1/N.
(Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

MOST = 1000
"""Shards. More would weigh longer than they read."""
FORM = "I/N, a shard's number and how many there are: 0/4, 1/4, 2/4 and 3/4 are all of four"


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`; the first has the number 0, as a Kubernetes Job's first pod has."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise ValueError(f"{self.count} is no number of shards; there are 1 to {MOST}")
        if not 0 <= self.index < self.count:
            raise ValueError(f"there is no shard {self.index} of {self.count}; they are 0 to {self.count - 1}")

    def __str__(self) -> str:
        """Write it as the command line does."""
        return f"{self.index}/{self.count}"

    @property
    def part(self) -> str:
        """Write it as a part of a file's or an object's name."""
        return f"shard-{self.index}-of-{self.count}"

    @property
    def words(self) -> str:
        """Write it as people read it."""
        return f"shard {self.index} of {self.count}"

    def holds(self, scope: str) -> bool:
        """Tell whether a scope of that name is this shard's."""
        return holder(scope, self.count) == self.index

    def share(self, number: int) -> int:
        """Return this shard's part of a number that all shards together may not exceed: the parts add up to it."""
        return number // self.count + (self.index < number % self.count)


@dataclass(frozen=True, slots=True)
class Share:
    """What a shard holds in one run: so many scopes of all that the config leads to."""

    shard: Shard
    scopes: int
    of: int

    def __str__(self) -> str:
        return f"{self.shard.words}: {self.scopes:,} of {self.of:,} scopes"


@lru_cache(maxsize=65_536)  # a scope is asked about for each of its targets and resources
def holder(scope: str, count: int) -> int:
    """Return the number of the shard that holds a scope, of so many shards."""
    return max(range(count), key=lambda index: _weight(scope, index))


def read(text: str) -> Shard:
    """Read `I/N`. Raises ValueError that says what is wrong."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text, re.ASCII)
    if not found:
        raise ValueError(f"write {FORM}")
    return Shard(int(found[1]), int(found[2]))


def _weight(scope: str, index: int) -> bytes:
    return hashlib.sha256(f"{index}\n{scope}".encode()).digest()
