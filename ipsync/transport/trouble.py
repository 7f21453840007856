"""What went wrong on the way to a peer, in a sentence; and the peer's own words, as they may stand in one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationValueError

from ipsync.transport.environment import Proxy

LONGEST_WORD = 80
"""Characters of the peer's own words that an error repeats."""
LONGEST_ADDRESS = 300
REACHABLE = "is the host reachable from here?"
_SECRET = re.compile(r"([^&=]*(?:auth|cred|key|pass|secret|sig|token)[^&=]*)=[^&]+", re.IGNORECASE)


def shown(words: str) -> str:
    """Return the peer's own words as they may stand in a report: short, and without control characters."""
    short = words if len(words) <= LONGEST_WORD else words[:LONGEST_WORD] + "…"
    return short if short.isprintable() else ascii(short)


def address(url: str) -> str:
    """Return a URL that a peer names: whole, but without a password, a signature or a token in it.

    Raises ValueError where it is no URL.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(url)
    made = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    query = _SECRET.sub(r"\1=…", parts.query)
    made += f"?{query}" if query else ""
    return made if len(made) <= LONGEST_ADDRESS else made[:LONGEST_ADDRESS] + "…"


def through(proxy: Proxy | None) -> str:
    """Name the proxy that a request went through."""
    return f" through the proxy {proxy.shown} that {proxy.variable} names" if proxy else ""


def wants_password(proxy: Proxy) -> str:
    """Say that the proxy refuses a client without a name and password, or with a wrong one."""
    host = proxy.shown.partition("://")[2]
    return (
        f"the proxy {proxy.shown} that {proxy.variable} names asks for a user and password (407); "
        f"write them into the variable, like http://USER:PASSWORD@{host}"
    )


def late(timeout: float, proxy: Proxy | None) -> str:
    """Say that the time (seconds) for it is over, whoever noticed it first: the deadline, or the socket's own timeout."""
    return f"no whole answer within {timeout:g} s{through(proxy)}; {REACHABLE}"


def reason(error: Exception, proxy: Proxy | None, timeout: float, *, trust: str) -> str:
    """Say in a sentence why there is no answer; the error's own text may hold the URL, and so a token.

    `trust` is where a company names its own CA for this request.
    """
    if isinstance(error, requests.exceptions.ProxyError) and proxy:
        return _proxy(error, proxy)
    if isinstance(error, requests.exceptions.InvalidURL | LocationValueError):
        return "its url can't be used; check the host in it"
    if isinstance(error, requests.exceptions.SSLError):
        return f"its TLS certificate or connection does not hold{_certificate(error)}; a company's CA goes into {trust}"
    if isinstance(error, requests.exceptions.Timeout):
        return late(timeout, proxy)
    if isinstance(error, requests.exceptions.ConnectionError):
        return f"no connection or a broken one ({_deepest(error)}){through(proxy)}; {REACHABLE}"
    return f"the answer could not be read ({type(error).__name__})"


def _proxy(error: BaseException, proxy: Proxy) -> str:
    answers = (re.search(r"Tunnel connection failed: ([0-9]{3})", str(inner)) for inner in _chain(error))
    status = next((match[1] for match in answers if match), None)
    if status == "407":
        return wants_password(proxy)
    who = f"the proxy {proxy.shown} that {proxy.variable} names"
    if status:
        return f"{who} answered {status} instead of connecting; is it allowed to reach this host?"
    return f"{who} can't be used ({_deepest(error)}); mend or unset the variable, or add this host to NO_PROXY"


def _certificate(error: BaseException) -> str:
    """Return OpenSSL's own words on a certificate; they hold no more of the peer's than the name that was asked for."""
    found = (inner for inner in _chain(error) if isinstance(inner, ssl.SSLCertVerificationError))
    return next((f" ({shown(inner.verify_message)})" for inner in found), "")


def _deepest(error: BaseException) -> str:
    """Name the innermost cause by its type or errno."""
    *_, last = _chain(error)
    return last.strerror if isinstance(last, OSError) and last.strerror else type(last).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        held = next((arg for arg in inner.args if isinstance(arg, BaseException)), None)
        inner = inner.__cause__ or inner.__context__ or getattr(inner, "reason", None) or held
