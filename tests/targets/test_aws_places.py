"""One entry, many accounts and regions: what AWS Organizations and EC2 list, and what happens when they don't.

What the engine does with the places stands in tests/engine/test_many_places.py.
"""

from __future__ import annotations

from dataclasses import replace

import botocore.session
import pytest
from botocore.loaders import Loader
from factory import NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.engine import preflight
from ipsync.targets import registry
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany, AwsOrganization
from ipsync.targets.base import Unlisted

TAGS = (("allow", "qatech"),)
EU, US = "eu-north-1", "us-east-1"
ITEM = b"<item><regionName>%s</regionName><optInStatus>%s</optInStatus></item>"
REGIONS = b"<DescribeRegionsResponse><requestId>r</requestId><regionInfo>%s</regionInfo></DescribeRegionsResponse>" % (
    ITEM % (b"us-east-1", b"opt-in-not-required")
    + ITEM % (b"eu-north-1", b"opted-in")
    + ITEM % (b"af-south-1", b"not-opted-in")
)


class Organization:
    """An organization on the sandbox; accounts that are made stand under its root until they are moved."""

    def __init__(self, aws):
        self.aws, self.api = aws, aws.client("organizations", region=US)
        self.api.create_organization(FeatureSet="ALL")
        self.root = self.api.list_roots()["Roots"][0]["Id"]

    def unit(self, parent: str, name: str = "unit") -> str:
        return self.api.create_organizational_unit(ParentId=parent, Name=name)["OrganizationalUnit"]["Id"]

    def account(self, name: str, unit: str = "", **tags: str) -> str:
        said = [{"Key": k, "Value": v} for k, v in tags.items()]
        made = self.api.create_account(AccountName=name, Email=f"{name}@example.com", Tags=said)
        number = made["CreateAccountStatus"]["AccountId"]
        if unit:
            self.api.move_account(AccountId=number, SourceParentId=self.root, DestinationParentId=unit)
        return number

    def listed(self, unit: str | None = None, **tags: str) -> set[str]:
        """Return the accounts that a target of this organization is in."""
        asked = AwsOrganization("ops/ipsync", unit, tuple(tags.items()), external_id="x")
        (found,) = registry.places([many(self.aws, asked)])
        assert {w.account.external_id for w in found.found} <= {"x"}
        assert all(w.account.role_arn.endswith(":role/ops/ipsync") for w in found.found)
        return {w.account.number for w in found.found}


@pytest.fixture
def org(aws):
    return Organization(aws)


def role(account: str, name: str = "ipsync") -> AwsAccount:
    return AwsAccount(role_arn=f"arn:aws:iam::{account}:role/{name}")


LOADER = Loader()
"""One for all sessions: EC2's model takes a quarter of a second to read."""


def group(aws, account: str, region: str = EU) -> str:
    """Return the resource that a new, tagged group of an account is."""
    keys = aws.client("sts").assume_role(RoleArn=role(account).role_arn, RoleSessionName="seed")["Credentials"]
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    session.set_credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    ec2 = session.create_client("ec2", region, endpoint_url=aws.endpoint_url)
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    ec2.create_tags(Resources=[group], Tags=[{"Key": k, "Value": v} for k, v in TAGS])
    return f"aws/{account}/{region}/{group}"


def many(aws, *accounts, regions=(EU,), name="web", **changes):
    """Return a target of one entry with many places."""
    each = AwsGroups("", match_tags=TAGS, endpoint_url=aws.endpoint_url)
    return replace(aws_target(name, **changes), where=AwsMany(each, accounts, regions))


def run(made, listed):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name),
        registry.open_reader,
        registry.open_writer,
        pause=lambda _s: None,
        places=registry.places,
    )
    return engine.Run("r", made, clouds, Log(), lambda: NOW, frozenset(t.name for t in made.targets))


def statuses(report) -> dict[str, str]:
    return {e.resource: e.status.value for e in report.plan.target_changes}


def test_every_account_of_a_unit_s_tree_but_for_those_that_are_suspended(org):
    unit = org.unit(org.root)
    one, two, gone = org.account("one", unit), org.account("two", org.unit(unit)), org.account("gone", unit)
    org.account("beside")
    org.api.close_account(AccountId=gone)
    resources = [group(org.aws, one), group(org.aws, two)]
    made = config(many(org.aws, AwsOrganization("ipsync", unit)))
    report = engine.sync(run(made, hosts(2)))
    assert statuses(report) == dict.fromkeys(resources, "applied")
    assert report.notices == (f"target web: 2 accounts of {unit}, 1 suspended left out ({gone})",)
    assert statuses(engine.sync(run(made, hosts(2)))) == dict.fromkeys(resources, "in-sync")


