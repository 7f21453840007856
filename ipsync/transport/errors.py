"""The one error of this room; who asked says in its own words what it means."""

from __future__ import annotations

from ipsync.core.errors import IpsyncError


class NoAnswer(IpsyncError):
    """There is no whole answer. `sent` tells that the peer may have got the request, and may have acted on it."""

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class Cancelled(NoAnswer):
    """Whoever asked doesn't want the answer any more."""
