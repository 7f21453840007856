"""What QA.tech's refusals mean, and what to do about each."""

from __future__ import annotations

from http import HTTPStatus

from ipsync.core.printable import printable
from ipsync.transport import trouble
from ipsync.transport.environment import Proxy
from ipsync.transport.strict_json import loads
from ipsync.verification.qatech.access import BASE, TOKENS

LONGEST_MESSAGE = 300
_REMEDIES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "the request doesn't fit this project: check that each id is this project's "
    "and that there is something to run",
    HTTPStatus.UNAUTHORIZED: "the token is missing or not valid: take the project's own from {tokens} and set {token}",
    HTTPStatus.PAYMENT_REQUIRED: "the usage limit of the plan with QA.tech is reached: "
    "raise it there, or wait until it begins anew",
    HTTPStatus.FORBIDDEN: "the account is suspended, or the token is not for this: look at the account, "
    "then take a token from {tokens} and set {token}",
    HTTPStatus.NOT_FOUND: "there is no such thing in the project of this token: check the id, "
    "and that {token} is the token of the project that it stands in",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests: ask again{after}, and seldom",
}
_REMEDY = "that is a fault over there; ask again later"


def answered(status: int, *, reason: str, body: bytes) -> str:
    """Say what the answer was, in QA.tech's words as far as it used any."""
    words = printable(message(body) or reason)
    words = words if len(words) <= LONGEST_MESSAGE else f"{words[:LONGEST_MESSAGE]}…"
    return f"QA.tech answered {status}{f' ({words})' if words else ''}"


def remedy(status: int, *, token_name: str, after: float | None) -> str:
    """Say what helps."""
    later = f" in {after:g} s" if after else " later"
    return _REMEDIES.get(status, _REMEDY).format(tokens=TOKENS, token=token_name, after=later)


def message(body: bytes) -> str:
    """Return the `message` of an error's body; nothing where it has another shape."""
    try:
        found = loads(body.decode())
    except (ValueError, RecursionError):
        return ""
    text = found.get("message") if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def moved(status: int, place: tuple[str, str] | None, *, url_name: str) -> str:
    """Say that it points elsewhere: nothing goes there, the token least of all."""
    if place is None:
        return f"it redirects ({status}) without saying where to; is {url_name} right? QA.tech's API is at {BASE}"
    host, address = place
    told = f"if the API has moved to {address}, set {url_name} to its base"
    return f"it redirects to {trouble.shown(host)} ({status}); redirects are not followed: {told}"


def proxied(status: int, proxy: Proxy | None) -> str | None:
    """Return what to say where it is the proxy that refuses, not QA.tech."""
    return trouble.wants_password(proxy) if proxy and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else None
