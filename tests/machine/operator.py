"""What an operator changes in a config: each change takes a config and returns another one that the loader would take."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from factory import GROUP, HTTPS, RULE, aws_target, gcp_target, list_target, networks

from ipsync.core.configured import Config, Feed, Limits, Target, Threshold
from ipsync.core.model import Service
from ipsync.targets.aws.where import AwsAccount, AwsLists
from ipsync.targets.gcp.where import GcpRule

OTHER_GROUP = "aws/1/eu-north-1/sg-2"
OTHER_RULE = "gcp/acme/allow-cdn"
LIST, LIST_V6, SECOND_LIST = (f"aws/1/eu-north-1/pl-{n}" for n in (1, 6, 2))
SSH, RANGE, ALL, PING = Service("tcp", 22, 22), Service("tcp", 400, 500), Service("all"), Service("icmp")
PORTS = [(HTTPS,), (SSH,), (HTTPS, SSH), (RANGE,), (ALL,), (HTTPS, PING)]
"""`icmp` is IPv4's alone: it goes with no IPv6 address."""
STATIC = networks("9.9.9.9", "8.8.0.1", "2600::1")
GRACES = [timedelta(hours=72), timedelta(hours=72), timedelta(0), None]
STRICT = Limits(max_removals=Threshold(1, 30), max_additions=Threshold(2, 50))
LOOSE = Limits(max_removals=Threshold(20, 100), max_additions=Threshold(50, 100))
SETTINGS = [{"priority": 900}, {"priority": 1000}, {"target_tags": ("web",)}, {"target_tags": ("db", "web")}]
ROLE = AwsAccount(profile="ops")
"""Other credentials for the same account."""


def limits(*feeds: str, of: Limits = STRICT) -> tuple[tuple[str, Limits], ...]:
    return tuple((name, of) for name in (*feeds, "static"))


def ours() -> Config:
    """Two on one group and two on one prefix list over two scopes, one that chooses by tags, two on one rule, one by itself."""
    targets = [
        _aws("web", ("qatech",), groups=("sg-1",)),
        _aws("ops", ("uptime",), groups=("sg-1", "sg-2"), account=ROLE),
        _aws("tagged", ("qatech",), groups=(), match_tags=(("tier", "web"),)),
        _gcp("edge", ("qatech",), rule="allow-qatech"),
        _gcp("side", ("uptime",), rule="allow-qatech"),
        _gcp("cdn", ("cdn",), rule="allow-cdn"),
        _list("lists", ("qatech",), prefix_list="pl-1", prefix_list_v6="pl-6"),
        _list("listed", ("uptime",), prefix_list="pl-1", account=ROLE),
    ]
    return _config(targets)


def second() -> Config:
    """Return another config of the same owner, beside ours on the same group, with a rule that is named like a neighbour of ours, and a list."""
    odd = (Service("tcp", 8443, 8443),)
    targets = [
        replace(_aws("web-2", ("uptime",), groups=("sg-1",)), services=odd),
        _gcp("edge-2", ("cdn",), rule="allow-qatech-9"),
        _list("lists-2", ("cdn",), prefix_list="pl-2"),
    ]
    return _config(targets)


def strangers() -> Config:
    """Return another owner's config on the same group and the same prefix list."""
    targets = [_aws("theirs", ("qatech",), groups=("sg-1",)), _list("their-list", ("cdn",), prefix_list="pl-1")]
    return replace(_config(targets), owner="globex")


def _aws(name: str, feeds: tuple[str, ...], **where: object) -> Target:
    return aws_target(name, feeds=feeds, limits=limits(*feeds), where=where)


def _list(name: str, feeds: tuple[str, ...], **where: object) -> Target:
    return list_target(name, feeds=feeds, limits=limits(*feeds), where=where)


def _gcp(name: str, feeds: tuple[str, ...], **where: object) -> Target:
    return gcp_target(name, feeds=feeds, limits=limits(*feeds), where={"max_ranges": 4, **where})


def _config(targets: list[Target]) -> Config:
    feeds = tuple(Feed(n, f"https://{n}.example/ips") for n in ("qatech", "uptime", "cdn"))
    return Config("acme", feeds, tuple(targets), timedelta(hours=72), audit_path="-")


# ── changes ──────────────────────────────────────────────────────────────────


def change(config: Config, index: int, **changes: object) -> Config:
    """Change one target; what the targets of a GCP rule must agree on, on all of them."""
    chosen = config.targets[index % len(config.targets)]
    shared = {key: value for key, value in changes.items() if key in {"services", "where"}}
    sharing = {t.name for t in config.targets if isinstance(t.where, GcpRule) and t.where == chosen.where}
    targets = [
        replace(t, **changes) if t is chosen else replace(t, **shared) if t.name in sharing else t  # type: ignore[arg-type]
        for t in config.targets
    ]
    return replace(config, targets=tuple(targets))


