"""In which wave each change of a plan is written, what holds the waves behind one, and how each of them stands. Pure.

A resource that targets of several waves share is written in the last of them: nothing may be written for a target
before the wave that it stands behind is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from ipsync.core.canonical import canonical, digest, sha256
from ipsync.core.configured import Config
from ipsync.core.judgement import DIGITS, waiting
from ipsync.core.model import Status, Verdict, Violation
from ipsync.core.operations import entry_text
from ipsync.core.plan import Plan, TargetChange
from ipsync.core.rollout import REST, Wave, named
from ipsync.core.words import few, tally

GUARD = "max-changed-targets"
PREFIX = "wave:"
"""Ids of waves that wait, and of what waits behind one, begin so."""


class WaveState(StrEnum):
    """How a wave stands.

    began       it is being written; said in the audit log alone
    incomplete  not every target of it is as wished and read back
    failed      a check didn't pass
    approved    somebody let go what it held back
    held        it waits for a wave before it
    """

    IN_SYNC = "in-sync"
    CHANGE = "change"
    BEGAN = "began"
    APPLIED = "applied"
    VERIFIED = "verified"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    APPROVED = "approved"
    HELD = "held"


PROBLEMS = {WaveState.INCOMPLETE, WaveState.FAILED, WaveState.HELD}


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of one check. `state` is a verifier's word: passed, failed, cancelled, unknown, running."""

    check: str
    state: str
    run_id: str = ""
    url: str = ""
    failed: tuple[str, ...] = ()
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether it proves that the doors are open. Nothing else does."""
        return self.state == "passed"


@dataclass(frozen=True, slots=True)
class WaveReport:
    """One wave, as people read it.

    approve  the id that lets go what it holds back, where something is
    asks     of a plan: the checks that a sync asks
    """

    name: str
    state: WaveState
    changed: int = 0
    detail: str = ""
    proofs: tuple[Proof, ...] = ()
    approve: str = ""
    asks: tuple[str, ...] = ()


def ordered(config: Config) -> tuple[Wave, ...]:
    """Return the waves in their order: at the end the targets that name none."""
    return (*config.waves, REST)


# ── which change is in which wave ────────────────────────────────────────────


def arranged(plan: Plan, config: Config) -> Plan:
    """Say of each change in which wave it is written, and hold back a wave that changes too many targets.

    The order decides the writes, so it is a part of the plan's id.
    """
    if not config.waves:
        return plan
    where = _waves(plan, config)
    changes = tuple(replace(c, wave=where[c.target, c.resource]) for c in plan.target_changes)
    made = replace(plan, target_changes=changes)
    for wave in ordered(config):
        made = _bounded(made, wave)
    order = [[w.name, w.max_changed_targets or 0] for w in ordered(config)]
    return replace(made, id=digest([plan.id, order, sorted([*key, wave] for key, wave in where.items())]))


def _waves(plan: Plan, config: Config) -> dict[tuple[str, str], str]:
    """Return the wave of each target change: the last one of those that share its resource."""
    names = [w.name for w in ordered(config)]
    rank = {t.name: names.index(t.wave) for t in config.targets}
    sharing = {c.state.resource: c.state.targets for c in plan.changes}
    last: dict[str, int] = {}
    for change in plan.target_changes:
        targets = {change.target, *sharing.get(change.resource, ())} & rank.keys()
        last[change.resource] = max(last.get(change.resource, 0), *(rank[t] for t in targets))
    return {(c.target, c.resource): names[last[c.resource]] for c in plan.target_changes}


def _bounded(plan: Plan, wave: Wave) -> Plan:
    """Let a wave that changes more targets than it may wait for an approval."""
    number = sum(c.status is Status.CHANGE for c in of(plan, wave.name))
    if wave.max_changed_targets is None or number <= wave.max_changed_targets:
        return plan
    text = (
        f"changes {number} target{'s' * (number != 1)} in {named(wave.name)}, more than {wave.most}; "
        f"raise {GUARD} of the wave if that is fine"
    )
    objection = Violation(GUARD, Verdict.NEEDS_APPROVAL, text, size_id(plan, wave.name))
    return _changed(
        plan,
        lambda c: c.wave == wave.name and c.status is Status.CHANGE,
        lambda c: replace(c, status=Status.BLOCKED, violations=(*c.violations, objection)),
    )


def freed(plan: Plan, approved: Collection[str] | None = None) -> Plan:
    """Let go the waves that were too large and whose id was approved; without `approved`, all of them."""

    def too_large(change: TargetChange) -> bool:
        return any(v.guard == GUARD and (approved is None or v.change in approved) for v in change.violations)

    return _changed(
        plan,
        too_large,
        lambda c: replace(c, status=Status.CHANGE, violations=tuple(v for v in c.violations if v.guard != GUARD)),
    )


def held_back(plan: Plan, wave: str, *, approved: frozenset[str]) -> Plan:
    """Say of everything that would be written in a wave that it is held."""
    return _changed(
        plan, lambda c: c.wave == wave and is_pending(c, approved), lambda c: replace(c, status=Status.HELD)
    )


def _changed(plan: Plan, which: Callable[[TargetChange], bool], how: Callable[[TargetChange], TargetChange]) -> Plan:
    changes = tuple(how(c) if which(c) else c for c in plan.target_changes)
    return replace(plan, target_changes=changes)


def of(plan: Plan, wave: str) -> list[TargetChange]:
    """Return a wave's target changes."""
    return [c for c in plan.target_changes if c.wave == wave]


