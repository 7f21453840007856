"""Which targets may name a resource without anybody knowing: nothing of theirs is taken away there.

A scope wasn't read, or couldn't be; a `match` or a listing of places gave no answer; or the resource gave none through a
target's credentials, while a sibling's read it. It is asked a target and a place: one place that can't be read leaves
the others of its target alone.
"""

from __future__ import annotations

from ipsync.core.configured import Config, Target
from ipsync.core.model import State
from ipsync.core.plan import Observed

Scope = tuple[object, ...]


class Unknown:
    """The targets, at the places, of which nobody knows what they name there."""

    def __init__(self, config: Config, observed: Observed) -> None:
        """Find them: their scope wasn't read, or a failure says that nothing is known."""
        blind = {(name, f.scope) for f in observed.failures if f.all_of for name in f.targets}
        self._targets = [t for t in config.targets if t.scope in observed.unread or _among(t, blind)]
        self._near: dict[str, list[Target]] = {}
        self._unread = _unread(config, observed)

    def may_name(self, state: State) -> frozenset[str]:
        """Return the targets that aren't known to name a resource, and may.

        One that names it through another of its places is known: what it wants is the same at all of them.
        """
        place = state.resource.rpartition("/")[0]
        if place not in self._near:
            self._near[place] = [t for t in self._targets if t.where.may_be_at(place)]
        may = (*self._near[place], *self._unread.get(_last(state.resource), ()))
        near = (t for t in may if t.kind == state.kind)  # a region has groups and prefix lists
        found = {t.name for t in near if t.where.may_name(state.resource)}
        return frozenset(found - set(state.targets))


def _unread(config: Config, observed: Observed) -> dict[str, list[Target]]:
    """Return by a resource's own name the targets, at the places, through whose credentials it couldn't be read.

    Its account may be told otherwise there, or not at all.
    """
    failed: dict[tuple[str, Scope | None], set[str]] = {}
    for failure in observed.failures:
        for name in () if failure.all_of else failure.targets:
            failed.setdefault((name, failure.scope), set()).add(_last(failure.resource))
    found: dict[str, list[Target]] = {}
    for target in config.targets if failed else ():
        for own in failed.get((target.name, target.scope), set()) | failed.get((target.name, None), set()):
            found.setdefault(own, []).append(target)
    return found


def _last(resource: str) -> str:
    return resource.rpartition("/")[2]


def _among(target: Target, blind: set[tuple[str, Scope | None]]) -> bool:
    return bool(blind) and ((target.name, None) in blind or (target.name, target.scope) in blind)
