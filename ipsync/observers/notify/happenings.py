"""What a pass has to tell, word by word of `on:`: what happened once, and the states that last until they end. Pure.

A state has a key that stays the same as long as it lasts: no error's text, no number, no time is part of it, since a
request's id in a cloud's answer would make a new state of the same failure at each pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ipsync.core import freshness
from ipsync.core.addresses import canonical
from ipsync.core.configured import Config, Word
from ipsync.core.events import FeedRead
from ipsync.core.model import Entry, Status, Verdict, Violation
from ipsync.core.plan import TargetChange
from ipsync.core.report import FAILED, Report, objects
from ipsync.core.rollout import named
from ipsync.core.waves import WaveState, told
from ipsync.core.words import count, few

Key = tuple[str, ...]
"""The word, whom it is about, and further words that tell it from others of the same: `("blocked", "web", "aws/…")`."""
Severity = Literal["info", "warning", "error", "critical"]
SHOWN = 5
"""Addresses of one change that are named."""
WAITING = {"blocked", "held"}
"""Words of what was looked at only where a target could be compared with what it wants."""
RESOURCE = 2
"""The place of a resource in a key."""
MOST_HAPPENED = 200
"""Things that happened once and wait for a slow sink."""
"""The status of a target whose wave doesn't begin (contract, section 2)."""
SAVED = "apply"
"""The mode of a run that carries out a saved plan: it looks at what that plan holds, and fetches no feed."""
THIS_PASS, CONFIG = "this pass", "config"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing to tell. Without a key it happened once; with one it is a state."""

    word: Word
    subject: str
    text: str
    key: Key = ()
    resource: str = ""
    severity: Severity = "warning"
    approve: str = ""
    """The id that approves it, where one does."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a pass left behind: how it ended, and what was said on the way."""

    report: Report | None = None
    error: str = ""
    interrupted: bool = False
    feeds: Mapping[str, FeedRead] = field(default_factory=dict)
    contested: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is to tell, and what was looked at: a state that wasn't seen may last, or not."""

    happened: tuple[Happening, ...] = ()
    states: tuple[Happening, ...] = ()
    targets: frozenset[str] = frozenset()
    feeds: frozenset[str] = frozenset()
    whole: bool = False
    """Everything was looked at, so that what isn't a state now is none."""
    compared: bool = False
    """It was compared with the runs before, so that what is contested is known."""
    run: str = ""
    mode: str = ""
    compared_at: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of each target that failed somewhere, the resources where it didn't: what waits elsewhere isn't known."""

    def saw(self, key: Key) -> bool:
        """Tell whether a state would be here if it lasted."""
        subject = key[1] if len(key) > 1 else ""
        if subject in {THIS_PASS, CONFIG}:
            return bool(self.mode) if subject == THIS_PASS else not self.mode
        if key[0] == "contested" and not self.compared:
            return False
        if key[0] in WAITING and subject in self.compared_at:
            return len(key) > RESOURCE and key[RESOURCE] in self.compared_at[subject]
        return self.looked_at(subject)

    def looked_at(self, subject: str) -> bool:
        """Tell whether a target or a feed was looked at."""
        return self.whole or subject in self.targets or subject in self.feeds


def joined(old: Situation, new: Situation) -> Situation:
    """Return two situations as one: what the newer one looked at is as it says, the rest as the older one does."""
    return replace(
        new,
        happened=(*old.happened, *new.happened)[-MOST_HAPPENED:],
        states=(*(state for state in old.states if not new.saw(state.key)), *new.states),
        targets=old.targets | new.targets,
        feeds=old.feeds | new.feeds,
        whole=old.whole or new.whole,
        compared=old.compared or new.compared,
        compared_at={t: at for t, at in old.compared_at.items() if not new.looked_at(t)} | dict(new.compared_at),
    )


def of_pass(heard: Heard, config: Config, *, selected: frozenset[str]) -> Situation:
    """Return what a pass has to tell; one that a signal ended early says nothing of what lasts."""
    if heard.report is None:
        return Situation(states=(_failed_pass(heard.error),), mode="sync")
    happened = (*_applied(heard.report.plan.target_changes), *_changed(heard.feeds.values()))
    report = heard.report
    saved = report.mode == SAVED
    if heard.interrupted:
        return Situation(happened, run=report.run, mode=report.mode)
    return Situation(
        happened,
        (*_feeds(heard, config, report), *_checks(report), *_targets(heard, report)),
        targets=frozenset(change.target for change in report.plan.target_changes) if saved else selected,
        feeds=frozenset(_feed(name) for name in heard.feeds),
        whole=not saved and selected == {target.name for target in config.targets},
        compared=heard.contested is not None,
        run=report.run,
        mode=report.mode,
        compared_at=_compared_at(report.plan.target_changes),
    )


def _compared_at(changes: Sequence[TargetChange]) -> dict[str, frozenset[str]]:
    failed = {change.target for change in changes if change.status in FAILED}
    return {
        name: frozenset(c.resource for c in changes if c.target == name and c.status not in FAILED) for name in failed
    }


def of_config(refused: Sequence[str]) -> Situation:
    """Return what there is to tell when the config was read again; `refused` says what is wrong with it."""
    text = "the config can't be read again, and the old one stays: " + "; ".join(refused)
    state = Happening("failed", CONFIG, text, ("failed", CONFIG), severity="error")
    return Situation(states=(state,) if refused else ())


def _failed_pass(error: str) -> Happening:
    return Happening("failed", THIS_PASS, error, ("failed", THIS_PASS), severity="error")


def _feed(name: str) -> str:
    return f"feed {name}"


# ── what happened once ───────────────────────────────────────────────────────


def _applied(changes: Iterable[TargetChange]) -> Iterator[Happening]:
    for change in changes:
        if change.status in {Status.APPLIED, Status.PARTIAL} and (text := _done(change)):
            yield Happening("applied", change.target, text, resource=change.resource, severity="info")


def _done(change: TargetChange) -> str:
    parts = (("let in", change.add), ("took away", change.remove))
    told = [f"{verb} {_some(entries)}" for verb, entries in parts if entries]
    more = ["changed settings"] if change.settings or change.deletes else []
    return "; ".join(told + more)


def _some(entries: Sequence[Entry]) -> str:
    return few([canonical(e.network) + (f" {e.service}" if e.service else "") for e in entries], SHOWN)


def _changed(feeds: Iterable[FeedRead]) -> Iterator[Happening]:
    for feed in feeds:
        if feed.before:
            text = f"another list than before: {count(feed.count or 0, 'address')} now"
            yield Happening("feed-changed", _feed(feed.feed), text, severity="info")


# ── what lasts ───────────────────────────────────────────────────────────────


def _feeds(heard: Heard, config: Config, report: Report) -> Iterator[Happening]:
    """Yield the feeds that can't be used, or have listed the same for too long."""
    known = {feed.name: feed for feed in config.feeds}
    for result in report.plan.feeds:
        subject, read = _feed(result.name), heard.feeds.get(result.name)
        late = freshness.failing(read, config.grace, report.created_at) if read else ""
        if late:  # a state of its own: what is worse than before is news
            yield Happening("failed", subject, late, ("failed", subject, "", "beyond the grace"), severity="critical")
        if result.error:
            yield Happening("failed", subject, result.error, ("failed", subject, "", "now"), severity="error")
        if read and (old := freshness.unchanged(known[result.name], read, report.created_at)):
            yield Happening("feed-unchanged", subject, old, ("feed-unchanged", subject))


