"""Makes the plan: compares what is wanted with what was read, resource by resource, and lets the guards judge it.

Pure: the same feeds, clouds, config and clock give the same plan. Every write in it belongs to an element that people
see, of a target that is selected and whose feeds can be believed; `accounted` holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ipsync.core import guards
from ipsync.core.alike import Likeness, likeness
from ipsync.core.at_rest import AtRest
from ipsync.core.blockers import conflicts, unfit
from ipsync.core.configured import Config, Target
from ipsync.core.diff import Diff, diff
from ipsync.core.identity import plan_id, resource_identity
from ipsync.core.judgement import Judgement, judge
from ipsync.core.marking import Marked, Policy
from ipsync.core.marks import owned_marks
from ipsync.core.model import ReadFailure, State, Status, Verdict, Violation
from ipsync.core.operations import owned_texts
from ipsync.core.other_configs import kept_elsewhere, without_strays
from ipsync.core.placement import settings_of
from ipsync.core.plan import Observed, Orphan, Plan, ResourceChange, TargetChange
from ipsync.core.shown import NO_LISTS, Mine, accounted, list_changes, shown_target_change
from ipsync.core.unknown import Unknown


def make_plan(config: Config, observed: Observed, *, selected: Iterable[str] | None = None) -> Plan:
    """Compare what is wanted with what was read, let the guards judge it, and return the plan."""
    rest = AtRest(config, observed.feeds, observed.now, selected)
    targets, order, chosen = rest.targets, rest.order, rest.chosen
    used = config.feeds_of(chosen)
    feeds = tuple(observed.feeds[f.name] for f in config.feeds if f.name in used)
    target_changes = [_failed(f, targets[name]) for f in observed.failures for name in f.targets if name in chosen]
    orphans: list[Orphan] = []
    changes: list[ResourceChange] = []
    parts = _planned(_Planner(config, observed, rest, Unknown(config, observed)), target_changes, orphans, changes)
    identity = plan_id(config.owner, feeds, parts)
    told = {e.target for e in target_changes}
    told |= {t.name for t in config.elsewhere}  # what it names there, another shard knows
    target_changes += [_nowhere(t) for name, t in targets.items() if name in chosen - told]
    target_changes.sort(key=lambda e: (order[e.target], e.resource))
    return Plan(config.owner, feeds, tuple(target_changes), tuple(orphans), tuple(changes), identity)


def _planned(
    planner: _Planner, target_changes: list[TargetChange], orphans: list[Orphan], changes: list[ResourceChange]
) -> Iterator[Sequence[object]]:
    """Plan one resource after the other, add what is told of it, and yield its part of the plan's id.

    Of thousands at rest nothing else is kept.
    """
    for state in sorted(planner.observed.states, key=lambda s: s.resource):
        made = planner.planned(state)
        target_changes += made.target_changes
        orphans += made.orphans
        changes += [made.resource_change] if made.resource_change else []
        yield made.identity


def _failed(failure: ReadFailure, target: Target) -> TargetChange:
    return TargetChange(target.name, target.kind, failure.resource, Status.ERROR, error=failure.message)


def _nowhere(target: Target) -> TargetChange:
    """Say of a target that may name nothing in some of its places that it does so in none."""
    text = (
        "nothing in its places fits this target; check what the target selects (like `match`), and its places (like "
        "`accounts` and `regions`)"
    )
    return TargetChange(target.name, target.kind, target.where.place, Status.ERROR, error=text)


# ── one resource ─────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Resource:
    target_changes: tuple[TargetChange, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    resource_change: ResourceChange | None = None
    identity: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class _Planner:
    config: Config
    observed: Observed
    rest: AtRest
    unknown: Unknown
    made: dict[str, int] = field(default_factory=dict)
    """How many lists the resources so far make in each project: they share one quota."""
    known: dict[Likeness, _Resource] = field(default_factory=dict)
    """What was planned of resources at rest, by what they are alike in."""

    def planned(self, state: State) -> _Resource:
        """Plan one resource; a fault that only it provokes is its own error, and no other's."""
        try:
            return self._in_sync(state) or self._as_others(state)
        except Exception as error:  # noqa: BLE001 - told in the element, and held back whole
            text = f"a fault in ipsync while planning this resource, which was not touched: {error!r}"
            failed = (replace(_blank(t, state), status=Status.ERROR, error=text) for t in self._shown(state))
            return _Resource(tuple(failed), identity=[state.resource, text])

    def _in_sync(self, state: State) -> _Resource | None:
        """Plan a resource that holds just what is wanted; None where that isn't seen at a glance."""
        seen = self.rest.seen(state)
        if not seen:
            return None
        held, wanted = seen
        changes = (_blank(t, state, held=held[t.name]) for t in self._shown(state))
        return _Resource(tuple(changes), identity=[state.resource, wanted])

    def _as_others(self, state: State) -> _Resource:
        """Plan a resource, or take what was planned of one at rest that is like it at another place."""
        alike = likeness(state, self.unknown.may_name(state))
        known = None if alike is None else self.known.get(alike)
        if known is None:
            made = self._resource(state)
            if alike is not None and self._at_rest(made, state):
                self.known[alike] = made
            return made
        changes = tuple(replace(t, resource=state.resource) for t in known.target_changes)
        return _Resource(changes, identity=[state.resource, *known.identity[1:]])

    def _at_rest(self, made: _Resource, state: State) -> bool:
        """Tell whether nothing is to be done or told of a resource but how many entries it holds."""
        bare = tuple(_blank(t, state) for t in self._shown(state))
        told = tuple(replace(t, held=0) for t in made.target_changes)
        return told == bare and not made.orphans and made.resource_change is None

    def _resource(self, state: State) -> _Resource:
        state, strays = without_strays(state, self.config.owner)
        targets = self._sharing(state)
        frozen = self.rest.frozen | self.unknown.may_name(state)
        healthy = [t for t in targets if t.name not in frozen]
        if len(healthy) < len(targets):
            state = _as_it_is(state)
        others = kept_elsewhere(state, self.observed.states, self.rest.targets.keys(), owner=self.config.owner)
        state = replace(state, conflict=others) if others else state
        change = self._diff(state, targets, frozen)
        judgement = self._judge(state, change, targets, healthy)
        resource_change = self._resource_change(state, change, targets, healthy, judgement)
        if resource_change and (full := self._full(resource_change)):
            stops = any(v.verdict is Verdict.REFUSE for v in full)
            judgement = replace(judgement, violations=(*judgement.violations, *full), stops=judgement.stops or stops)
            resource_change = replace(resource_change, verdict=_worst(judgement.violations), stops=judgement.stops)
        target_changes = tuple(self._element(t, state, change, judgement, resource_change) for t in self._shown(state))
        if resource_change:
            accounted(resource_change, target_changes)
        orphans = (*(Orphan.of(state.resource, m.entry, m.mark) for m in change.orphaned), *strays)
        todo = resource_change.operations if resource_change else ()
        identity = resource_identity(state, change, todo, judgement.violations, owner=self.config.owner)
        return _Resource(target_changes, orphans, resource_change, identity)

    def _shown(self, state: State) -> list[Target]:
        """Return the selected targets that name the resource."""
        return [self.rest.targets[name] for name in self.rest.in_order(state.targets) if name in self.rest.blockers]

    def _sharing(self, state: State) -> list[Target]:
        """Return all targets that name the resource, and those that may name it but couldn't be asked."""
        return [self.rest.targets[name] for name in self.rest.in_order({*state.targets, *self.unknown.may_name(state)})]

    def _diff(self, state: State, targets: Sequence[Target], frozen: frozenset[str]) -> Diff:
        if state.traits.whole_lists and not targets:
            marks = owned_marks(state, owner=self.config.owner)
            return Diff(orphaned=tuple(Marked(e, mark) for e, mark in marks.items()))
        policy = Policy(
            self.config.owner,
            self.observed.now,
            self.config.grace,
            targets,
            frozen,
            feeds=frozenset(f.name for f in self.config.feeds),
            names=frozenset(self.rest.targets),
        )
        return diff(state, self.rest.desired(state, policy.healthy), policy)

    def _judge(self, state: State, change: Diff, targets: Sequence[Target], healthy: Sequence[Target]) -> Judgement:
        if not healthy:
            return Judgement()
        blocked = conflicts(state, change, self.config.owner)
        judged = judge(state, change, targets, now=self.observed.now, grace=self.config.grace)
        told = unfit(healthy, self.rest.lists(healthy))
        return replace(judged, violations=(*blocked, *judged.violations, *told), stops=judged.stops or bool(blocked))

    def _resource_change(
        self,
        state: State,
        change: Diff,
        targets: Sequence[Target],
        healthy: Sequence[Target],
        judgement: Judgement,
    ) -> ResourceChange | None:
        """Return the writes; where nobody may act there are none, nor where a list can't be managed at all."""
        if not healthy or (state.traits.whole_lists and any(v.guard == "ownership" for v in judgement.violations)):
            return None
        resource_change = ResourceChange(
            state,
            change,
            self.config.owner,
            leader=healthy[0].name,
            verdict=_worst(judgement.violations),
            held=judgement.held,
            stops=judgement.stops,
            seen=owned_texts(state, owner=self.config.owner),
            remove_first=any(t.remove_first for t in targets),
            keep_settings=len(healthy) < len(targets),
        )
        return resource_change if resource_change.operations else None

    def _full(self, resource_change: ResourceChange) -> list[Violation]:
        """Judge whether the lists that are made fit into their project's quota, beside those of other resources."""
        made = sum(s.kind == "create" for s in resource_change.operations)
        if not made or not resource_change.state.capacity:
            return []
        place = resource_change.state.resource.rpartition("/")[0]
        found = guards.check_lists(resource_change.state.capacity, created=made + self.made.get(place, 0))
        if not any(v.verdict is Verdict.REFUSE for v in found):
            self.made[place] = self.made.get(place, 0) + made
        return found

    def _element(
        self, target: Target, state: State, change: Diff, judgement: Judgement, resource_change: ResourceChange | None
    ) -> TargetChange:
        mine = Mine(target.name, state, change, self.config.owner)
        blank = _blank(target, state, held=mine.held)
        blocker = self.rest.blockers[target.name]
        if blocker:
            return replace(blank, status=blocker.status, error=blocker.error, violations=blocker.violations)
        waits = _waits(state, target, self._sharing(state), self.rest.frozen | self.unknown.may_name(state))
        if not resource_change:
            return shown_target_change(blank, mine, judgement, None, NO_LISTS, waits)
        goes, whole = list_changes(resource_change.allowed()), list_changes(resource_change.operations)
        if resource_change.leader != target.name:  # all who share a list see what becomes of it; its marks, one of them
            goes, whole = replace(goes, marks=()), replace(whole, marks=())
        return shown_target_change(blank, mine, judgement, resource_change, goes, waits, held_lists=whole)


