"""The kinds there are: ours in a table, others by the entry point group `ipsync.targets` of an installed package.

A kind's module is loaded when a config names it; packages are only searched for a kind that isn't in the table.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from ipsync.core.errors import UsageError
from ipsync.core.model import Target
from ipsync.targets.base import Kind, Reader, Writer

GROUP = "ipsync.targets"
BUILT_IN = {
    "aws-security-group": "ipsync.targets.aws.security_group",
    "gcp-firewall": "ipsync.targets.gcp.firewall",
}


@cache
def kind(name: str) -> Kind | None:
    """Return a kind by its name; None where there is none. Raises UsageError for a package whose kind can't be loaded."""
    if name in BUILT_IN:
        made: Kind = import_module(BUILT_IN[name]).KIND
        return made
    point = _points().get(name)
    return _loaded(point) if point else None


def known(name: str) -> Kind:
    """Return a kind that a checked config names. Raises UsageError where there is none."""
    found = kind(name)
    if not found:
        raise UsageError(f"there is no kind of target {name}; known: {', '.join(names())}")
    return found


def names() -> tuple[str, ...]:
    """Return the names of all kinds, ours first."""
    return (*BUILT_IN, *sorted(_points().keys() - BUILT_IN.keys()))


def open_reader(target: Target) -> Reader:
    """Return a reader for the target's scope; nothing that it holds can write."""
    return known(target.kind).reader(target)


def open_writer(target: Target) -> Writer:
    """Return a writer for the target's scope. Only applying a plan may ask for one."""
    return known(target.kind).writer(target)


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> Kind:
    package = point.dist.name if point.dist else point.value
    try:
        made = point.load()
    except Exception as error:
        raise UsageError(f"the kind {point.name} of package {package} can't be loaded: {error!r}") from error
    if not isinstance(made, Kind) or made.name != point.name:
        raise UsageError(
            f"package {package} offers {point.value} as kind {point.name}, and that is no ipsync Kind of this name"
        )
    return made
