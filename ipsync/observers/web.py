"""The pages as a WSGI application: read-only, without a word that a browser could run, and for this machine's names only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

LONGEST_PATH = 2048
TEXT = "text/plain; charset=utf-8"
ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent; `headers` win over those that every answer has."""

    body: bytes
    type: str = TEXT
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)


Page = Callable[[], Answer]


class Site:
    """Answers GET and HEAD for the paths it knows. `here` tells that it listens on this machine's own addresses."""

    def __init__(self, pages: Mapping[str, Page], *, here: bool) -> None:
        self._pages, self._here = pages, here

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        headers = ALWAYS | {"Content-Type": answer.type, "Content-Length": str(len(answer.body))} | answer.headers
        start_response(answer.status, list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if self._here and not is_here(environ.get("HTTP_HOST", "localhost")):
            return Answer(b"This is served for localhost alone.\n", status="421 Misdirected Request")
        path = environ.get("PATH_INFO", "")
        if len(path) > LONGEST_PATH:
            return Answer(b"This path is too long.\n", status="414 URI Too Long")
        page = self._pages.get(path)
        if page is None:
            return Answer(f"There are: {' '.join(self._pages)}\n".encode(), status="404 Not Found")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            answer = b"This is for reading only.\n"
            return Answer(answer, status="405 Method Not Allowed", headers={"Allow": "GET, HEAD"})
        return page()


def is_here(host: str) -> bool:
    """Tell whether a request's Host names this machine itself.

    A page from elsewhere whose name leads to 127.0.0.1 (DNS rebinding) would otherwise read what is served here alone.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def probe(complaint: Callable[[], str | None], note: Callable[[], str] = str) -> Page:
    """Return the page of a probe: 200, with what there is to note, or 503 with what is wrong."""

    def page() -> Answer:
        wrong = complaint()
        if wrong:
            return Answer(f"{wrong}\n".encode(), status="503 Service Unavailable")
        noted = note()
        return Answer(f"ok; {noted}\n".encode() if noted else b"ok\n")

    return page
