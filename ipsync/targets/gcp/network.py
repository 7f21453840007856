"""Nobody answers: which host, through which proxy, and how long to wait for a connection.

Google's library gives one time limit to a request, 20 s of ours and 120 s of its own for a token, and tries a token's
host four times. A host that answers takes a connection within a second, so connecting has a shorter limit here.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

_CONNECTION = re.compile(r"^(?:<[^>]*>|\w+\([^)]*\)): ")
CONNECT = 4.0
"""Seconds for one connection."""
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What names the certificates that requests trusts; the first that is set counts."""
_NO_BUNDLE = ("CA certificate bundle", "NO_CERTIFICATE_OR_CRL_FOUND")
"""What requests says of a file that isn't there, and OpenSSL of one that holds something else."""
READ = 30.0
"""Seconds for an answer, at most: also for one that Google holds back until an operation has ended."""


def be_patient_only(client: Any) -> Any:
    """Bound a client's connections, those for its tokens too, and return it."""
    from google.auth.transport.requests import Request
    from requests import Session

    session = client.transport._session  # noqa: SLF001 - the library has no option for it
    tokens = Session()
    for used in (session, tokens):
        mount(used)
    session._auth_request = Request(tokens)  # noqa: SLF001 - as above
    return client


def mount(session: Any) -> None:
    """Bound the connections of a session of requests."""
    import requests

    class Bounded(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]
            limit = options.get("timeout")
            read = min(limit, READ) if isinstance(limit, (int, float)) else READ
            return super().send(request, **{**options, "timeout": (min(CONNECT, read), read)})

    for scheme in ("https://", "http://"):
        session.mount(scheme, Bounded())


def unreached(error: BaseException) -> str | None:
    """Return why no request ever left, as a sentence; None where one may have."""
    return _bundle_trouble(str(error)) or _nobody(error)


def _bundle_trouble(text: str) -> str | None:
    named = next(filter(os.environ.get, BUNDLES), None)
    if named is None or not any(words in text for words in _NO_BUNDLE):
        return None
    return f"{named} names {os.environ[named]}, which can't be used as a CA bundle (PEM): mend it, or unset {named}"


def _nobody(error: BaseException) -> str | None:
    from requests import ConnectTimeout, exceptions
    from urllib3.exceptions import NameResolutionError, NewConnectionError

    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    text = str(error)
    if isinstance(error, exceptions.ProxyError | exceptions.InvalidURL | exceptions.InvalidSchema):
        return _said(error, f"the proxy doesn't let it through ({_short(reason or cause)})")
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        why = "its certificate isn't trusted; where a proxy inspects TLS, REQUESTS_CA_BUNDLE must name its authority"
        return _said(error, why)
    if isinstance(reason, NameResolutionError):
        return _said(error, "its name can't be resolved; look at this machine's DNS")
    if isinstance(error, ConnectTimeout):
        return _said(error, f"no connection within {CONNECT:g} s; a firewall or a missing route drops it")
    if isinstance(reason, NewConnectionError):
        return _said(error, f"the connection was refused or failed ({_short(reason)})")
    return None


def waited_in_vain(error: BaseException) -> bool:
    """Tell whether a host took the request and then said nothing for as long as may be waited."""
    from requests import ReadTimeout

    return isinstance(error, ReadTimeout)


def _said(error: BaseException, why: str) -> str:
    host, url = _host(error)
    variable, proxy = proxy_of(url)
    if variable:
        help_ = f"correct or unset {variable}, or name the host in NO_PROXY"
        return f"{host} can't be reached through {proxy}, the proxy of {variable}: {why}; {help_}"
    return f"{host} can't be reached: {why}; where a proxy is needed, HTTPS_PROXY names it"


def _host(error: BaseException) -> tuple[str, str]:
    """Return the host of the request that failed, and a URL on it."""
    url = getattr(getattr(error, "request", None), "url", None)
    pool = getattr(error.args[0] if error.args else None, "pool", None)
    named = urlsplit(str(url)).hostname if url else getattr(pool, "host", None)
    host = str(named or "www.googleapis.com")
    return host, str(url or f"https://{host}/")


def proxy_of(url: str) -> tuple[str, str]:
    """Return the variable whose proxy a URL is asked through, and that proxy without its password; or two blanks."""
    import requests

    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if not proxy:
        return "", ""
    scheme = urlsplit(url).scheme
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    return variable, proxy.rpartition("@")[2].rpartition("//")[2]


def _short(value: object) -> str:
    """Return the innermost message of a library's error, without the connection that it begins with."""
    value = getattr(value, "reason", None) or value
    value = getattr(value, "original_error", None) or value
    return _CONNECTION.sub("", str(value))[:200]
