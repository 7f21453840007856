"""What the demo and the sandbox play on: the embedded clouds, entries that others made, and a config for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ipsync import config as configs
from ipsync.core.configured import Config
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.sandbox.doors import group_lets_in, network_lets_in
from ipsync.sandbox.feed import FeedServer
from ipsync.sandbox.gcp.cloud import GcpCloud
from ipsync.sandbox.qatech.vendor import Vendor

REGION, PROJECT, NETWORK = "eu-north-1", "acme-demo", "default"
LISTED = ["18.196.41.10", "18.196.41.11", "3.64.226.93", "13.50.118.20", "2600:1f14:436:5801::10"]
NEWCOMER = "13.51.7.77"
OFFICE = "62.40.32.33/32"

CONFIG = """\
version: 1
owner: demo

feeds:
  qatech:
    url: {feed}

removal:
  grace: 72h

targets:
  - name: staging-web
    kind: aws-security-group
    feed: qatech
    region: {region}
    groups: [{group}]
    ports: [443/tcp]

  - name: staging-gcp
    kind: gcp-firewall
    feed: qatech
    project: {project}
    network: {network}
    rule: allow-qatech
    ports: [443/tcp]
    target_tags: [web]

audit:
  path: {folder}/audit.jsonl

listen: 127.0.0.1:0         # any free port; `ipsync run` says which

aws: {{endpoint_url: "{aws}"}}
gcp: {{endpoint: "{gcp}"}}
"""


LISTS = """\
targets:
  - name: everywhere
    kind: aws-prefix-list
    feed: qatech
    region: {region}
    prefix_list: {v4}
    prefix_list_v6: {v6}

"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The embedded clouds, seeded with entries that are not ours, and a config that uses them."""

    aws: AwsCloud
    gcp: GcpCloud
    feed: FeedServer
    group: str
    config_path: Path
    vendor: Vendor

    def load(self) -> Config:
        """Return the stage's config."""
        return configs.load(self.config_path, os.environ)

    def load_lists(self) -> Config:
        """Make two empty prefix lists, as whoever keeps them does, and return a config that fills them, without grace."""
        tags = {"ipsync:owner": "demo"}
        v4, v6 = (self.aws.make_list(family, size=20, tags=tags, region=REGION) for family in (4, 6))
        head, _, rest = self.config_path.read_text().replace("72h", "0s").partition("targets:")
        path = self.config_path.with_name("lists.yaml")
        path.write_text(head + LISTS.format(region=REGION, v4=v4, v6=v6) + "audit:" + rest.partition("audit:")[2])
        return configs.load(path, os.environ)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Start the clouds on free loopback ports and write a config for them into `folder`."""
    with ExitStack() as stack:
        aws, gcp = stack.enter_context(AwsCloud()), stack.enter_context(GcpCloud())
        feed = stack.enter_context(FeedServer(LISTED))
        group = seed(aws, gcp)
        text = CONFIG.format(
            feed=feed.url, region=REGION, group=group, project=PROJECT, network=NETWORK,
            folder=folder, aws=aws.endpoint_url, gcp=gcp.endpoint,
        )  # fmt: skip
        path = folder / "ipsync.yaml"
        path.write_text(text)
        aws.reset_calls()
        with _environment(aws.environment()):
            yield Stage(aws, gcp, feed, group, path, stack.enter_context(_vendor(aws, gcp, group)))


def _vendor(aws: AwsCloud, gcp: GcpCloud, group: str) -> Vendor:
    """Return a QA.tech whose runners get in where both clouds let them in."""

    def is_open(address: str) -> bool:
        rules = gcp.firewalls(PROJECT).values()
        return group_lets_in(aws.rules(group, region=REGION), address) and network_lets_in(rules, address)

    return Vendor(LISTED, is_open=is_open)


def seed(aws: AwsCloud, gcp: GcpCloud) -> str:
    """Make what is there before ipsync comes, by the hands of others; return the security group."""
    group = aws.make_group("staging-web", region=REGION)
    office = {"CidrIp": OFFICE, "Description": "office VPN, made by hand"}
    twin = {"CidrIp": f"{LISTED[0]}/32", "Description": "opened by hand last year"}
    aws.client("ec2", region=REGION).authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [office, twin]}],
    )
    ssh = {"name": "allow-office-ssh", "direction": "INGRESS", "sourceRanges": [OFFICE]}
    gcp.seed_firewall(PROJECT, {**ssh, "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})
    return str(group)


@contextmanager
def _environment(extra: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update({k: v for k, v in extra.items() if k != "AWS_ENDPOINT_URL"})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
