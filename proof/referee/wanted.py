"""What a target wants, what it may want where nobody can know, and whether it may be touched in this pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipsync.core.configured import Limits, Target
from ipsync.core.model import Network, Service
from ipsync.targets.aws.where import AwsGroups, AwsLists
from ipsync.targets.gcp.where import GcpRule
from proof.referee import limits
from proof.referee.facts import Facts, Held, Hole, Mark
from proof.referee.marks import STATIC

FAMILY_OF = {"icmp": 4, "icmpv6": 6}
"""Protocols that exist in one family only (RFC 792, RFC 4443)."""


def healthy(facts: Facts, target: Target) -> bool:
    """Tell whether a pass may touch a target: it is selected, all its feeds are believed, and what it names is known."""
    return target.name in facts.selected and target.name not in facts.unread and believed(facts, target) is not None


def believed(facts: Facts, target: Target) -> dict[str, Sequence[Network]] | None:
    """Return a target's lists by where they come from; None if one of its feeds can't be read or may not be believed."""
    key = f"believed {target.name}"
    if key not in facts.known:
        facts.known[key] = _believed(facts, target)
    return facts.known[key]  # type: ignore[return-value]


def _believed(facts: Facts, target: Target) -> dict[str, Sequence[Network]] | None:
    allowed = dict(target.limits)
    found: dict[str, Sequence[Network]] = {STATIC: target.static}
    for feed in target.feeds:
        listed = facts.served.get(feed)
        if listed is None or limits.refusal(listed, allowed.get(feed, Limits())):
            return None
        found[feed] = listed
    return found


def wants(facts: Facts, target: Target) -> frozenset[Hole]:
    """Return everything that a target wants open, as far as its lists are known."""
    key = f"wants {target.name}"
    if key not in facts.known:
        lists = believed(facts, target) or {STATIC: target.static}
        networks = {n for listed in lists.values() for n in listed}
        facts.known[key] = frozenset(Hole(n, way) for n in networks for way in ways(target, n.version))
    return facts.known[key]  # type: ignore[return-value]


def wants_there(facts: Facts, target: Target, resource: str) -> frozenset[Hole]:
    """Return what a target wants open on one of its resources: a prefix list holds one family."""
    if not isinstance(target.where, AwsLists):
        return wants(facts, target)
    here = {family for family, name in target.where.lists if name == resource.rpartition("/")[2]}
    return frozenset(h for h in wants(facts, target) if h.network.version in here)


def may_want(facts: Facts, target: Target, hole: Hole) -> bool:
    """Tell whether a target wants a hole, or may: a list that nobody can read could name anything.

    A hole on ports that it doesn't ask for, it can't want, whatever its list says. Of a GCP rule, whose settings may
    have to wait for somebody, only the source counts.
    """
    known = believed(facts, target) is not None
    if not isinstance(target.where, GcpRule):
        return hole in wants(facts, target) if known else hole.way in ways(target, hole.network.version)
    return not known or any(h.network == hole.network for h in wants(facts, target))


def wanted_again(facts: Facts, resource: str, hole: Hole) -> bool:
    """Tell whether a target that may be touched wants what is open there already: it is no longer leaving."""
    return any(healthy(facts, t) and may_want(facts, t, hole) for t in facts.targets(resource))


def wanted_by(facts: Facts, resource: str, hole: Hole) -> list[Target]:
    """Return the targets that may be touched and want a hole there."""
    return [t for t in facts.targets(resource) if healthy(facts, t) and hole in wants(facts, t)]


def claimed_by(facts: Facts, resource: str, hole: Hole) -> list[Target]:
    """Return all targets that want a hole there or may want it: selected or not, healthy or not, known or not."""
    named = [t for t in facts.targets(resource) if may_want(facts, t, hole)]
    return named + [t for t in facts.doubtful(resource) if may_want(facts, t, hole)]


def origins(facts: Facts, target: Target, network: Network) -> frozenset[str]:
    """Return which of a target's lists name a network."""
    lists = believed(facts, target) or {STATIC: target.static}
    return frozenset(name for name, listed in lists.items() if network in listed)


