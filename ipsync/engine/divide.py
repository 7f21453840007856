"""What of a config a run of one shard works on: the places that the shard holds. The others stand in `elsewhere`.

A place's name decides (core/sharding.py), as its resources have it, whatever credentials lead there. Where nobody can
say what it is called, no shard touches anything there, and each says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ipsync.core.configured import Target
from ipsync.core.errors import IpsyncError
from ipsync.core.model import ReadFailure, State
from ipsync.core.plan import Plan
from ipsync.core.rollout import Wave, named
from ipsync.core.sharding import Shard, Share, holder
from ipsync.engine.run import Run
from ipsync.targets.base import Unlisted

log = logging.getLogger(__name__)
Home = str | None
"""A place's name; None where it is unknown."""


def divided(run: Run, targets: Sequence[Target]) -> Run:
    """Return the run with these targets, each at one place: of a shard, those that it holds."""
    shard = run.config.shard
    if shard is None:
        return replace(run, config=replace(run.config, targets=tuple(targets)))
    placed = _placed(run, targets)
    mine = tuple(target for target, home in placed if home is None or shard.holds(home))
    beside = tuple(target for target, home in placed if home is not None and not shard.holds(home))
    scopes = {home for target, home in placed if home is not None and target.name in run.selected}
    share = Share(shard, sum(map(shard.holds, scopes)), len(scopes))
    waves = tuple(_part(wave, shard) for wave in run.config.waves)
    config = replace(run.config, targets=mine, elsewhere=beside, waves=waves)
    return replace(run, config=config, share=share, homes={t.scope: home for t, home in placed if home is not None})


def ours(run: Run, item: State | ReadFailure) -> State | ReadFailure | None:
    """Return what this shard may plan: what its places hold of another shard's is an error, or nobody's business here.

    One account may show what is another's: then the resource's own name decides, as for everybody who reaches it.
    """
    shard, place = run.config.shard, item.resource.rpartition("/")[0]
    if shard is None or isinstance(item, ReadFailure) or shard.holds(place):
        return item
    if not item.targets:
        return None
    other = holder(place, shard.count)
    text = (
        f"{item.resource} is in {place}, another place than that of the credentials that show it, and shard {other} works on "
        f"{place}: this shard leaves it alone; in the config, name it through an account or a project of {place}"
    )
    return ReadFailure(item.targets, item.resource, text)


def told(run: Run) -> Iterator[str]:
    """Say which waves leave this shard nothing to change without an approval."""
    for wave in run.config.waves:
        if run.config.shard and wave.of_all and not wave.max_changed_targets:
            yield (
                f"{named(wave.name)}: max-changed-targets {wave.of_all} is divided among {run.config.shard.count} shards, "
                f"and nothing of it falls to shard {run.config.shard.index}: each change of the wave needs approval here; "
                f"raise it to {run.config.shard.count} or more, or take fewer shards"
            )


def idle(run: Run, made: Plan) -> Iterator[str]:
    """Say which targets name nothing at this shard's places, and perhaps nowhere: no shard knows that alone."""
    here, beside = ({t.name for t in targets} for targets in (run.config.targets, run.config.elsewhere))
    for name in sorted(run.selected & here & beside - {c.target for c in made.target_changes}):
        yield (
            f"target {name} names nothing at the places of this shard; where every shard says so, check what the target "
            f"selects (like `match`)"
        )


def _part(wave: Wave, shard: Shard) -> Wave:
    limit = wave.max_changed_targets
    return wave if limit is None else replace(wave, max_changed_targets=shard.share(limit), of_all=limit)


def _placed(run: Run, targets: Sequence[Target]) -> list[tuple[Target, Home]]:
    """Return each target with the name of its place, in the same order."""
    kinds: dict[str, list[Target]] = {}
    for target in targets:
        if not isinstance(target.where, Unlisted):
            kinds.setdefault(target.kind, []).append(target)
    homes = {target: home for of_kind in kinds.values() for target, home in _homes(run, of_kind)}
    return [_known(target, homes.get(target)) for target in targets]


def _homes(run: Run, targets: Sequence[Target]) -> Iterator[tuple[Target, str | Exception]]:
    try:
        yield from zip(targets, run.clouds.homes(targets), strict=True)
    except IpsyncError as error:
        yield from ((t, error) for t in targets)
    except Exception as error:
        log.exception("asking for the names of places: a fault in ipsync")
        fault = RuntimeError(f"a fault in ipsync while the names of places were asked for: {error!r}")
        yield from ((t, fault) for t in targets)


def _known(target: Target, home: str | Exception | None) -> tuple[Target, Home]:
    if not isinstance(home, Exception):
        return target, home
    why = f"{home}; so nobody knows which shard holds {target.where.place}, and none touches it"
    return replace(target, where=Unlisted(target.where, why)), None