def _checks(report: Report) -> Iterator[Happening]:
    """Yield the waves whose doors a check did not find open, be it that nothing waits behind them."""
    for wave in report.waves:
        text = "; ".join(told(proof) for proof in wave.proofs if not proof.passed)
        if wave.state is WaveState.FAILED and text:
            subject = named(wave.name)
            yield Happening("failed", subject, text, ("failed", subject), severity="error")


def _held(report: Report) -> dict[str, str]:
    """Return by wave why its targets are held; `told` of a failed check names the run and its tests."""
    return {wave.name: wave.detail for wave in report.waves if wave.state is WaveState.HELD}


def _targets(heard: Heard, report: Report) -> Iterator[Happening]:
    held, approve = _held(report), next((wave.approve for wave in report.waves if wave.approve), "")
    for change in report.plan.target_changes:
        if change.status in FAILED:
            yield _state("failed", change, change.error or change.status.value, "error")
        if change.status is Status.HELD:
            why = held.get(change.wave) or "the wave before it isn't done"
            yield replace(_state("held", change, change.error or why), approve=approve)
        yield from _blocked(change)
        if text := (heard.contested or {}).get(change.resource):
            yield _state("contested", change, text)


def _state(word: Word, change: TargetChange, text: str, severity: Severity = "warning") -> Happening:
    return Happening(word, change.target, text, (word, change.target, change.resource), change.resource, severity)


def _blocked(change: TargetChange) -> Iterator[Happening]:
    if not objects(change):
        return
    waiting = {held.id: held for held in change.waiting}
    for violation in change.violations:
        if violation.verdict is Verdict.ALLOW or (change.status in FAILED and not violation.change):
            continue  # a warning, or what is told as failed
        key: Key = ("blocked", change.target, change.resource, violation.change or violation.guard)
        held = waiting.get(violation.change)
        approve = held.id if held and held.verdict is Verdict.NEEDS_APPROVAL else ""
        yield Happening("blocked", change.target, _said(violation), key, change.resource, approve=approve)


def _said(violation: Violation) -> str:
    verdict = "needs approval" if violation.verdict is Verdict.NEEDS_APPROVAL else "refused"
    return f"{violation.guard}: {verdict}: {violation.detail}"
