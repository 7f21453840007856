"""What a run of somebody else's tests says, and what it takes to ask for one: all that whoever waits for it knows."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol, runtime_checkable

State = Literal["running", "passed", "failed", "cancelled", "unknown"]
"""`unknown` is everything that proves nothing: an error over there, an answer that contradicts itself, a lost one."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one run. Only `passed` proves anything; `detail` says in a sentence why it is none of it."""

    state: State
    run_id: str = ""
    url: str = ""
    failed: tuple[str, ...] = ()
    detail: str = ""

    @property
    def ended(self) -> bool:
        """Tell whether asking again can't change it any more."""
        return self.state != "running"


class Verifier(Protocol):
    """Somebody who can be asked whether the doors are open."""

    def start(self) -> Result:
        """Start a run and return at once; `unknown`, without an id, where the answer was lost.

        Raises VerificationError where surely nothing was started.
        """
        ...

    def poll(self, run_id: str, *, within: float = inf) -> Result:
        """Return what is known of a run now; what takes longer than `within` seconds is no answer.

        Raises Unavailable where asking again may help, another VerificationError where it doesn't.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """One that can be asked, without starting anything, whether it would take a request."""

    def check(self) -> str:
        """Return what is known to be well, in a sentence. Raises VerificationError where it isn't."""
        ...


@runtime_checkable
class Repeats(Verifier, Protocol):
    """One that can run again what failed in a run."""

    def rerun_failed(self, run_id: str) -> Result:
        """Run again what failed: the result has the new run's id. As `start` in everything else."""
        ...
