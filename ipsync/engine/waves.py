"""Carry out a plan wave by wave: write, read back, verify, pause, next. A wave that isn't proven holds those behind it.

Nothing is rolled back. Within a wave everything that opens is opened before anything closes (apply.py). While something
is waited for, others may write; where one of them did, what is left is planned anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ipsync.core.events import WaveReached
from ipsync.core.holds import UNPROVEN, Moment, holds, is_due, pause_left
from ipsync.core.plan import Plan
from ipsync.core.report import Report
from ipsync.core.rollout import Check, Wave, named
from ipsync.core.signals import StageBegan
from ipsync.core.waves import (
    Proof,
    WaveReport,
    WaveState,
    approvable,
    behind,
    freed,
    held_back,
    hold_id,
    is_pending,
    lacking,
    of,
    ordered,
    told,
    unsettled,
)
from ipsync.engine import beside
from ipsync.engine.carrying import Wish, carried_out
from ipsync.engine.outcomes import TOUCHED, planned_anew
from ipsync.engine.run import Run

MOVED = "another run wrote to a cloud while this one waited, and what was planned may be old: plan again"


@dataclass(frozen=True, slots=True)
class Rollout:
    """What came of a plan. `moved` says that another run wrote meanwhile, and that what is left is to be planned anew."""

    plan: Plan
    waves: tuple[WaveReport, ...] = ()
    moved: bool = False

    def after(self, first: Rollout) -> Rollout:
        """Return what came of this one and of the one before, from which it was planned anew."""
        known = {w.name: w for w in first.waves}
        waves = tuple(known.get(w.name, w) if w.state is WaveState.IN_SYNC else w for w in self.waves)
        return Rollout(planned_anew(first.plan, self.plan), waves, self.moved)


def in_waves(run: Run, made: Plan, wish: Wish, *, again: bool) -> Rollout:
    """Carry out what no guard holds back, wave by wave, and say how each wave ended.

    `again` says that the caller plans anew what another run's writes have made old; else that is held.
    """
    if not run.config.waves:
        return Rollout(carried_out(run, made, wish))
    whole = made.id in wish.given
    past = set(let_past(run, made, wish.given).values())
    way = _Way(run, wish, freed(made, None if whole else wish.given), past, again, run.turn.heard().others)
    for wave in ordered(run.config):
        way.take(wave)
    return Rollout(way.plan, tuple(way.reports), way.moved)


def holding(run: Run, made: Plan, given: Collection[str]) -> dict[str, str]:
    """Return the waves that an approval can let go, or let go past, by the id that does it; none where none is given."""
    if not run.config.waves or not given:
        return {}
    held = holds(made, run.config, run.standing, selected=run.selected, beside=beside.found(run, made))
    return approvable(made, held, run.config)


def let_past(run: Run, made: Plan, given: Collection[str]) -> dict[str, str]:
    """Return the waves that the run may go past although they aren't proven, by the id that says so.

    That a wave may be large is no word on how it ends, be it said by its own id or by the plan's.
    """
    whole = made.id in given
    held = holding(run, freed(made) if whole else made, given)
    return {
        each: wave
        for each, wave in held.items()
        if each == hold_id(made, wave, run.config) and (whole or each in given)
    }


@dataclass(slots=True)
class _Way:
    """A run's way through the waves. `hold` says why the rest waits, once something does.

    others  how often others may have written when the plan was made
    moved   they have since: nothing more is written by this plan
    """

    run: Run
    wish: Wish
    plan: Plan
    past: set[str]
    again: bool
    others: int
    reports: list[WaveReport] = field(default_factory=list)
    hold: str = ""
    moved: bool = False

    def take(self, wave: Wave) -> None:
        """Write one wave and prove it, or hold it."""
        if self.moved:
            return
        if self.hold:
            self._hold_back(wave)
            return
        changed = self._written(wave)
        report = self._judged(wave, changed)
        if report is None:
            return
        self.reports.append(report)
        if report.state in {WaveState.INCOMPLETE, WaveState.FAILED}:
            self.hold = f"{named(wave.name)} holds it: {report.detail}"
        elif self._goes_on() and self._waits(wave):
            self._pause(wave, again=bool(changed or report.proofs) or self._written_beside(wave))

    def _goes_on(self) -> bool:
        """Tell whether the plan still holds: whether nobody else wrote while this run waited."""
        if self.run.turn.lost:
            self.hold = self.hold or self.run.turn.lost
        elif self.run.turn.heard().others != self.others:
            self._move()
        return not (self.hold or self.moved)

    def _move(self) -> None:
        self.moved, self.hold = self.again, "" if self.again else MOVED

    # ── write ────────────────────────────────────────────────────────────

    def _written(self, wave: Wave) -> int:
        """Write what is to be written in a wave; return how many of its targets were touched."""
        todo = {c.resource for c in of(self.plan, wave.name) if is_pending(c, self.wish.approved)}
        if not todo:
            return 0
        self._say(wave, WaveState.BEGAN)
        self.plan = carried_out(self.run, self.plan, self.wish, only=todo, wave=wave.name)
        return sum(c.status in TOUCHED and c.resource in todo for c in of(self.plan, wave.name))

    def _hold_back(self, wave: Wave) -> None:
        number = sum(is_pending(c, self.wish.approved) for c in of(self.plan, wave.name))
        self.plan = held_back(self.plan, wave.name, approved=self.wish.approved)
        stuck = unsettled(self.plan, wave.name)
        state = WaveState.HELD if number else WaveState.INCOMPLETE if stuck else WaveState.IN_SYNC
        self.reports.append(WaveReport(wave.name, state, number, self.hold if number else ""))
        if number:
            self._say(wave, WaveState.HELD, changed=number, detail=self.hold)

    # ── prove ────────────────────────────────────────────────────────────

    def _judged(self, wave: Wave, changed: int) -> WaveReport | None:
        """Say how a wave stands after it was written: whole and proven, or why not. None where the plan is old by then."""
        approved = wave.name in self.past
        why = lacking(self.plan, wave.name, self.run.config, selected=self.run.selected) or self._lacking_beside(wave)
        if why and not approved:
            return self._held(wave, WaveState.INCOMPLETE, changed, why, ())
        proofs = self._proofs(wave, changed, approved=approved)
        if proofs is None:
            self._move()
            return None if self.moved else self._held(wave, WaveState.INCOMPLETE, changed, self.hold, ())
        if proofs and not proofs[-1].passed:
            return self._held(wave, WaveState.FAILED, changed, told(proofs[-1]), proofs)
        return self._done(wave, changed, proofs, approved=approved)

    def _proofs(self, wave: Wave, changed: int, *, approved: bool) -> tuple[Proof, ...] | None:
        """Ask the checks that are due, in order, up to the first that doesn't pass.

        None where another run wrote the wave meanwhile: what was asked says nothing of that.
        """
        if approved and not changed:
            return ()
        checks = {c.name: c for c in self.run.config.checks}
        fresh = bool(changed) or self._written_beside(wave)
        moment = Moment(self.run.clock(), fresh, self._waits(wave))
        proofs: list[Proof] = []
        for check in (checks[name] for name in wave.verify):
            if is_due(wave, check, self.run.standing, moment):
                proof = self._proof(wave, check, fresh=fresh)
                if proof is None:
                    return None
                proofs.append(proof)
                if not proof.passed:
                    break
        return tuple(proofs)

    def _proof(self, wave: Wave, check: Check, *, fresh: bool) -> Proof | None:
        from ipsync.engine.proving import prove  # noqa: PLC0415 - a config without checks loads nothing of it

        return prove(self.run, wave.name, check, lambda: self._document(wave, check), fresh=fresh)

    def _lacking_beside(self, wave: Wave) -> str:
        """Say what other shards have to do for a wave before what waits behind it here may go."""
        if not self._waits(wave):
            return ""
        return beside.lacking(self.run, wave, {f.name: f for f in self.plan.feeds})

    def _written_beside(self, wave: Wave) -> bool:
        """Tell whether other shards may have written a wave since this one's log last heard of it."""
        return self._waits(wave) and beside.concerns(self.run, wave)

    def _document(self, wave: Wave, check: Check) -> Mapping[str, object]:
        """Return the wave's change as a command gets it: the plan's JSON, of this wave alone."""
        from ipsync.render.json import document  # noqa: PLC0415 - a command alone needs it

        mine = replace(self.plan, target_changes=tuple(of(self.plan, wave.name)), orphaned=())
        return {
            "wave": wave.name,
            "check": check.name,
            **document(Report(self.run.id, "verify", self.run.clock(), mine)),
        }

    # ── how it ended ─────────────────────────────────────────────────────

    def _held(self, wave: Wave, state: WaveState, changed: int, why: str, proofs: tuple[Proof, ...]) -> WaveReport:
        waits = self._waits(wave)
        approve = hold_id(self.plan, wave.name, self.run.config) if waits else ""
        if (waits or changed or state is WaveState.FAILED) and not self.run.turn.lost:
            self._say(wave, state, changed=changed, detail=why, approve=approve)
        return WaveReport(wave.name, state, changed, why, proofs, approve)

    def _done(self, wave: Wave, changed: int, proofs: tuple[Proof, ...], *, approved: bool) -> WaveReport:
        proven = WaveState.VERIFIED if wave.verify else WaveState.APPLIED
        before = self.run.standing.waves.get(wave.name)
        if approved and not proofs:
            state = WaveState.APPROVED
        elif changed or proofs or (before and before.state in UNPROVEN):
            state = proven
        else:
            return WaveReport(wave.name, WaveState.IN_SYNC)
        self._say(wave, state, changed=changed)
        return WaveReport(wave.name, state, changed, proofs=proofs)

    def _waits(self, wave: Wave) -> bool:
        return any(is_pending(c, self.wish.approved) for c in behind(self.plan, wave.name, self.run.config))

    def _pause(self, wave: Wave, *, again: bool) -> None:
        """Wait until the next wave may begin: by the monotonic clock, and no longer than a signal lets us."""
        run, standing = self.run, self.run.standing
        left = wave.pause if again else pause_left(wave, standing, now=run.clock())
        if not left:
            return
        run.signal(StageBegan("pause", run.id))
        with run.turn.given_away(run.stopping):
            run.stop.wait(left)
        if not run.stopping():
            self._goes_on()
        else:
            self.hold = (
                f"{run.ended_by} ended the run in the pause after {named(wave.name)}; the next run goes on from there"
            )

    def _say(self, wave: Wave, state: WaveState, *, changed: int = 0, detail: str = "", approve: str = "") -> None:
        self.run.emit(
            WaveReached(
                wave=wave.name,
                state=state.value,
                config=self.run.config.source or None,
                changed=changed or None,
                detail=detail or None,
                approve=approve or None,
            )
        )