def test_accounts_by_tags_and_every_page_of_them(org):
    unit = org.unit(org.root)
    web = {org.account(f"a{i}", tier="web", env="prod") for i in range(21)}
    inside = org.account("inside", unit, tier="web")
    org.account("other", unit, tier="db")
    assert org.listed(tier="web") == {*web, inside}
    assert org.listed(tier="web", env="prod") == web
    assert org.listed(unit, tier="web") == {inside}
    assert len(org.listed()) == 24  # the management account's too


@pytest.mark.parametrize("action", ["ListAccountsForParent", "ListOrganizationalUnitsForParent", "ListTagsForResource"])
@pytest.mark.parametrize("how", ["denied", "not in use", "another shape"])
def test_a_listing_that_is_not_whole_is_none(org, action, how):
    unit = org.unit(org.root)
    org.account("one", unit)
    if how == "another shape":
        org.aws.reply(action, b"{}", times=9)
    else:
        code = "AccessDeniedException" if how == "denied" else "AWSOrganizationsNotInUseException"
        org.aws.refuse(code, "no", status=400, action=action)
    target = many(org.aws, role("111122223333"), AwsOrganization("ipsync", unit, (("k", "v"),)))
    (found,) = registry.places([target])
    named, lost = found.found
    assert named.account == role("111122223333")
    assert isinstance(lost, Unlisted)
    assert lost.why.startswith(f"listing the accounts of {unit} with the tags k=v: ")
    assert (f'"organizations:{action}"' in lost.why) == (how == "denied")
    assert lost.may_be_at(f"aws/444455556666/{EU}")
    assert not lost.may_be_at(f"aws/444455556666/{US}")


def test_an_account_without_a_state_is_no_answer(org):
    org.aws.reply("ListAccounts", b'{"Accounts": [{"Id": "1", "Arn": "arn:aws:organizations::9:account/o-1/1"}]}')
    (lost,) = registry.places([many(org.aws, AwsOrganization("ipsync"))])[0].found
    assert "doesn't say whether account 1 is active" in lost.why


def test_two_entries_ask_once(org):
    unit = org.unit(org.root)
    number, asked = org.account("one", unit), AwsOrganization("ipsync", unit)
    org.aws.reply("DescribeRegions", REGIONS)
    org.aws.reset_calls()
    first, second = registry.places([many(org.aws, asked, regions=()), many(org.aws, asked, regions=(), name="two")])
    assert [c.operation for c in org.aws.calls] == [
        "ListAccountsForParent",
        "ListOrganizationalUnitsForParent",
        "AssumeRole",
        "DescribeRegions",
    ]
    assert [w.place for w in first.found] == [f"aws/{number}/{EU}", f"aws/{number}/{US}"]
    assert first.found == second.found


def test_all_regions_that_an_account_has_enabled(aws):
    """A region without such a group is no error; one that has one is an element."""
    account = "111122223333"
    resource = group(aws, account)
    aws.reply("DescribeRegions", REGIONS)
    report = engine.plan(run(config(many(aws, role(account), regions=())), hosts(2)))
    assert statuses(report) == {resource: "change"}
    assert report.notices == ("target web: 2 enabled regions in each",)


def test_regions_that_can_not_be_listed_are_that_account_s_error(aws):
    aws.refuse("UnauthorizedOperation", "You are not authorized", status=403, action="DescribeRegions")
    (found,) = registry.places([many(aws, role("1"), regions=())])
    (lost,) = found.found
    assert isinstance(lost, Unlisted)
    assert lost.place == "aws/1/-"
    assert '"ec2:DescribeRegions"' in lost.why
    assert (lost.may_be_at(f"aws/1/{EU}"), lost.may_be_at(f"aws/2/{EU}")) == (True, False)


def test_check_tries_every_place(org):
    unit = org.unit(org.root)
    numbers = sorted([org.account("one", unit), org.account("two", unit)])
    found = preflight.check(run(config(many(org.aws, AwsOrganization("ipsync", unit))), hosts(2)))
    assert [f.subject for f in found if f.subject.endswith("read security groups")] == [
        f"aws {number} {EU}: read security groups" for number in numbers
    ]


def test_a_thousand_accounts_do_not_cost_a_thousand_sessions(aws, monkeypatch):
    """One client asks for all roles, and only the sessions of the last accounts are kept."""
    monkeypatch.setattr(aws_client, "_KEPT", 2)
    aws_client.forget(AwsAccount())
    accounts = [role(f"{i:012d}") for i in range(1, 5)]
    made = []
    start = botocore.session.Session.create_client
    monkeypatch.setattr(
        botocore.session.Session,
        "create_client",
        lambda self, name, *a, **more: made.append(name) or start(self, name, *a, **more),
    )
    aws.reset_calls()
    engine.plan(run(config(many(aws, *accounts)), hosts(2)))
    assert [c.operation for c in aws.calls].count("AssumeRole") == 4
    assert made.count("sts") == 1
    assert len([key for key in aws_client._SESSIONS if key[1]]) == 2