def other_ports(config: Config, index: int, number: int) -> Config:
    ports = PORTS[number % len(PORTS)]
    if isinstance(config.targets[index % len(config.targets)].where, AwsLists):
        return config  # has none
    return change(config, index, services=ports)


def other_settings(config: Config, index: int, number: int) -> Config:
    where = config.targets[index % len(config.targets)].where
    if not isinstance(where, GcpRule):
        return config
    return change(config, index, where=replace(where, **SETTINGS[number % len(SETTINGS)]))


def other_feeds(config: Config, index: int, number: int) -> Config:
    """Take a feed out of a target, or put one in; a target without feeds has static addresses."""
    target = config.targets[index % len(config.targets)]
    feed = config.feeds[number % len(config.feeds)].name
    feeds = tuple(f for f in target.feeds if f != feed) if feed in target.feeds else (*target.feeds, feed)
    if not feeds and not target.static:
        return config
    return change(config, index, feeds=feeds, limits=limits(*feeds, of=dict(target.limits)["static"]))


def other_static(config: Config, index: int, number: int) -> Config:
    target = config.targets[index % len(config.targets)]
    network = STATIC[number % len(STATIC)]
    static = tuple(n for n in target.static if n != network) if network in target.static else (*target.static, network)
    return change(config, index, static=static) if static or target.feeds else config


def other_limits(config: Config, index: int, number: int) -> Config:
    target = config.targets[index % len(config.targets)]
    return change(config, index, limits=limits(*target.feeds, of=(STRICT, LOOSE)[number % 2]))


def removals_first(config: Config, index: int, number: int) -> Config:
    return change(config, index, remove_first=bool(number % 2))


def other_grace(config: Config, index: int, number: int) -> Config:
    del index
    return replace(config, grace=GRACES[number % len(GRACES)])


def rename_target(config: Config, index: int, number: int) -> Config:
    name = config.targets[index % len(config.targets)].name.partition(".")[0]
    return change(config, index, name=f"{name}.{number}") if number % 3 else change(config, index, name=name)


def rename_feed(config: Config, index: int, number: int) -> Config:
    """Rename a feed wherever it is used: `qatech` becomes `qatech.1`, and lists the same."""
    old = config.feeds[index % len(config.feeds)].name
    new = f"{old.partition('.')[0]}.{number}" if number % 3 else old.partition(".")[0]
    feeds = tuple(replace(f, name=new) if f.name == old else f for f in config.feeds)
    return replace(config, feeds=feeds, targets=tuple(_renamed(t, old, new) for t in config.targets))


def _renamed(target: Target, old: str, new: str) -> Target:
    feeds = tuple(new if f == old else f for f in target.feeds)
    return replace(target, feeds=feeds, limits=tuple((new if f == old else f, limit) for f, limit in target.limits))


def drop_or_restore(config: Config, index: int, number: int) -> Config:
    """Take a target out of the config, or put back one that was there at first, with the feeds' names of today."""
    del number
    kept = config.targets[index % len(config.targets)]
    names = {t.name.partition(".")[0] for t in config.targets}
    missing = [t for t in ours().targets if t.name not in names]
    if not missing:
        return replace(config, targets=tuple(t for t in config.targets if t is not kept))
    feeds = {f.name.partition(".")[0]: f.name for f in config.feeds}
    back = missing[0]
    for old in back.feeds:
        back = _renamed(back, old, feeds[old])
    sibling = next((t for t in config.targets if _same_rule(t, back)), None)
    back = replace(back, where=sibling.where, services=sibling.services) if sibling else back
    return replace(config, targets=(*config.targets, back))


def _same_rule(one: Target, other: Target) -> bool:
    if not isinstance(one.where, GcpRule) or not isinstance(other.where, GcpRule):
        return False
    return one.where.rule == other.where.rule


CHANGES = {
    "other ports": other_ports,
    "other settings": other_settings,
    "feeds in and out": other_feeds,
    "static in and out": other_static,
    "other limits": other_limits,
    "remove first": removals_first,
    "other grace": other_grace,
    "targets renamed": rename_target,
    "feeds renamed": rename_feed,
    "targets come and go": drop_or_restore,
}
OF_THE_SECOND = sorted(CHANGES.keys() - {"targets come and go"})
"""What changes in the other config of our owner; the targets that come back are all of ours."""
PLACES = (GROUP, OTHER_GROUP, RULE, OTHER_RULE)
