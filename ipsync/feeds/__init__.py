"""Fetching what vendors publish: the only room that knows HTTP feeds. One way in: `fetch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from ipsync.core.addresses import canonical, parse, sort_key
from ipsync.core.canonical import digest as digest_of
from ipsync.core.configured import Feed
from ipsync.core.errors import AddressError, FeedError
from ipsync.core.model import Network, Snapshot
from ipsync.feeds import formats
from ipsync.feeds.hints import hint

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SHOWN = 5


def fetch(feed: Feed, *, clock: Callable[[], datetime]) -> Snapshot:
    """Fetch and parse one feed. Raises FeedError, naming feed and URL, for anything that isn't wholly right.

    Whether the list is plausible (empty, special-use, too wide, too long) is for the guards to judge.
    """
    try:
        networks = _networks(_entries(feed, _body(feed)), "line" if feed.format == "text" else "entry")
    except FeedError as error:
        raise FeedError(f"feed {feed.name} ({public_url(feed.url)}): {error}") from None
    return Snapshot(feed.name, feed.url, networks, digest(networks), clock())


def digest(networks: Sequence[Network]) -> str:
    """Return the digest of a canonical list."""
    return digest_of([canonical(n) for n in networks])


def public_url(url: str) -> str:
    """Return a URL without what may be secret: user info, query and fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _body(feed: Feed) -> bytes:
    from ipsync.feeds import http  # noqa: PLC0415 - requests costs 100 ms; a wrong url needs none
    from ipsync.transport.exchange import Request  # noqa: PLC0415 - as above

    parts = urlsplit(feed.url)
    if parts.scheme != "https" and not (parts.scheme == "http" and (feed.insecure or parts.hostname in LOOPBACK)):
        raise FeedError("only https is fetched; for plain http, the feed must say insecure: true")
    return http.get(
        Request(
            url=feed.url,
            timeout=feed.timeout,
            max_bytes=feed.max_bytes,
            headers=dict(feed.headers),
            ca_file=feed.ca_file,
        )
    )


def _entries(feed: Feed, body: bytes) -> list[formats.Entry]:
    if feed.format == "text":
        return formats.read_text(body)
    return formats.read_json(body, select=feed.select or formats.WHOLE, max_bytes=feed.max_bytes)


def _networks(entries: Sequence[formats.Entry], place: str = "entry") -> tuple[Network, ...]:
    """Parse every entry; one bad entry rejects the whole list. `place` says what their numbers count."""
    found: set[Network] = set()
    bad: list[tuple[int, object, AddressError]] = []
    for number, text in entries:
        try:
            found.add(parse(text))
        except AddressError as error:
            bad.append((number, text, error))
    if bad:
        told = [f"{place} {number}: {error}" for number, _, error in bad[:SHOWN]]
        told[0] += hint(bad[0][1])  # most often they are all of one kind
        more = f" (and {len(bad) - SHOWN} more)" if len(bad) > SHOWN else ""
        raise FeedError(f"{len(bad)} of {len(entries)} entries are no addresses: {'; '.join(told)}{more}")
    return tuple(sorted(found, key=sort_key))
