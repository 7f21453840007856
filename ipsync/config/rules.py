"""What concerns more than one key.

Checked on the plain values wherever it can be, so that it is said at once with everything else that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from ipsync.config import schema as shape
from ipsync.config import wave_rules
from ipsync.config.yaml_document import Document, Path
from ipsync.targets import registry
from ipsync.values import models
from ipsync.values.fields import plain_http

PRESET = "qatech"
SINKS = ("webhook", "slack", "command")


def check(document: Document, file: shape.File | None) -> None:
    """Note everything in the document that doesn't fit together; `file` is its shape, where that is right."""
    feeds = _dict(document.value.get("feeds"))
    for name, feed in feeds.items():
        if feed is None or isinstance(feed, dict):
            _feed(name, feed or {}, document)
    notified = document.value.get("notify")
    for index, each in enumerate(notified if isinstance(notified, list) else []):
        if isinstance(each, dict):
            _notification(index, each, document)
    listed = document.value.get("targets")
    targets = [(i, t) for i, t in enumerate(listed if isinstance(listed, list) else []) if isinstance(t, dict)]
    for index, target in targets:
        _target(index, target, document)
        _feeds_exist(index, target, feeds, document)
    _unique_names(targets, document)
    wave_rules.check(document, targets)
    _together(targets, file, document)


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


def _notification(index: int, each: Mapping[str, Any], document: Document) -> None:
    path: Path = ("notify", index)
    named = [key for key in SINKS if each.get(key) is not None]
    if not named:
        document.add(path, f"names nobody to tell; it needs one of {', '.join(SINKS)}")
    if len(named) > 1:
        document.add(path, f"has {' and '.join(named)}; write an element for each")
    if each.get("secret") is not None and "webhook" not in named:
        document.add((*path, "secret"), "signs what a webhook gets; without one, leave it out")


# ── one target ───────────────────────────────────────────────────────────────


def _target(index: int, target: Mapping[str, Any], document: Document) -> None:
    path: Path = ("targets", index)
    if not target.get("feed") and not target.get("static"):
        document.add(path, "wants nothing: it needs a feed, or static addresses")
    kind = registry.kind(target["kind"]) if isinstance(target.get("kind"), str) else None
    if kind:
        kind.check(path, target, document)
        for old, new in models.old_names(kind.schema).items():
            if {old, new} <= target.keys():
                document.add((*path, old), f"is the old name of {new}, which stands here too; leave {old} out")


def _feeds_exist(index: int, target: Mapping[str, Any], feeds: Mapping[str, Any], document: Document) -> None:
    path: Path = ("targets", index, "feed")
    named = target.get("feed")
    places = [((*path, i), n) for i, n in enumerate(named)] if isinstance(named, list) else [(path, named)]
    for place, name in places:
        if isinstance(name, str) and name not in feeds and document.sound(place):
            from ipsync.config.names import instead  # noqa: PLC0415 - only errors need it

            document.add(place, f"there is no feed {document.shown(place, name)}; {instead(name, feeds, 'feeds')}")


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


def _together(targets: Sequence[tuple[int, Mapping[str, Any]]], file: shape.File | None, document: Document) -> None:
    """Let each kind say what doesn't fit together in several targets of its own."""
    whole: dict[str, list[tuple[int, Any]]] = {}
    for index, target in enumerate(file.targets) if file else _sound(targets):
        whole.setdefault(target.kind, []).append((index, target))
    for name, items in whole.items():
        if kind := registry.kind(name):
            kind.check_all(items, document)


def _sound(targets: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, models.AnyTarget]]:
    """Yield the targets that are right by themselves; of the others, everything was said already."""
    for index, target in targets:
        kind = registry.kind(target["kind"]) if isinstance(target.get("kind"), str) else None
        if kind:
            with suppress(ValidationError):
                yield index, kind.schema.model_validate(target)
