"""What becomes of an entry of ours that nobody wants any more: rules 2 to 5 of diff.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from ipsync.core.addresses import entry_key
from ipsync.core.configured import Target
from ipsync.core.marking import Marked, Policy, list_words
from ipsync.core.marks import STATIC
from ipsync.core.model import Entry, Leaving, State
from ipsync.core.traits import Traits

CLOCK_SKEW = timedelta(hours=48)
"""A leaving mark further than this in the future comes from a wrong clock, and is set anew.

Up to this it is believed, since it may be our own clock that is behind: setting the mark anew would then let the
address go that much too early. Believing a wrong one keeps it that much longer at the most."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one entry, with its mark as it shall be, and of a leaving one when it may go.

    held       a target that can't be asked may want it
    orphan     it is marked for nobody of this config
    taken-out  the operator took it out of the config: it goes at once
    due        its grace is over
    begins     it begins to leave; `leaving`: it has begun before
    """

    kind: Literal["held", "orphan", "taken-out", "due", "begins", "leaving"]
    marked: Marked
    until: datetime | None = None


def fate(item: Marked, state: State, policy: Policy) -> Fate:
    """Decide about an entry that no target wants, as far as they can be asked."""
    named = [t for t in policy.targets if t.name in item.mark.targets]
    nobodys = not named and not _renamed(item, state, policy)
    if _may_be_wanted(item, state, policy):
        return Fate("held", replace(item, by=named[0].name if named else "", found=nobodys))
    if nobodys:
        return Fate("orphan", item)
    item = replace(item, by=(named or policy.healthy)[0].name, why=item.mark.origin)
    if named and _taken_out(item, state, named, policy.feeds):
        return Fate("taken-out", item)
    if state.traits.whole_lists:
        # Nobody knows who took out the static address of another name. Beside the new name, STATIC would say: this target.
        item = replace(item, mark=list_words(replace(item.mark, origin=""), "", policy))
    return _graced(item, policy)


def _may_be_wanted(item: Marked, state: State, policy: Policy) -> bool:
    """Tell whether a target that can't be asked now might want this entry."""
    return any(
        state.traits.whole_lists or _has_ports(t, item.entry, state.traits) or t.name in item.mark.targets
        for t in policy.targets
        if t.name in policy.frozen
    )


def _renamed(item: Marked, state: State, policy: Policy) -> bool:
    """Tell whether the target that an entry is marked for was renamed, for all that can be known.

    A list under the very name that the config has is ours to keep. An entry of its own may be another config's as well:
    only what had begun to leave goes on leaving, where no target has the old name.
    """
    if state.traits.whole_lists:
        return bool(policy.healthy)
    known = policy.names & set(item.mark.targets)
    fits = any(_has_ports(t, item.entry, state.traits) for t in policy.healthy)
    return bool(item.mark.since and item.mark.targets and fits and not known)


def _taken_out(item: Marked, state: State, named: Sequence[Target], configured: frozenset[str]) -> bool:
    """Tell whether the operator took this out of the target that the mark names: its port, static address or feed.

    A feed that the config doesn't have at all any more may have been renamed: it wasn't taken out.
    """
    if not state.traits.whole_lists and not any(_has_ports(t, item.entry, state.traits) for t in named):
        return True
    origins = set(item.mark.origin.split(","))  # of a static address: STATIC, which no feed may be named
    if STATIC in origins:
        return True
    return bool(origins) and origins <= configured - {f for t in named for f in t.feeds}


def _has_ports(target: Target, entry: Entry, traits: Traits) -> bool:
    """Tell whether a target has an entry's ports; where entries have none of their own, each target has them."""
    return not traits.ports or entry.service in target.services


def _graced(item: Marked, policy: Policy) -> Fate:
    since = item.mark.since
    if since and since > policy.now + CLOCK_SKEW:
        since = None
    if policy.grace is None:
        return Fate("leaving" if since else "begins", _leaving_since(item, since or policy.now))
    until = (since or policy.now) + policy.grace
    if policy.now >= until:
        return Fate("due", item)
    return Fate("leaving" if since else "begins", _leaving_since(item, since or policy.now), until)


def _leaving_since(item: Marked, since: datetime) -> Marked:
    return replace(item, mark=replace(item.mark, since=since))


def leaving(fates: Sequence[Fate]) -> tuple[tuple[Marked, Leaving], ...]:
    """Return what is leaving, and until when it stays."""
    found = [(f.marked, Leaving(f.marked.entry, f.until)) for f in fates if f.kind in {"begins", "leaving"}]
    return tuple(sorted(found, key=lambda pair: entry_key(pair[0].entry)))
