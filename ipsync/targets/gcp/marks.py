"""The marks of a rule's source ranges in its description: Google stores nothing beside a single range.

`ipsync owner=acme target=web feed=qatech static=9.9.9.9 leaving=8.8.8.8,8.8.4.4@2026-01-31T09:00:00Z`

They live on the rule itself, so that any machine sees the same (contract, section 7), and a rule is owned as a whole.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import groupby

from ipsync.core.addresses import canonical, sort_key
from ipsync.core.errors import UsageError
from ipsync.core.marks import STATIC, format_time, parse_time
from ipsync.core.traits import Mark, Network, Note
from ipsync.targets.packing import Packed, Stamp, pack, room, unpack

DESCRIPTION = "description"
PACKED = "marks"
"""The key of many ranges' marks in few characters (packing.py)."""
DESCRIPTION_LIMIT = 2048
"""Characters of a GCP resource's description (Compute Engine API, `description` fields)."""
_PREFIX = "ipsync "


class DescriptionMarks:
    """Marks as a rule's description (core/traits.py, ListMarks)."""

    def targets(self, note: Note, *, owner: str) -> tuple[str, ...] | None:
        """Return the targets that a rule's marks name; None where the rule isn't this owner's."""
        rule = _parse_description(dict(note).get(DESCRIPTION, ""))
        return rule.targets if rule and rule.owner == owner else None

    def mark(self, note: Note, network: Network, *, owner: str) -> Mark | None:
        """Return a range's mark; None where the rule isn't this owner's."""
        rule = _parse_description(dict(note).get(DESCRIPTION, ""))
        return rule.mark(network) if rule and rule.owner == owner else None

    def note(self, owner: str, marks: Mapping[Network, Mark]) -> Note:
        """Write the marks of all ranges of one rule as its description.

        Addresses are written out as long as they fit, then short hashes stand for them, then packed ones. No mark is
        ever left out: raises UsageError where they don't fit, which `fits` tells before.
        """
        text = _shortest(owner, marks)
        if len(text) > DESCRIPTION_LIMIT:
            raise UsageError(
                f"a rule's description holds {DESCRIPTION_LIMIT} characters, and the marks of {len(marks)} ranges need "
                f"{len(text)}: lower `max_ranges`, or shorten the names of the targets and feeds that share the rule"
            )
        return ((DESCRIPTION, text),)

    def fits(self, owner: str, marks: Mapping[Network, Mark]) -> bool:
        """Tell whether one rule's description can hold these marks."""
        return len(_shortest(owner, marks)) <= DESCRIPTION_LIMIT

    def room(self, owner: str, marks: Mapping[Network, Mark]) -> int:
        """Return how many ranges one rule may hold so that its description has room for all marks at the worst.

        That is: every range leaves, each since another time. `marks` are all of the resource; their names count.
        """
        names = _words_of(owner, marks)
        times = [m.since for m in marks.values() if m.since]
        return room(DESCRIPTION_LIMIT - len(names) - len(f" {PACKED}="), times)


def _shortest(owner: str, marks: Mapping[Network, Mark]) -> str:
    text = _describe(owner, marks, {n: _plain(n) for n in marks})
    if len(text) > DESCRIPTION_LIMIT:
        marks = {n: replace(m, added=None) for n, m in marks.items()}  # the first to go: it only makes a guard stricter
        text = _describe(owner, marks, {n: _plain(n) for n in marks})
    if len(text) > DESCRIPTION_LIMIT:
        text = _describe(owner, marks, {n: _hashed(n) for n in marks})
    if len(text) > DESCRIPTION_LIMIT:
        stamps = {n: Stamp(m.origin == STATIC, m.since) for n, m in marks.items()}
        text = f"{_words_of(owner, marks)} {PACKED}={pack(stamps)}"
    return text


