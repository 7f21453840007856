"""What of ours a resource holds, as the audit log says it before and after a write, and as recovery compares it.

Records of version 2 hold objects, of version 1 texts (`203.0.113.7/32 443/tcp for web from qatech`). Both are read here
and nowhere else; texts are still what people read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

Settings = tuple[tuple[str, str], ...]

_VERSION_1 = re.compile(
    r"(?P<cidr>\S+)(?: (?P<ports>(?!for |leaving )\S+))?"
    r"(?: for (?P<targets>\S+) from (?P<origin>\S+))?(?: leaving since (?P<since>\S+))?"
)
_NOBODY = "?"
"""What a text of version 1 holds where a mark names nobody."""


@dataclass(frozen=True, slots=True)
class OwnedEntry:
    """An entry with its mark. `ports` is None in lists, whose settings say them for all entries."""

    cidr: str
    ports: str | None = None
    owner: str = ""
    targets: tuple[str, ...] = ()
    origin: str = ""
    leaving_since: str | None = None

    @property
    def let_in(self) -> str:
        """Write what it lets in, as people do: `203.0.113.7/32 443/tcp`."""
        return f"{self.cidr} {self.ports}" if self.ports else self.cidr

    def __str__(self) -> str:
        """Write it as version 1 did; a line that was read without a mark stays without one."""
        if not (self.owner or self.targets or self.origin):
            return self.let_in
        since = f" leaving since {self.leaving_since}" if self.leaving_since else ""
        return f"{self.let_in} for {','.join(self.targets) or _NOBODY} from {self.origin or _NOBODY}{since}"

    def written(self) -> dict[str, object]:
        """Return the object that a record holds; a key without a value is left out."""
        keys = ("cidr", "ports", "owner", "target", "origin", "leaving_since")
        values = (self.cidr, self.ports, self.owner, list(self.targets), self.origin, self.leaving_since)
        return {key: value for key, value in zip(keys, values, strict=True) if value}


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything of ours on a resource, or in one of its lists, in order. Only lists have settings."""

    entries: tuple[OwnedEntry, ...] = ()
    settings: Settings = ()

    def written(self, name: str) -> dict[str, object]:
        """Return the fields of a record that hold this under a name: `before`, `after` or `now`."""
        entries: dict[str, object] = {name: [entry.written() for entry in self.entries]}
        return {**entries, f"{name}_settings": dict(self.settings)} if self.settings else entries

    def texts(self) -> list[str]:
        """Return what a record of version 1 holds, and what people read: settings first."""
        return [*_words(self.settings), *map(str, self.entries)]

    def without(self, other: Contents) -> Contents:
        """Return what isn't in the other, marks compared too."""
        entries, settings = set(other.entries), set(other.settings)
        return Contents(
            tuple(entry for entry in self.entries if entry not in entries),
            tuple(setting for setting in self.settings if setting not in settings),
        )

    def let_in(self) -> frozenset[str]:
        """Return what is let in, and with which settings, whosoever's it is."""
        return frozenset([*_words(self.settings), *(entry.let_in for entry in self.entries)])


def _words(settings: Settings) -> Iterator[str]:
    return (f"{key} {value}".rstrip() for key, value in settings)


def is_as(now: Contents, record: Mapping[str, Any], name: str) -> bool:
    """Tell whether what is there now is what a record of either version says under a name."""
    held = _items(record, name)
    if held is None:
        return False
    if any(isinstance(item, str) for item in held):
        return now.texts() == held
    return (now.written(name)[name], dict(now.settings)) == (held, record.get(f"{name}_settings", {}))


def contents(record: Mapping[str, Any], name: str) -> Contents:
    """Read what a record of either version holds under a name; what can't be understood is left out."""
    found = list(_read(_items(record, name) or ()))
    named = record.get(f"{name}_settings")
    pairs = named.items() if isinstance(named, Mapping) else ()
    return Contents(
        tuple(item for item in found if isinstance(item, OwnedEntry)),
        (*(item for item in found if isinstance(item, tuple)), *((str(key), str(value)) for key, value in pairs)),
    )


def _items(record: Mapping[str, Any], name: str) -> list[object] | None:
    held = record.get(name)
    return list(held) if isinstance(held, list | tuple) else None


def _read(items: Sequence[object]) -> Iterator[OwnedEntry | tuple[str, str]]:
    for item in items:
        if isinstance(item, str):
            yield _from_text(item)
        elif isinstance(item, Mapping) and isinstance(item.get("cidr"), str):
            yield _from_object(item)


def _from_text(text: str) -> OwnedEntry | tuple[str, str]:
    """Read a line of version 1: an entry, or else a setting and its value."""
    word, _, rest = text.partition(" ")
    found = _VERSION_1.fullmatch(text) if _is_network(word) else None
    if not found:
        return word, rest
    targets, origin = (found[key] or _NOBODY for key in ("targets", "origin"))
    return OwnedEntry(
        word,
        found["ports"],
        targets=() if targets == _NOBODY else tuple(targets.split(",")),
        origin="" if origin == _NOBODY else origin,
        leaving_since=found["since"],
    )


def _from_object(item: Mapping[str, Any]) -> OwnedEntry:
    named = item.get("target") or ()
    return OwnedEntry(
        item["cidr"],
        _text(item.get("ports")),
        str(item.get("owner") or ""),
        tuple(map(str, named)) if isinstance(named, list | tuple) else (str(named),),
        str(item.get("origin") or ""),
        _text(item.get("leaving_since")),
    )


def _text(value: object) -> str | None:
    return str(value) if value else None


def _is_network(word: str) -> bool:
    try:
        ip_network(word)
    except ValueError:
        return False
    return True