def is_pending(change: TargetChange, approved: frozenset[str] = frozenset()) -> bool:
    """Tell whether something would be written for it now."""
    released = change.status is Status.BLOCKED and waiting(change.waiting, approved) != change.waiting
    return change.status is Status.CHANGE or released


ENDS = {"running": "has not ended", "unknown": "proved nothing", "cancelled": "was cancelled"}
"""A verifier's word, where it makes no sentence as it is."""


def told(proof: Proof) -> str:
    """Say in a line how a check ended."""
    words = [f"its check {proof.check} {ENDS.get(proof.state, proof.state)}"]
    words += [f"failed: {few(proof.failed, SHOWN)}"] if proof.failed else []
    words += [proof.detail] if proof.detail else []
    return "; ".join(words) + (f" ({proof.url})" if proof.url else "")


def behind(plan: Plan, wave: str, config: Config) -> list[TargetChange]:
    """Return the target changes of the waves that come after one."""
    names = [w.name for w in ordered(config)]
    later = set(names[names.index(wave) + 1 :])
    return [c for c in plan.target_changes if c.wave in later]


# ── ids ──────────────────────────────────────────────────────────────────────


def hold_id(plan: Plan, wave: str, config: Config) -> str:
    """Return the id that lets go what waits behind a wave: it stays for as long as just that waits there."""
    return _id("behind", wave, behind(plan, wave, config))


def size_id(plan: Plan, wave: str) -> str:
    """Return the id that lets go a wave that is too large."""
    return _id("size", wave, of(plan, wave))


def _id(why: str, wave: str, changes: Iterable[TargetChange]) -> str:
    waits = {Status.CHANGE, Status.BLOCKED, Status.HELD}
    held = [
        [c.target, c.resource, *([entry_text(e) for e in x] for x in (c.add, c.remove)), *_lists(c)]
        for c in changes
        if c.status in waits
    ]
    return PREFIX + sha256(canonical([why, wave, held]))[:DIGITS]


def _lists(change: TargetChange) -> list[list[object]]:
    return [[list(s) for s in change.settings], list(change.deletes), list(change.marks)]


# ── what holds the waves behind ──────────────────────────────────────────────


DONE = frozenset({Status.IN_SYNC, Status.APPLIED})
FINE = DONE | {Status.CHANGE}
"""What a plan may say of a wave that a sync will write whole."""


def lacking(
    plan: Plan, wave: str, config: Config, *, selected: Collection[str], fine: Collection[Status] = DONE
) -> str:
    """Say why a wave isn't applied as a whole, or nothing where it is."""
    absent = sorted({t.name for t in config.targets if t.wave == wave} - set(selected))
    if absent:
        return f"{few(absent, SHOWN)} of it isn't selected, so nobody knows whether it is as wished"
    bad = unsettled(plan, wave, fine=fine)
    told = few(tally(f"{c.target} ({c.status.value})" for c in bad), SHOWN)
    return f"not every target of it is as wished: {told}" if bad else ""


def unsettled(plan: Plan, wave: str, *, fine: Collection[Status] = DONE) -> list[TargetChange]:
    """Return the target changes of a wave that aren't as wished, and that no write of it would make so."""
    return [c for c in of(plan, wave) if not _settled(c, fine)]


def _settled(change: TargetChange, fine: Collection[Status]) -> bool:
    """Tell whether a wave may count a target change as done.

    A removal that waits for an approval keeps no addition out (contract, section 4), here neither.
    """
    only_removals = all(h.action == "remove" for h in change.waiting)
    if change.status in fine:
        return only_removals
    objections = any(v.verdict is not Verdict.ALLOW and (not v.change or v.guard == GUARD) for v in change.violations)
    return change.status is Status.BLOCKED and bool(change.waiting) and only_removals and not objections


SHOWN = 3


def approvable(plan: Plan, holds: Collection[str], config: Config) -> dict[str, str]:
    """Return what an approval can let go, by id: what waits behind the waves `holds`, and waves that are too large."""
    large = {v.change: c.wave for c in plan.target_changes for v in c.violations if v.guard == GUARD}
    return {**{hold_id(plan, wave, config): wave for wave in holds}, **large}
