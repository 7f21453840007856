"""Reaching AWS: one client for each account and region, made cheaply; errors in our words.

What AWS's library costs decides the shape. botocore, which boto3's clients are, starts 80 ms sooner without boto3's
resources and S3 transfers around it. Sessions share one data loader (a second session: 16 ms instead of 250 ms),
AssumeRole asks for nothing before its first use, and making clients isn't thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from ipsync import __version__
from ipsync.errors import CloudError, Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.model import AwsAccount, AwsGroups

CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 5},  # set by us: the default changed between botocore releases
    user_agent_extra=f"ipsync/{__version__}",
)
THROTTLES = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"}
DENIALS = {
    *("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure", "InvalidClientTokenId"),
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "SignatureDoesNotMatch", "OptInRequired"),
    *("UnrecognizedClientException", "MissingAuthenticationToken"),
}
ADVICE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        "the credentials have expired: renew them, or look at what should have (and at this machine's clock)",
    ),
    "AuthFailure": "the credentials aren't valid in this region: AWS says so too of a region that the account hasn't "
    "enabled (aws account list-regions)",
    "OptInRequired": "the account hasn't enabled this region (aws account list-regions)",
    "SignatureDoesNotMatch": "the secret key is another one, or this machine's clock is wrong",
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException"), "no such access key: deleted, or of another partition"
    ),
}
ASSUMING = "AssumeRole"
STALES = {
    *("InvalidPermission.Duplicate", "InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound"),
}
NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError)
"""There was no connection to send the request over."""
_TRIES = threading.local()
_LOCK = threading.Lock()
_LOADER: list[Any] = []
_SESSIONS: dict[tuple[AwsAccount, str, str | None], botocore.session.Session] = {}
"""By account, and by where its role is assumed: STS's region and endpoint; without those, before it is assumed."""


def client(service: str, where: AwsGroups) -> Any:
    """Return a client for the account and region. Raises Denied when there are no credentials to try."""
    with _LOCK:
        try:
            made = _session(where).create_client(
                service, region_name=where.region, endpoint_url=where.endpoint_url, config=CONFIG
            )
        except ProfileNotFound as error:
            raise Denied(f"{error}; check `account: {{profile: …}}` and ~/.aws/config") from None
        except (BotoCoreError, ValueError) as error:
            raise Denied(f"no AWS client for {where.region}: {error}") from None
    made.meta.events.register(f"needs-retry.{service}", _note_try)
    return made


def unknown_region(where: AwsGroups) -> str:
    """Return what to add to an error where no region has that name, as far as botocore knows; else nothing.

    Only a hint: AWS opens regions that an older botocore hasn't heard of.
    """
    from difflib import get_close_matches

    with _LOCK:
        session = _session(where)
    known = {r for p in session.get_available_partitions() for r in session.get_available_regions("ec2", p)}
    near = get_close_matches(where.region, sorted(known), 1)
    if where.region in known:
        return ""
    return f"; {where.region} is no region that we know of" + (f", did you mean {near[0]}?" if near else "")


def _session(where: AwsGroups) -> botocore.session.Session:
    account = where.account
    plain = (account, "", None)
    source = _SESSIONS.get(plain) or _plain_session(account)
    _SESSIONS[plain] = source
    if account.role_arn is None:
        return source
    region = source.get_config_variable("region") or where.region
    key = (account, region, where.endpoint_url)
    if key not in _SESSIONS:
        made = _plain_session(account)
        _assume(made, source, where, region, account.role_arn)
        _SESSIONS[key] = made  # only now: what isn't the role yet must never be taken for it
    return _SESSIONS[key]


def _plain_session(account: AwsAccount) -> botocore.session.Session:
    made = botocore.session.Session(profile=account.profile)
    if _LOADER:
        made.register_component("data_loader", _LOADER[0])
    else:
        _LOADER.append(made.get_component("data_loader"))
    return made


def _assume(made: Any, source: Any, where: AwsGroups, region: str, role_arn: str) -> None:
    """Let a session become the account's role at its first call.

    STS is asked in the machine's own region, or in the target's where it has none: there is no default (botocore asks
    regional endpoints since 2022), and a region that the account hasn't enabled must not keep us out of the others.
    """
    account = where.account
    extra = {"RoleSessionName": "ipsync"} | ({"ExternalId": account.external_id} if account.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(
            source.create_client, region_name=region, endpoint_url=where.endpoint_url, config=CONFIG
        ),
        source_credentials=source.get_credentials(),
        role_arn=role_arn,
        extra_args=extra,
    )
    made._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001


