"""Tells at a glance which resources hold exactly what is wanted, and lets their entries share one place in memory.

Of thousands of resources most are at rest, and hold the same. What is said of one entry after the other (its id, where
it stands) is needed only to write; nothing is written to what is at rest, so it is let go as soon as it was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ipsync.core.blockers import blockers, unfit
from ipsync.core.configured import Config, Target
from ipsync.core.desired import Desired, desired
from ipsync.core.in_sync import InSync
from ipsync.core.model import Network, State
from ipsync.core.plan import FeedResult
from ipsync.core.traits import Traits


class AtRest:
    """What the config's targets want in this run, and whether a resource holds just that."""

    def __init__(
        self, config: Config, feeds: Mapping[str, FeedResult], now: datetime, selected: Iterable[str] | None = None
    ) -> None:
        """`selected`: the names of the targets that the run acts for; None for all."""
        self.targets = {t.name: t for t in reversed(config.targets)}  # at its first place: only `where` differs
        self.order = {name: i for i, name in enumerate(dict.fromkeys(t.name for t in config.targets))}
        self.chosen = frozenset(self.targets if selected is None else selected)
        self.blockers = blockers((t for t in self.targets.values() if t.name in self.chosen), feeds)
        self.frozen = frozenset(n for n in self.targets if n not in self.chosen or self.blockers[n])
        self._owner, self._oldest, self._feeds = config.owner, now - (config.grace or timedelta(0)), feeds
        self._known: dict[tuple[tuple[str, ...], Traits, frozenset[int]], InSync | None] = {}
        self._shared: dict[Hashable, State] = {}

    def seen(self, state: State) -> tuple[Counter[str], str] | None:
        """Return how many entries each target holds, and a digest of what is wanted; None where that isn't sure."""
        wanted = self._in_sync(state)
        held = wanted.held(state) if wanted else None
        return (held, wanted.digest) if wanted and held is not None else None

    def lightened(self, state: State) -> State | None:
        """Return a resource at rest, with what it has in common with others shared; None for one that isn't."""
        if self._in_sync(state) is None:
            return None
        alike = (
            state.targets,
            state.traits,
            state.families,
            state.conflict,
            frozenset((e, e.note) for e in state.entries),
        )
        like = self._shared.get(alike)
        if like is None:
            if self.seen(state) is None:
                return None
            bare = tuple(replace(e, provider_id="") for e in state.entries)
            like = self._shared.setdefault(alike, replace(state, entries=bare))
        return replace(state, entries=like.entries, targets=like.targets)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that the config has, in its order."""
        return sorted((n for n in names if n in self.targets), key=self.order.__getitem__)

    def desired(self, state: State, targets: Sequence[Target]) -> Desired:
        """Return what is desired of a resource by these targets."""
        return desired(targets, self.lists(targets), ports=state.traits.ports, families=state.families)

    def lists(self, targets: Sequence[Target]) -> dict[str, Sequence[Network]]:
        """Return what the feeds of these targets list, as far as they can be believed."""
        names = {f for t in targets for f in t.feeds}
        results = {name: self._feeds[name].snapshot for name in names}
        return {name: snapshot.networks for name, snapshot in results.items() if snapshot}

    def _in_sync(self, state: State) -> InSync | None:
        key = (state.targets, state.traits, state.families)
        if key not in self._known:
            self._known[key] = self._wanted_of(state)
        return self._known[key]

    def _wanted_of(self, state: State) -> InSync | None:
        """Return what is wanted where that alone decides: of single entries, by targets that can all be asked.

        What a target may want that can't be asked is no reason to look closer: nothing of it is there.
        """
        targets = [self.targets[name] for name in self.in_order(state.targets)]
        asked = targets and not any(t.name in self.frozen for t in targets)
        if not state.traits.entries or not asked or unfit(targets, self.lists(targets)):
            return None
        return InSync(self.desired(state, targets), state.traits.entries, owner=self._owner, oldest=self._oldest)
