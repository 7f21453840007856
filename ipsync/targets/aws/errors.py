"""What AWS's answers and silences mean for a target: every failure becomes one of ours, as a sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
    ReadTimeoutError,
)

from ipsync.core.errors import CloudError, Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.targets import pace
from ipsync.targets.aws import network as aws_network
from ipsync.targets.aws import proxy as aws_proxy
from ipsync.targets.aws.answers import OtherShape
from ipsync.targets.aws.codes import ADVICE, BUSY, DENIALS, STALES, THROTTLES
from ipsync.targets.aws.credentials import Unusable

_TRIES = threading.local()


def call(operation: Callable[[], dict[str, Any]], *, subject: str, writes: bool) -> dict[str, Any]:
    """Make one call; raise what it means for the target. `subject` says what was being done, for the message.

    botocore tries again by itself. Once a reply to a write was lost, no later answer tells what became of the first
    try (a `Duplicate` may be our own): that is Uncertain.
    """
    _TRIES.lost = False
    try:
        return operation()
    except CloudError:  # said before anything was sent
        raise
    except pace.GivenUp as error:  # said before another try was sent
        meaning: CloudError = Unreachable(f"{subject}: {error}", code=type(error).__name__)
    except Exception as error:  # noqa: BLE001 - botocore's parsers raise KeyError, ValueError and more at odd answers
        meaning = _meaning(error, subject, writes=writes)
    if writes and _TRIES.lost:
        raise Uncertain(str(meaning), code=meaning.code, request_id=meaning.request_id)
    raise meaning


def note_try(
    response: tuple[Any, dict[str, Any]] | None = None, caught_exception: Exception | None = None, **_more: object
) -> None:
    """Remember that a try may have been carried out, before botocore decides whether to try again."""
    if response is None:
        _TRIES.lost = _TRIES.lost or not aws_network.never_left(caught_exception)
    elif response[0].status_code >= 500:  # noqa: PLR2004 - HTTP's server errors
        _TRIES.lost = _TRIES.lost or response[1].get("Error", {}).get("Code") not in THROTTLES


def _meaning(error: Exception, subject: str, *, writes: bool) -> CloudError:
    if isinstance(error, ClientError):
        return _answered(error, subject, writes=writes)
    if isinstance(error, Unusable):
        lacking = Unreachable if error.passing else Denied
        return lacking(f"{subject}: {error}", code=error.code, request_id=error.request_id)
    if through := aws_proxy.said(error):
        kind = Uncertain if writes and not aws_network.never_left(error) else Unreachable
        return kind(f"{subject}: {through}", code=type(error).__name__)
    if why := aws_network.unreached(error):
        return Unreachable(f"{subject}: {why}", code=type(error).__name__)
    if isinstance(error, ParamValidationError):
        return Rejected(f"{subject}: a fault in ipsync, nothing was sent: {error}", code=type(error).__name__)
    return _silence(error, subject, writes=writes)


def _silence(error: Exception, subject: str, *, writes: bool) -> CloudError:
    """Say that there was no answer, or none that can be read: of a write, only reading back can tell."""
    kind = Uncertain if writes else Unreachable
    return kind(f"{subject}: {_unsaid(error)}", code=type(error).__name__)


def _unsaid(error: Exception) -> str:
    if isinstance(error, OtherShape):
        return f"AWS's address {error}"
    if isinstance(error, ReadTimeoutError):
        return "AWS's address takes requests and gives no answer; the next run tries again"
    if isinstance(error, ConnectionClosedError):
        return "the connection to AWS broke before there was an answer; the next run tries again"
    return f"no usable answer from AWS ({type(error).__name__}); the next run tries again"


def _answered(error: ClientError, subject: str, *, writes: bool) -> CloudError:
    """Return what an error answer means; a refusal is final, anything else depends on what was asked."""
    said, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
    text = f"{subject}: {code}: {_short(str(said.get('Message', '')))}"
    details = {"code": code, "request_id": str(meta.get("RequestId", ""))}
    if code in THROTTLES:
        return Unreachable(f"{subject}: AWS throttles this call ({code}); the next run tries again", **details)
    if code in BUSY:
        return Unreachable(f"{text}; another change is under way, the next run tries again", **details)
    if status >= 500:  # noqa: PLR2004 - HTTP's server errors
        kind = Uncertain if writes else Unreachable
        return kind(f"{subject}: AWS answered {status} {code}; the next run tries again", **details)
    return _refused(text, details, subject)


def _refused(text: str, details: dict[str, str], subject: str) -> CloudError:
    code = details["code"]
    if code in DENIALS:
        return Denied("; ".join(filter(None, (text, ADVICE.get(code)))), **details)
    if code in STALES:
        return Stale(f"{subject}: somebody changed the resource since it was read ({code})", **details)
    if code.endswith(".NotFound") or code in {"NoSuchEntity", "InvalidGroupId.Malformed"}:
        return Missing(text, **details)
    return Rejected(text, **details)


def _short(text: str) -> str:
    """Leave out the encoded blob that UnauthorizedOperation appends."""
    return text.partition(" Encoded authorization failure message")[0][:800]
