"""From what the config says to the places of this run: one entry may lead to many accounts, regions or projects.

Listing them only reads, once a run. What can't be listed is a place that can't be read (targets/base.py, `Unlisted`):
its target gets an error there, and nothing that may be there is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ipsync.core.configured import Target
from ipsync.core.errors import IpsyncError, Unreachable
from ipsync.engine import divide
from ipsync.engine.run import Run
from ipsync.targets.base import Places, Reader, Unlisted

log = logging.getLogger(__name__)
NOWHERE = (
    "the config's list of this target's places (like `accounts` or `projects`) leads to none now, and nothing was touched: "
    "check what that list selects; a target that is to be nowhere is taken out of the config"
)


def expand(run: Run) -> tuple[Run, list[str]]:
    """Return the run with each target of its config at each of its places, and what people are to be told of that.

    In a run of one shard they are the places that it holds (divide.py).
    """
    kinds: dict[str, list[Target]] = {}
    for target in run.config.targets:
        kinds.setdefault(target.kind, []).append(target)
    listed = {t.name: found for of_kind in kinds.values() for t, found in _listed(run, of_kind)}
    told = [text for name, found in listed.items() if name in run.selected for text in found.notices]
    run = divide.divided(run, [at for t in run.config.targets for at in _at(t, listed[t.name])])
    return run, [*told, *divide.told(run)]


def opened(run: Run, target: Target) -> Reader:
    """Return a reader of the target's scope. Raises Unreachable where nobody knows which scope that is."""
    if isinstance(target.where, Unlisted):
        raise Unreachable(target.where.why)
    return run.clouds.reader(target)


def _listed(run: Run, targets: Sequence[Target]) -> Iterator[tuple[Target, Places]]:
    try:
        yield from zip(targets, run.clouds.places(targets), strict=True)
    except IpsyncError as error:
        yield from ((t, _unlisted(t, str(error))) for t in targets)
    except Exception as error:
        log.exception("listing places: a fault in ipsync")
        yield from ((t, _unlisted(t, f"a fault in ipsync while its places were listed: {error!r}")) for t in targets)


def _at(target: Target, places: Places) -> Iterator[Target]:
    """Yield the target at each place; one that is nowhere at all is a mistake to look at, not a target less."""
    found = places.found or _unlisted(target, NOWHERE).found
    yield from (replace(target, where=where) for where in dict.fromkeys(found))


def _unlisted(target: Target, why: str) -> Places:
    return Places((Unlisted(target.where, why),))
