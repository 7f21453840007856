"""QA.tech as a verifier: a run that is started, looked at, and repeated for what failed in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from ipsync.verification.base import Result
from ipsync.verification.errors import AnswerLost, NotFound, Unavailable, VerificationError
from ipsync.verification.qatech.answers import Run
from ipsync.verification.qatech.bodies import RerunRequest, RunRequest
from ipsync.verification.qatech.client import Client
from ipsync.verification.qatech.verdict import judged, started

NO_RUN = "ipsynccheck0"
"""No run's id, in the form of one: a form that is refused (400) would say nothing of the token."""
ACCEPTED = "QA.tech accepts the token; whether the ids are of its project shows when a run is started"
SETTLING = 30.0
"""Seconds after its start in which a run that isn't found may not be known everywhere at QA.tech yet."""


def not_found(error: NotFound, *, since: float | None) -> VerificationError:
    """Return what it means that a run isn't found which was started here `since`, by the monotonic clock."""
    settling = since is not None and time.monotonic() - since < SETTLING
    return Unavailable(str(error)) if settling else error


@dataclass(frozen=True, slots=True)
class QatechVerifier:
    """Asks for the same run each time."""

    client: Client
    wanted: RunRequest
    started: dict[str, float] = field(default_factory=dict)
    """When each run was started here, by the monotonic clock."""

    def start(self) -> Result:
        """Start the run."""
        return self._known(lambda: self.client.start(self.wanted))

    def poll(self, run_id: str, *, within: float = inf) -> Result:
        """Return what is known of a run now."""
        client = replace(self.client, timeout=min(self.client.timeout, within))
        try:
            return judged(client.run(run_id, test_cases="failed"))
        except NotFound as error:
            raise not_found(error, since=self.started.get(run_id)) from None

    def check(self) -> str:
        """Ask for a run that isn't there. The API has no question of its own for that: 404 says that the token is taken."""
        try:
            self.client.run(NO_RUN)
        except NotFound:
            return ACCEPTED
        raise VerificationError("QA.tech knows a run that can't be; is the url right, and no gateway between?")

    def rerun_failed(self, run_id: str) -> Result:
        """Run again what failed: the result has the new run's id. As `start` in everything else."""
        return self._known(lambda: self.client.rerun(run_id, RerunRequest(failed_only=True)))

    def _known(self, start: Callable[[], Run]) -> Result:
        try:
            result = started(start())
        except AnswerLost as error:
            return Result("unknown", detail=str(error))
        self.started[result.run_id] = time.monotonic()
        return result
