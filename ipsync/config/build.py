"""From the checked shape to the frozen Config, and the checks that concern more than one key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from ipsync import model
from ipsync.config import shape
from ipsync.config.document import Document, Path
from ipsync.config.fields import LOOPBACK
from ipsync.model import Service

QATECH_URL = "https://api.qa.tech/v1/outbound-ips"
QATECH_SELECT = "ipAddresses"
LEAST_EVERY = 10.0
"""Seconds: a shorter schedule would be a load test of the vendor."""


def build(file: shape.File, document: Document, *, digest: str) -> model.Config:
    """Return the Config; what doesn't fit together becomes a problem of the document."""
    feeds = [_feed(name, feed or shape.Feed(), document) for name, feed in file.feeds.items()]
    targets = [_target(file, i, t, document) for i, t in enumerate(file.targets)]
    _unique_names(targets, document)
    _one_rule_one_wish(targets, document)
    _schedule(file, document)
    return model.Config(
        owner=file.owner,
        feeds=tuple(feeds),
        targets=tuple(targets),
        grace=file.removal.grace,
        audit_path=file.audit.path,
        audit_hmac_key=file.audit.hmac_key,
        every=file.schedule.every,
        jitter=file.schedule.jitter,
        digest=digest,
    )


# ── feeds ────────────────────────────────────────────────────────────────────


def _feed(name: str, feed: shape.Feed, document: Document) -> model.Feed:
    path: Path = ("feeds", name)
    preset = name == "qatech"
    url = feed.url or (QATECH_URL if preset else "")
    if not url:
        document.add(path, "needs a url (only the feed named qatech has one of its own)")
    elif urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK and not feed.insecure:
        document.add((*path, "url"), "is plain http; use https, or say insecure: true if that can't be")
    select = feed.select or (QATECH_SELECT if preset else "@")
    _check_select(feed, select, document, path)
    if feed.ca_file and not FilePath(feed.ca_file).is_file():
        document.add((*path, "ca_file"), "there is no such file")
    if feed.timeout <= 0:
        document.add((*path, "timeout"), "must be longer than nothing")
    if feed.max_bytes <= 0:
        document.add((*path, "max_bytes"), "must be more than nothing")
    return model.Feed(
        name=name,
        url=url,
        format=feed.format,
        select=select if feed.format == "json" else None,
        timeout=feed.timeout,
        max_bytes=feed.max_bytes,
        headers=tuple(sorted(feed.headers.items())),
        ca_file=feed.ca_file,
        insecure=feed.insecure,
    )


def _check_select(feed: shape.Feed, select: str, document: Document, path: Path) -> None:
    if feed.format == "text":
        if feed.select:
            document.add((*path, "select"), "is for json feeds; a text feed has an address a line")
        return
    if select in {"@", QATECH_SELECT}:
        return
    import jmespath  # noqa: PLC0415 - the preset needs none

    try:
        jmespath.compile(select)
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        document.add((*path, "select"), f"is not a JMESPath: {str(error).splitlines()[0]}")


# ── targets ──────────────────────────────────────────────────────────────────


def _target(
    file: shape.File, index: int, target: shape.AwsSecurityGroup | shape.GcpFirewall, document: Document
) -> model.Target:
    path: Path = ("targets", index)
    feeds = tuple([target.feed] if isinstance(target.feed, str) else target.feed)
    for feed in feeds:
        if feed not in file.feeds:
            known = ", ".join(file.feeds) or "none"
            document.add((*path, "feed"), f"there is no feed {feed}; the file has: {known}")
    if not feeds and not target.static:
        document.add(path, "wants nothing: it needs a feed, or static addresses")
    _check_ports(target.ports, document, (*path, "ports"))
    made = model.Target(
        name=target.name,
        kind=target.kind,
        feeds=feeds,
        services=tuple(target.ports),
        where=_where(file, target, document, path),
        static=tuple(target.static),
        limits=tuple(_limits(file, target, feeds)),
    )
    return replace(made, swap=target.swap) if isinstance(target, shape.AwsSecurityGroup) else made


def _check_ports(ports: Sequence[Service], document: Document, path: Path) -> None:
    if Service("all") in ports and len(ports) > 1:
        document.add(path, "all stands alone: it holds every other port already")
    ranged = sorted(p for p in ports if p.first is not None)
    for one, other in pairwise(ranged):
        if one.protocol == other.protocol and (other.first or 0) <= (one.last or 0):
            document.add(path, f"{one} and {other} overlap; write them as one range")
    doubled = [p for p, n in Counter(p for p in ports if p.first is None).items() if n > 1]
    for port in doubled:
        document.add(path, f"{port} stands here twice")


