"""Every call that we make to AWS, in one place: what may be called where only reading is allowed, and what models keep.

A client knows the operations of this table and no others (service_models.py): a new kind adds its calls here first.
"""

from __future__ import annotations

READS = {
    "ec2": {
        "DescribeManagedPrefixLists",
        "DescribeRegions",
        "DescribeSecurityGroupRules",
        "DescribeSecurityGroups",
        "GetManagedPrefixListAssociations",
        "GetManagedPrefixListEntries",
    },
    "organizations": {
        "ListAccounts",
        "ListAccountsForParent",
        "ListOrganizationalUnitsForParent",
        "ListTagsForResource",
    },
    "service-quotas": {"GetServiceQuota"},
    "sts": {"AssumeRole", "GetCallerIdentity"},
}
WRITES = {
    "ec2": {
        "AuthorizeSecurityGroupIngress",
        "CreateTags",
        "DeleteTags",
        "ModifyManagedPrefixList",
        "RevokeSecurityGroupIngress",
    },
}
KEPT_WHOLE = {"sts"}
"""Services that botocore's own credential chain calls, with operations that may change with its releases."""
CHAIN_ENDPOINTS = {"oidc", "portal.sso", "signin"}
"""The other services of that chain, as `endpoints.json` names them: SSO's two, and that of `aws login`."""

UNREAD = {"SecurityGroup": {"IpPermissions", "IpPermissionsEgress"}}
"""What EC2 tells and nobody here asks for, by the shape: a group's permissions have no ids, and are most of an answer."""


def kept(service: str) -> frozenset[str]:
    """Return the operations that a trimmed model of this service has."""
    return frozenset(READS.get(service, set()) | WRITES.get(service, set()))
