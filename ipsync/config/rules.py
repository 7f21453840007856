"""What concerns more than one key.

Checked on the plain values wherever it can be, so that it is said at once with everything else that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from ipsync.config import schema as shape
from ipsync.config.fields import plain_http
from ipsync.config.yaml_document import Document, Path

PRESET = "qatech"
AGREED = ("network", "priority", "ports", "target_tags", "target_service_accounts", "max_ranges")
"""What a GCP rule has one of, whoever names it."""
_NEIGHBOUR = re.compile(r"(.+?)(?:-v6)?(?:-[0-9]+)?")


def check(document: Document, file: shape.File | None) -> None:
    """Note everything in the document that doesn't fit together; `file` is its shape, where that is right."""
    feeds = _dict(document.value.get("feeds"))
    for name, feed in feeds.items():
        if feed is None or isinstance(feed, dict):
            _feed(name, feed or {}, document)
    listed = document.value.get("targets")
    targets = [(i, t) for i, t in enumerate(listed if isinstance(listed, list) else []) if isinstance(t, dict)]
    for index, target in targets:
        _target(index, target, document)
        _feeds_exist(index, target, feeds, document)
    _unique_names(targets, document)
    _rules(enumerate(file.targets) if file else _whole(targets), document)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _feed(name: str, feed: Mapping[str, Any], document: Document) -> None:
    path: Path = ("feeds", name)
    if feed.get("url") is None and name != PRESET:
        document.add(path, f"needs a url; only the feed named {PRESET} has one of its own")
    if plain_http(feed.get("url")) and feed.get("insecure") is not True:
        document.add((*path, "url"), "is plain http; use https, or say insecure: true if that can't be")
    if feed.get("format") == "text" and feed.get("select") is not None:
        document.add((*path, "select"), "is for json feeds; a text feed has an address a line, so leave it out")


# ── one target ───────────────────────────────────────────────────────────────


def _target(index: int, target: Mapping[str, Any], document: Document) -> None:
    path: Path = ("targets", index)
    if not target.get("feed") and not target.get("static"):
        document.add(path, "wants nothing: it needs a feed, or static addresses")
    if target.get("kind") == "aws-security-group":
        _aws(path, target, document)
    if target.get("kind") == "gcp-firewall" and target.get("target_tags") and target.get("target_service_accounts"):
        document.add(path, "a GCP rule has target_tags or target_service_accounts, not both; leave one out")


def _aws(path: Path, target: Mapping[str, Any], document: Document) -> None:
    if bool(target.get("groups")) == (target.get("match") is not None):
        document.add(path, "needs either groups (ids) or match (tags), not both and not neither")
    account = _dict(target.get("account"))
    if account.get("external_id") is not None and account.get("role_arn") is None:
        document.add((*path, "account"), "an external_id goes with a role_arn; add it")
    ports = target.get("ports")
    for i, port in enumerate(ports if isinstance(ports, list) else []):
        if isinstance(port, str) and "sctp" in port.lower():
            # EC2: a protocol other than tcp, udp and icmp "allows traffic on all ports, regardless of any port range".
            document.add((*path, "ports", i), "AWS ignores sctp's port and would open all of them; use tcp or udp")


def _feeds_exist(index: int, target: Mapping[str, Any], feeds: Mapping[str, Any], document: Document) -> None:
    path: Path = ("targets", index, "feed")
    named = target.get("feed")
    places = [((*path, i), n) for i, n in enumerate(named)] if isinstance(named, list) else [(path, named)]
    for place, name in places:
        if isinstance(name, str) and name not in feeds and document.sound(place):
            document.add(place, f"there is no feed {document.shown(place, name)}; {_instead(name, feeds)}")


def _instead(name: str, feeds: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    near = get_close_matches(name, feeds, 1)
    known = ", ".join(feeds)
    return f"did you mean {near[0]}?" if near else f"the file has: {known}" if known else "add it under feeds"


# ── several targets ──────────────────────────────────────────────────────────


def _unique_names(targets: Sequence[tuple[int, Mapping[str, Any]]], document: Document) -> None:
    seen: dict[str, int] = {}
    for index, target in targets:
        name, path = target.get("name"), ("targets", index, "name")
        if not isinstance(name, str):
            continue
        if name in seen and document.sound(path):
            line = document.line(("targets", seen[name], "name"))
            document.add(path, f"{document.shown(path, name)} names the target on line {line} already; choose another")
        seen.setdefault(name, index)


def _rules(targets: Iterable[tuple[int, shape.Target]], document: Document) -> None:
    """Two targets may share a GCP rule only if they ask the same of it, and not stand in each other's way."""
    seen: dict[tuple[str, str], tuple[int, shape.GcpFirewall]] = {}
    for index, target in targets:
        if isinstance(target, shape.GcpFirewall):
            first, other = seen.setdefault((target.project, target.rule), (index, target))
            _agree((index, target), (first, other), document)
    _neighbours(seen, document)


def _agree(second: tuple[int, shape.GcpFirewall], first: tuple[int, shape.GcpFirewall], document: Document) -> None:
    differ = [key for key in AGREED if _value(second[1], key) != _value(first[1], key)]
    if differ:
        path: Path = ("targets", second[0])
        rule = document.shown((*path, "rule"), second[1].rule)
        text = (
            f"rule {rule} has another {', '.join(differ)} in the target on line {document.line(('targets', first[0]))}"
        )
        document.add(path, f"{text}; make them agree, or name another rule")


def _whole(targets: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, shape.GcpFirewall]]:
    """Yield the GCP targets that are right by themselves; of the others, everything was said already."""
    for index, target in targets:
        if target.get("kind") == "gcp-firewall":
            with suppress(ValidationError):
                yield index, shape.GcpFirewall.model_validate(target)


def _value(target: shape.GcpFirewall, key: str) -> object:
    value = getattr(target, key)
    return frozenset(value) if isinstance(value, list) else value


def _neighbours(rules: Mapping[tuple[str, str], tuple[int, shape.GcpFirewall]], document: Document) -> None:
    for (project, rule), (index, _) in rules.items():
        stems = {_stem(rule), rule.removesuffix("-v6"), re.sub(r"-[0-9]+$", "", rule)} - {rule}
        for stem in sorted(stems):
            if (project, stem) in rules:
                path: Path = ("targets", index, "rule")
                line = document.line(("targets", rules[project, stem][0]))
                text = "is a name that ipsync keeps for the IPv6 and the overflow of the rule"
                document.add(path, f"{document.shown(path, rule)} {text} on line {line}; choose another")


def _stem(rule: str) -> str:
    match = _NEIGHBOUR.fullmatch(rule)
    return match[1] if match else rule
