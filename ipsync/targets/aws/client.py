"""Reaching AWS: one client for each account and region, made cheaply; errors in our words.

What AWS's library costs decides the shape. botocore, which boto3's clients are, starts 80 ms sooner without boto3's
resources and S3 transfers around it. Sessions share one data loader (a second session: 16 ms instead of 250 ms),
AssumeRole asks for nothing before its first use, and making clients isn't thread-safe.
"""

from __future__ import annotations

import logging
import os
import threading
from copy import copy
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    DeferredRefreshableCredentials,
    create_credential_resolver,
)
from botocore.exceptions import BotoCoreError, NoCredentialsError

from ipsync import __version__
from ipsync.core.errors import Denied, Unreachable
from ipsync.targets.aws import answers as aws_answers
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws import pacing as aws_pacing
from ipsync.targets.aws import service_models
from ipsync.targets.aws.codes import SPENT
from ipsync.targets.aws.credentials import CONFIG_FILE, KEYS_FILE, Unusable, ask_for_code, explained, source_of
from ipsync.targets.aws.parsing import Parsers
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsRegion

CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 5},  # set by us: the default changed between botocore releases
    user_agent_extra=f"ipsync/{__version__}",
)
for _name in ("botocore.credentials", "botocore.tokens"):
    logging.getLogger(_name).setLevel(logging.ERROR)  # their warnings are tracebacks of what we explain
_LOCK = threading.Lock()
_LOADER: list[Any] = []
_SESSIONS: dict[tuple[AwsAccount, str, str | None], botocore.session.Session] = {}
"""By account, and by where its role is assumed: STS's region and endpoint; without those, before it is assumed."""
_KEPT = 64
"""Sessions of roles that are kept, the last used ones: an account's regions follow each other, and a thousand accounts
must not cost the memory of a thousand sessions."""
_REGIONS = 8
_ASKED: dict[tuple[object, ...], Any] = {}
"""The clients that assume roles, by their region, endpoint and credentials: one for all accounts of a region."""
_WORLD: list[tuple[object, ...]] = []
"""What the chain read when these sessions were made."""


def client(service: str, where: AwsRegion) -> Any:
    """Return a client for the account and region.

    Raises Denied where there are no credentials to try, or Unreachable where what gives them is out of reach.
    """
    with _LOCK:
        session = _started(where)
        try:
            made = session.create_client(
                service, region_name=where.region, endpoint_url=where.endpoint_url, config=CONFIG
            )
        except (BotoCoreError, ValueError) as error:
            raise Denied(f"no AWS client for {where.region}: {error}") from None
    made.meta.events.register_first("before-call", partial(_refreshed, session, where.account))
    made.meta.events.register("after-call", partial(_judged, where.account))
    made.meta.events.register(f"needs-retry.{service}", aws_errors.note_try)
    aws_pacing.attach(made, where)
    return made


def _started(where: AwsRegion) -> botocore.session.Session:
    """Return the account's session, with its credentials looked up; a failure of the chain is a sentence."""
    try:
        session = _session(where)
        session.get_credentials()
    except Exception as error:  # noqa: BLE001 - the chain lets through what files, pipes and parsers raise
        meaning = _given_up(error, where.account)
        kind = Unreachable if meaning.passing else Denied
        raise kind(f"{where.region}: {meaning}", code=meaning.code, request_id=meaning.request_id) from None
    return session


def _refreshed(session: Any, account: AwsAccount, **_: object) -> None:
    """Get the credentials that a call will be signed with, before it is sent: so a failure is theirs alone."""
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError  # noqa: TRY301 - said as all others are
        credentials.get_frozen_credentials()
    except Exception as error:  # noqa: BLE001 - as above
        raise _given_up(error, account) from None


def _judged(account: AwsAccount, *, parsed: Any, **_: object) -> None:
    """Forget credentials that AWS itself calls expired, unknown or wrong: the next pass asks the chain again."""
    if (parsed or {}).get("Error", {}).get("Code") in SPENT:
        forget(account)


def _given_up(error: Exception, account: AwsAccount) -> Unusable:
    """Explain a failure of the chain, and forget the account's sessions: the next pass begins anew, and may heal."""
    plain = _SESSIONS.get(_plain(account))
    forget(account)
    return explained(error, source_of(plain or botocore.session.Session(), account), role=account.role_arn)


def forget(account: AwsAccount) -> None:
    """Let the account's next client begin with a new session: its credentials are of no use."""
    for key in [key for key in list(_SESSIONS) if key[0] == account or key == _plain(account)]:
        _SESSIONS.pop(key, None)
    _ASKED.clear()


