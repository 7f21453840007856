"""What the core asks of a target kind: read a scope, complete what differs, execute one step.

Reading and writing are two objects: a plan, a dry run and a check never hold a Writer.
Both are made for one scope (`Target.scope`: an account's region, or a project).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ipsync.core.configured import Target, Where
from ipsync.core.errors import CloudError
from ipsync.core.model import Operation, ReadFailure, Receipt, State
from ipsync.core.traits import Traits


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `ipsync check`: a permission that is there or missing, and what would give it.

    `skipped` tells that it couldn't be tried: nothing is known of it, so it neither passed nor is it missing. `resource`
    is where it was tried, if somewhere: what is the same at many of them is told once.
    """

    subject: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    skipped: bool = False
    resource: str = ""

    @property
    def passed(self) -> bool:
        """It was tried, and it is there."""
        return self.ok and not self.skipped


class Reader(Protocol):
    """Reads one scope. Nothing here can write: the client under it refuses every other operation."""

    def list_owned(self, targets: Sequence[Target], *, owner: str) -> list[State | ReadFailure]:
        """Read what this owner holds in the scope, in the fewest calls; states may be incomplete.

        Returns one State for each resource that a target names or matches (with all targets that name it),
        and one without targets for each other resource in the scope that holds this owner's entries.
        Raises CloudError when nothing of the scope could be read.
        """

    def read_full(self, states: Sequence[State], *, owner: str) -> list[State | ReadFailure]:
        """Read these resources again, whole: ours, foreign entries and capacity.

        A state that was complete and comes without its capacity asks for the real limits, whatever that costs.
        """

    def check(self, targets: Sequence[Target], *, owner: str) -> list[Finding]:
        """Try each permission that a sync needs, without changing anything."""

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Every call made so far as (operation, result), for the metrics."""


class Writer(Protocol):
    """Writes to one scope: one step at a time, or several of different resources where its traits say `at_once`."""

    def execute(self, operation: Operation) -> Receipt:
        """Do exactly this step, or raise Denied, Missing, Rejected, Stale, Unreachable or Uncertain.

        Stale when the resource isn't what the step expects. Uncertain whenever the write may have been applied.
        """


# ── places ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Places that could not be listed: nothing is read there, and whatever may be `around` is left as it is."""

    around: Where
    why: str

    @property
    def scope(self) -> tuple[object, ...]:
        """A scope that no reader opens."""
        return ("unlisted", *self.around.scope, self.why)

    @property
    def place(self) -> str:
        """What is known of where it is."""
        return self.around.place

    def may_name(self, resource: str) -> bool:
        """Tell whether a resource may be at one of the places."""
        return self.around.may_name(resource)

    def may_be_at(self, place: str) -> bool:
        """Tell whether a place may be one of them."""
        return self.around.may_be_at(place)


@dataclass(frozen=True, slots=True)
class Places:
    """Where one target is in this run; `notices` tell people how many places were listed, and what was left out."""

    found: tuple[Where, ...]
    notices: tuple[str, ...] = ()


def as_configured(targets: Sequence[Target]) -> list[Places]:
    """Return the one place of each target that the config names."""
    return [Places((t.where,)) for t in targets]


def as_placed(targets: Sequence[Target]) -> Sequence[str | CloudError]:
    """Return the place that each target's `where` names."""
    return [t.where.place for t in targets]


# ── a kind ───────────────────────────────────────────────────────────────────

Path = tuple[str | int, ...]
"""A key's place in the config: ("targets", 0, "ports", 1)."""
Endpoints = Mapping[str, str | None]
"""The emulators' URLs that the config names, by cloud."""
Node = dict[str, Any]


class Problems(Protocol):
    """Takes what is wrong with a config; each problem is shown with its line."""

    def add(self, path: Path, text: str) -> None:
        """Note a problem at a key."""

    def shown(self, path: Path, value: object) -> str:
        """Return a value as an error may show it: what came from the environment stays hidden."""

    def line(self, path: Path) -> int:
        """Return the line on which a key stands."""


def _fits(path: Path, target: Mapping[str, Any], problems: Problems) -> None:
    """Find nothing wrong."""


def _fit(targets: Iterable[tuple[int, Any]], problems: Problems) -> None:
    """Find nothing wrong."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of target, whole: a line in the registry, or an entry point, makes it known.

    schema     the pydantic model of its entry in the config, a `values.models.AnyTarget` with a literal `kind`
    where      makes from such a model where the target is
    places     returns where each of these targets is now, where an entry of the config leads to several places; it lists
               all of them at once, so that what two entries need is asked once. What can't be listed is `Unlisted`
    homes      returns of each target in a run the place of its resources (a resource's name without its last word),
               whatever credentials lead there: a run of one shard asks it before it reads. An error where nobody can say
    check      says what doesn't fit together in one entry, as it stands in the file
    check_all  the same of several entries, each with its index
    schema_rules, schema_narrower   what pydantic can't say in the JSON Schema, by the model's name: conditions, and a
               key with what it allows besides
    """

    name: str
    traits: Traits
    schema: type[Any]
    where: Callable[[Any, Endpoints], Where]
    reader: Callable[[Target], Reader]
    writer: Callable[[Target], Writer]
    places: Callable[[Sequence[Target]], Sequence[Places]] = as_configured
    homes: Callable[[Sequence[Target]], Sequence[str | CloudError]] = as_placed
    check: Callable[[Path, Mapping[str, Any], Problems], None] = _fits
    check_all: Callable[[Iterable[tuple[int, Any]], Problems], None] = _fit
    schema_rules: Mapping[str, list[Node]] = field(default_factory=dict)
    schema_narrower: Mapping[str, tuple[str, Node]] = field(default_factory=dict)


def when(key: str, holds: Node, then: Node, *, otherwise: Node | None = None) -> Node:
    """Demand something in the JSON Schema where a key is there and holds something."""
    rule = {"if": {"required": [key], "properties": {key: holds}}, "then": then}
    return rule if otherwise is None else {**rule, "else": otherwise}


def must(key: str, type_: str) -> Node:
    """Demand a key of a JSON type."""
    return {"required": [key], "properties": {key: {"type": type_}}}


def some() -> Node:
    """Return the schema of a list that isn't empty."""
    return {"minItems": 1, "type": "array"}
