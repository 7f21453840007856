"""Reaching AWS: one client for each account and region, made cheaply; errors in our words.

What AWS's library costs decides the shape. botocore, which boto3's clients are, starts 80 ms sooner without boto3's
resources and S3 transfers around it. Sessions share one data loader (a second session: 16 ms instead of 250 ms),
AssumeRole asks for nothing before its first use, and making clients isn't thread-safe.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ProfileNotFound

from ipsync import __version__
from ipsync.errors import Denied
from ipsync.model import AwsAccount, AwsGroups
from ipsync.providers import aws_answers, aws_errors

CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 5},  # set by us: the default changed between botocore releases
    user_agent_extra=f"ipsync/{__version__}",
)
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
    made.meta.events.register(f"needs-retry.{service}", aws_errors.note_try)
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
    made.register("before-parse", aws_answers.demand)  # for every client of this session, STS's too
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
