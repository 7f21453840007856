"""Ask somebody else whether a wave's doors are open: start, wait, run failed tests again; each step is on disk first.

A run that was begun and whose end nobody saw is asked for again by its id. What was started in doubt is never started
twice in one run. A signal ends the wait at once: the run over there goes on. While it is waited for, others may write and
wait for the same run: what they recorded meanwhile is looked at before the answer counts (docs/decisions/0033).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ipsync.core.errors import IpsyncError
from ipsync.core.events import Verification
from ipsync.core.rollout import Check
from ipsync.core.signals import StageBegan
from ipsync.core.standing import ASKED, RUNNING, Known
from ipsync.core.waves import Proof
from ipsync.engine.run import Change, Run
from ipsync.verification import waiting
from ipsync.verification.base import Repeats, Result, Verifier
from ipsync.verification.errors import BrokenOff, Unavailable, VerificationError

log = logging.getLogger(__name__)
GOES_ON = "ended the wait; that run goes on, and the next pass picks up its result"
CUT = "ended it before it had an answer"
NOT_ASKED = "ended the run before it was asked; the next pass asks"
DECIDED = {"passed", "failed", "cancelled"}
"""Ends that the vendor told. The others only say that nobody knows."""


class Superseded(Exception):
    """The wave was written by another run while this one waited: the answer says nothing of what is there now."""


def prove(run: Run, wave: str, check: Check, change: Change, *, fresh: bool) -> Proof | None:
    """Return what a check says of a wave; a `fresh` one is proven by nothing that was asked before.

    None where another run wrote the wave meanwhile.
    """
    run.signal(StageBegan("prove", run.id))
    asking = _Asking(run, wave, check, began=run.turn.heard().standing.began.get(wave, 0))
    try:
        result = asking.asked(run.verifier(check, change), fresh=fresh)
    except Superseded:
        return None
    except IpsyncError as error:
        result = asking.told(Result("unknown", detail=str(error)))
    return Proof(check.name, result.state, result.run_id, result.url, result.failed, result.detail)


@dataclass(slots=True)
class _Asking:
    """One check of one wave, in this run.

    began  the number of the record with which the wave was last begun: it is that state which is to be proven
    last   the number of the last word on the check that this run knows of
    """

    run: Run
    wave: str
    check: Check
    began: int
    last: int = 0
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
        return self._joined(last)

    def _joined(self, word: Known) -> Result:
        """Go on with a run that another pass has begun."""
        self.last, self.reruns = word.seq, word.reruns
        return Result("running", word.run_id, word.url)

    def _started(self, start: Callable[[], Result]) -> Result:
        """Start a run; that it is asked for is on disk before."""
        if self.run.stopping():
            raise BrokenOff(f"{self.run.ended_by} {NOT_ASKED}")
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
        return self._not_again(failed, begun.detail) if begun.ended else self._ended(verifier, begun)

    def _not_again(self, failed: Result, why: str) -> Result:
        self.reruns = self.check.rerun_failed
        return self.told(replace(failed, detail=f"its failed tests could not be run again: {why}"))

    # ── wait ─────────────────────────────────────────────────────────────

    def _ended(self, verifier: Verifier, begun: Result) -> Result:
        if begun.ended:
            return begun
        with self.run.turn.given_away(self.run.stopping):
            last, trouble = self._waited(verifier, begun.run_id)
        if self.run.stopping() and begun.run_id and not (last and last.ended):
            return replace(begun, detail=f"{self.run.ended_by} {GOES_ON}")
        if self.run.turn.lost:
            return replace(begun, state="running" if begun.run_id else "unknown", detail=self.run.turn.lost)
        standing = self.run.turn.heard().standing
        if standing.began.get(self.wave, 0) != self.began:
            self._emit(last.state if last else "unknown", replace(last or begun, run_id=begun.run_id), superseded=True)
            raise Superseded
        word = standing.checks.get((self.wave, self.check.name))
        if word and word.seq > self.last and word.state != ASKED:
            return self._agreed(verifier, begun, last, word)
        return self._judged(begun, last, trouble)

    def _waited(self, verifier: Verifier, run_id: str) -> tuple[Result | None, str]:
        """Return the last answer, and why there was none at last."""
        trouble: list[str] = [""]
        try:
            last = waiting.wait(
                lambda left: self._poll(verifier, run_id, left),
                ended=lambda answer: answer.ended,
                timeout=self.check.timeout,
                stop=self.run.stop,
                tell=lambda answer: trouble.append(str(answer) if isinstance(answer, Unavailable) else answer.detail),
            )
        except VerificationError as error:
            last = Result("unknown", detail=str(error))
        return last, trouble[-1]

    def _poll(self, verifier: Verifier, run_id: str, left: float) -> Result:
        if self.run.stopping() and run_id:
            raise BrokenOff(f"{self.run.ended_by} {GOES_ON}")
        return verifier.poll(run_id, within=left)

    def _agreed(self, verifier: Verifier, begun: Result, last: Result | None, word: Known) -> Result:
        """Bring what this run was told together with what another pass recorded while both waited."""
        if word.state == RUNNING:
            return self._ended(verifier, self._joined(word))
        told = Result(word.state, word.run_id, word.url, word.failed, word.detail)  # type: ignore[arg-type]
        if word.run_id != begun.run_id or last is None or last.state not in DECIDED or last.state == word.state:
            return told
        if word.state not in DECIDED:
            return self._judged(begun, last, "")
        both = f"another pass was told that it {word.state}, and this one that it {last.state}: that proves nothing"
        return self.told(replace(begun, state="unknown", detail=both))

    def _judged(self, begun: Result, last: Result | None, trouble: str) -> Result:
        """Say how it ended."""
        if last and last.ended:
            return self.told(replace(last, run_id=begun.run_id, url=last.url or begun.url))
        late = f"no result within {self.check.timeout:g} s{f': {trouble}' if trouble else ''}"
        return self.told(
            replace(begun, state="unknown", detail=f"{self.run.ended_by} {CUT}" if self.run.stopping() else late)
        )

    # ── on disk ──────────────────────────────────────────────────────────

    def _emit(self, state: str, result: Result, *, superseded: bool = False) -> None:
        recorded = self.run.emit(
            Verification(
                wave=self.wave,
                check=self.check.name,
                state=state,
                config=self.run.config.source or None,
                request=self.check.by.asked,
                run_id=result.run_id or None,
                url=result.url or None,
                failed=result.failed or None,
                detail=result.detail if state != ASKED and result.detail else None,
                reruns=self.reruns or None,
                superseded=superseded or None,
            )
        )
        self.last = recorded.seq
