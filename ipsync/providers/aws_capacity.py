"""How many rules a security group holds as EC2 counts them, and how many fit."""

from __future__ import annotations

from collections.abc import Sequence

from ipsync.errors import CloudError
from ipsync.model import Capacity
from ipsync.providers.aws_reads import Reads
from ipsync.providers.aws_rules import Rule

DEFAULT_QUOTA = 60
ASK_QUOTA_FROM = 40
"""Rules in a family from which the real quota is worth a call: below, even AWS's default can hold the usual list."""


def capacity(reads: Reads, rules: Sequence[Rule]) -> tuple[Capacity, ...]:
    """Count as EC2 does: the families apart, a group reference in both, a prefix list as its MaxEntries."""
    ingress = [r for r in rules if not r.get("IsEgress")]
    lists = [r["PrefixListId"] for r in ingress if r.get("PrefixListId")]
    shared = sum(bool(r.get("ReferencedGroupInfo")) for r in ingress) + _list_sizes(reads, lists)
    used = {
        4: shared + sum(bool(r.get("CidrIpv4")) for r in ingress),
        6: shared + sum(bool(r.get("CidrIpv6")) for r in ingress),
    }
    limit = _quota(reads) if max(used.values()) >= ASK_QUOTA_FROM else DEFAULT_QUOTA
    return tuple(Capacity(family, count, limit) for family, count in used.items())


def _list_sizes(reads: Reads, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    try:
        found = list(reads.prefix_lists([{"Name": "prefix-list-id", "Values": sorted(set(ids))}]))
    except CloudError:
        return len(ids)  # without the permission, at least one each
    sizes = {item["PrefixListId"]: int(item.get("MaxEntries", 1)) for item in found}
    return sum(sizes.get(i, 1) for i in ids)


def _quota(reads: Reads) -> int:
    try:
        quotas = reads.client("service-quotas")
        answer = reads.read(
            lambda: quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-0EA8095F"), "reading the quota"
        )
    except CloudError:
        return DEFAULT_QUOTA
    return int(answer["Quota"]["Value"])
