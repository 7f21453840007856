"""What a plan and the audit log together say of waves: which checks are due, and which waves hold those behind. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ipsync.core.configured import Config
from ipsync.core.plan import Plan
from ipsync.core.rollout import Check, Wave
from ipsync.core.standing import ASKED, PASSED, Known, Standing
from ipsync.core.waves import (
    FINE,
    Proof,
    WaveReport,
    WaveState,
    behind,
    hold_id,
    is_pending,
    lacking,
    of,
    ordered,
    told,
    unsettled,
)

UNPROVEN = {WaveState.BEGAN.value, WaveState.FAILED.value}
PROVEN = {WaveState.VERIFIED.value, WaveState.APPLIED.value}
UNVERIFIED = "an earlier run wrote it and ended before it was verified"
REWRITTEN = "its checks are written otherwise than when they failed"
LOST = "a run of before ended while it asked, so that a run may go on there which nobody waits for"


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is asked what is due of a wave: whether this run changed it, and whether something waits behind it."""

    now: datetime
    changed: bool
    waits: bool


def is_due(wave: Wave, check: Check, known: Standing, moment: Moment) -> bool:
    """Tell whether a check is to be asked.

    Of a wave that nobody has verified yet it is asked as soon as something waits behind it.
    """
    last, state = known.checks.get((wave.name, check.name)), _state(wave, known)
    if check.when == "always" or moment.changed or state in UNPROVEN or known.goes_on(wave.name, check.name):
        return True
    passed = last is not None and last.state == PASSED
    if moment.waits and not (passed and state == WaveState.VERIFIED):
        return True
    return check.every is not None and not (passed and _young(last, check.every, moment.now))


def _state(wave: Wave, known: Standing) -> str:
    found = known.waves.get(wave.name)
    return found.state if found else ""


def _young(last: Known | None, age: timedelta, now: datetime) -> bool:
    """Tell whether a proof is young enough. One from the future is as doubtful as an old one: a clock has jumped."""
    return last is not None and last.at is not None and abs(now - last.at) < age


def pause_left(wave: Wave, known: Standing, *, now: datetime) -> float:
    """Return how many seconds of the pause after a wave are left that an earlier run wrote."""
    last = known.waves.get(wave.name)
    if last is None or last.at is None or last.state not in PROVEN:
        return 0.0
    return min(wave.pause, max(0.0, wave.pause - (now - last.at).total_seconds()))


# ── what is held already when a run begins ───────────────────────────────────


def holds(
    plan: Plan, config: Config, known: Standing, *, selected: Collection[str], beside: Mapping[str, str]
) -> dict[str, str]:
    """Return the waves that hold something back as far as a plan can tell, each with why.

    `beside` says what other shards have to do for them.
    """
    found = {}
    for wave in config.waves:
        waits = any(is_pending(c) for c in behind(plan, wave.name, config))
        why = lacking(plan, wave.name, config, selected=selected, fine=FINE)
        why = why or beside.get(wave.name, "") or _unproven(wave, config, known)
        if waits and why:
            found[wave.name] = why
    return found


def _unproven(wave: Wave, config: Config, known: Standing) -> str:
    """Say that the last proof of a wave failed, or that the run which wrote it never got so far."""
    state = _state(wave, known)
    if not wave.verify or state not in UNPROVEN:
        return ""
    proofs = [p for p in _last_proofs(wave, config, known) if not p.passed]
    began = state == WaveState.BEGAN
    why = "; ".join(map(told, proofs)) or (UNVERIFIED if began else REWRITTEN)
    return f"{why}; a sync asks again"


def _last_proofs(wave: Wave, config: Config, known: Standing) -> Iterator[Proof]:
    for check in config.checks:
        last = known.checks.get((wave.name, check.name))
        if check.name in wave.verify and last:
            state, detail = ("unknown", LOST) if last.state == ASKED else (last.state, last.detail)
            yield Proof(check.name, state, last.run_id, last.url, last.failed, detail)


def foreseen(
    plan: Plan,
    config: Config,
    known: Standing,
    *,
    now: datetime,
    selected: Collection[str],
    beside: Mapping[str, str],
) -> tuple[WaveReport, ...]:
    """Return how the waves stand before anything is written: in which order, what holds whom, and what will be asked."""
    if not config.waves:
        return ()
    held = holds(plan, config, known, selected=selected, beside=beside)
    waves = [_foreseen(wave, plan, config, known, held.get(wave.name, "")) for wave in ordered(config)]
    whole = {w for w in _whole(plan, config, selected) if w not in beside}
    asks = {w.name: tuple(_asked(w, plan, config, known, now)) for w in config.waves if w.name in whole}
    return tuple(replace(wave, asks=asks.get(wave.name, ())) for wave in waves)


def _whole(plan: Plan, config: Config, selected: Collection[str]) -> list[str]:
    """Return the waves that a sync would write whole: of the others it asks no check."""
    return [w.name for w in config.waves if not lacking(plan, w.name, config, selected=selected, fine=FINE)]


def _asked(wave: Wave, plan: Plan, config: Config, known: Standing, now: datetime) -> Iterator[str]:
    """Yield the checks that a sync asks of a wave, should all go well up to there."""
    changed = any(is_pending(c) for c in of(plan, wave.name))
    moment = Moment(now, changed, any(is_pending(c) for c in behind(plan, wave.name, config)))
    checks = {check.name: check for check in config.checks}
    yield from (name for name in wave.verify if is_due(wave, checks[name], known, moment))


def _foreseen(wave: Wave, plan: Plan, config: Config, known: Standing, why: str) -> WaveReport:
    number = sum(is_pending(c) for c in of(plan, wave.name))
    stuck = bool(unsettled(plan, wave.name, fine=FINE))
    open_question = not stuck and (why or _state(wave, known) in UNPROVEN)
    proofs = [p for p in _last_proofs(wave, config, known) if not p.passed] if open_question else []
    return WaveReport(
        wave.name,
        WaveState.CHANGE if number else WaveState.INCOMPLETE if stuck else WaveState.IN_SYNC,
        changed=number,
        detail=why,
        proofs=tuple(proofs),
        approve=hold_id(plan, wave.name, config) if why else "",
    )
