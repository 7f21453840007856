"""What tests and the demo may set on the local AWS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ipsync.sandbox.aws.params import Refused
from ipsync.sandbox.aws.replies import Reply
from ipsync.sandbox.faults import Calls, Faults, TokenBucket


@dataclass(slots=True)
class Settings:
    """How strict, slow and fallible it is, and what was called."""

    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)
    denied: set[str] = field(default_factory=set)
    throttles: dict[str, TokenBucket] = field(default_factory=dict)
    refusals: dict[tuple[str, str], Refused] = field(default_factory=dict)
    """By region and action, either of which may be "" for all."""
    replies: dict[str, deque[Reply | None]] = field(default_factory=dict)
    """Canned answers to come, by action; None: this call is answered as it should be."""
    list_weights: dict[str, int] = field(default_factory=dict)
    """What AWS's own prefix lists weigh, by name; a list of the account's own weighs its MaxEntries."""
    quota: int = 60
    lag: int = 0
    """How many describes after a write still show the past."""

    def refuse(self, region: str, action: str) -> None:
        """Raise what was set for this call, if anything was."""
        for key in ((region, action), (region, ""), ("", action), ("", "")):
            if key in self.refusals:
                raise self.refusals[key]

    def reply(self, action: str) -> Reply | None:
        """Return this call's canned answer, if one is waiting."""
        waiting = self.replies.get(action)
        return waiting.popleft() if waiting else None
