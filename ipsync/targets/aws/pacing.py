"""How AWS's calls are paced: a token bucket an account, region and action, below AWS's own.

Each try of a call takes a token before it is signed. A throttled one is sent again by us, for as long as patience lasts;
botocore's own tries and its quota of them are left for what else goes wrong.
Numbers: Amazon EC2 Developer Guide, "Request throttling"; AWS STS and Organizations, quotas.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ReadTimeoutError
from botocore.retries import standard

from ipsync.core.pacing import Limit
from ipsync.targets import pace
from ipsync.targets.aws.codes import THROTTLES
from ipsync.targets.aws.where import UNKNOWN, AwsAccount, AwsRegion

PAGED = Limit(100, 20)
"""Reads with a filter or MaxResults: all of ours."""
CHANGES = Limit(50, 5)
EC2 = {
    **dict.fromkeys(("CreateTags", "DeleteTags"), Limit(100, 10)),
    "DescribeRegions": Limit(50, 10),
}
SERVICES = {"sts": Limit(600, 600), "organizations": Limit(10, 8)}
"""Those with a limit of their own; the others' are told nowhere, and are found out by being throttled."""
READS = ("Describe", "Get", "List")


def limit(service: str, action: str) -> Limit:
    """Return what AWS lets through of an action."""
    if service == "ec2" and action in EC2:
        return EC2[action]
    return SERVICES.get(service) or (PAGED if action.startswith(READS) else CHANGES)


def attach(client: Any, where: AwsRegion) -> None:
    """Pace a client's calls, in the place of botocore's own handling of throttles."""
    events, name = client.meta.events, client.meta.service_model.service_id.hyphenize()
    tries = client.meta.config.retries["total_max_attempts"]
    botocores = standard.register_retry_handler(client, max_attempts=tries)
    events.unregister(f"needs-retry.{name}", unique_id=f"retry-config-{name}")
    quotas = partial(_pacer, client.meta.service_model.endpoint_prefix, where)
    events.register_first(f"request-created.{name}", partial(_take, quotas))
    events.register(f"needs-retry.{name}", partial(_judge, quotas, botocores.needs_retry))


def whose(account: AwsAccount) -> object:
    """Return whose quotas the credentials use: the account's, or, where nothing tells it, their own."""
    return account if account.number == UNKNOWN else account.number


def _pacer(service: str, where: AwsRegion, action: str) -> pace.Pacer:
    key = ("aws", whose(where.account), where.region, where.endpoint_url, service, action)
    of = "" if where.account.number == UNKNOWN else f" of account {where.account.number}"
    return pace.pacer(key, limit(service, action), f"{action} in {where.region}{of}")


def _take(quotas: Callable[[str], pace.Pacer], *, request: Any, operation_name: str, **_: object) -> None:
    """Wait until a try may leave; it is signed after this, and a signature is good for five minutes only."""
    request.context["ipsync.left"] = quotas(operation_name).take()


def _judge(
    quotas: Callable[[str], pace.Pacer],
    otherwise: Callable[..., float | None],
    *,
    response: tuple[Any, dict[str, Any]] | None,
    operation: Any,
    attempts: int,
    request_dict: dict[str, Any],
    **more: Any,
) -> float | None:
    """Tell after how many seconds a call is tried again; None where it isn't."""
    context, quota = request_dict["context"], quotas(operation.name)
    code = response[1].get("Error", {}).get("Code") if response else None
    if code in THROTTLES:
        context["ipsync.throttled"] = context.get("ipsync.throttled", 0) + 1
        quota.throttled(left=context["ipsync.left"], since=context.setdefault("ipsync.since", pace.now()))
        return 0.0  # the pacer says when
    if response:
        quota.passed()
    if isinstance(more.get("caught_exception"), ReadTimeoutError):
        context["ipsync.silent"] = context.get("ipsync.silent", 0) + 1
        if context["ipsync.silent"] == pace.SILENT_TRIES:
            return None
    counted = attempts - context.get("ipsync.throttled", 0)
    return otherwise(response=response, operation=operation, attempts=counted, request_dict=request_dict, **more)
