"""Three shards in three processes over one AWS of many accounts and regions: together they do what one sync does."""

from __future__ import annotations

import subprocess
import sys

import botocore.session
import pytest
from botocore.loaders import Loader

from ipsync.audit import shards, verify
from ipsync.core.sharding import holder
from ipsync.sandbox.feed import FeedServer

N = 3
ACCOUNTS, REGIONS = [f"{n}" * 12 for n in (1, 2, 3)], ["eu-north-1", "us-east-1"]
PLACES = [(account, region) for account in ACCOUNTS for region in REGIONS]
LISTED = [f"18.196.41.{n}" for n in range(10, 14)]
CONFIG = """\
version: 1
owner: acme
feeds: {{qatech: {{url: "{feed}"}}}}
targets:
  - name: web
    kind: aws-security-group
    feed: qatech
    regions: [{regions}]
    accounts: [{accounts}]
    match: {{tags: {{allow: qatech}}}}
    ports: [443/tcp]
audit: {{path: {folder}/audit.jsonl}}
"""
LOADER = Loader()


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/ipsync"


def ec2(aws, account: str, region: str):
    keys = aws.client("sts").assume_role(RoleArn=role(account), RoleSessionName="seed")["Credentials"]
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    session.set_credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    return session.create_client("ec2", region, endpoint_url=aws.endpoint_url)


class Fleet:
    """A tagged group in each account's region, and the processes of all shards."""

    def __init__(self, aws, feed, folder) -> None:
        self.aws, self.folder, self.config = aws, folder, folder / "ipsync.yaml"
        roles = ", ".join(f'{{role_arn: "{role(a)}"}}' for a in ACCOUNTS)
        self.config.write_text(CONFIG.format(feed=feed.url, regions=", ".join(REGIONS), accounts=roles, folder=folder))
        self.clients = {place: ec2(aws, *place) for place in PLACES}
        for client in self.clients.values():
            group = client.create_security_group(GroupName="web", Description="web")["GroupId"]
            client.create_tags(Resources=[group], Tags=[{"Key": "allow", "Value": "qatech"}])
        aws.reset_calls()

    def started(self, *more: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "ipsync", "sync", "-c", str(self.config), *more]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def all_shards(self) -> list[int]:
        """Run every shard at once; return their exit codes."""
        running = [self.started("--shard", f"{i}/{N}") for i in range(N)]
        said = [process.communicate(timeout=300)[0] for process in running]
        assert all(f"shard {i} of {N}: " in text for i, text in enumerate(said) if running[i].returncode == 0), said
        return [process.returncode for process in running]

    def doors(self) -> dict[tuple[str, str], list[str]]:
        """Return what is let in at each place, every rule of ours by itself."""
        return {place: sorted(self._rules(client)) for place, client in self.clients.items()}

    def _rules(self, client) -> list[str]:
        rules = client.describe_security_group_rules()["SecurityGroupRules"]
        return [r["CidrIpv4"] for r in rules if any(t["Key"] == "ipsync:owner" for t in r["Tags"])]

    def log(self, index: int):
        return self.folder / f"audit.shard-{index}-of-{N}.jsonl"


@pytest.fixture
def fleet(aws, tmp_path, monkeypatch):
    monkeypatch.setenv("IPSYNC_ACTOR", "tests")
    with FeedServer(LISTED) as feed:
        yield Fleet(aws, feed, tmp_path)


@pytest.mark.slow
def test_three_processes_together_do_what_one_sync_does(fleet):
    whole = {place: sorted(f"{a}/32" for a in LISTED) for place in PLACES}
    fleet.log(1).mkdir()  # its log can't be written, so it may not write to a cloud
    broken = [place for place in PLACES if holder(f"aws/{place[0]}/{place[1]}", N) == 1]
    assert 0 < len(broken) < len(PLACES)
    assert fleet.all_shards() == [0, 1, 0], "a failed shard leaves the others alone"
    assert fleet.doors() == whole | {place: [] for place in broken}
    fleet.log(1).rmdir()
    assert fleet.all_shards() == [0, 0, 0]
    assert fleet.doors() == whole, "each rule is there once"
    assert fleet.aws.calls_made.writes == len(PLACES), "one call a group, whoever made it"
    assert fleet.all_shards() == [0, 0, 0]
    one = fleet.started("--detailed-exitcode")
    one.communicate(timeout=300)
    assert one.returncode == 0, "one sync of everything has nothing left to do"
    assert fleet.aws.calls_made.writes == len(PLACES), "the second run writes nothing"
    logs = shards.beside(fleet.folder / "audit.jsonl")
    assert [log.name for log in logs] == ["audit.jsonl", *(fleet.log(i).name for i in range(N))]
    assert all(verify(log).ok for log in logs)
