"""One call to Compute Engine with all its tries, and waiting for the operation that it began.

Google's library retries 503 on reads alone, and its operation futures poll the real host whatever the endpoint says and
take some failed operations for done: so the tries are ours, with one deadline and one request id for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ipsync.core.errors import CloudError, Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.targets import pace
from ipsync.targets.gcp import answers as gcp_answers
from ipsync.targets.gcp import pacing as gcp_pacing
from ipsync.targets.gcp.errors import Meaning, expected, meaning_of
from ipsync.targets.gcp.where import GcpRule

DEADLINE = 60.0
"""Seconds for one call with all its tries, and for one operation to end."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
BRIEF_TRIES = 4
"""How often a call is tried where more of the same would not help: nobody answers, or somebody in Google's place."""
BRIEF = 6.0
"""Seconds after which such a call isn't tried again."""
LONGEST_WAIT = 30.0
"""Seconds for one request that waits for an operation."""


# ── one call ─────────────────────────────────────────────────────────────────


def call(
    operation: Callable[[], Any], *, subject: str, writes: bool, quota: pace.Pacer, ends: float | None = None
) -> Any:
    """Call until it succeeds, is refused, or the deadline (of `pace.now`) passes; raise what that means.

    What is throttled is tried again whatever the deadline: that alone fails nobody.
    Once a reply to a write was lost, no later answer tells what became of the first try: that is Uncertain.
    """
    tries = _Tries(quota, pace.now() + DEADLINE if ends is None else ends)
    try:
        return _called(tries, operation, subject)
    except pace.GivenUp as error:
        meant: CloudError = Unreachable(f"{subject}: {error}", code=type(error).__name__)
    except CloudError as error:  # a refusal, or what a look before another try has found
        meant = error
    raise _lost(meant) if writes and tries.taken else meant


def _called(tries: _Tries, operation: Callable[[], Any], subject: str) -> Any:
    while True:
        try:
            return tries.made(operation)
        except expected() as error:
            meaning = meaning_of(error, subject)
        if not tries.another(meaning):
            raise meaning.error


def _lost(error: CloudError) -> Uncertain:
    """Say of a write's last answer that it tells nothing of the first try."""
    also = ", or the first try did; its reply was lost" if isinstance(error, Stale) else ""
    return Uncertain(f"{error}{also}", code=error.code)


class _Tries:
    """The tries of one call. `taken` tells that one of them may have been carried out."""

    def __init__(self, quota: pace.Pacer, until: float) -> None:
        self._quota, self._until, self._began = quota, until, pace.now()
        self._pauses = pauses()
        self._brief, self._silent, self._left, self._since = 0, 0, 0.0, 0.0
        self.taken = False

    def made(self, operation: Callable[[], Any]) -> Any:
        """Make one try, when its turn has come. Raises GivenUp when the run is to end before."""
        self._left = self._quota.take()
        answer = operation()
        self._quota.passed()
        return answer

    def another(self, meaning: Meaning) -> bool:
        """Tell whether to try again, after a pause. Raises GivenUp when patience or the run has ended."""
        self.taken = self.taken or meaning.taken
        if meaning.throttled:
            self._since = self._since or pace.now()
            self._quota.throttled(left=self._left, since=self._since)
            return True
        self._brief += meaning.brief
        self._silent += meaning.silent
        wait = next(self._pauses)
        long = meaning.brief and pace.now() - self._began > BRIEF
        enough = self._brief == BRIEF_TRIES or self._silent == pace.SILENT_TRIES
        if not meaning.again or long or enough or pace.now() + wait >= self._until:
            return False
        pace.sleep(wait)
        return True


def pauses() -> Iterator[float]:
    """Yield how long to wait between tries: longer each time, and never for all clients the same."""
    from google.api_core.retry import exponential_sleep_generator

    made: Iterator[float] = exponential_sleep_generator(FIRST_PAUSE, LONGEST_PAUSE)
    return made


# ── operations ───────────────────────────────────────────────────────────────


def finish(operations: Any, where: GcpRule, started: Any, *, subject: str) -> str:
    """Wait for an operation and return its name. A failed one raises; one that can't be followed is Uncertain."""
    now, ends, wait = started, pace.now() + DEADLINE, 0.0
    polls = gcp_pacing.quota(where.project, writes=False)
    describe = f"`gcloud compute operations describe {started.name} --global --project={where.project}`"
    while gcp_answers.state(now) != "DONE":
        if pace.now() + wait > ends:
            text = f"{subject}: operation {started.name} hasn't ended after {DEADLINE:g} s; see {describe}"
            raise Uncertain(text, request_id=str(started.name))
        time.sleep(wait)
        wait = min(LONGEST_PAUSE, wait * 2 or FIRST_PAUSE)
        try:
            ask = partial(_wait, operations, where, started.name, ends)
            now = call(ask, subject=subject, writes=False, quota=polls, ends=ends)
        except CloudError as error:  # whatever it says, it speaks of the waiting: the write was taken
            text = f"{error}. The write was taken, but operation {started.name} can't be followed; see {describe}"
            raise Uncertain(text, code=error.code, request_id=str(started.name)) from None
    _raise_if_failed(now, subject)
    return str(started.name)


def _wait(operations: Any, where: GcpRule, name: str, ends: float) -> Any:
    """Ask once; Google holds the answer back for up to 2 minutes, and may answer before the operation has ended."""
    left = max(1.0, ends - pace.now())
    now = operations.wait(project=where.project, operation=name, timeout=min(left, LONGEST_WAIT), retry=None)
    return gcp_answers.operation(now, name=name)


def _raise_if_failed(operation: Any, subject: str) -> None:
    """Look at `error.errors`, not at httpErrorStatusCode, which failed operations may lack."""
    errors = list(operation.error.errors) if operation.error else []
    if not errors:
        return
    code, text = str(errors[0].code), "; ".join(f"{e.code}: {e.message}" for e in errors)
    if "PERMISSION" in code or "FORBIDDEN" in code:
        raise Denied(f"{subject}: {text}", code=code, request_id=str(operation.name))
    if code == "RESOURCE_NOT_FOUND":
        raise Missing(f"{subject}: {text}", code=code, request_id=str(operation.name))
    raise Rejected(f"{subject}: {text}", code=code, request_id=str(operation.name))
