"""Which account and region the resources of a target are in, before any of them is read: a shard has to know.

A role's ARN says its account. Of a profile and of the ambient credentials only STS can tell, so it is asked, once for
each: one account that the config spells in two ways is one place, and lies in one shard.
API: AWS Security Token Service, GetCallerIdentity, which needs no permission.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ipsync.core.configured import Target
from ipsync.core.errors import CloudError, Unreachable
from ipsync.targets import pace
from ipsync.targets.aws import errors as aws_errors
from ipsync.targets.aws.answers import WHO
from ipsync.targets.aws.reads import reading_client
from ipsync.targets.aws.where import UNKNOWN, AwsAccount, AwsRegion

THREADS = 8
Key = tuple[AwsAccount, str | None]


def homes(targets: Sequence[Target]) -> list[str | CloudError]:
    """Return `aws/ACCOUNT/REGION` of each target, or why its account can't be told."""
    wheres = [_where(t) for t in targets]
    unknown = {_key(w): w for w in reversed(wheres) if w.account.number == UNKNOWN}
    with pace.threads(THREADS) as threads:
        told = dict(zip(unknown, threads.map(_account, unknown.values()), strict=True))
    return [_home(w, told.get(_key(w), w.account.number)) for w in wheres]


def caller(sts: Any) -> str:
    """Return the account that a client's credentials are of. Raises CloudError."""
    answer = aws_errors.call(sts.get_caller_identity, subject="asking whose account this is", writes=False)
    account = str(answer.get("Account") or "")
    if not account.isdigit():
        raise Unreachable(f"AWS's address answered without an account: {WHO}")
    return account


def _where(target: Target) -> AwsRegion:
    if not isinstance(target.where, AwsRegion):
        raise TypeError(f"target {target.name} is no AWS target")
    return target.where


def _key(where: AwsRegion) -> Key:
    return where.account, where.endpoint_url


def _account(where: AwsRegion) -> str | CloudError:
    try:
        return caller(reading_client("sts", where))
    except CloudError as error:
        return error


def _home(where: AwsRegion, account: str | CloudError) -> str | CloudError:
    return account if isinstance(account, CloudError) else f"aws/{account}/{where.region}"
