"""A GET that ends: by its deadline whatever the peer does, and with a body that surely is whole.

What requests leaves open (measured with requests 2.34, urllib3 2.8): its timeouts bound each read, not the
whole; a connection cut inside the headers comes back as 200 with an empty body; without a length, a cut body
is taken for whole. So the fetch runs in a thread whose sockets are shut at the deadline, a body counts only if
its length was announced and came, and a line (of the head, a chunk's size, the trailer) only if its end came.
requests also reads and unpacks the body of a redirect that it was told not to follow; here it sees no redirect.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.utils
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ipsync import __version__
from ipsync.errors import FeedError

PIECE = 64 * 1024
MOST_LINES = 256 * 1024
"""Bytes of the head, of all chunks' sizes and of the trailer together; a list's head has a few hundred."""
LONGEST_WORD = 80
"""Characters of the peer's own words that an error repeats."""


@dataclass(frozen=True, slots=True)
class Get:
    """One request. `timeout` is in seconds, for everything; `types` are the media types that are taken."""

    url: str
    timeout: float
    max_bytes: int
    types: Callable[[str], bool]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None


def get(request: Get) -> bytes:
    """Return the whole body, or raise FeedError, at the latest after `timeout` seconds."""
    wire = _Wire()
    answer: list[bytes | FeedError] = []
    done = threading.Event()

    def work() -> None:
        try:
            answer.append(_get(request, wire))
        except FeedError as error:
            answer.append(error)
        except requests.RequestException as error:
            answer.append(FeedError(_reason(error)))
        except Exception as error:  # noqa: BLE001 - a hostile peer must not end the thread silently
            answer.append(FeedError(f"the answer could not be read ({type(error).__name__})"))
        finally:
            done.set()

    threading.Thread(target=work, name="ipsync-fetch", daemon=True).start()
    if not done.wait(request.timeout):
        wire.cut()
        raise FeedError(f"no whole answer within {request.timeout:g} s; is the host reachable from here?")
    (result,) = answer
    if isinstance(result, FeedError):
        raise result
    return result


def _get(request: Get, wire: _Wire) -> bytes:
    with _Session() as session:
        # Proxies and CA bundles are how companies run; a .netrc password must not go to a public feed.
        session.trust_env = False
        session.proxies.update(requests.utils.get_environ_proxies(request.url))
        session.verify = request.ca_file or _environment_bundle() or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(wire))
        headers = {
            "User-Agent": f"ipsync/{__version__}",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        with session.get(
            request.url, headers=headers, stream=True, allow_redirects=False, timeout=request.timeout
        ) as response:
            _check_head(response, request)
            return _read(response, request)


def _environment_bundle() -> str | None:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")


def _check_head(response: requests.Response, request: Get) -> None:
    if response.is_redirect or 300 <= response.status_code < 400:  # noqa: PLR2004 - HTTP's redirects
        host = urlsplit(response.headers.get("Location", "")).hostname or "elsewhere"
        where = f"{_shown(host)} ({response.status_code})"
        raise FeedError(f"it redirects to {where}; redirects are not followed: set the new url")
    if response.status_code != 200:  # noqa: PLR2004 - the one status that carries a list
        raise FeedError(f"the server answered {response.status_code} {_shown(response.reason or '')}".rstrip())
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not request.types(kind):
        raise FeedError(f"the answer is of type {_shown(kind) or '(none)'}, not a list; is the url right?")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FeedError("the answer is compressed although identity was asked for")


def _shown(words: str) -> str:
    """Return the peer's own words as they may stand in a report: short, and without control characters."""
    short = words if len(words) <= LONGEST_WORD else words[:LONGEST_WORD] + "…"
    return short if short.isprintable() else ascii(short)


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


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate or connection does not hold; a company's CA goes into ca_file"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this environment can't be used; see HTTPS_PROXY"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time; is the host reachable from here?"
    if isinstance(error, requests.exceptions.ConnectionError):
        return f"no connection or a broken one ({_deepest(error)}); is the host reachable from here?"
    return f"the answer could not be read ({type(error).__name__})"


def _deepest(error: BaseException) -> str:
    """Name the innermost cause by its type and errno: its text may hold the URL, and so a token."""
    seen: BaseException = error
    while (inner := seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)) and isinstance(
        inner, BaseException
    ):
        seen = inner
    return seen.strerror if isinstance(seen, OSError) and seen.strerror else type(seen).__name__


# ── sockets that can be shut from outside ────────────────────────────────────


class _Wire:
    """Every socket of one fetch, so that the deadline can end what no read timeout ends."""

    def __init__(self) -> None:
        self._handles: list[socket.socket] = []
        self._cut = False
        self._lock = threading.Lock()

    def watch(self, sock: socket.socket) -> None:
        """Keep a second handle on the connection: wrapping it in TLS takes the first one away."""
        with self._lock:
            self._handles.append(sock.dup())
            if self._cut:
                self._shut()

    def cut(self) -> None:
        """Shut every connection, which ends any read in progress."""
        with self._lock:
            self._cut = True
            self._shut()

    def _shut(self) -> None:
        for handle in self._handles:
            with suppress(OSError):  # already gone
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()
        self._handles.clear()

    def close(self) -> None:
        """Let go of the handles of a fetch that ended by itself."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()


class _Session(requests.Session):
    """Follows no redirect, and so doesn't read the body of one either, which nothing would bound."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Say that there is none; the status is looked at by the caller."""
        del resp
        return None


class _Lines(io.BufferedReader):
    """A connection whose lines must have an end, and a measure: http.client takes a cut one for whole."""

    taken = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return one line. No line at all is left to http.client where it is the first."""
        line = super().readline(size)
        first, self.taken = not self.taken, self.taken + len(line)
        if self.taken > MOST_LINES:
            raise http.client.LineTooLong("head")
        if not line.endswith(b"\n") and not (first and not line):
            raise http.client.IncompleteRead(line)
        return line


class _Response(http.client.HTTPResponse):
    """An answer that is read through _Lines."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = _Lines(sock.makefile("rb", buffering=0))


class _Adapter(HTTPAdapter):
    """Makes requests open its connections through a _Wire, without retries."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wire)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _pools(self._wire)
        return manager

    def close(self) -> None:
        super().close()
        self._wire.close()


def _pools(wire: _Wire) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            wire.watch(sock)
            return sock

    class Secure(HTTPSConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            wire.watch(sock)
            return sock

    plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
    secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
    return {"http": plain, "https": secure}