def call(operation: Callable[[], dict[str, Any]], *, subject: str, writes: bool) -> dict[str, Any]:
    """Make one call; raise what it means for the target. `subject` says what was being done, for the message.

    botocore tries again by itself. Once a reply to a write was lost, no later answer tells what became of the first
    try (a `Duplicate` may be our own): that is Uncertain.
    """
    _TRIES.lost = False
    try:
        return operation()
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        meaning = _meaning(error, subject, writes=writes)
    if writes and _TRIES.lost:
        raise Uncertain(str(meaning), code=meaning.code, request_id=meaning.request_id)
    raise meaning


def _note_try(
    response: tuple[Any, dict[str, Any]] | None = None, caught_exception: Exception | None = None, **_more: object
) -> None:
    """Remember that a try may have been carried out, before botocore decides whether to try again."""
    if response is None:
        _TRIES.lost = _TRIES.lost or not isinstance(caught_exception, NEVER_LEFT)
    elif response[0].status_code >= 500:  # noqa: PLR2004 - HTTP's server errors
        _TRIES.lost = _TRIES.lost or response[1].get("Error", {}).get("Code") not in THROTTLES


def _meaning(error: Exception, subject: str, *, writes: bool) -> CloudError:
    if isinstance(error, ClientError):
        return _answered(error, subject, writes=writes)
    if isinstance(error, NoCredentialsError):
        return Denied(f"{subject}: no AWS credentials were found; see the AWS documentation on credentials")
    if isinstance(error, NEVER_LEFT):
        return Unreachable(f"{subject}: AWS can't be reached ({error})")
    return _silence(error, subject, writes=writes)


def _silence(error: Exception, subject: str, *, writes: bool) -> CloudError:
    kind = Uncertain if writes else Unreachable
    return kind(f"{subject}: no usable answer from AWS ({type(error).__name__})", code=type(error).__name__)


def _answered(error: ClientError, subject: str, *, writes: bool) -> CloudError:
    """Return what an error answer means; a refusal is final, anything else depends on what was asked."""
    said, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
    text = f"{subject}: {code}: {_short(str(said.get('Message', '')))}"
    details = {"code": code, "request_id": str(meta.get("RequestId", ""))}
    if error.operation_name == ASSUMING:
        return _not_assumed(text, details, passing=code in THROTTLES or status >= 500)  # noqa: PLR2004 - server errors
    if code in THROTTLES:
        return Unreachable(f"{subject}: AWS throttles this call ({code}); the next run tries again", **details)
    if status >= 500:  # noqa: PLR2004 - HTTP's server errors
        kind = Uncertain if writes else Unreachable
        return kind(f"{subject}: AWS answered {status} {code}", **details)
    return _refused(text, details, subject)


def _refused(text: str, details: dict[str, str], subject: str) -> CloudError:
    code = details["code"]
    if code in DENIALS:
        return Denied("; ".join(filter(None, (text, ADVICE.get(code)))), **details)
    if code in STALES:
        return Stale(f"{subject}: {code}: someone changed the group since it was read", **details)
    if code.endswith(".NotFound") or code in {"NoSuchEntity", "InvalidGroupId.Malformed"}:
        return Missing(text, **details)
    return Rejected(text, **details)


def _not_assumed(text: str, details: dict[str, str], *, passing: bool) -> CloudError:
    """Say what it means that the role could not be assumed: nothing was sent to EC2 yet."""
    if passing:
        return Unreachable(
            f"{text}: AWS can't let us assume the role of `account` now; the next run tries again", **details
        )
    help_ = "check that the role exists, that its trust policy names who asks, and `external_id`"
    code = f"{ASSUMING}.{details['code']}"
    return Denied(f"{text}: the role of `account` can't be assumed; {help_}", **{**details, "code": code})


def _short(text: str) -> str:
    """Leave out the encoded blob that UnauthorizedOperation appends."""
    return text.partition(" Encoded authorization failure message")[0][:400]


class Bucket:
    """A token bucket a little under AWS's own (50 burst, 5/s), so that a large run isn't throttled at all."""

    def __init__(self, *, burst: float = 45, refill: float = 4.5) -> None:
        self._burst, self._refill, self._left = burst, refill, burst
        self._at, self._lock = time.monotonic(), threading.Lock()

    def take(self) -> None:
        """Wait until one more call fits."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._refill)
            self._at, self._left = now, self._left - 1
            wait = max(0.0, -self._left / self._refill)
        if wait:
            time.sleep(wait)
