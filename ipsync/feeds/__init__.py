"""Fetching what vendors publish: the only room that knows HTTP feeds. One way in: `fetch`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from ipsync.addresses import canonical, parse, sort_key
from ipsync.errors import AddressError, FeedError
from ipsync.feeds import formats
from ipsync.model import Feed, Network, Snapshot

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SHOWN = 5


def fetch(feed: Feed, *, clock: Callable[[], datetime]) -> Snapshot:
    """Fetch and parse one feed. Raises FeedError, naming feed and URL, for anything that isn't wholly right.

    Whether the list is plausible (empty, special-use, too wide, too long) is for the guards to judge.
    """
    try:
        body = _body(feed)
        listed = (
            formats.read_text(body) if feed.format == "text" else formats.read_json(body, select=feed.select or "@")
        )
        networks = _networks(listed)
    except FeedError as error:
        raise FeedError(f"feed {feed.name} ({public_url(feed.url)}): {error}") from None
    return Snapshot(feed.name, feed.url, networks, digest(networks), clock())


def digest(networks: Sequence[Network]) -> str:
    """Return the digest of a canonical list."""
    text = json.dumps([canonical(n) for n in networks], separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def public_url(url: str) -> str:
    """Return a URL without what may be secret: user info, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _body(feed: Feed) -> bytes:
    from ipsync.feeds import http  # noqa: PLC0415 - requests costs 100 ms; a wrong url needs none

    parts = urlsplit(feed.url)
    if parts.scheme != "https" and not (parts.scheme == "http" and (feed.insecure or parts.hostname in LOOPBACK)):
        raise FeedError("only https is fetched; for plain http, the feed must say insecure: true")
    return http.get(
        http.Get(
            url=feed.url,
            timeout=feed.timeout,
            max_bytes=feed.max_bytes,
            types=formats.is_text_type if feed.format == "text" else formats.is_json_type,
            headers=dict(feed.headers),
            ca_file=feed.ca_file,
        )
    )


def _networks(listed: Sequence[object]) -> tuple[Network, ...]:
    """Parse every entry; one bad entry rejects the whole list."""
    found: set[Network] = set()
    bad: list[str] = []
    for index, text in enumerate(listed):
        try:
            found.add(parse(text))
        except AddressError as error:
            bad.append(f"entry {index}: {error}")
    if bad:
        more = f" (and {len(bad) - SHOWN} more)" if len(bad) > SHOWN else ""
        raise FeedError(f"{len(bad)} of {len(listed)} entries are no addresses: {'; '.join(bad[:SHOWN])}{more}")
    return tuple(sorted(found, key=sort_key))