def _blank(target: Target, state: State, *, held: int = 0) -> TargetChange:
    words, status = state.traits, Status.IN_SYNC
    return TargetChange(
        target.name, target.kind, state.resource, status, held=held, noun=words.noun, holder=words.holder
    )


def _waits(state: State, target: Target, sharing: Sequence[Target], frozen: frozenset[str]) -> list[Violation]:
    """Say that a shared list's settings wait for a target that can't be asked now."""
    others = [t.name for t in sharing if t.name in frozen]
    differing = _set_otherwise(state)
    if not others or not differing:
        return []
    text = (
        f"settings of {', '.join(sorted(differing))} differ from the config's; they stay as they are while "
        f"{', '.join(others)}, which shares the rule with {target.name}, is not selected or can't be asked"
    )
    return [Violation("settings", Verdict.ALLOW, text)]


def _as_it_is(state: State) -> State:
    """Let nothing new into lists whose settings differ from the config's while somebody shares them who can't be asked."""
    return replace(state, taken=tuple(sorted({*state.taken, *_set_otherwise(state)})))


def _set_otherwise(state: State) -> set[str]:
    """Return the lists whose settings differ from the config's."""
    return {
        p.name for p in state.managed_lists if p.networks and p.settings != settings_of(state, p.networks[0].version)
    }


def _worst(violations: Iterable[Violation]) -> Verdict:
    verdicts = {v.verdict for v in violations}
    return next((v for v in (Verdict.REFUSE, Verdict.NEEDS_APPROVAL) if v in verdicts), Verdict.ALLOW)
