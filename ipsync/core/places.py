"""Places that ipsync once opened and that no run looks at any more: told from what the audit log's last run knew.

Marks on the targets say what is ours where a run reads (contract, section 7). What they can't say: that the config has
left a region, an account or a project, or that its owner has another name. There doors stay open without a word.
Nothing rests on it but a notice: where there is no log, or it was moved away, nothing is said. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from typing import Any

from ipsync.core.configured import Config
from ipsync.core.marks import mark_of
from ipsync.core.model import State, Status
from ipsync.core.plan import Observed, Plan
from ipsync.core.words import count, few

TOLD = timedelta(days=30)
"""So long after the last run that saw it a place is told: nobody can tell the log that a human has cleaned up."""
SHOWN = 3
WROTE = {Status.APPLIED, Status.PARTIAL, Status.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Place:
    """A resource that held something of an owner's when a run of that config last saw it (`seen`, a day)."""

    owner: str
    config: str
    seen: str
    resource: str


_ORDER = attrgetter("owner", "config", "seen", "resource")


def read(records: Iterable[Mapping[str, Any]]) -> list[Place]:
    """Read what a `run-ended` record says under `places`; those of before `at` was written have `resources`."""
    return [
        Place(str(r.get("owner")), str(r.get("config")), str(r.get("seen")), resource)
        for r in records
        for resource in _resources_of(r)
    ]


def _resources_of(record: Mapping[str, Any]) -> Iterator[str]:
    yield from map(str, record.get("resources", ()))
    for scope, names in record.get("at", {}).items():
        yield from (f"{scope}/{name}" if scope else str(name) for name in names)


def written(places: Iterable[Place]) -> list[dict[str, object]]:
    """Write places as a `run-ended` record holds them: by owner, config and day the names `at` each place."""
    groups: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for place in sorted(places, key=_ORDER):
        scope, _, name = place.resource.rpartition("/")
        groups.setdefault((place.owner, place.config, place.seen), {}).setdefault(scope, []).append(name)
    return [{"owner": o, "config": c, "seen": s, "at": found} for (o, c, s), found in groups.items()]


def after(places: Iterable[Place], config: Config, observed: Observed, done: Plan) -> list[Place]:
    """Return the places as this run leaves them: what it read it knows, the rest it hands on for a while."""
    today = observed.now.date()
    held = _held(config.owner, observed, done)
    named = {s.resource for s in observed.states if s.targets}
    looked = {_scope(s.resource) for s in observed.states}
    kept, known = [], {}
    for place in places:
        if place.owner != config.owner or _scope(place.resource) not in looked:
            kept.append(place)
        elif place.resource in held and place.resource not in named:
            known[place.resource] = place.config  # an orphan here may be another config's own
    mine = [Place(config.owner, known.get(r, config.source), today.isoformat(), r) for r in held]
    return [*(p for p in kept if _until(p) >= today), *mine]


