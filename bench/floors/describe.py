"""The floor: the least that any tool must do, a bare boto3 script with one tag-filtered describe."""

import sys

import boto3

ec2 = boto3.client("ec2", region_name="eu-north-1", endpoint_url=sys.argv[1])
page = ec2.describe_security_group_rules(Filters=[{"Name": "tag:ipsync:owner", "Values": ["bench"]}], MaxResults=1000)
print(len(page["SecurityGroupRules"]))
