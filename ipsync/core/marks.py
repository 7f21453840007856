"""Whose entry is it, and since when is it leaving: the marks that ipsync leaves on what it made.

Marks live on the target itself, so that any machine sees the same (contract, section 7):
- an AWS rule carries tags; its description is for people, and authorises nothing;
- a GCP rule carries its marks in its description, for all its source ranges:
  `ipsync owner=acme target=web feed=qatech static=9.9.9.9 leaving=8.8.8.8,8.8.4.4@2026-01-31T09:00:00Z`
  (a rule is owned as a whole: Google stores nothing beside a single range).

Providers carry notes verbatim; only this module reads or writes their meaning.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby

from ipsync.core.addresses import canonical, sort_key
from ipsync.core.errors import UsageError
from ipsync.core.model import Entry, Network, Note
from ipsync.core.packing import Packed, Stamp, pack, room, unpack

OWNER, FEED, TARGET, SINCE = "ipsync:owner", "ipsync:feed", "ipsync:target", "ipsync:leaving-since"
ADDED = "ipsync:added-at"
"""When an entry came to others that were there: what came lately is no measure of how many may leave."""
DESCRIPTION = "description"
STATIC = "static"
"""The origin of an address that the operator wrote into the config, in place of a feed's name."""

PACKED = "marks"
"""The key of many ranges' marks in few characters (packing.py)."""

DESCRIPTION_LIMIT = 2048
"""Characters of a GCP resource's description (Compute Engine API, `description` fields)."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PREFIX = "ipsync "


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry's provenance. `origin` is a feed's name or STATIC; `since` is when it began to leave.

    `added` is when it came to others that were there already; None for what is old, or for nobody knows when.
    """

    owner: str
    targets: tuple[str, ...]
    origin: str
    since: datetime | None = None
    added: datetime | None = None


def format_time(moment: datetime) -> str:
    """Write a moment as UTC with seconds, the only form that marks and plans use."""
    return moment.astimezone(UTC).strftime(_TIME)


def parse_time(text: str) -> datetime | None:
    """Read `format_time`'s form; anything else is None, which means: not marked yet."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def mark_of(entry: Entry, *, owner: str, listed: bool) -> Mark | None:
    """Return this owner's mark on an entry, or None where the entry isn't this owner's.

    Tags decide for entries of their own (AWS); the description decides only for lists (GCP).
    """
    note = dict(entry.note)
    if listed:
        rule = _parse_description(note.get(DESCRIPTION, ""))
        return rule.mark(entry.network) if rule and rule.owner == owner else None
    if note.get(OWNER) != owner:
        return None
    targets = tuple(name for name in (note.get(TARGET, ""),) if name)
    return Mark(owner, targets, note.get(FEED, ""), parse_time(note.get(SINCE, "")), parse_time(note.get(ADDED, "")))


def rule_is_ours(note: Note, *, owner: str) -> bool:
    """Tell whether a list (a GCP rule) carries this owner's mark."""
    rule = _parse_description(dict(note).get(DESCRIPTION, ""))
    return rule is not None and rule.owner == owner


def rule_marks(note: Note, *, owner: str) -> tuple[str, ...] | None:
    """Return the targets that a list's marks name; None where the list isn't this owner's."""
    rule = _parse_description(dict(note).get(DESCRIPTION, ""))
    return rule.targets if rule and rule.owner == owner else None


def entry_note(mark: Mark) -> Note:
    """Write a mark as the tags and the description of an entry of its own (an AWS rule)."""
    target = mark.targets[0] if mark.targets else ""
    pairs = [
        (DESCRIPTION, f"ipsync {mark.owner}: {mark.origin} for {target}"),
        (FEED, mark.origin),
        (OWNER, mark.owner),
        (TARGET, target),
    ]
    times = [(key, format_time(at)) for key, at in ((SINCE, mark.since), (ADDED, mark.added)) if at]
    return tuple(sorted([*pairs, *times]))


def rule_note(owner: str, marks: Mapping[Network, Mark]) -> Note:
    """Write the marks of all ranges of one list (a GCP rule) as its description.

    Addresses are written out as long as they fit, then short hashes stand for them, then packed ones. No mark is ever
    left out: raises UsageError where they don't fit, which `rule_fits` tells before.
    """
    text = _shortest(owner, marks)
    if len(text) > DESCRIPTION_LIMIT:
        raise UsageError(
            f"a rule's description holds {DESCRIPTION_LIMIT} characters, and the marks of {len(marks)} ranges need "
            f"{len(text)}: lower `max_ranges`, or shorten the names of the targets and feeds that share the rule"
        )
    return ((DESCRIPTION, text),)


def rule_fits(owner: str, marks: Mapping[Network, Mark]) -> bool:
    """Tell whether one list's description can hold these marks."""
    return len(_shortest(owner, marks)) <= DESCRIPTION_LIMIT


def rule_room(owner: str, marks: Mapping[Network, Mark]) -> int:
    """Return how many ranges one list may hold so that its description has room for all marks at the worst.

    That is: every range leaves, each since another time. `marks` are all marks of the resource; their names count.
    """
    names = _words_of(owner, marks)
    return room(DESCRIPTION_LIMIT - len(names) - len(f" {PACKED}="), [m.since for m in marks.values() if m.since])


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
        tokens, stamp = {_plain(network), _hashed(network)}, self.packed.of(network)
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
