"""Ask somebody else whether a wave's doors are open: start, wait, run failed tests again; each step is on disk first.

A run that was begun and whose end nobody saw is asked for again by its id. What was started in doubt is never started
twice in one run. A signal ends the wait at once: the run over there goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ipsync.core.errors import IpsyncError
from ipsync.core.events import Verification
from ipsync.core.rollout import Check
from ipsync.core.signals import StageBegan
from ipsync.core.standing import ASKED, RUNNING
from ipsync.core.waves import Proof
from ipsync.engine.run import Change, Run
from ipsync.verification import waiting
from ipsync.verification.base import Repeats, Result, Verifier
from ipsync.verification.errors import BrokenOff, Unavailable, VerificationError

log = logging.getLogger(__name__)
GOES_ON = "ended the wait; that run goes on, and the next pass picks up its result"
CUT = "ended it before it had an answer"


def prove(run: Run, wave: str, check: Check, change: Change, *, fresh: bool) -> Proof:
    """Return what a check says of a wave; a `fresh` one is proven by nothing that was asked before."""
    run.signal(StageBegan("prove", run.id))
    asking = _Asking(run, wave, check)
    try:
        result = asking.asked(run.verifier(check, change), fresh=fresh)
    except IpsyncError as error:
        result = asking.told(Result("unknown", detail=str(error)))
    return Proof(check.name, result.state, result.run_id, result.url, result.failed, result.detail)


@dataclass(slots=True)
class _Asking:
    """One check of one wave, in this run."""

    run: Run
    wave: str
    check: Check
    reruns: int = 0

    def asked(self, verifier: Verifier, *, fresh: bool) -> Result:
        result = self._ended(verifier, self._picked_up(fresh=fresh) or self._started(verifier.start))
        while result.state == "failed" and result.failed and self.reruns < self.check.rerun_failed:
            if not isinstance(verifier, Repeats):
                break
            result = self._again(verifier, result)
        return result

    def told(self, result: Result) -> Result:
        """Put an answer on disk, and return it."""
        self._emit(result.state, result)
        return result

    # ── begin ────────────────────────────────────────────────────────────

    def _picked_up(self, *, fresh: bool) -> Result | None:
        """Return the run that an earlier pass began, if there is one whose end nobody saw."""
        last = self.run.standing.goes_on(self.wave, self.check.name)
        if fresh or last is None:
            return None
        log.info("wave %s: check %s goes on with run %s, which an earlier pass began", self.wave, self.check.name, last.run_id)  # fmt: skip
        self.reruns = last.reruns
        return Result("running", last.run_id, last.url)

    def _started(self, start: Callable[[], Result]) -> Result:
        """Start a run; that it is asked for is on disk before."""
        self._emit(ASKED, Result("unknown"))
        result = self.told(start())
        where = f" run {result.run_id} {result.url}".rstrip() if result.run_id else ""
        log.info("wave %s: check %s%s: %s", self.wave, self.check.name, where, result.state)
        return result

    def _again(self, verifier: Repeats, failed: Result) -> Result:
        """Run again what failed. Where that can't be begun, it failed."""
        self.reruns += 1
        try:
            begun = self._started(lambda: verifier.rerun_failed(failed.run_id))
        except VerificationError as error:
            return self._not_again(failed, str(error))
        return self._ended(verifier, begun) if begun.run_id else self._not_again(failed, begun.detail)

    def _not_again(self, failed: Result, why: str) -> Result:
        self.reruns = self.check.rerun_failed
        return self.told(replace(failed, detail=f"its failed tests could not be run again: {why}"))

    # ── wait ─────────────────────────────────────────────────────────────

    def _ended(self, verifier: Verifier, begun: Result) -> Result:
        if begun.ended:
            return begun
        trouble: list[str] = [""]
        try:
            last = waiting.wait(
                lambda _left: self._poll(verifier, begun.run_id),
                ended=lambda answer: answer.ended,
                timeout=self.check.timeout,
                stop=self.run.stop,
                tell=lambda answer: trouble.append(str(answer) if isinstance(answer, Unavailable) else answer.detail),
            )
        except VerificationError as error:
            last = Result("unknown", detail=str(error))
        return self._judged(begun, last, trouble[-1])

    def _poll(self, verifier: Verifier, run_id: str) -> Result:
        if self.run.stopping():
            raise BrokenOff(f"{self.run.ended_by} {GOES_ON}")
        return verifier.poll(run_id)

    def _judged(self, begun: Result, last: Result | None, trouble: str) -> Result:
        """Say how it ended; of what goes on, the word that it runs stands in the log."""
        if last and last.ended:
            return self.told(replace(last, run_id=begun.run_id, url=last.url or begun.url))
        if self.run.stopping() and begun.run_id:
            return replace(begun, detail=f"{self.run.ended_by} {GOES_ON}")
        late = f"no result within {self.check.timeout:g} s{f': {trouble}' if trouble else ''}"
        return self.told(
            replace(begun, state="unknown", detail=f"{self.run.ended_by} {CUT}" if self.run.stopping() else late)
        )

    # ── on disk ──────────────────────────────────────────────────────────

    def _emit(self, state: str, result: Result) -> None:
        self.run.emit(
            Verification(
                wave=self.wave,
                check=self.check.name,
                state=state,
                config=self.run.config.source or None,
                request=self.check.by.asked if state in {ASKED, RUNNING} else None,
                run_id=result.run_id or None,
                url=result.url or None,
                failed=result.failed or None,
                detail=result.detail if state != ASKED and result.detail else None,
                reruns=self.reruns or None,
            )
        )
