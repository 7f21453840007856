"""The kinds there are: ours in a table, others by the entry point group `ipsync.targets` of an installed package.

A kind's module is loaded when a config names it; packages are only searched for a kind that isn't in the table, and a
package can't take the name of one that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, UsageError
from ipsync.targets.base import Kind, Places, Reader, Writer

GROUP = "ipsync.targets"
BUILT_IN = {
    "aws-security-group": "ipsync.targets.aws.security_group",
    "gcp-firewall": "ipsync.targets.gcp.firewall",
    "aws-prefix-list": "ipsync.targets.aws.prefix_list",
}


@cache
def kind(name: str) -> Kind | None:
    """Return a kind by its name; None where there is none. Raises UsageError for a package whose kind can't be loaded."""
    if name in BUILT_IN:
        made: Kind = import_module(BUILT_IN[name]).KIND
        return made
    points = _points().get(name)
    return _loaded(name, points) if points else None


def known(name: str) -> Kind:
    """Return a kind that a checked config names. Raises UsageError where there is none."""
    found = kind(name)
    if not found:
        raise UsageError(f"there is no kind of target {name}; known: {', '.join(names())}")
    return found


def names() -> tuple[str, ...]:
    """Return the names of all kinds, ours first."""
    return (*BUILT_IN, *sorted(_points().keys() - BUILT_IN.keys()))


def places(targets: Sequence[Target]) -> Sequence[Places]:
    """Return where each of these targets, all of one kind, is now."""
    return known(targets[0].kind).places(targets)


def homes(targets: Sequence[Target]) -> Sequence[str | CloudError]:
    """Return the place of the resources of each of these targets, all of one kind, whatever credentials lead there."""
    return known(targets[0].kind).homes(targets)


def open_reader(target: Target) -> Reader:
    """Return a reader for the target's scope; nothing that it holds can write."""
    return known(target.kind).reader(target)


def open_writer(target: Target) -> Writer:
    """Return a writer for the target's scope. Only applying a plan may ask for one."""
    return known(target.kind).writer(target)


@cache
def _points() -> dict[str, tuple[EntryPoint, ...]]:
    """Return what installed packages offer, by name; several of one name are told when it is asked for."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in dict.fromkeys(entry_points(group=GROUP)):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def _loaded(name: str, points: Sequence[EntryPoint]) -> Kind:
    packages = [point.dist.name if point.dist else point.value for point in points]
    if len(packages) > 1:
        raise UsageError(
            f"the packages {' and '.join(sorted(packages))} both offer the kind {name}; remove one of them"
        )
    package, point = packages[0], points[0]
    if "/" not in name:
        text = f"a package's kind has its maker's name before a slash, like acme/{name}"
        raise UsageError(f"package {package} offers the kind {name}; {text}")
    try:
        made = point.load()
    except Exception as error:
        raise UsageError(f"the kind {name} of package {package} can't be loaded: {error!r}") from error
    if not isinstance(made, Kind) or made.name != name:
        raise UsageError(
            f"package {package} offers {point.value} as kind {name}, and that is no ipsync Kind of this name"
        )
    return made
