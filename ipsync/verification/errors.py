"""What can go wrong when somebody else is asked for a proof, split by what the caller does next.

VerificationError         refused, or an answer that says nothing: nothing was started, mend what the text names
├── NotFound              there is no such thing: not yet, no more, or not in the project of this token
├── Unavailable           no usable answer at this moment: asking again later may help, and starts nothing twice
├── AnswerLost            something may have been started and nobody knows: never ask for it again, look first
└── BrokenOff             whoever asked doesn't want the answer any more; nothing was sent, or it only reads

WrongValue is a UsageError: an id, an address or a token that can't be right, told before anything is sent.
"""

from __future__ import annotations

from ipsync.core.errors import IpsyncError, UsageError


class VerificationError(IpsyncError):
    """The verifier refused, or answered with something that says nothing. Nothing was started."""


class NotFound(VerificationError):
    """There is no such thing over there."""


class Unavailable(VerificationError):
    """No usable answer at this moment. `after` is in how many seconds it asks to be asked again, if it says so."""

    def __init__(self, text: str, *, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class AnswerLost(VerificationError):
    """The request may have been carried out, and its answer is not there."""


class BrokenOff(VerificationError):
    """The request was given up on demand."""


class WrongValue(UsageError, ValueError):
    """A value that can't be sent."""
