"""What came out of Google's library, in our words: what it means, and whether trying again may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ipsync.core.errors import CloudError, Denied, Missing, Rejected, Stale, Unreachable
from ipsync.targets.gcp.credentials import NoCredentials, explain
from ipsync.targets.gcp.network import unreached, waited_in_vain

RETRIED = {500, 502, 503, 504}
REFUSALS = {404: Missing, 409: Stale, 412: Stale}
RETRIED_REASONS = {"resourceNotReady", "operationInProgress", "backendError", "internalError"}
THROTTLES = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}
GONE = "CONSUMER_INVALID"
"""The reason Google gives of a project that was deleted or never was: 403, as if it were a permission's fault."""
SWITCHED_OFF = {"accessNotConfigured", "SERVICE_DISABLED"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an exception means, whether to try again (or only briefly), and whether the request may have been done.

    `throttled`: it was not, since there were too many; it is tried again for as long as that lasts. `silent`: it was
    waited for in vain, as long as a request may take.
    """

    error: CloudError
    again: bool = False
    taken: bool = False
    brief: bool = False
    throttled: bool = False
    silent: bool = False


def expected() -> tuple[type[Exception], ...]:
    """Return what may come out of the library; anything else is a fault of ours, and is shown as that."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]

    return GoogleAPICallError, GoogleAuthError, ParseError, ValueError, OSError  # requests' own are OSErrors


def meaning_of(error: Exception, subject: str) -> Meaning:
    """Return what one of the expected exceptions means; `subject` begins the message."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.protobuf.json_format import ParseError
    from requests import JSONDecodeError

    if isinstance(error, GoogleAPICallError):
        return _answered(error, subject)
    kind = type(error).__name__
    if isinstance(error, GoogleAuthError):  # the token comes before the request
        return _without_token(error, subject, passing=error.retryable or isinstance(error, TransportError))
    if nobody := unreached(error):
        return Meaning(Unreachable(f"{subject}: {nobody}", code=kind), again=True, brief=True)
    if isinstance(error, (ParseError, JSONDecodeError)) or not isinstance(error, OSError):
        return _of_another_shape(subject, str(error), code=kind)
    silent = waited_in_vain(error)
    broke = f"the connection to Google broke before there was an answer ({str(error)[:300]})"
    why = "Google's address takes requests and gives no answer" if silent else broke
    return Meaning(
        Unreachable(f"{subject}: {why}; the next run tries again", code=kind), again=True, taken=True, silent=silent
    )


def _without_token(error: Any, subject: str, *, passing: bool) -> Meaning:
    """Say why there was no token. Google's library has tried several times by then: a few more must do."""
    kind = type(error).__name__
    if not passing:
        return Meaning(NoCredentials(f"{subject}: the Google credentials were refused: {explain(error)}", code=kind))
    cause = error.args[0] if error.args else None
    why = unreached(cause) if isinstance(cause, BaseException) else None
    text = f"{subject}: no token from Google: {why or explain(error)}"
    return Meaning(Unreachable(text, code=kind), again=True, brief=True)


def _of_another_shape(subject: str, why: str, *, code: str) -> Meaning:
    """Say of an answer that isn't Compute Engine's that it tells nothing: it may be a gateway's or a proxy's page."""
    text = (
        f"{subject}: the answer isn't Google's ({why[:200]}); a proxy, a gateway or a sign-in page may stand in "
        "between: look at HTTPS_PROXY and at what `gcp.endpoint` names"
    )
    return Meaning(Unreachable(text, code=code), again=True, taken=True, brief=True)


def _answered(error: Any, subject: str) -> Meaning:
    status = int(error.code or 0)
    reasons = {str(item.get("reason", "")) for item in error.errors or () if isinstance(item, dict)}
    reasons = (reasons | {str(error.reason or "")}) - {""}
    code = next(iter(sorted(reasons & SWITCHED_OFF or reasons)), str(status))
    text = f"{subject}: {status} {error.message}"[:600]
    throttled = status == 429 or bool(reasons & THROTTLES)  # noqa: PLR2004 - too many requests
    if throttled or status in RETRIED or reasons & RETRIED_REASONS:
        again = Unreachable(f"{text.rstrip('.')}; the next run tries again", code=code)
        return Meaning(again, again=True, taken=status >= 500, throttled=throttled)  # noqa: PLR2004 - server errors
    if not 400 <= status < 500:  # noqa: PLR2004 - an answer that isn't HTTP's, or isn't JSON
        return Meaning(Unreachable(text, code=code), again=True, taken=True)
    if not reasons:  # Google gives one with every error
        return _of_another_shape(subject, f"{status} {error.message}", code=str(status))
    if GONE in reasons or "has been deleted" in str(error.message):
        return Meaning(Missing(text, code=GONE))
    if status in {401, 403} and not reasons & {"quotaExceeded"}:
        return Meaning(Denied(text, code=code))
    return Meaning(REFUSALS.get(status, Rejected)(text, code=code))