def ways(target: Target, version: int) -> frozenset[str]:
    """Return to what a target lets a network of this family in."""
    if isinstance(target.where, AwsLists):
        return frozenset({list_way(version)} if version in target.where.families else ())
    services = [s for s in target.services if FAMILY_OF.get(s.protocol, version) == version]
    if isinstance(target.where, AwsGroups):
        return frozenset(str(s) for s in services)
    return frozenset({rule_way(target.where, services)} if services else ())


def list_way(version: int) -> str:
    """Return to what an entry of a prefix list lets in: whatever the rules say that name the list."""
    return f"list of IPv{version}"


def rule_way(where: GcpRule, services: Iterable[Service]) -> str:
    """Return as one text what a GCP rule says besides its sources."""
    return way_of(
        network=where.network,
        ports=[str(s) for s in services],
        priority=str(where.priority),
        accounts=where.target_service_accounts,
        tags=where.target_tags,
    )


def way_of(*, network: str, ports: Iterable[str], priority: str, accounts: Iterable[str], tags: Iterable[str]) -> str:
    """Return the settings of a GCP rule as one text."""
    listed = {"ports": ports, "accounts": accounts, "tags": tags}
    lists = " ".join(f"{key}={','.join(sorted(values))}" for key, values in listed.items() if any(values))
    return f"network={network} priority={priority} {lists}"


# ── whose word counts for an entry ───────────────────────────────────────────


def named(facts: Facts, resource: str, mark: Mark | None) -> list[Target]:
    """Return the targets of this config that an entry's mark names, and that name or may name its resource."""
    if mark is None or mark.owner != facts.config.owner:
        return []
    here = [*facts.targets(resource), *facts.doubtful(resource)]
    return [t for t in here if t.name in mark.targets]


def ours(facts: Facts, resource: str, mark: Mark | None) -> bool:
    """Tell whether an entry is one that this config keeps: not a stranger's, another owner's, or an orphan."""
    return bool(named(facts, resource, mark))


def operators_word(facts: Facts, resource: str, held: Held) -> bool:
    """Tell whether the operator took it out of the target that its mark names: a port, a static address, a feed.

    A feed that the config doesn't know at all may have been renamed: what came from it keeps its grace.
    """
    targets = named(facts, resource, held.mark)
    if not targets:
        return False
    if all(held.hole.way not in ways(t, held.hole.network.version) for t in targets):
        return True
    known = {STATIC, *(f.name for f in facts.config.feeds)}
    sources = {STATIC if held.hole.network in t.static else "" for t in targets} | {f for t in targets for f in t.feeds}
    came = held.mark.origins if held.mark else frozenset()
    return bool(came) and came <= known and not came & sources


def kept(facts: Facts, resource: str, key: str, mark: Mark | None) -> bool:
    """Tell whether an entry is this config's to keep: its mark names a target of it, or one that was renamed."""
    return ours(facts, resource, mark) or renamed(facts, resource, key, mark)


def renamed(facts: Facts, resource: str, key: str, mark: Mark | None) -> bool:
    """Tell whether the target that an entry is marked for was renamed, for all that can be known.

    Of an AWS rule, which may be another config's as well, only what had begun to leave on a port of ours goes on
    leaving. A GCP rule under the very name that the config has is its own, and so are further ones with the same marks.
    """
    here = [t for t in facts.targets(resource) if healthy(facts, t)]
    if mark is None or mark.owner != facts.config.owner or not here:
        return False
    if resource.startswith("gcp/"):
        return _rule(key) == resource.rpartition("/")[2] or bool(mark.targets & _old_names(facts, resource))
    known = mark.targets & {t.name for t in facts.config.targets}
    held = facts.held.get(resource, {}).get(key)
    fits = held and any(held.hole.way in ways(t, held.hole.network.version) for t in here)
    return bool(mark.since and mark.targets and fits and not known)


def _rule(key: str) -> str:
    return key.partition("|")[0]


def _old_names(facts: Facts, resource: str) -> set[str]:
    """Return the names in the marks of the rule itself, as the pass found them."""
    found, rule = facts.held.get(resource, {}), resource.rpartition("/")[2]
    marks = [h.mark for key, h in found.items() if _rule(key) == rule]
    return {name for m in marks if m and m.owner == facts.config.owner for name in m.targets}