def notices(
    places: Iterable[Place], config: Config, observed: Observed, *, selected: Iterable[str], others: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return what to tell people of places that this config has left; `others` are configs that live beside it."""
    today, elsewhere, chosen = observed.now.date(), set(others), set(selected)
    ours = [p for p in places if p.config not in elsewhere and _until(p) >= today]
    renamed: dict[str, list[Place]] = {}
    by_scope: dict[str, list[Place]] = {}
    for place in sorted(ours, key=_ORDER):
        mine = place.owner == config.owner
        (by_scope if mine else renamed).setdefault(_scope(place.resource) if mine else place.owner, []).append(place)
    read_at = _read_at(observed, chosen)
    gone = {scope: found for scope, found in by_scope.items() if scope and _left(scope, config, observed, read_at)}
    return (
        *(_renamed(owner, found, config.owner) for owner, found in renamed.items()),
        *([_many_gone(gone)] if len(gone) > SHOWN else [_gone(scope, found) for scope, found in gone.items()]),
        *_new(by_scope, config, read_at),
    )


def _held(owner: str, observed: Observed, done: Plan) -> set[str]:
    seen = {s.resource for s in observed.states if _holds(s, owner)}
    return seen | {e.resource for e in done.target_changes if e.add and e.status in WROTE}


def _holds(state: State, owner: str) -> bool:
    return any(mark_of(e, owner=owner, traits=state.traits) for e in state.entries)


def _scope(resource: str) -> str:
    """Return the place of a resource: its name without the last word."""
    return resource.rpartition("/")[0]


def _until(place: Place) -> date:
    """Return the last day on which a place is told; a day that can't be read is long ago."""
    try:
        return date.fromisoformat(place.seen) + TOLD
    except ValueError:
        return date.min


# ── has the config left it? ──────────────────────────────────────────────────


def _read_at(observed: Observed, selected: set[str]) -> dict[str, set[str]]:
    """Return where each selected target was found to name something."""
    found: dict[str, set[str]] = {}
    for state in observed.states:
        for name in selected.intersection(state.targets):
            found.setdefault(name, set()).add(_scope(state.resource))
    return found


def _left(scope: str, config: Config, observed: Observed, read_at: Mapping[str, set[str]]) -> bool:
    """Tell whether the config has left a place for certain: where this run can't know, it hasn't."""
    if config.shard and not config.shard.holds(scope):
        return False
    near = [t for t in config.targets if t.where.may_be_at(scope)]
    if any(f"{t.where.place}/".startswith(f"{scope}/") for t in near):
        return False  # the config says so in as many words, whatever is there now
    here = {t.name for t in near}
    certain = here <= read_at.keys() and not any(set(f.targets) & here for f in observed.failures)
    return certain and not any(scope in read_at[name] for name in here)


# ── is it new? ───────────────────────────────────────────────────────────────


def _new(known: Mapping[str, Sequence[Place]], config: Config, read_at: Mapping[str, set[str]]) -> Iterator[str]:
    """Say which places of targets with many of them no earlier run of this config has let anything in at.

    A target that holds nothing at all as far as is known is new itself: its plan says enough.
    """
    number = Counter(t.name for t in config.targets)
    mine = {scope for scope, found in known.items() if any(p.config == config.source for p in found)}
    for name, scopes in read_at.items():
        if number[name] > 1 and (fresh := sorted(scopes - mine)) and scopes & mine:
            where = count(len(fresh), "place")
            yield f"target {name} is in {where} where no earlier run let anything in: {few(fresh, SHOWN)}"


# ── words ────────────────────────────────────────────────────────────────────


def _renamed(owner: str, found: Sequence[Place], now: str) -> str:
    return (
        f"the owner is {now} now, but earlier runs of this config made what stands in {_listed(found)} as {owner}. To {now} "
        f"that is somebody else's: it stays open, and no run takes it away. {_advice(found)}"
    )


def _gone(why: str, found: Sequence[Place]) -> str:
    return (
        f"{why} is no longer in the config, nor in what it lists, but earlier runs let addresses in at {_listed(found)}. Those doors stay open, "
        f"and no run looks at them. {_advice(found)}"
    )


def _many_gone(gone: Mapping[str, Sequence[Place]]) -> str:
    found = [place for places in gone.values() for place in places]
    return (
        f"{len(gone):,} places are no longer in the config, nor in what it lists ({few(list(gone), SHOWN)}), but earlier "
        f"runs let addresses in at "
        f"{_listed(found)}. Those doors stay open, and no run looks at them. {_advice(found)}"
    )


def _listed(found: Sequence[Place]) -> str:
    return ", ".join(_resources(found))


def _resources(found: Sequence[Place]) -> Iterator[str]:
    yield from (p.resource for p in found[:SHOWN])
    if len(found) > SHOWN:
        yield f"{len(found) - SHOWN} more (the newest `places` in the audit log list them)"


def _advice(found: Sequence[Place]) -> str:
    last = max(_until(p) for p in found)
    return f"docs/moving.md says how to move or close them. This is told until {last}"
