"""What other shards have to do before a wave of this one may go on: their places of the waves before, read here as well.

Shards share nothing but the clouds. So a shard that has something to write behind a wave reads that wave's places of
all other shards, plans them as their own runs do, and writes none of it: where anything is left to do there, it waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ipsync.core import waves
from ipsync.core.configured import Config, Target
from ipsync.core.plan import FeedResult, Plan
from ipsync.core.rollout import Wave
from ipsync.engine.read import drafted, observed_now
from ipsync.engine.run import Progress, Run


def lacking(run: Run, wave: Wave, feeds: Mapping[str, FeedResult]) -> str:
    """Say why a wave isn't applied as a whole at the places of other shards, or nothing where it is."""
    targets = _sharing(run, wave)
    if not targets:
        return ""
    config = _their(run.config, targets)
    theirs = replace(run, config=config, selected=run.selected & {t.name for t in targets}, progress=Progress())
    made, _ = drafted(theirs, observed_now(theirs, feeds, run.clock()))
    why = waves.lacking(waves.arranged(made, config), wave.name, config, selected=run.selected)
    return f"at the places of other shards, {why}" if why else ""


def found(run: Run, made: Plan) -> Mapping[str, str]:
    """Return the waves that something waits behind, and which other shards haven't finished, each with why."""
    if run.config.elsewhere and run.progress.beside is None:
        feeds = {f.name: f for f in made.feeds}
        behind = [w for w in run.config.waves if any(map(waves.is_pending, waves.behind(made, w.name, run.config)))]
        run.progress.beside = {w.name: why for w in behind if (why := lacking(run, w, feeds))}
    return run.progress.beside or {}


def concerns(run: Run, wave: Wave) -> bool:
    """Tell whether other shards have places of a wave."""
    return any(t.wave == wave.name for t in run.config.elsewhere)


def _sharing(run: Run, wave: Wave) -> tuple[Target, ...]:
    """Return what is at the other shards' places of a wave: whatever names the same resources, through any credentials."""
    beside = run.config.elsewhere
    places = {run.homes[t.scope] for t in beside if t.wave == wave.name}
    return tuple(t for t in beside if run.homes[t.scope] in places)


def _their(config: Config, targets: tuple[Target, ...]) -> Config:
    """Return the config with those targets alone. Nothing is too much to change here: whatever is left to do holds."""
    unbounded = tuple(replace(w, max_changed_targets=None, of_all=None) for w in config.waves)
    return replace(config, targets=targets, elsewhere=(), waves=unbounded, shard=None)
