"""From the checked shape to the frozen Config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from ipsync.config import schema as shape
from ipsync.config.rules import PRESET
from ipsync.config.wave_build import checks, waves
from ipsync.core import configured
from ipsync.targets import registry
from ipsync.values import models
from ipsync.values.models import old_names

PRESET_URL = "https://api.qa.tech/v1/outbound-ips"
PRESET_SELECT = "ipAddresses"


def build(file: shape.File, *, digest: str) -> configured.Config:
    """Return the Config that a sound file asks for."""
    return configured.Config(
        owner=file.owner,
        feeds=tuple(_feed(name, feed or shape.Feed()) for name, feed in file.feeds.items()),
        targets=tuple(_target(file, target) for target in file.targets),
        grace=file.removal.grace,
        audit_path=file.audit.path,
        audit_hmac_key=file.audit.hmac_key,
        audit_hmac_keys_before=tuple(file.audit.hmac_keys_before),
        audit_objects=file.audit.objects,
        every=file.schedule.every,
        jitter=file.schedule.jitter,
        listen=file.listen,
        notify=tuple(_notify(each) for each in file.notify),
        waves=waves(file.waves),
        checks=checks(file.verify),
        digest=digest,
        notices=tuple(_notices(file.targets)),
    )


def _feed(name: str, feed: shape.Feed) -> configured.Feed:
    preset = name == PRESET
    select = feed.select or (PRESET_SELECT if preset else "@")
    return configured.Feed(
        name=name,
        url=feed.url or PRESET_URL,
        format=feed.format,
        select=select if feed.format == "json" else None,
        timeout=feed.timeout,
        max_bytes=feed.max_bytes,
        headers=tuple(sorted(feed.headers.items())),
        ca_file=feed.ca_file,
        insecure=feed.insecure,
        max_unchanged_age=feed.max_unchanged_age,
    )


def _notify(each: shape.Notification) -> configured.Notify:
    kind: Literal["webhook", "slack", "command"] = "webhook" if each.webhook else "slack" if each.slack else "command"
    return configured.Notify(
        kind=kind,
        on=tuple(each.on),
        url=each.webhook or each.slack or "",
        secret=each.secret,
        command=tuple(each.command or ()),
        remind_every=each.remind_every,
    )


def _target(file: shape.File, target: models.AnyTarget) -> configured.Target:
    feeds = (target.feed,) if isinstance(target.feed, str) else tuple(target.feed)
    values = _values(target)
    return configured.Target(
        name=target.name,
        kind=target.kind,
        feeds=feeds,
        services=tuple(values.get("ports", ())),
        where=registry.known(target.kind).where(target, {"aws": file.aws.endpoint_url, "gcp": file.gcp.endpoint}),
        static=tuple(target.static),
        limits=tuple(_limits(file, target, feeds)),
        remove_first=values.get("remove_first", False),
        wave=target.wave or "",
    )


# ── keys that had another name ───────────────────────────────────────────────


def _values(target: models.AnyTarget) -> dict[str, Any]:
    """Return a target's values by key; what is set by a key's old name stands under the new one."""
    values = dict(target)  # an attribute with an old name warns when it is read
    return values | {new: values[old] for old, new in old_names(type(target)).items() if old in target.model_fields_set}


def _notices(targets: Iterable[models.AnyTarget]) -> Iterator[str]:
    """Say of each old name that is used what it is now."""
    used: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        for old, new in old_names(type(target)).items():
            if old in target.model_fields_set:
                used.setdefault((old, new), []).append(target.name)
    for (old, new), names in used.items():
        yield f"`{old}` is now called `{new}`; rename it in the config ({', '.join(names)})"


# ── the guards' limits ───────────────────────────────────────────────────────


def _limits(
    file: shape.File, target: models.AnyTarget, feeds: Sequence[str]
) -> Iterator[tuple[str, configured.Limits]]:
    """Yield the limits for each feed as this target uses it: the target's word, else the feed's, else the file's.

    And for static addresses where there are any; where there are none, no limits of theirs may hold a feed back.
    """
    for name in feeds:
        feed = file.feeds[name] or shape.Feed()
        limits = _merged([file.guards, feed.guards, target.guards])
        yield name, replace(limits, allow_special_use=tuple(feed.allow_special_use))
    if target.static:
        yield "static", _merged([file.guards, target.guards])


def _merged(levels: Sequence[models.Guards]) -> configured.Limits:
    limits = configured.Limits()
    for level in levels:
        limits = configured.Limits(
            min_prefix_v4=level.min_prefix.ipv4 or limits.min_prefix_v4,
            min_prefix_v6=level.min_prefix.ipv6 or limits.min_prefix_v6,
            max_addresses=level.max_addresses or limits.max_addresses,
            max_removals=_threshold(level.max_removals, limits.max_removals),
            max_additions=_threshold(level.max_additions, limits.max_additions),
            max_growth=_growth(level.max_growth, limits.max_growth),
            max_coverage_v4=_set(level.max_coverage.ipv4, limits.max_coverage_v4),
            max_coverage_v6=_set(level.max_coverage.ipv6, limits.max_coverage_v6),
        )
    return limits


def _threshold(level: models.Threshold, below: configured.Threshold) -> configured.Threshold:
    return configured.Threshold(_set(level.count, below.count), _set(level.percent, below.percent))


def _growth(level: models.Growth, below: configured.Growth) -> configured.Growth:
    return configured.Growth(
        _set(level.ipv4, below.ipv4), _set(level.ipv6, below.ipv6), _set(level.percent, below.percent)
    )


def _set(value: int | None, below: int) -> int:
    return below if value is None else value
