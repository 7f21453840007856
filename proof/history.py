"""A published list's history: one JSON delta a line, and what a mirror of it would have done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from ipsync.core.addresses import parse
from ipsync.core.model import Network
from ipsync.core.spans import Covered


@dataclass(frozen=True, slots=True)
class Version:
    """The list as it was from `at` until the next version."""

    at: datetime
    listed: frozenset[str]


def load(path: Path) -> list[Version]:
    """Read a history; each line is {"at": ISO time, "add": [...], "remove": [...]}, in order."""
    versions: list[Version] = []
    listed: frozenset[str] = frozenset()
    for line in path.read_text().splitlines():
        delta = json.loads(line)
        listed = (listed - frozenset(delta["remove"])) | frozenset(delta["add"])
        at = datetime.fromisoformat(delta["at"]).astimezone(UTC).replace(microsecond=0)
        versions.append(Version(at, listed))
    return versions


@dataclass(slots=True)
class Door:
    """What was let in, seen from outside, with the history as the judge.

    wipes      times that everything was removed at once
    premature  removals of an entry that the list names again later
    lost       of these, the ones that took addresses away: nothing that stayed covers them
    exposed    hours that an address stayed in after its last listing, one item an address
    shut_out   hours that a listed address was not let in, one item an opening that came late
    """

    versions: list[Version]
    held: frozenset[str] = frozenset()
    wipes: int = 0
    removals: int = 0
    premature: int = 0
    lost: int = 0
    exposed: list[float] = field(default_factory=list)
    shut_out: list[float] = field(default_factory=list)
    _last: dict[str, datetime] = field(default_factory=dict)
    _gone: dict[str, datetime] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for version, following in zip(self.versions, self.versions[1:], strict=False):
            for address in version.listed:
                self._last[address] = version.at
                if address not in following.listed:
                    self._gone[address] = following.at
        final = self.versions[-1]
        self._last |= dict.fromkeys(final.listed, final.at)

    def set(self, held: Iterable[str], *, at: datetime, listed: frozenset[str]) -> None:
        """Say what is let in from `at` on, and what the list names then."""
        now = frozenset(held)
        if self.held and not now:
            self.wipes += 1
        gone = self.held - now
        covered = Covered(map(parsed, now)) if gone else ()
        for address in gone:
            self._removed(address, at, lost=parsed(address) not in covered)
        for address in listed - now:
            self._since.setdefault(address, at)
        for address in [a for a in self._since if a in now or a not in listed]:
            self.shut_out.append(hours(at - self._since.pop(address)))
        self.held = now

    def end(self, at: datetime) -> None:
        """Count what is still in though the list let go of it as exposed until now."""
        for address in self.held - self.versions[-1].listed:
            self.exposed.append(hours(at - self._gone[address]))

    def _removed(self, address: str, at: datetime, *, lost: bool) -> None:
        self.removals += 1
        if self._last[address] >= at:
            self.premature += 1
            self.lost += lost
        elif address not in self.versions[-1].listed:
            self.exposed.append(hours(at - self._gone[address]))


@lru_cache(maxsize=100_000)
def parsed(address: str) -> Network:
    """Return an address as a network; a history names each of them in many versions."""
    return parse(address)


def hours(span: timedelta) -> float:
    """Return a span in hours."""
    return span.total_seconds() / 3600


def mirror(versions: list[Version]) -> Door:
    """Do what a script without grace and guards does: make the door equal the list, whatever it says."""
    door = Door(versions)
    for version in versions:
        door.set(version.listed, at=version.at, listed=version.listed)
    return door
