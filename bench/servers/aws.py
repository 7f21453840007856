"""EC2, STS and Organizations for a no-op: every account has as many groups, and each group holds the wanted rules.

An account's number stands in the access key that its role was given, so an answer is rendered from who signed the
request. Pages are as EC2 makes them: MaxResults, NextToken, and each rule with all that AWS tells of it.
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from bench.servers.http import Answer, Request, serve
from ipsync.core.traits import Mark
from ipsync.targets.tag_marks import DESCRIPTION, TagMarks

EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
REQUEST = "8f7724cf-496f-496e-8fe3-000000000000"
GROUP, ACCOUNT = b"@@@@@@@@@@@@@@@@@", b"############"
KEY = re.compile(rb"credential=[a-z]{8}([0-9]{12})/")


def rule(number: int, address: str, note: dict[str, str]) -> bytes:
    """Return one rule of DescribeSecurityGroupRules, as EC2 writes it."""
    tags = "".join(f"<item><key>{k}</key><value>{v}</value></item>" for k, v in note.items() if k != DESCRIPTION)
    group, account = GROUP.decode(), ACCOUNT.decode()
    arn = f"arn:aws:ec2:eu-north-1:{account}:security-group-rule/sgr-{group[2:]}{number:02x}"
    return (
        f"<item><securityGroupRuleId>sgr-{group[2:]}{number:02x}</securityGroupRuleId><groupId>sg-{group}</groupId>"
        f"<groupOwnerId>{account}</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol>"
        f"<fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>{address}/32</cidrIpv4>"
        f"<description>{note[DESCRIPTION]}</description><tagSet>{tags}</tagSet>"
        f"<securityGroupRuleArn>{arn}</securityGroupRuleArn></item>"
    ).encode()


def group(addresses: list[str], text: str) -> bytes:
    """Return one group of DescribeSecurityGroups with all its permissions, as EC2 writes it."""
    ranges = "".join(f"<item><cidrIp>{a}/32</cidrIp><description>{text}</description></item>" for a in addresses)
    name, account = GROUP.decode(), ACCOUNT.decode()
    return (
        f"<item><ownerId>{account}</ownerId><groupId>sg-{name}</groupId><groupName>web-{name}</groupName>"
        f"<groupDescription>web servers</groupDescription><vpcId>vpc-0123456789abcdef0</vpcId><ipPermissions><item>"
        f"<ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><groups/><ipRanges>{ranges}"
        f"</ipRanges><ipv6Ranges/><prefixListIds/></item></ipPermissions><ipPermissionsEgress><item>"
        f"<ipProtocol>-1</ipProtocol><groups/><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges/>"
        f"<prefixListIds/></item></ipPermissionsEgress><tagSet><item><key>allow-qatech</key><value>true</value></item>"
        f"</tagSet><securityGroupArn>arn:aws:ec2:eu-north-1:{account}:security-group/sg-{name}</securityGroupArn></item>"
    ).encode()


class Accounts:
    """What all accounts hold: `groups` groups in each, with one rule an address."""

    def __init__(self, groups: int, addresses: list[str], owner: str, target: str, feed: str) -> None:
        note = dict(TagMarks().note(Mark(owner, (target,), feed, None, None)))
        self._groups = groups
        self._rules = [rule(i, a, note) for i, a in enumerate(addresses)]
        self._group = [group(addresses, note[DESCRIPTION])]

    def respond(self, request: Request) -> Answer:
        """Answer a signed call."""
        asked = {k: v[0] for k, v in parse_qs(request.body.decode()).items()}
        signed = KEY.search(request.headers)
        account = signed[1] if signed else b"000000000000"
        operation = asked.get("Action", "")
        if operation == "AssumeRole":
            return Answer(operation, assumed(asked["RoleArn"].split(":")[4]))
        if operation == "DescribeSecurityGroupRules" and asked.get("Filter.1.Name") == "tag:ipsync:owner":
            return Answer(operation, self._page(operation, "securityGroupRuleSet", self._rules, asked, account))
        if operation == "DescribeSecurityGroups" and asked.get("Filter.1.Name", "").startswith("tag:"):
            return Answer(operation, self._page(operation, "securityGroupInfo", self._group, asked, account))
        return Answer(operation or "?", refused(operation), status="400 Bad Request")

    def _page(self, operation: str, name: str, items: list[bytes], asked: dict[str, str], account: bytes) -> bytes:
        """Render one page: `items` are what each group has."""
        start, size = int(asked.get("NextToken", 0)), int(asked.get("MaxResults", 1000))
        assert 5 <= size <= 1000, size
        total = self._groups * len(items)
        end = min(start + size, total)
        ids = {n: b"%s%05x" % (account, n) for n in range(start // len(items), (end - 1) // len(items) + 1)}
        rendered = b"".join(items[i % len(items)].replace(GROUP, ids[i // len(items)]) for i in range(start, end))
        more = f"<nextToken>{end}</nextToken>" if end < total else ""
        return b"".join(
            [
                f'<?xml version="1.0" encoding="UTF-8"?>\n<{operation}Response xmlns="{EC2}">'.encode(),
                f"<requestId>{REQUEST}</requestId><{name}>".encode(),
                rendered.replace(ACCOUNT, account),
                f"</{name}>{more}</{operation}Response>".encode(),
            ]
        )


def assumed(account: str) -> bytes:
    """Return credentials that tell whose they are."""
    until = datetime.now(UTC) + timedelta(hours=1)
    return (
        f'<AssumeRoleResponse xmlns="{STS}"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>AROA:ipsync</AssumedRoleId>'
        f"<Arn>arn:aws:sts::{account}:assumed-role/ipsync/ipsync</Arn></AssumedRoleUser><Credentials>"
        f"<AccessKeyId>ASIACANN{account}</AccessKeyId><SecretAccessKey>{'s' * 40}</SecretAccessKey>"
        f"<SessionToken>{'t' * 356}</SessionToken><Expiration>{until:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
        f"</AssumeRoleResult><ResponseMetadata><RequestId>{REQUEST}</RequestId></ResponseMetadata></AssumeRoleResponse>"
    ).encode()


def refused(operation: str) -> bytes:
    """Refuse what no no-op asks."""
    return (
        f"<Response><Errors><Error><Code>InvalidAction</Code><Message>{operation} is no read of a no-op"
        f"</Message></Error></Errors><RequestID>{REQUEST}</RequestID></Response>"
    ).encode()


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", type=int)
    parser.add_argument("latency", type=float)
    parser.add_argument("addresses", nargs="+")
    asked = parser.parse_args()
    accounts = Accounts(asked.groups, asked.addresses, owner="bench", target="web", feed="qatech")
    serve(accounts.respond, asked.latency)


if __name__ == "__main__":
    main()
