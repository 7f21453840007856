"""A request that ends: by its deadline whatever the peer does, and with a body that surely is whole.

The exchange runs in a thread whose sockets are shut at the deadline. A body counts only if its length was announced and
came: without a length, requests takes a cut body for whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util.retry import Retry

from ipsync import __version__
from ipsync.core.errors import IpsyncError
from ipsync.transport import trouble
from ipsync.transport.environment import Proxy, bundle, proxy_for
from ipsync.transport.errors import Cancelled, NoAnswer
from ipsync.transport.wire import Adapter, Session, Wire

T = TypeVar("T")
PIECE = 64 * 1024
REDIRECTS = {301, 302, 303, 307, 308}
TICK = 0.1
"""Seconds between two looks at whether the answer is still wanted."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `timeout` is in seconds, for everything, and what is asked again counts.

    `trust` is where a company names its own CA for it, and `limit` what its size is bounded by, as errors say them.
    """

    url: str
    timeout: float
    max_bytes: int
    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    ca_file: str | None = None
    trust: str = "ca_file"
    limit: str = "max_bytes"


class Answer:
    """An answer whose head is there; the body is read when it is asked for."""

    def __init__(self, response: requests.Response, request: Request, proxy: Proxy | None) -> None:
        self._response, self._request, self.proxy = response, request, proxy
        self.status: int = response.status_code
        self.reason = trouble.shown(response.reason or "")
        self.headers: Mapping[str, str] = response.headers

    @property
    def redirects(self) -> bool:
        """Tell whether it points elsewhere instead of answering."""
        return self.status in REDIRECTS or ("Location" in self.headers and 300 <= self.status < 400)  # noqa: PLR2004

    def place(self) -> tuple[str, str] | None:
        """Return the host and the address that a redirect names; a relative one begins at the URL that was asked."""
        told = self.headers.get("Location", "")
        try:
            # Headers come as Latin-1. What is no part of a URL is escaped, so that it can be read and copied.
            safe = quote(told.encode("latin-1", "replace"), safe="!#$%&'()*+,/:;=?@[]~")
            there = urljoin(self._request.url, safe)
            return (urlsplit(there).hostname or "", trouble.address(there)) if told else None
        except ValueError:
            return None

    def retry_after(self) -> float | None:
        """Read RFC 9110's Retry-After, in seconds or as a date; nonsense is as if it were not there."""
        try:
            return float(Retry().parse_retry_after(self.headers["Retry-After"]))
        except (KeyError, ValueError, OverflowError, InvalidHeader):
            return None

    def media_types(self) -> set[str]:
        """Return the types that it says it is of; a header that is sent twice comes as one, with a comma."""
        return {one.partition(";")[0].strip() for one in self.headers.get("Content-Type", "").lower().split(",")}

    @property
    def packed(self) -> str:
        """Say that the body is compressed, if it is."""
        coding = self.headers.get("Content-Encoding", "identity").lower()
        if coding == "identity":
            return ""
        named = trouble.shown(coding)
        return f"the answer is compressed ({named}) although identity was asked for, and isn't unpacked"

    def read(self) -> bytes:
        """Return the whole body, or raise NoAnswer."""
        if self.packed:
            raise NoAnswer(self.packed, sent=True)
        expected, most = self._announced(), self._request.max_bytes
        body = bytearray()
        while piece := self._response.raw.read(PIECE, decode_content=False):
            body += piece
            if len(body) > most:
                raise NoAnswer(f"the answer is larger than {self._request.limit} ({most})", sent=True)
        if expected is not None and len(body) != expected:
            raise NoAnswer(f"the answer was cut: {len(body)} of {expected} bytes came", sent=True)
        return bytes(body)

    def _announced(self) -> int | None:
        """Return the announced length; None for chunked coding, whose end http.client checks itself."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return None
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            text = "the answer doesn't say how long it is, so a cut one could not be told from a whole one"
            raise NoAnswer(text, sent=True)
        return int(length)


class Line:
    """The way to the peer, for as long as the deadline lasts: what it can be asked through, perhaps more than once."""

    def __init__(self, request: Request) -> None:
        self.request, self.wire = request, Wire()
        self.proxy = proxy_for(request.url)
        self._verify = bundle(request.ca_file) if urlsplit(request.url).scheme == "https" else None
        self._until = time.monotonic() + request.timeout

    @property
    def left(self) -> float:
        """Return how many seconds are left."""
        return self._until - time.monotonic()

    def pause(self, seconds: float) -> bool:
        """Wait, and tell whether the end came first."""
        return self.wire.wait(seconds)

    @contextmanager
    def ask(self) -> Iterator[Answer]:
        """Send the request and give its answer. Raises what requests raises."""
        request = self.request
        with self._session() as session:
            headers = {"User-Agent": f"ipsync/{__version__}", "Accept-Encoding": "identity", **request.headers}
            options: dict[str, Any] = {"stream": True, "allow_redirects": False, "timeout": request.timeout}
            with session.request(
                request.method, request.url, headers=headers, data=request.body, **options
            ) as response:
                yield Answer(response, request, self.proxy)

    def _session(self) -> requests.Session:
        session = Session()
        # Proxies and CA bundles are how companies run; a .netrc password must not go where nobody meant it to.
        session.trust_env = False
        session.proxies.update(dict.fromkeys(("http", "https"), self.proxy.url) if self.proxy else {})
        session.verify = self._verify or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter(self.wire))
        return session


def within(request: Request, work: Callable[[Line], T], *, cancelled: Callable[[], bool] | None = None) -> T:
    """Return what `work` makes of the line, or raise its IpsyncError or NoAnswer, at the latest after the timeout."""
    line = Line(request)
    job = _Job(line, work)
    threading.Thread(target=job.run, name="ipsync-fetch", daemon=True).start()
    if not _ended(job, request.timeout, cancelled):
        line.wire.cut()
        if line.left > 0:
            raise Cancelled("it was broken off", sent=line.wire.stood)
        raise NoAnswer(trouble.late(request.timeout, line.proxy), sent=line.wire.stood)
    (result,) = job.results
    if isinstance(result, IpsyncError):
        raise result
    return result


def _ended(job: _Job[T], timeout: float, cancelled: Callable[[], bool] | None) -> bool:
    """Wait for the end; False where the deadline or a cancellation came first."""
    if cancelled is None:
        return job.done.wait(timeout)
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0 and not cancelled():
        if job.done.wait(min(TICK, left)):
            return True
    return job.done.is_set()


class _Job(Generic[T]):
    """The work in its thread: its one result is what it returned, or why there is nothing."""

    def __init__(self, line: Line, work: Callable[[Line], T]) -> None:
        self.results: list[T | IpsyncError] = []
        self.done = threading.Event()
        self._line, self._work = line, work

    def run(self) -> None:
        """Do the work; whatever it raises becomes the result."""
        try:
            self.results.append(self._work(self._line))
        except IpsyncError as error:
            self.results.append(error)
        except (requests.RequestException, HTTPError) as error:  # requests lets some of urllib3's pass
            line = self._line
            text = trouble.reason(error, line.proxy, line.request.timeout, trust=line.request.trust)
            self.results.append(NoAnswer(text, sent=line.wire.stood))
        except Exception as error:  # noqa: BLE001 - a hostile peer must not end the thread silently
            text = f"the answer could not be read ({type(error).__name__})"
            self.results.append(NoAnswer(text, sent=self._line.wire.stood))
        finally:
            self.done.set()
