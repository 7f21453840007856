"""Reaching Compute Engine: clients, retries, operations; errors in our words.

google-cloud-compute takes 1.3 s and 149 MiB to import, so only making a client imports it. Its own retries cover
503 on reads alone, its operation futures poll the real host whatever the endpoint says and take some failed
operations for done: so requests are unary, with our retry, our deadline and one request id for all tries.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ipsync.errors import CloudError, Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.model import GcpRule

TIMEOUT = 20.0
"""Seconds for one request."""
DEADLINE = 60.0
"""Seconds for one call with all its tries, and for one operation to end."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
RETRIED = {429, 500, 502, 503, 504}
RETRIED_REASONS = {"rateLimitExceeded", "resourceNotReady", "operationInProgress", "backendError", "internalError"}


def options(where: GcpRule) -> dict[str, Any]:
    """Return the arguments that every client of this project is made with."""
    if where.endpoint is None:
        return {}
    from google.auth.credentials import AnonymousCredentials

    local = urlsplit(where.endpoint).hostname in LOOPBACK
    chosen = {"client_options": {"api_endpoint": where.endpoint}}
    return {**chosen, "credentials": AnonymousCredentials()} if local else chosen  # type: ignore[no-untyped-call]


def compute() -> Any:
    """Import and return google.cloud.compute_v1."""
    try:
        from google.cloud import compute_v1
    except ImportError as error:
        raise Denied(f"google-cloud-compute is not installed ({error}); install ipsync with its dependencies") from None
    return compute_v1


def make(client: Callable[..., Any], where: GcpRule) -> Any:
    """Return a client. Raises Denied when there are no credentials to try."""
    from google.auth.exceptions import GoogleAuthError

    try:
        return client(**options(where))
    except GoogleAuthError as error:
        raise Denied(f"no Google credentials for project {where.project}: {error}") from None


def call(
    operation: Callable[[], Any], *, subject: str, writes: bool, pause: Callable[[float], None] = time.sleep
) -> Any:
    """Call until it succeeds, is refused, or the deadline passes; raise what that means for the target."""
    ends, wait, maybe_done = time.monotonic() + DEADLINE, FIRST_PAUSE, False
    while True:
        try:
            return operation()
        except Exception as error:  # noqa: BLE001 - sorted right here: API errors, auth errors, transport faults
            failure, again, sent = _sorted(error, subject)
        maybe_done = maybe_done or sent
        if again and time.monotonic() + wait < ends:
            pause(wait)
            wait = min(LONGEST_PAUSE, wait * 2)
            continue
        if writes and maybe_done and isinstance(failure, Unreachable):
            raise Uncertain(str(failure), code=failure.code)
        raise failure


def _sorted(error: Exception, subject: str) -> tuple[CloudError, bool, bool]:
    """Return what an exception means, whether to try again, and whether the request may have been carried out."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    if isinstance(error, CloudError):
        return error, False, False
    if isinstance(error, GoogleAPICallError):
        return _answered(error, subject)
    if isinstance(error, GoogleAuthError) and not isinstance(error.__cause__, RequestException):
        return Denied(f"{subject}: the Google credentials were refused: {error}"), False, False
    kind = type(error).__name__
    return Unreachable(f"{subject}: no usable answer from Google ({kind})", code=kind), True, True


def _answered(error: Any, subject: str) -> tuple[CloudError, bool, bool]:
    status = int(error.code or 0)
    reasons = {str(item.get("reason", "")) for item in error.errors or () if isinstance(item, dict)}
    code = next(iter(sorted(reasons)), str(status))
    text = f"{subject}: {status} {error.message}"[:600]
    if status in RETRIED or reasons & RETRIED_REASONS:
        return Unreachable(text, code=code), True, status >= 500  # noqa: PLR2004 - HTTP's server errors
    if status in {401, 403} and not reasons & {"quotaExceeded"}:
        return Denied(text, code=code), False, False
    if status == 404:  # noqa: PLR2004 - HTTP's not found
        return Missing(text, code=code), False, False
    if status in {409, 412}:
        return Stale(text, code=code), False, False
    if not 400 <= status < 500:  # noqa: PLR2004 - an answer that isn't HTTP's, or isn't JSON
        return Unreachable(text, code=code), True, True
    return Rejected(text, code=code), False, False


def finish(operations: Any, where: GcpRule, started: Any, *, subject: str) -> str:
    """Wait for an operation and return its name. A failed one raises; one that doesn't end is Uncertain."""
    ends, wait = time.monotonic() + DEADLINE, 0.0
    now = started
    while not _done(now):
        if time.monotonic() + wait > ends:
            raise Uncertain(f"{subject}: operation {started.name} hasn't ended after {DEADLINE:g} s")
        time.sleep(wait)
        wait = min(LONGEST_PAUSE, wait * 2 or FIRST_PAUSE)
        try:
            now = call(
                lambda: operations.wait(project=where.project, operation=started.name, timeout=TIMEOUT, retry=None),
                subject=f"{subject}: waiting for operation {started.name}",
                writes=False,
            )
        except Unreachable as error:
            raise Uncertain(str(error), code=error.code) from None
    _raise_if_failed(now, subject)
    return str(started.name)


def _done(operation: Any) -> bool:
    return str(getattr(operation.status, "name", operation.status)) == "DONE"


def _raise_if_failed(operation: Any, subject: str) -> None:
    """Look at `error.errors`, not at httpErrorStatusCode, which failed operations may lack."""
    errors = list(operation.error.errors) if operation.error else []
    if not errors:
        return
    code, text = str(errors[0].code), "; ".join(f"{e.code}: {e.message}" for e in errors)
    if "PERMISSION" in code or "FORBIDDEN" in code:
        raise Denied(f"{subject}: {text}", code=code, request_id=str(operation.name))
    if code == "RESOURCE_NOT_FOUND":
        raise Missing(f"{subject}: {text}", code=code, request_id=str(operation.name))
    raise Rejected(f"{subject}: {text}", code=code, request_id=str(operation.name))
