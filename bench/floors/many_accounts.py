"""The floor of many accounts: a bare botocore loop that makes the same reads, and looks at what it read once.

One session an account over one shared loader, one STS client, clients made under a lock (making them isn't
thread-safe), a pool of threads: what its documentation and a day of trying would teach a careful author.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import botocore.session
from botocore.config import Config

URL, ACCOUNTS, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
REGION = "eu-north-1"
CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5})
LOCK = threading.Lock()
first = botocore.session.Session()
loader = first.get_component("data_loader")
sts = first.create_client("sts", region_name=REGION, endpoint_url=URL, config=CONFIG)


def client(number):
    role = f"arn:aws:iam::{number:012d}:role/ipsync"
    given = sts.assume_role(RoleArn=role, RoleSessionName="floor")["Credentials"]
    with LOCK:
        session = botocore.session.Session()
        session.register_component("data_loader", loader)
        session.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return session.create_client("ec2", region_name=REGION, endpoint_url=URL, config=CONFIG)


def pages(operation, key, filters):
    token = {}
    while True:
        page = operation(Filters=filters, MaxResults=1000, **token)
        yield from page[key]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def account(number):
    ec2 = client(number)
    owned = [{"Name": "tag:ipsync:owner", "Values": ["bench"]}]
    named = [{"Name": "tag:allow-qatech", "Values": ["true"]}]
    rules = sum(1 for _ in pages(ec2.describe_security_group_rules, "SecurityGroupRules", owned))
    groups = sum(1 for _ in pages(ec2.describe_security_groups, "SecurityGroups", named))
    return rules, groups


with ThreadPoolExecutor(THREADS) as pool:
    found = list(pool.map(account, range(1, ACCOUNTS + 1)))
print(sum(r for r, _ in found), sum(g for _, g in found))
