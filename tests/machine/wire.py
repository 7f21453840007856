"""What happens to a write on its way to a cloud, and what somebody else does in that moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipsync.core.errors import Denied, Uncertain, Unreachable
from ipsync.core.model import Operation

if TYPE_CHECKING:
    from machine.world import World

TROUBLE = ["throttle", "lost before", "lost after", "denied", "kill before", "kill after", "race", "twin", "second"]
TROUBLE += ["blind before", "blind after"]  # a lost reply, and then it can't be read back either
LATE = {"kill after", "lost after", "blind after"}


class Killed(BaseException):
    """The process is gone: nothing after this point runs, not even handlers."""


@dataclass(slots=True)
class Wire:
    """`trouble` is what the next writes meet, in turn; an empty text lets one pass."""

    trouble: list[str] = field(default_factory=list)
    late: str = ""

    def clear(self) -> None:
        self.trouble, self.late = [], ""

    def before(self, world: World, operation: Operation) -> None:
        """Meet a write before the cloud has it."""
        kind = self.trouble.pop(0) if self.trouble else ""
        self.late = kind if kind in LATE else ""
        if kind == "kill before":
            raise Killed
        if kind in {"lost before", "blind before"}:
            world.cloud.blind = kind == "blind before"
            raise Uncertain("no reply")
        if kind == "throttle":
            raise Unreachable("RequestLimitExceeded")
        if kind == "denied":
            raise Denied("UnauthorizedOperation")
        if kind == "race":
            _someone_is_faster(world, operation)
        if kind in {"twin", "second"} and len(world.under) == 1:
            trouble, self.trouble = self.trouble, []
            world.inside(kind)
            self.trouble = trouble

    def after(self, world: World) -> None:
        """Meet the answer of a write that was carried out."""
        kind, self.late = self.late, ""
        if kind == "kill after":
            raise Killed
        if kind:
            world.cloud.blind = kind == "blind after"
            raise Uncertain("no reply")


def _someone_is_faster(world: World, operation: Operation) -> None:
    world.edit()
    group = world.cloud.groups.get(operation.resource, {})
    if operation.kind == "add" and operation.entries[0] not in group.values():
        if str(operation.entries[0].network) not in group:  # a prefix list has each CIDR once
            world.cloud.put(operation.resource, replace(operation.entries[0], note=()))
    elif operation.kind == "remove":
        group.pop(operation.entries[0].provider_id, None)
    elif operation.kind in {"replace", "delete"}:
        held = world.cloud.lists.pop(operation.resource, None)
        if held and operation.kind == "replace":
            world.cloud.lists[operation.resource] = replace(held, networks=held.networks[:1])
