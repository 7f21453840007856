"""How waves and their checks stood when the audit log last heard of them: what a run goes on from. Pure.

The log keeps the newest word on each and every `run-ended` hands it on, so that no run reads far back, and what a run
that was killed left open is found all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ipsync.core.events import Verification, WaveReached
from ipsync.core.marks import parse_time
from ipsync.core.rollout import Check
from ipsync.core.waves import WaveState

LASTING = {WaveState.BEGAN, WaveState.APPLIED, WaveState.VERIFIED, WaveState.FAILED, WaveState.APPROVED}
"""What says something of a wave's doors. That it waited, or wasn't written whole, changes nothing of what was known."""
ASKED, RUNNING, PASSED = "asked", "running", "passed"
KEPT = (
    "event",
    "seq",
    "at",
    "owner",
    "config",
    "wave",
    "check",
    "state",
    "run_id",
    "url",
    "failed",
    "detail",
    "reruns",
    "request",
)
Word = dict[str, Any]
Key = tuple[object, ...]


def taken(record: Mapping[str, Any]) -> tuple[Key, Word] | None:
    """Return what is to be kept of a record, and the key under which it takes an older word's place.

    When a wave was last begun is kept apart: what was asked before that proves nothing of it, whenever it is answered.
    """
    lasting = WaveReached.names(record) and record.get("state") in LASTING
    asked = Verification.names(record) and not record.get("superseded")
    if not lasting and not asked:
        return None
    word = {key: record[key] for key in KEPT if key in record}
    began = record.get("state") == WaveState.BEGAN
    return (*(word.get(key, "") for key in ("event", "owner", "config", "wave", "check")), began), word


@dataclass(frozen=True, slots=True)
class Known:
    """The last word on a wave (`check` is empty) or on one of its checks."""

    state: str
    seq: int = 0
    at: datetime | None = None
    run_id: str = ""
    url: str = ""
    failed: tuple[str, ...] = ()
    detail: str = ""
    reruns: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is known: of each wave the newest word and when it was last begun, and of each check of a wave."""

    waves: Mapping[str, Known] = field(default_factory=dict)
    checks: Mapping[tuple[str, str], Known] = field(default_factory=dict)
    began: Mapping[str, int] = field(default_factory=dict)

    def goes_on(self, wave: str, check: str) -> Known | None:
        """Return the run that was begun for a check, whose end nobody has seen: unless the wave was written since."""
        last = self.checks.get((wave, check))
        open_run = last is not None and last.state == RUNNING and last.run_id and last.seq > self.began.get(wave, 0)
        return last if open_run else None


def standing(words: Iterable[Mapping[str, Any]], *, owner: str, config: str, checks: Sequence[Check] = ()) -> Standing:
    """Read what the log handed on; of several configs and owners that share it, only this one's.

    What one of the `checks` asked for when it was written otherwise is no word on it: another test plan proves
    something else.
    """
    requests = {check.name: check.by.asked for check in checks}
    waves: dict[str, Known] = {}
    known: dict[tuple[str, str], Known] = {}
    began: dict[str, int] = {}
    for word in sorted(words, key=lambda word: int(word.get("seq", 0))):
        if word.get("owner") != owner or word.get("config", "") != config:
            continue
        if Verification.names(word):
            name = str(word.get("check"))
            if name in requests and word.get("request", requests[name]) != requests[name]:
                continue
            known[str(word.get("wave")), str(word.get("check"))] = _known(word)
        elif WaveReached.names(word):
            waves[str(word.get("wave"))] = _known(word)
            if word.get("state") == WaveState.BEGAN:
                began[str(word.get("wave"))] = int(word.get("seq", 0))
    return Standing(waves, known, began)


def _known(word: Mapping[str, Any]) -> Known:
    return Known(
        state=str(word.get("state")),
        seq=int(word.get("seq", 0)),
        at=parse_time(str(word.get("at"))),
        run_id=str(word.get("run_id", "")),
        url=str(word.get("url", "")),
        failed=tuple(map(str, word.get("failed", ()))),
        detail=str(word.get("detail", "")),
        reruns=int(word.get("reruns", 0)),
    )
