"""What a request takes from the environment: a proxy, and certificates to trust. That is how companies run.

Each is named by its variable where it can't be used: whoever is on call didn't write it into ipsync's config.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import requests

from ipsync.transport.errors import NoAnswer

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set counts. OpenSSL itself knows SSL_CERT_FILE only; requests the other two."""
_FORM = "write it like http://proxy.example:3128"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy of one request: its URL, the variable that names it, and how it is shown (without a password)."""

    url: str
    variable: str
    shown: str


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that the environment names for a URL; none for this machine's own addresses."""
    if is_loopback(urlsplit(url).hostname or ""):
        return None
    value = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return _checked(value, _variable(urlsplit(url).scheme)) if value else None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _variable(scheme: str) -> str:
    names = [name for key in (f"{scheme}_proxy", "all_proxy") for name in (key, key.upper())]
    return next((name for name in names if os.environ.get(name)), "this system's settings")


def _checked(value: str, variable: str) -> Proxy:
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NoAnswer(f"{variable} doesn't name a proxy; {_FORM}, or unset it") from None
    if parts.scheme.lower() not in {"http", "https"}:
        # requests would need PySocks for these, and its connections would not end at the deadline.
        raise NoAnswer(
            f"{variable} names a {parts.scheme[:10]!a} proxy, and only http and https ones are used; {_FORM}"
        )
    if not host or parts.path not in {"", "/"}:
        raise NoAnswer(f"{variable} doesn't name a proxy; {_FORM}, or unset it")
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return Proxy(url, variable, shown)


# ── certificates ─────────────────────────────────────────────────────────────


def bundle(ca_file: str | None) -> str | None:
    """Return the CA bundle to trust, None for requests' own. Raises NoAnswer for one that can't be used."""
    name, path = next(_bundles(ca_file), ("", None))
    if path is None:
        return None
    where = Path(path)
    if not where.exists():
        raise NoAnswer(f"{name} names {path}, and there is no such file; {_mend(name)}")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(**{"capath" if where.is_dir() else "cafile": path})
    except OSError as error:  # ssl's errors are OSErrors too
        why = error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else "it holds no certificates"
        raise NoAnswer(f"{name} names {path}, which can't be used as a CA bundle (PEM): {why}; {_mend(name)}") from None
    return path


def _bundles(ca_file: str | None) -> Iterator[tuple[str, str]]:
    if ca_file:
        yield "the feed's ca_file", ca_file
    yield from ((name, path) for name in BUNDLES if (path := os.environ.get(name)))


def _mend(name: str) -> str:
    return (
        "mend the path, or unset the variable"
        if name in BUNDLES
        else "mend the path, which begins at the working folder"
    )
