"""A GET that ends: by its deadline whatever the peer does, and with a body that surely is whole.

The fetch runs in a thread whose sockets are shut at the deadline. A body counts only if its length was announced and
came: without a length, requests takes a cut body for whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util.retry import Retry

from ipsync import __version__
from ipsync.core.errors import FeedError
from ipsync.feeds import trouble
from ipsync.feeds.environment import Proxy, bundle, proxy_for
from ipsync.feeds.formats import PAGES
from ipsync.feeds.wire import Adapter, Session, Wire

PIECE = 64 * 1024
TRIES = 3
REDIRECTS = {301, 302, 303, 307, 308}
BUSY = {429, 502, 503, 504}
"""Answers that say nothing of the list, only that it can't be had at this moment."""
PAUSE = 1.0
"""Seconds until a server that is busy is asked again, once, where it doesn't say when."""


@dataclass(frozen=True, slots=True)
class Get:
    """One request. `timeout` is in seconds, for everything, and what is asked again counts."""

    url: str
    timeout: float
    max_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None


class _Busy(FeedError):
    """The server can't answer now. `after` is in how many seconds it asks to be asked again, if it says so."""

    def __init__(self, text: str, after: float | None) -> None:
        super().__init__(text)
        self.after = after


def get(request: Get) -> bytes:
    """Return the whole body, or raise FeedError, at the latest after `timeout` seconds."""
    proxy = proxy_for(request.url)
    verify = bundle(request.ca_file) if urlsplit(request.url).scheme == "https" else None
    wire, until = Wire(), time.monotonic() + request.timeout
    answer: list[bytes | FeedError] = []
    done = threading.Event()

    def work() -> None:
        try:
            answer.append(_patiently(request, wire, _Way(proxy, verify), until))
        except FeedError as error:
            answer.append(error)
        except (requests.RequestException, HTTPError) as error:  # requests lets some of urllib3's pass
            answer.append(FeedError(trouble.reason(error, proxy, request.timeout)))
        except Exception as error:  # noqa: BLE001 - a hostile peer must not end the thread silently
            answer.append(FeedError(f"the answer could not be read ({type(error).__name__})"))
        finally:
            done.set()

    threading.Thread(target=work, name="ipsync-fetch", daemon=True).start()
    if not done.wait(request.timeout):
        wire.cut()
        raise FeedError(trouble.late(request.timeout, proxy))
    (result,) = answer
    if isinstance(result, FeedError):
        raise result
    return result


@dataclass(frozen=True, slots=True)
class _Way:
    """How the environment leads to the server."""

    proxy: Proxy | None
    verify: str | None


def _patiently(request: Get, wire: Wire, way: _Way, until: float) -> bytes:
    """Ask again where the server is busy for a moment, as long as the deadline allows."""
    for asked in range(1, TRIES + 1):
        try:
            return _get(request, wire, way)
        except _Busy as busy:
            pause = PAUSE if busy.after is None else busy.after
            last = asked == (2 if busy.after is None else TRIES)
            if last or pause >= until - time.monotonic():
                raise FeedError(_given_up(busy, asked, request.timeout)) from None
        if wire.wait(pause):
            break
    raise FeedError("the deadline came")  # told by the caller, who set it


def _given_up(busy: _Busy, asked: int, timeout: float) -> str:
    times = f", {asked} times" if asked > 1 else ""
    if busy.after is None:
        return f"{busy}{times}"
    return f"{busy}{times}; it asks to be asked again in {busy.after:g} s (the feed's timeout is {timeout:g} s)"


def _get(request: Get, wire: Wire, way: _Way) -> bytes:
    with Session() as session:
        # Proxies and CA bundles are how companies run; a .netrc password must not go to a public feed.
        session.trust_env = False
        session.proxies.update(dict.fromkeys(("http", "https"), way.proxy.url) if way.proxy else {})
        session.verify = way.verify or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter(wire))
        headers = {
            "User-Agent": f"ipsync/{__version__}",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        with session.get(
            request.url, headers=headers, stream=True, allow_redirects=False, timeout=request.timeout
        ) as response:
            _check_head(response, request, way.proxy)
            return _read(response, request)


def _check_head(response: requests.Response, request: Get, proxy: Proxy | None) -> None:
    status = response.status_code
    if status in REDIRECTS or ("Location" in response.headers and 300 <= status < 400):  # noqa: PLR2004 - HTTP's own
        raise FeedError(_moved(response, request.url))
    if status == 407 and proxy:  # noqa: PLR2004 - the proxy's own answer
        raise FeedError(trouble.wants_password(proxy))
    if status != 200:  # noqa: PLR2004 - the one status that carries a list
        # Of plain http, a proxy sees everything, and its own refusal looks like the server's.
        way = trouble.through(proxy) if request.url.lower().startswith("http:") else ""
        text = f"the server answered {status} {trouble.shown(response.reason or '')}".rstrip() + way
        raise _Busy(text, _retry_after(response)) if status in BUSY else FeedError(text)
    told = response.headers.get("Content-Type", "").lower().split(",")  # a type that is sent twice comes so
    for kind in PAGES & {one.partition(";")[0].strip() for one in told}:
        raise FeedError(f"the answer is of type {kind}, a web page and not a list; is the url right?")
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        text = f"the answer is compressed ({trouble.shown(coding)}) although identity was asked for, and isn't unpacked"
        raise FeedError(f"{text}; is there a url of the plain list?")


def _retry_after(response: requests.Response) -> float | None:
    """Read RFC 9110's Retry-After, in seconds or as a date; nonsense is as if it were not there."""
    try:
        return float(Retry().parse_retry_after(response.headers["Retry-After"]))
    except (KeyError, ValueError, OverflowError, InvalidHeader):
        return None


def _moved(response: requests.Response, url: str) -> str:
    status, there = response.status_code, _location(response, url)
    if not there:
        return f"it redirects without saying where to ({status}); is the url right?"
    host, address = there
    plain = " (plain http)" if address.startswith("http:") and url.startswith("https:") else ""
    remedy = f"redirects are not followed: if the list has moved to {address}{plain}, set that as the feed's url"
    return f"it redirects to {trouble.shown(host)} ({status}); {remedy}"


def _location(response: requests.Response, url: str) -> tuple[str, str] | None:
    """Return the host and the address that a redirect names; a relative one begins at the URL that was asked."""
    told = response.headers.get("Location", "")
    try:
        # Headers come as Latin-1. What is no part of a URL is escaped, so that it can be read and copied.
        there = urljoin(url, quote(told.encode("latin-1", "replace"), safe="!#$%&'()*+,/:;=?@[]~"))
        return (urlsplit(there).hostname or "", trouble.address(there)) if told else None
    except ValueError:
        return None


def _read(response: requests.Response, request: Get) -> bytes:
    expected = _announced(response)
    body = bytearray()
    while piece := response.raw.read(PIECE, decode_content=False):
        body += piece
        if len(body) > request.max_bytes:
            raise FeedError(f"the answer is larger than max_bytes ({request.max_bytes})")
    if expected is not None and len(body) != expected:
        raise FeedError(f"the answer was cut: {len(body)} of {expected} bytes came")
    return bytes(body)


def _announced(response: requests.Response) -> int | None:
    """Return the announced length; None for chunked coding, whose end http.client checks itself."""
    if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
        return None
    length = response.headers.get("Content-Length", "")
    if not length.isascii() or not length.isdigit():
        raise FeedError("the answer doesn't say how long it is, so a cut one could not be told from a whole one")
    return int(length)
