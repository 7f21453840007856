"""What the referee is told, as plain data: the world before a pass, each write, and what the run said afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ipsync.core.configured import Config, Target
from ipsync.core.model import Network
from ipsync.targets.aws.where import AwsGroups


@dataclass(frozen=True, slots=True)
class Hole:
    """What one entry lets in: from where, and to what.

    `way` is the service of an AWS rule (`443/tcp`), or everything else that a GCP rule says, as one text.
    """

    network: Network
    way: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What an entry says of itself: whose it is, for which targets, from where, and since when it is leaving."""

    owner: str
    targets: frozenset[str]
    origins: frozenset[str]
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """One entry as a cloud holds it; `mark` is None for what no ipsync made."""

    hole: Hole
    mark: Mark | None = None


Contents = Mapping[str, Held]
"""Everything that a resource lets in, by the cloud's own key: a rule's id, or a rule's name, a `|` and a range of it."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: what its resource holds before, and what it would hold after it.

    resource   what a target names: a group, or a rule with all its neighbours (-v6, -2)
    place      what is written to: the group, or one rule
    whole      a GCP rule has no source left, which Google reads as the whole internet; or it was a PUT
    limit      how many entries of one family the place holds at most; 0 where nobody knows
    crowded    a GCP rule is made where its project holds as many as it may
    """

    resource: str
    place: str
    before: Contents
    after: Contents
    whole: bool = False
    limit: int = 0
    crowded: bool = False

    @property
    def opened(self) -> dict[str, Held]:
        """Return what lets in after the write and did not before, by its key."""
        return {k: h for k, h in self.after.items() if k not in self.before or self.before[k].hole != h.hole}

    @property
    def closed(self) -> dict[str, Held]:
        """Return what let in before the write and does not after it, by its key."""
        return {k: h for k, h in self.before.items() if k not in self.after or self.after[k].hole != h.hole}

    @property
    def made(self) -> bool:
        """Tell whether a GCP rule is made by this write: with its settings, which no entry shows."""
        rule = f"{self.place.rpartition('/')[2]}|"
        return self.place.startswith("gcp/") and not any(k.startswith(rule) for k in self.before)

    @property
    def deleted(self) -> bool:
        """Tell whether a GCP rule is taken away whole by this write."""
        rule = f"{self.place.rpartition('/')[2]}|"
        return self.place.startswith("gcp/") and not any(k.startswith(rule) for k in self.after)

    @property
    def remarked(self) -> dict[str, tuple[Mark | None, Mark | None]]:
        """Return the marks that the write changes, old and new, of what stays."""
        both = self.before.keys() & self.after.keys()
        marks = {k: (self.before[k].mark, self.after[k].mark) for k in both}
        return {k: pair for k, pair in marks.items() if pair[0] != pair[1]}


Approved = frozenset[tuple[str, str, Network]]
"""What a human looked at and allowed: `add` or `remove`, the resource, the network."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The world as one pass meets it.

    served     what each feed answered in this pass; None where it gave nothing that can be read, absent if not asked
    naming     for each resource the targets that name it, by the truth of the cloud
    unread     targets whose groups or rules can't be known in this pass: their match, or their whole scope, isn't readable
    blocked    resources that can't be managed at all (a deny rule of that name, another network, a stranger's rule)
    held       what each resource holds when the pass begins
    added      since when an entry is there, by its resource and the cloud's own key, if an ipsync's write made it
    """

    config: Config
    selected: frozenset[str]
    now: datetime
    served: Mapping[str, Sequence[Network] | None]
    naming: Mapping[str, frozenset[str]]
    held: Mapping[str, Contents]
    unread: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    approved: Approved = frozenset()
    added: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    known: dict[str, object] = field(default_factory=dict, init=False, compare=False)
    """What the referee has worked out in this pass already."""

    def targets(self, resource: str) -> list[Target]:
        """Return the targets that name a resource, selected or not, healthy or not."""
        names = self.naming.get(resource, frozenset())
        return [t for t in self.config.targets if t.name in names]

    def doubtful(self, resource: str) -> list[Target]:
        """Return the targets that may name a resource too, since nobody can read what they name."""
        names = self.naming.get(resource, frozenset())
        blind = [t for t in self.config.targets if t.name in self.unread and t.name not in names]
        return [t for t in blind if _could_name(t, resource)]


def _could_name(target: Target, resource: str) -> bool:
    """Tell whether a target that chooses by tags could mean this group, which no prefix list is: only the region is sure."""
    where = target.where
    if not isinstance(where, AwsGroups) or where.groups:
        return False
    cloud, _, region, *_ = resource.split("/")
    return cloud == "aws" and region == where.region and not resource.rpartition("/")[2].startswith("pl-")


@dataclass(frozen=True, slots=True)
class Line:
    """What a report says of one target on one resource. In `add`, `remove` and the like: (network, service or None)."""

    target: str
    resource: str
    status: str
    add: frozenset[tuple[Network, str | None]] = frozenset()
    remove: frozenset[tuple[Network, str | None]] = frozenset()
    leaving: frozenset[tuple[Network, str | None]] = frozenset()
    waiting: frozenset[tuple[Network, str | None]] = frozenset()
    settings: bool = False
    deletes: frozenset[str] = frozenset()
    guards: frozenset[tuple[str, str]] = frozenset()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a run said at its end: its lines, and its exit code."""

    lines: tuple[Line, ...]
    code: int
    orphaned: frozenset[tuple[str, Network]] = frozenset()

    def of(self, resource: str) -> list[Line]:
        """Return the lines about one resource."""
        return [line for line in self.lines if line.resource == resource]


@dataclass(slots=True)
class Course:
    """What has happened in a pass so far.

    sent       writes that were sent and let nothing wrong be seen; with whether the cloud carried them out
    again      resources that turned out to be another than was read: what comes after is planned anew
    """

    sent: list[tuple[Write, bool]] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    disturbed: bool = False
    """Somebody else has changed something while the pass ran."""

    def done(self, resource: str) -> list[Write]:
        """Return what was carried out on a resource."""
        return [w for w, carried_out in self.sent if carried_out and w.resource == resource]

    def failed(self, resource: str) -> list[Write]:
        """Return what was sent to a resource and not carried out."""
        return [w for w, carried_out in self.sent if not carried_out and w.resource == resource]
