"""Nothing reached AWS: which address, why, and what to look at.

Names, connections and certificates; a proxy that fails is `proxy`'s. botocore trusts the file that AWS_CA_BUNDLE
names, then a profile's `ca_bundle`, then what REQUESTS_CA_BUNDLE names, then its own.
"""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError

BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
PROXIED = "where a proxy is needed, HTTPS_PROXY names it"
_NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)


def never_left(error: BaseException | None) -> bool:
    """Tell whether there was no connection to send the request over, so that nothing can have been carried out."""
    return isinstance(error, _NEVER_LEFT) or (isinstance(error, SSLError) and bool(_distrust(error)))


def unreached(error: BaseException) -> str:
    """Return why no request left, as a sentence that says what to look at; "" where one may have left."""
    if isinstance(error, SSLError):
        return _distrust(error)
    if not isinstance(error, ConnectTimeoutError | EndpointConnectionError):
        return ""
    return f"{_address(error)} can't be reached: {_why(error)}"


def _why(error: ConnectTimeoutError | EndpointConnectionError) -> str:
    cause = _cause(error)
    if isinstance(error, ConnectTimeoutError):
        return (
            "no connection in time; a firewall or a missing route drops it (a private subnet needs a NAT gateway or a "
            f"VPC endpoint); {PROXIED}"
        )
    if "resolve" in cause or "resolution" in cause:
        return f"its name can't be resolved; look at this machine's DNS, the region and `endpoint_url`; {PROXIED}"
    return f"no connection ({cause.rpartition('] ')[2]}); {PROXIED}"


def _distrust(error: SSLError) -> str:
    """Return why the two sides never trusted each other; "" where TLS broke at another point, or nobody knows when."""
    inner, address = _inner(error), _address(error)
    file = _bundle()
    if isinstance(inner, FileNotFoundError | PermissionError | IsADirectoryError):
        return f"{file} can't be read as a CA bundle ({inner.strerror}): mend the path, or name none"
    if isinstance(inner, ssl.SSLError) and "no certificate" in str(inner):
        return f"{file} holds no certificate (PEM): mend the file, or name none"
    if isinstance(inner, ssl.SSLCertVerificationError) or type(inner).__name__ == "CertificateError":
        why = getattr(inner, "verify_message", "") or str(inner)[:200]
        return (
            f"the certificate of {address} isn't trusted ({why}); where a proxy inspects TLS, AWS_CA_BUNDLE must name "
            "a file with its authority"
        )
    return ""


def _bundle() -> str:
    named = next((name for name in BUNDLES if os.environ.get(name)), None)
    return f"{named} names {os.environ[named]}, which" if named else "the profile's `ca_bundle`"


def _address(error: ConnectTimeoutError | EndpointConnectionError | SSLError) -> str:
    return urlsplit(str(error.kwargs.get("endpoint_url", ""))).netloc or "AWS"


def _inner(error: SSLError) -> object:
    """Return what urllib3's own error is made of: Python's, of a file or of TLS."""
    return next(iter(getattr(error.kwargs.get("error"), "args", ())), None)


def _cause(error: ConnectTimeoutError | EndpointConnectionError) -> str:
    return " ".join(str(error.kwargs.get("error", "")).split())[:200]