def _plain(account: AwsAccount) -> tuple[AwsAccount, str, None]:
    """Return the key of what a role is assumed with: the same for all roles of a profile, or of the ambient credentials."""
    return (AwsAccount(profile=account.profile), "", None)


def _world() -> tuple[object, ...]:
    """Return what the chain reads, as it is now: a rotated key or a new profile must not wait for a restart."""
    files = (os.environ.get("AWS_SHARED_CREDENTIALS_FILE", KEYS_FILE), os.environ.get("AWS_CONFIG_FILE", CONFIG_FILE))
    named = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    return (tuple(sorted(named.items())), *(_stamp(os.path.expanduser(path)) for path in files))  # noqa: PTH111 - as botocore does


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116 - one call for all three
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def unknown_region(where: AwsRegion) -> str:
    """Return what to add to an error where no region has that name, as far as botocore knows; else nothing.

    Only a hint: AWS opens regions that an older botocore hasn't heard of.
    """
    from difflib import get_close_matches

    with _LOCK:
        session = _started(where)
    known = {r for p in session.get_available_partitions() for r in session.get_available_regions("ec2", p)}
    near = get_close_matches(where.region, sorted(known), 1)
    if where.region in known:
        return ""
    return f"; {where.region} is no region that AWS's library knows" + (f", did you mean {near[0]}?" if near else "")


def _session(where: AwsRegion) -> botocore.session.Session:
    if [now := _world()] != _WORLD:
        _SESSIONS.clear()
        _ASKED.clear()
        _WORLD[:] = [now]
    account = where.account
    plain = _plain(account)
    source = _SESSIONS.get(plain) or _plain_session(account, where.region)
    _SESSIONS[plain] = source
    if account.role_arn is None:
        return source
    region = source.get_config_variable("region") or where.region
    key = (account, region, where.endpoint_url)
    made = _SESSIONS.pop(key, None)
    if made is None:
        made = copy(source)  # its own credentials, and all else the same: registering botocore's handlers costs 10 ms
        _assume(made, source, where, region, account.role_arn)
    _SESSIONS[key] = made  # only now: what isn't the role yet must never be taken for it
    roles = [key for key in _SESSIONS if key[1]]
    for oldest in roles[: max(0, len(roles) - _KEPT)]:
        del _SESSIONS[oldest]
    return made


def _plain_session(account: AwsAccount, region: str | None = None) -> botocore.session.Session:
    """Make a session; `region` is where STS is asked on the way to the account's own credentials."""
    made = botocore.session.Session(profile=account.profile)
    made.register("before-parse", aws_answers.demand)  # for every client of this session, STS's too
    made.register_component("response_parser_factory", Parsers())
    chain = create_credential_resolver(made, region_name=made.get_config_variable("region") or region)
    roles: Any = chain.get_provider("assume-role")
    roles._prompter = ask_for_code  # noqa: SLF001 - botocore's own asks where nobody can answer
    made.register_component("credential_provider", chain)
    if not _LOADER:
        small = service_models.loader(made.get_config_variable("data_path"))
        _LOADER.append(small or made.get_component("data_loader"))
    made.register_component("data_loader", _LOADER[0])
    return made


def _assume(made: Any, source: Any, where: AwsRegion, region: str, role_arn: str) -> None:
    """Let a session become the account's role at its first call.

    STS is asked in the machine's own region, or in the target's where it has none: there is no default (botocore asks
    regional endpoints since 2022), and a region that the account hasn't enabled must not keep us out of the others.
    """
    account, plain = where.account, _plain(where.account)[0]
    given = source.get_credentials()
    if given is None:
        raise NoCredentialsError
    extra = {"RoleSessionName": "ipsync"} | ({"ExternalId": account.external_id} if account.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(_asked, source, AwsGroups(region, account=plain, endpoint_url=where.endpoint_url)),
        source_credentials=given,
        role_arn=role_arn,
        extra_args=extra,
    )
    made._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001


def _asked(source: Any, where: AwsRegion, service: str, **keys: str | None) -> Any:
    """Return the client that is asked for roles: made once, since making them isn't thread-safe, and costs 10 ms."""
    key = (id(source), where.region, where.endpoint_url, service, *keys.values())
    with _LOCK:
        if key not in _ASKED:
            if len(_ASKED) >= _REGIONS:
                _ASKED.clear()
            _ASKED[key] = source.create_client(
                service, region_name=where.region, endpoint_url=where.endpoint_url, config=CONFIG, **keys
            )
            aws_pacing.attach(_ASKED[key], where)
        return _ASKED[key]
