"""Finds out what a write really did, where the cloud's answer doesn't tell: by looking at what is there now."""

from __future__ import annotations

from collections.abc import Sequence

from ipsync.core.configured import Target
from ipsync.core.contents import Contents
from ipsync.core.model import Operation, State
from ipsync.core.plan import ResourceChange
from ipsync.engine.read import read_full
from ipsync.engine.recover import held_now
from ipsync.engine.run import Run

READ_BACK_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each attempt to see a write: EC2's API is eventually consistent (AWS docs)."""
READ_ONCE = (0.0,)
"""After a refusal: the cloud has said that it did nothing, so there is nothing to wait for."""
FOUND = {
    "failed": "reading it back shows that nothing was written",
    "partial": "reading it back shows that only a part was written, or that somebody else wrote at the same time",
    "unknown": "it can't be read back, so it is not known whether it was written; the next run reads it again",
}
"""What was found after a write whose answer says nothing, where it wasn't all applied."""


def read_back(
    run: Run,
    target: Target,
    resource_change: ResourceChange,
    operation: Operation,
    *,
    delays: Sequence[float] = READ_BACK_DELAYS,
) -> tuple[str, Contents | None]:
    """Find out what a write really did, and what is there now: applied, failed, partial, or still unknown."""
    result, now = "unknown", None
    for delay in delays:
        run.clouds.pause(delay)
        states = [s for s in read_full(run, target, [resource_change.state]) if isinstance(s, State)]
        read = held_now(operation.resource, states, run.config.owner) if states else None
        if read is None:
            continue
        now = read
        done = now == operation.after and not _still_worded(operation, states)
        result = "applied" if done else "failed" if now == operation.before else "partial"
        if result == "applied":
            break
    return result, now


def _still_worded(operation: Operation, states: Sequence[State]) -> bool:
    """Tell whether a list still has the words of before, of a write that only puts its description in order.

    What is said of each entry is the same before and after such a write: it tells nothing of what was carried out.
    """
    if operation.before != operation.after or operation.managed is None or operation.was is None:
        return False
    name, word = operation.managed.name, operation.was.note
    return any(managed.name == name and managed.note == word for s in states for managed in s.managed_lists)
