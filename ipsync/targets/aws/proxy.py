"""Failures of the proxy on the way to AWS, as a sentence that names the variable.

botocore takes its proxies from HTTPS_PROXY and HTTP_PROXY (a lower-case name goes first), http and https ones only; it
doesn't look at ALL_PROXY. It writes `http://` before whatever begins otherwise, `socks5://` too.
"""

from __future__ import annotations

import os
import re

from botocore.exceptions import HTTPClientError, ProxyConnectionError

from ipsync.targets.aws.answers import OtherShape

VARIABLES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
NO_PROXY = "or name AWS's hosts in NO_PROXY if they need none"


def said(error: Exception) -> str:
    """Return what is wrong with the proxy, where it is a proxy that failed; else nothing."""
    name = _variable(error)
    if not name:
        return ""
    value = os.environ[name]
    shown = f"the proxy in {name} ({_masked(value)})"
    scheme = value.partition("://")[0].lower() if "://" in value else ""
    if scheme not in {"", "http", "https"}:
        return f"{shown} is no http or https one, which is all that AWS's library can use: set another, {NO_PROXY}"
    if "407" in _words(error):
        return f"{shown} wants a name and a password (407): write them as http://name:password@host:port, {NO_PROXY}"
    hint = "" if scheme else "; it has no scheme, so http:// was taken"
    return f"{shown} can't be reached or refuses the connection ({_words(error)}){hint}: mend {name}, {NO_PROXY}"


def _variable(error: Exception) -> str:
    """Return the variable that named the proxy of this failure, or nothing where none was the cause."""
    found = [name for name in VARIABLES if os.environ.get(name)]
    if isinstance(error, ProxyConnectionError):
        url = str(error.kwargs.get("proxy_url", ""))
        same = [name for name in found if _masked(os.environ[name]).rpartition("//")[2] in url]
        return next(iter([*same, *found]), "")
    odd = [name for name in found if re.match(r"(?!https?://)[a-z][a-z0-9+.-]*://", os.environ[name], re.IGNORECASE)]
    if isinstance(error, OtherShape):
        return next(iter(found), "") if "answered 407" in str(error) else ""
    return next(iter(odd), "") if isinstance(error, HTTPClientError | ValueError) else ""


def _words(error: Exception) -> str:
    cause = getattr(error, "kwargs", {}).get("error", error)
    cause = getattr(cause, "original_error", None) or cause  # urllib3 wraps what went wrong
    text = re.sub(r"<[^>]*>|^\w+\([^)]*\): ", "", str(cause))  # without the connection that urllib3 begins with
    return _masked(" ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())[:200])


def _masked(url: str) -> str:
    """Return a proxy's URL, or a text with one, without its name and password."""
    return re.sub(r"(^|//)[^/@\s]+@", r"\1***@", url)
