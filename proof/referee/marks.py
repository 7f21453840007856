"""Whose is an entry, and since when is it leaving: read from what stands on the cloud, as the documentation describes it.

docs/aws-prefix-list.md: the words of an entry's description, and what tags of the list say of it later. docs/aws.md: three tags on the rule, and a fourth while it is leaving. docs/gcp.md: one line of words in the description,
for all sources of the rule; where the addresses of a list don't fit, short hashes stand for them. Packed marks, which
only rules with hundreds of sources have, aren't read here: no proof makes such rules under the referee's eyes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from ipsync.core.model import Network
from proof.referee.facts import Mark

OWNER, TARGET, FEED, SINCE = "ipsync:owner", "ipsync:target", "ipsync:feed", "ipsync:leaving-since"
STATIC = "static"
BEGINNING = "ipsync "
BYTES_OF_A_HASH = 6


def of_tags(tags: Mapping[str, str]) -> Mark | None:
    """Return the mark that an AWS rule's tags hold; its description says nothing."""
    if OWNER not in tags:
        return None
    targets = frozenset({tags[TARGET]} if tags.get(TARGET) else ())
    return Mark(tags[OWNER], targets, frozenset({tags.get(FEED, "")} - {""}), moment(tags.get(SINCE, "")))


@lru_cache(maxsize=100_000)
def of_prefix_list(text: str, target: str | None, feed: str | None, since: str | None) -> Mark | None:
    """Return the mark that a prefix list's entry has: its description's words, and what the list's tags say instead.

    A key that stands in the description twice makes it nobody's.
    """
    pairs = [word.partition("=") for word in text.split()[1:]]
    words = {key: value for key, _, value in pairs}
    if not text.startswith(BEGINNING) or "owner" not in words or len(words) != len(pairs):
        return None
    targets = frozenset({words.get("target", "") if target is None else target}) - {""}
    origins = frozenset({words.get("feed", "") if feed is None else feed}) - {""}
    return Mark(words["owner"], targets, origins, moment(since or ""))


@lru_cache(maxsize=100_000)
def of_description(text: str, network: Network) -> Mark | None:
    """Return the mark that a GCP rule's description holds for one of its sources."""
    words = _words(text)
    if not text.startswith(BEGINNING) or "owner" not in words:
        return None
    names = _names(network)
    static = names & set(words.get(STATIC, "").split(","))
    origins = frozenset({STATIC} if static else words.get("feed", "").split(",")) - {""}
    targets = frozenset(words.get("target", "").split(",")) - {""}
    return Mark(words["owner"], targets, origins, _leaving(words.get("leaving", ""), names))


def moment(text: str) -> datetime | None:
    """Return a time as marks hold it; what isn't one says nothing."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _words(text: str) -> dict[str, str]:
    """Return what the words say; a key that stands there twice with two values says nothing, since people edited it."""
    pairs = {(key, value) for key, equals, value in (w.partition("=") for w in text.split()[1:]) if equals}
    keys = [key for key, _ in pairs]
    return {key: value for key, value in pairs if keys.count(key) == 1}


def _leaving(text: str, names: set[str]) -> datetime | None:
    for group in text.split(";"):
        listed, _, at = group.rpartition("@")
        if names & set(listed.split(",")) and moment(at):
            return moment(at)
    return None


def _names(network: Network) -> set[str]:
    digest = hashlib.sha256(str(network).encode()).digest()
    short = "#" + base64.urlsafe_b64encode(digest)[:BYTES_OF_A_HASH].decode()
    return {str(network), str(network).removesuffix(f"/{network.max_prefixlen}"), short}
