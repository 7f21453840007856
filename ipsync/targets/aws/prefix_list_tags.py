"""What tags of a prefix list say of its entries: since when they are leaving, and whom they are for after a rename.

    ipsync:acme-prod:leaving:1   2026-01-31T09:00:00Z 8.8.8.8 8.8.4.4 2026-02-01T12:30:00Z 9.9.9.9
    ipsync:acme-prod:for:1       edge/qatech/web/qatech    what is described as web's and qatech's is edge's now
    ipsync:acme-prod:for:2       edge/qatech/3A.abc….      and so is this one, whatever its description

A list has 50 tags of 256 characters, for everybody. Addresses are written out while few tags do; then packed ones stand
for them (packing.py), seven characters each. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from ipsync.core.addresses import canonical, sort_key
from ipsync.core.marks import format_time, parse_time
from ipsync.core.model import Network
from ipsync.targets.aws.prefix_list_marks import Words
from ipsync.targets.packing import Packed, Stamp, pack, unpack

VALUE = 256
"""Characters of a tag's value (EC2 User Guide, tag restrictions)."""
MOST = 50
"""Tags of one resource, those that begin with `aws:` apart (as above)."""
WRITTEN_OUT = 8
"""So many tags may hold addresses as people write them."""
PACKED_TOGETHER = 32
"""So many packed times fit into one value, as a rule: seven characters each, and a frame of 25."""
_ALIAS = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is to be known of one entry: what its description says, what holds now, and since when it leaves."""

    described: Words
    words: Words
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a list's tags say of its entries."""

    plain: Mapping[str, datetime] = field(default_factory=dict)
    packed: Sequence[Packed] = ()
    named: Sequence[tuple[Words, Packed]] = ()
    aliases: Mapping[Words, Words] = field(default_factory=dict)

    def of(self, network: Network, described: Words) -> Leaf:
        """Return what holds of an entry. Where two tags differ, it leaves since the later time, and stays longer."""
        times = [self.plain.get(_plain(network)), *(p.of(network).since for p in self.packed)]
        since = max((t for t in times if t), default=None)
        named = [words for words, packed in self.named if packed.of(network).static]
        return Leaf(described, named[0] if named else self.aliases.get(described, described), since)


def prefix(owner: str) -> str:
    """Return how the keys of an owner's tags begin."""
    return f"ipsync:{owner}:"


def read(tags: Mapping[str, str], owner: str) -> Said:
    """Read an owner's tags; what can't be read says nothing."""
    leaving = [value for key, value in tags.items() if key.startswith(f"{prefix(owner)}leaving:")]
    plain: dict[str, datetime] = {}
    for value in leaving:
        for address, at in _times(value):
            plain[address] = max(at, plain.get(address, at))
    fields = [value.split("/") for key, value in sorted(tags.items()) if key.startswith(f"{prefix(owner)}for:")]
    return Said(
        plain=plain,
        packed=tuple(unpack(value) for value in leaving if " " not in value),
        named=tuple(((f[0], f[1]), unpack(f[2])) for f in fields if len(f) == _ALIAS - 1),
        aliases={(f[2], f[3]): (f[0], f[1]) for f in fields if len(f) == _ALIAS},
    )


def write(owner: str, leaves: Mapping[Network, Leaf]) -> dict[str, str]:
    """Return an owner's tags; none where each entry's description says all there is to say."""
    values = {"leaving": _leaving(leaves), "for": list(_names(leaves))}
    return {f"{prefix(owner)}{kind}:{n}": v for kind, found in values.items() for n, v in enumerate(found, 1)}


# ── since when ───────────────────────────────────────────────────────────────


def _times(value: str) -> Iterator[tuple[str, datetime]]:
    """Read `TIME ADDRESS ADDRESS TIME ADDRESS`."""
    at = None
    for word in value.split(" "):
        moment = parse_time(word)
        if moment:
            at = moment
        elif at:
            yield word, at


def _leaving(leaves: Mapping[Network, Leaf]) -> list[str]:
    ordered = sorted((leaf.since, sort_key(n), n) for n, leaf in leaves.items() if leaf.since)
    found = [(n, since) for since, _, n in ordered]
    written = _chunks(found, _written_out)
    if len(written) <= WRITTEN_OUT:
        return written
    parts = [found[i : i + PACKED_TOGETHER] for i in range(0, len(found), PACKED_TOGETHER)]
    return [text for part in parts for text in _chunks(part, lambda some: _packed(dict(some), leaves))]


def _written_out(found: Sequence[tuple[Network, datetime]]) -> str:
    words, before = [], None
    for network, since in found:
        if since != before:
            words.append(format_time(since))
        words.append(_plain(network))
        before = since
    return " ".join(words)


def _packed(times: Mapping[Network, datetime], leaves: Mapping[Network, Leaf]) -> str:
    return pack({n: Stamp(since=times.get(n)) for n in leaves})


# ── whom for ─────────────────────────────────────────────────────────────────


def _names(leaves: Mapping[Network, Leaf]) -> Iterator[str]:
    """Yield what most entries of one description are now, and then each that is something else."""
    aliases = _aliases(leaves)
    for old, new in sorted(aliases.items()):
        yield "/".join((*new, *old))
    others: dict[Words, list[Network]] = {}
    for network, leaf in leaves.items():
        if aliases.get(leaf.described, leaf.described) != leaf.words:
            others.setdefault(leaf.words, []).append(network)
    for words, networks in sorted(others.items()):
        yield from _chunks(sorted(networks, key=sort_key), partial(_listed, words, leaves))


def _aliases(leaves: Mapping[Network, Leaf]) -> dict[Words, Words]:
    found: dict[Words, Counter[Words]] = {}
    for leaf in leaves.values():
        found.setdefault(leaf.described, Counter())[leaf.words] += 1
    most = {described: max(sorted(c), key=c.__getitem__) for described, c in found.items()}
    return {described: words for described, words in most.items() if words != described}


def _listed(words: Words, leaves: Mapping[Network, Leaf], some: Sequence[Network]) -> str:
    chosen = set(some)
    return "/".join((*words, pack({n: Stamp(static=n in chosen) for n in leaves})))


def _chunks(items: Sequence[T], text: Callable[[Sequence[T]], str]) -> list[str]:
    """Write items in as many values as they need."""
    if not items:
        return []
    whole = text(items)
    if len(whole) <= VALUE or len(items) == 1:
        return [whole]
    half = len(items) // 2
    return [*_chunks(items[:half], text), *_chunks(items[half:], text)]


def _plain(network: Network) -> str:
    return canonical(network).removesuffix(f"/{network.max_prefixlen}")
