"""`ipsync check` on prefix lists: each permission tried with DryRun, and who refers to the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ipsync.core.errors import CloudError
from ipsync.core.model import State
from ipsync.targets.aws import prefix_list_tags as list_tags
from ipsync.targets.aws.probe import tried
from ipsync.targets.aws.reads import Reads
from ipsync.targets.base import Finding

SAMPLES = {4: "192.0.2.1/32", 6: "2001:db8::1/128"}
KINDS = {"sg": "security group", "rtb": "route table", "tgw-rtb": "transit gateway route table"}


def probe(reads: Reads, state: State, owner: str) -> Iterator[Finding]:
    """Try to modify and to tag a list, and look who refers to it; change nothing."""
    ec2, name = reads.ec2, state.resource.rpartition("/")[2]
    entry = {"Cidr": SAMPLES[max(state.families)], "Description": "never added"}
    yield tried(
        reads, state, "modify-list", owner, ec2.modify_managed_prefix_list,
        PrefixListId=name, CurrentVersion=1, AddEntries=[entry],
    )  # fmt: skip
    tags = [{"Key": f"{list_tags.prefix(owner)}leaving:1", "Value": "never set"}]
    yield tried(reads, state, "tag-list", owner, ec2.create_tags, Resources=[name], Tags=tags)
    yield tried(reads, state, "untag-list", owner, ec2.delete_tags, Resources=[name], Tags=tags)
    yield replace(_references(reads, name), resource=state.resource)


def _references(reads: Reads, name: str) -> Finding:
    """Say what the addresses open. A list doesn't tell what a rule does with it, and a route isn't a door at all."""
    subject = f"{name} in {reads.where.region}: who refers to it"
    try:
        found = [str(item["ResourceId"]) for item in reads.list_associations(name)]
    except CloudError as error:
        return Finding(subject, ok=True, detail=f"not known: {error}", skipped=True)
    routes = sorted(i for i in found if i.startswith(("rtb-", "tgw-rtb-")))
    kinds = Counter(_kind(i) for i in found)
    told = ", ".join(f"{number} × {kind}" for kind, number in sorted(kinds.items())) or "nothing refers to it yet"
    if routes:
        told += f"; warning: in the route table {routes[0]} each address that comes or goes changes where traffic flows"
    return Finding(subject, ok=True, detail=told)


def _kind(resource: str) -> str:
    start = resource.rpartition("-")[0]
    return KINDS.get(start, start or resource)
