"""What somebody writes by hand, and no more: describe the groups' rules, authorize what lacks, revoke what is too much.

No marks, no foreign rules, no guards, no log, no waiting for a throttle but botocore's own.
Arguments: the endpoint, the addresses wanted, the groups' ids; both lists joined by commas.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

endpoint, wanted, ids = sys.argv[1], set(sys.argv[2].split(",")), sys.argv[3].split(",")
ec2 = boto3.client(
    "ec2",
    region_name="eu-north-1",
    endpoint_url=endpoint,
    config=Config(retries={"mode": "adaptive", "max_attempts": 50}),
)
held = {group: {} for group in ids}
pages = ec2.get_paginator("describe_security_group_rules")
for page in pages.paginate(Filters=[{"Name": "group-id", "Values": ids}], MaxResults=1000):
    for rule in page["SecurityGroupRules"]:
        if not rule["IsEgress"]:
            held[rule["GroupId"]][rule["CidrIpv4"]] = rule["SecurityGroupRuleId"]


def allow(group):
    lacking = sorted(wanted - held[group].keys())
    if lacking:
        each = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": c}]} for c in lacking]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=each)


def forbid(group):
    gone = [rule for cidr, rule in held[group].items() if cidr not in wanted]
    if gone:
        ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=gone)


with ThreadPoolExecutor(8) as threads:
    for work in (allow, forbid):
        list(threads.map(work, ids))
