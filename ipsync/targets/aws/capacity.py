"""How many rules a security group holds as EC2 counts them, and how many fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ipsync.core.errors import CloudError
from ipsync.core.model import Capacity
from ipsync.targets.aws.reads import Reads
from ipsync.targets.aws.rules import Rule

DEFAULT_QUOTA = 60
ASSUMED = "the quota could not be read; reading it needs servicequotas:GetServiceQuota"
QUOTA = "L-0EA8095F"
"""Inbound or outbound rules per security group (Service Quotas, Amazon VPC)."""
ASK_QUOTA_FROM = 40
"""Rules in a family from which the real quota is worth a call: below, even AWS's default can hold the usual list."""
WEIGHTS = {
    **dict.fromkeys(("cloudfront.origin-facing", "ipv6.cloudfront.origin-facing"), 55),
    **dict.fromkeys(("route53-healthchecks", "ipv6.route53-healthchecks"), 25),
    **dict.fromkeys(("vpc-lattice", "ipv6.vpc-lattice"), 10),
    "s3express": 6,
    "groundstation": 5,
    **dict.fromkeys(("ec2-instance-connect", "ipv6.ec2-instance-connect"), 2),
}
"""What AWS's own prefix lists count, by the end of their names; others one. They tell no MaxEntries (Amazon VPC User
Guide, AWS-managed prefix list weight)."""


def capacity(reads: Reads, rules: Sequence[Rule], *, ask: bool = False) -> tuple[Capacity, ...]:
    """Count as EC2 does: the families apart, a reference to a group in both, a prefix list in both as it weighs.

    With `ask` the quota is asked for however little is in use.
    """
    ingress = [r for r in rules if not r.get("IsEgress")]
    lists = [r["PrefixListId"] for r in ingress if r.get("PrefixListId")]
    shared = sum(bool(r.get("ReferencedGroupInfo")) for r in ingress) + _list_weights(reads, lists)
    used = {
        4: shared + sum(bool(r.get("CidrIpv4")) for r in ingress),
        6: shared + sum(bool(r.get("CidrIpv6")) for r in ingress),
    }
    worth = ask or max(used.values()) >= ASK_QUOTA_FROM
    limit, assumed = _quota(reads) if worth else (DEFAULT_QUOTA, True)
    why, way = ASSUMED if assumed else "", _way(reads.where.region)
    return tuple(Capacity(family, count, limit, assumed=why, way=way) for family, count in used.items())


@lru_cache(maxsize=64)  # thousands of groups share it
def _way(region: str) -> str:
    return f"raise the quota ({QUOTA} in Service Quotas, {region}), or delete rules that nobody needs"


def _list_weights(reads: Reads, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    try:
        found = list(reads.prefix_lists([{"Name": "prefix-list-id", "Values": sorted(set(ids))}]))
    except CloudError:
        return len(ids)  # without the permission, at least one each
    weights = {item["PrefixListId"]: weight(item) for item in found}
    return sum(weights.get(i, 1) for i in ids)


def weight(prefix_list: Rule) -> int:
    """Return how many rules a reference to this prefix list counts."""
    most = prefix_list.get("MaxEntries")
    if most:
        return int(most)
    name = str(prefix_list.get("PrefixListName", ""))
    return max((n for end, n in WEIGHTS.items() if name.endswith(f".{end}")), default=1)


def _quota(reads: Reads) -> tuple[int, bool]:
    """Return the quota, and whether it is only assumed; a region's is the same for all its groups."""
    if reads.quota is None:
        reads.quota = _asked_quota(reads)
    return reads.quota or DEFAULT_QUOTA, not reads.quota


def _asked_quota(reads: Reads) -> int:
    """Return the quota, or 0 where it could not be read."""
    try:
        quotas = reads.client("service-quotas")
        answer = reads.read(lambda: quotas.get_service_quota(ServiceCode="vpc", QuotaCode=QUOTA), "reading the quota")
    except CloudError:
        return 0
    return int(answer["Quota"]["Value"])
