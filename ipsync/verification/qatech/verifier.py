"""QA.tech as a verifier: a run that is started, looked at, and repeated for what failed in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ipsync.verification.base import Result
from ipsync.verification.errors import AnswerLost
from ipsync.verification.qatech.answers import Run
from ipsync.verification.qatech.bodies import RerunRequest, RunRequest
from ipsync.verification.qatech.client import Client
from ipsync.verification.qatech.verdict import judged, started


@dataclass(frozen=True, slots=True)
class QatechVerifier:
    """Asks for the same run each time."""

    client: Client
    wanted: RunRequest

    def start(self) -> Result:
        """Start the run."""
        return _known(lambda: self.client.start(self.wanted))

    def poll(self, run_id: str) -> Result:
        """Return what is known of a run now."""
        return judged(self.client.run(run_id, test_cases="failed"))

    def rerun_failed(self, run_id: str) -> Result:
        """Run again what failed: the result has the new run's id. As `start` in everything else."""
        return _known(lambda: self.client.rerun(run_id, RerunRequest(failed_only=True)))


def _known(start: Callable[[], Run]) -> Result:
    try:
        return started(start())
    except AnswerLost as error:
        return Result("unknown", detail=str(error))
