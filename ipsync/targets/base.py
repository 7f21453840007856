"""What the core asks of a target kind: read a scope, complete what differs, execute one step.

Reading and writing are two objects: a plan, a dry run and a check never hold a Writer.
Both are made for one scope (`Target.scope`: an account's region, or a project).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ipsync.core.model import Operation, ReadFailure, Receipt, State, Target


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `ipsync check`: a permission that is there or missing, and what would give it.

    `skipped` tells that it couldn't be tried: nothing is known of it, so it neither passed nor is it missing.
    """

    subject: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    skipped: bool = False


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
    """Writes to one scope, one step at a time."""

    def execute(self, operation: Operation) -> Receipt:
        """Do exactly this step, or raise Denied, Missing, Rejected, Stale, Unreachable or Uncertain.

        Stale when the resource isn't what the step expects. Uncertain whenever the write may have been applied.
        """