# ── the description's text ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Rule:
    owner: str
    targets: tuple[str, ...]
    feeds: tuple[str, ...]
    static: frozenset[str]
    leaving: tuple[tuple[str, datetime], ...]
    added: tuple[tuple[str, datetime], ...]
    packed: Packed

    def mark(self, network: Network) -> Mark:
        asked = self.static or self.leaving or self.added  # of most rules, nothing is said of a single range
        tokens = {_plain(network), _hashed(network)} if asked else frozenset[str]()
        stamp = self.packed.of(network)
        origin = STATIC if stamp.static or tokens & self.static else ",".join(self.feeds)
        since = next((at for token, at in self.leaving if token in tokens), stamp.since)
        added = next((at for token, at in self.added if token in tokens), None)
        return Mark(self.owner, self.targets, origin, since, added)


@lru_cache(maxsize=256)
def _parse_description(text: str) -> _Rule | None:
    if not text.startswith(_PREFIX):
        return None
    fields = _fields(text)
    if "owner" not in fields:
        return None
    return _Rule(
        owner=fields["owner"],
        targets=_words(fields.get("target", "")),
        feeds=_words(fields.get("feed", "")),
        static=frozenset(_words(fields.get("static", ""))),
        leaving=_times(fields.get("leaving", "")),
        added=_times(fields.get("added", "")),
        packed=unpack(fields.get(PACKED, "")),
    )


def _times(text: str) -> tuple[tuple[str, datetime], ...]:
    """Read `ADDRESS,ADDRESS@TIME;ADDRESS@TIME`."""
    groups = [group.rpartition("@") for group in text.split(";")]
    times = [(tokens, parse_time(at)) for tokens, _, at in groups]
    return tuple((token, at) for tokens, at in times if at for token in tokens.split(","))


def _fields(text: str) -> dict[str, str]:
    """Return what a description says. A key that stands there twice with two values says nothing: people edited it.

    So a rule of two owners is nobody's, one of two targets is an orphan, and a doubtful time makes nothing leave.
    """
    said: dict[str, set[str]] = {}
    for key, equals, value in (word.partition("=") for word in text.split()[1:]):
        if equals:
            said.setdefault(key, set()).add(value)
    return {key: values.pop() for key, values in said.items() if len(values) == 1}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _describe(owner: str, marks: Mapping[Network, Mark], tokens: Mapping[Network, str]) -> str:
    fields = {
        "static": ",".join(tokens[n] for n in sorted(marks, key=sort_key) if marks[n].origin == STATIC),
        "leaving": _by_time({n: m.since for n, m in marks.items() if m.since}, tokens),
        "added": _by_time({n: m.added for n, m in marks.items() if m.added}, tokens),
    }
    return _joined(_words_of(owner, marks), fields)


def _by_time(times: Mapping[Network, datetime], tokens: Mapping[Network, str]) -> str:
    """Write `ADDRESS,ADDRESS@TIME;ADDRESS@TIME`, the earliest first."""
    ordered = sorted((at, sort_key(n), n) for n, at in times.items())
    groups = groupby(ordered, key=lambda item: item[0])
    return ";".join(",".join(tokens[n] for *_, n in group) + "@" + format_time(at) for at, group in groups)


def _words_of(owner: str, marks: Mapping[Network, Mark]) -> str:
    """Return what a description says of the rule as a whole."""
    origins = {o for m in marks.values() for o in m.origin.split(",") if o and m.origin != STATIC}
    targets = {t for m in marks.values() for t in m.targets}
    return _joined(f"{_PREFIX}owner={owner}", {"target": ",".join(sorted(targets)), "feed": ",".join(sorted(origins))})


def _joined(text: str, fields: Mapping[str, str]) -> str:
    return " ".join([text, *(f"{key}={value}" for key, value in fields.items() if value)])


def _plain(network: Network) -> str:
    return canonical(network).removesuffix(f"/{network.max_prefixlen}")


def _hashed(network: Network) -> str:
    digest = hashlib.sha256(canonical(network).encode()).digest()
    return "#" + base64.urlsafe_b64encode(digest)[:6].decode()