def _limits(file: shape.File, target: shape.Target, feeds: Sequence[str]) -> Iterator[tuple[str, model.Limits]]:
    """Yield the limits for each feed as this target uses it: the target's word, else the feed's, else the file's."""
    for name in feeds:
        feed = file.feeds.get(name) or shape.Feed()
        limits = _merged([file.guards, feed.guards, target.guards])
        yield name, replace(limits, allow_special_use=tuple(feed.allow_special_use))
    yield "static", _merged([file.guards, target.guards])


def _merged(levels: Sequence[shape.Guards]) -> model.Limits:
    limits = model.Limits()
    for level in levels:
        limits = model.Limits(
            min_prefix_v4=level.min_prefix.ipv4 or limits.min_prefix_v4,
            min_prefix_v6=level.min_prefix.ipv6 or limits.min_prefix_v6,
            max_addresses=level.max_addresses or limits.max_addresses,
            max_removals=_threshold(level.max_removals, limits.max_removals),
            max_additions=_threshold(level.max_additions, limits.max_additions),
        )
    return limits


def _threshold(level: shape.Threshold, below: model.Threshold) -> model.Threshold:
    count = below.count if level.count is None else level.count
    return model.Threshold(count, below.percent if level.percent is None else level.percent)


def _where(
    file: shape.File, target: shape.AwsSecurityGroup | shape.GcpFirewall, document: Document, path: Path
) -> model.AwsGroups | model.GcpRule:
    if isinstance(target, shape.AwsSecurityGroup):
        return _aws(file, target, document, path)
    return _gcp(file, target, document, path)


def _aws(file: shape.File, target: shape.AwsSecurityGroup, document: Document, path: Path) -> model.AwsGroups:
    if bool(target.groups) == (target.match is not None):
        document.add(path, "needs either groups (ids) or match (tags), not both and not neither")
    account = target.account
    if account.external_id and not account.role_arn:
        document.add((*path, "account"), "an external_id goes with a role_arn")
    return model.AwsGroups(
        region=target.region,
        groups=tuple(dict.fromkeys(target.groups)),
        match_tags=tuple(sorted(target.match.tags.items())) if target.match else (),
        match_vpc=target.match.vpc if target.match else None,
        account=model.AwsAccount(account.role_arn, account.external_id, account.profile),
        endpoint_url=file.aws.endpoint_url,
    )


def _gcp(file: shape.File, target: shape.GcpFirewall, document: Document, path: Path) -> model.GcpRule:
    if target.target_tags and target.target_service_accounts:
        document.add(path, "a GCP rule has target_tags or target_service_accounts, not both")
    return model.GcpRule(
        project=target.project,
        network=target.network,
        rule=target.rule,
        priority=target.priority,
        target_tags=tuple(sorted(target.target_tags)),
        target_service_accounts=tuple(sorted(target.target_service_accounts)),
        max_ranges=target.max_ranges,
        endpoint=file.gcp.endpoint,
    )


# ── what concerns several targets ────────────────────────────────────────────


def _unique_names(targets: Sequence[model.Target], document: Document) -> None:
    seen: dict[str, int] = {}
    for index, target in enumerate(targets):
        if target.name in seen:
            line = document.line(("targets", seen[target.name], "name"))
            document.add(("targets", index, "name"), f"{target.name} is the name of the target on line {line} already")
        seen.setdefault(target.name, index)


def _one_rule_one_wish(targets: Sequence[model.Target], document: Document) -> None:
    """Two targets may share a GCP rule only if they ask the same of it: it has one set of ports."""
    seen: dict[tuple[str, str], int] = {}
    for index, target in enumerate(targets):
        if not isinstance(target.where, model.GcpRule):
            continue
        key = (target.where.project, target.where.rule)
        first = seen.setdefault(key, index)
        other = targets[first]
        if other.where != target.where or set(other.services) != set(target.services):
            line = document.line(("targets", first))
            document.add(("targets", index), f"asks something else of rule {key[1]} than the target on line {line}")
    _neighbours(targets, seen, document)


def _neighbours(targets: Sequence[model.Target], rules: dict[tuple[str, str], int], document: Document) -> None:
    for (project, rule), index in rules.items():
        base = rule.rstrip("0123456789").removesuffix("-") if rule[-1].isdigit() else rule
        for stem in {base, rule.removesuffix("-v6"), base.removesuffix("-v6")} - {rule}:
            if (project, stem) in rules:
                owner = targets[rules[project, stem]].name
                text = f"{rule} is a name that ipsync keeps for the rule {stem} of target {owner} (IPv6 and overflow)"
                document.add(("targets", index, "rule"), text)


def _schedule(file: shape.File, document: Document) -> None:
    if file.schedule.every < LEAST_EVERY:
        document.add(("schedule", "every"), f"is shorter than {LEAST_EVERY:g}s")
    if file.schedule.jitter >= file.schedule.every:
        document.add(("schedule", "jitter"), "must be shorter than every")
