"""One entry, many accounts and regions: what AWS Organizations and EC2 list, and what happens when they don't."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factory import NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.core import places
from ipsync.core.report import exit_code
from ipsync.engine import preflight
from ipsync.targets import registry
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany, AwsOrganization
from ipsync.targets.base import Unlisted

TAGS = (("allow", "qatech"),)
EU, US = "eu-north-1", "us-east-1"
REGIONS = b"<DescribeRegionsResponse><requestId>r</requestId><regionInfo>%s</regionInfo></DescribeRegionsResponse>" % (
    b"".join(
        b"<item><regionName>%s</regionName><optInStatus>%s</optInStatus></item>" % pair
        for pair in (
            (b"us-east-1", b"opt-in-not-required"),
            (b"eu-north-1", b"opted-in"),
            (b"af-south-1", b"not-opted-in"),
        )
    )
)


@pytest.fixture
def org(aws):
    return Organization(aws)


class Organization:
    """An organization on the sandbox: accounts in units, each with a tagged group in a region."""

    def __init__(self, aws):
        self.aws, self.api = aws, aws.client("organizations", region=US)
        self.api.create_organization(FeatureSet="ALL")
        self.root = self.api.list_roots()["Roots"][0]["Id"]

    def unit(self, parent: str, name: str) -> str:
        return self.api.create_organizational_unit(ParentId=parent, Name=name)["OrganizationalUnit"]["Id"]

    def account(self, unit: str, name: str, **tags: str) -> str:
        said = [{"Key": k, "Value": v} for k, v in tags.items()]
        made = self.api.create_account(AccountName=name, Email=f"{name}@example.com", Tags=said)
        number = made["CreateAccountStatus"]["AccountId"]
        self.api.move_account(AccountId=number, SourceParentId=self.root, DestinationParentId=unit)
        return number

    def ec2(self, account: str, region: str = EU):
        there = AwsAccount(role_arn=role(account))
        return aws_client.client("ec2", AwsGroups(region, account=there, endpoint_url=self.aws.endpoint_url))

    def group(self, account: str, region: str = EU) -> str:
        """Return the resource that a new, tagged group of an account is."""
        ec2 = self.ec2(account, region)
        group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
        ec2.create_tags(Resources=[group], Tags=[{"Key": k, "Value": v} for k, v in TAGS])
        return f"aws/{account}/{region}/{group}"

    def held(self, resource: str) -> list[str]:
        _, account, region, group = resource.split("/")
        rules = self.ec2(account, region).describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [group]}]
        )
        return sorted(r["CidrIpv4"] for r in rules["SecurityGroupRules"] if not r["IsEgress"])


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/ipsync"


def many(aws, *accounts, regions=(EU,), name="web", **changes):
    """Return a target of one entry with many places."""
    each = AwsGroups("", match_tags=TAGS, endpoint_url=aws.endpoint_url)
    made = aws_target(name, **changes)
    return made.__class__(
        **{**{f: getattr(made, f) for f in made.__slots__}, "where": AwsMany(each, accounts, regions)}
    )


def run(made, listed, *, log=None, only=(), known=(), now=NOW):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name),
        registry.open_reader,
        registry.open_writer,
        pause=lambda _s: None,
        places=registry.places,
    )
    names = frozenset(only) or frozenset(t.name for t in made.targets)
    return engine.Run("r", made, clouds, log or Log(), lambda: now, names, places=known)


def known(log: Log) -> list[places.Place]:
    return places.read(log.events("run-ended")[-1].get("places", ()))


def statuses(report) -> dict[str, str]:
    return {e.resource: e.status.value for e in report.plan.target_changes}


@pytest.fixture
def estate(org):
    """Three accounts of one unit's tree, the last two in units beneath it; and one beside it."""
    unit = org.unit(org.root, "products")
    inner = org.unit(unit, "inner")
    accounts = [org.account(unit, "one", tier="web"), org.account(inner, "two"), org.account(inner, "gone", tier="web")]
    beside = org.account(org.root, "beside", tier="web")
    org.unit_id, org.inner = unit, inner
    org.accounts, org.beside = accounts, beside
    org.resources = [org.group(a) for a in accounts]
    return org


def test_one_entry_is_one_element_a_group_in_every_account_of_a_unit_s_tree(estate):
    made = config(many(estate.aws, AwsOrganization("ipsync", estate.unit_id)))
    report = engine.sync(run(made, hosts(2)))
    assert statuses(report) == dict.fromkeys(estate.resources, "applied")
    assert {e.target for e in report.plan.target_changes} == {"web"}
    assert all(estate.held(r) == ["8.0.0.0/32", "8.0.0.1/32"] for r in estate.resources)
    assert f"target web: 3 accounts of {estate.unit_id}" in report.notices
    again = engine.sync(run(made, hosts(2)))
    assert statuses(again) == dict.fromkeys(estate.resources, "in-sync")


def test_an_account_that_is_suspended_is_left_out_and_its_doors_stay(estate):
    made, log = config(many(estate.aws, AwsOrganization("ipsync", estate.unit_id)), grace=timedelta(0)), Log()
    engine.sync(run(made, hosts(3), log=log))
    number = estate.accounts[2]
    estate.api.close_account(AccountId=number)
    report = engine.sync(run(made, hosts(2), log=log, known=known(log)))
    assert statuses(report) == dict.fromkeys(estate.resources[:2], "applied")
    assert len(estate.held(estate.resources[2])) == 3
    assert f"target web: 2 accounts of {estate.unit_id}, 1 suspended left out ({number})" in report.notices
    (left,) = [n for n in report.notices if "in the config no more" in n]
    assert left.startswith(f"aws/{number}/{EU} is in the config no more")
    assert estate.resources[2] in left


def test_an_account_that_leaves_is_told_and_one_that_comes_too(estate):
    made, log = config(many(estate.aws, AwsOrganization("ipsync", estate.unit_id))), Log()
    first = engine.sync(run(made, hosts(2), log=log))
    assert not [n for n in first.notices if "no earlier run" in n]
    gone, new = estate.accounts[2], estate.account(estate.unit_id, "new")
    estate.api.move_account(AccountId=gone, SourceParentId=estate.inner, DestinationParentId=estate.root)
    added = estate.group(new)
    report = engine.sync(run(made, hosts(2), log=log, known=known(log)))
    assert statuses(report)[added] == "applied"
    assert f"target web is in 1 places where no earlier run let anything in: aws/{new}/{EU}" in report.notices
    assert any(n.startswith(f"aws/{gone}/{EU} is in the config no more") for n in report.notices)
    assert len(estate.held(estate.resources[2])) == 2
    third = engine.sync(run(made, hosts(2), log=log, known=known(log)))
    assert not [n for n in third.notices if "no earlier run" in n]


def test_accounts_are_chosen_by_tags_of_the_organization_s(estate):
    made = config(many(estate.aws, AwsOrganization("ipsync", tags=(("tier", "web"),))))
    extra = estate.group(estate.beside)
    assert statuses(engine.plan(run(made, hosts(2)))) == dict.fromkeys(
        [estate.resources[0], estate.resources[2], extra], "change"
    )
    both = config(many(estate.aws, AwsOrganization("ipsync", estate.inner, (("tier", "web"),))))
    assert statuses(engine.plan(run(both, hosts(2)))) == {estate.resources[2]: "change"}


def test_every_page_of_accounts_is_read(org):
    unit = org.unit(org.root, "many")
    numbers = {org.account(unit, f"a{i}") for i in range(23)}
    (found,) = registry.places([many(org.aws, AwsOrganization("ipsync", unit))])
    assert {w.account.number for w in found.found} == numbers


@pytest.mark.parametrize("shape", ["denied", "not in use", "another shape", "half"])
def test_a_listing_that_fails_freezes_what_it_would_have_listed(estate, shape):
    """Its doors are never touched because a listing failed; the account that is named goes on."""
    aws, grace = estate.aws, timedelta(0)
    named = AwsAccount(role_arn=role(estate.beside))
    extra = estate.group(estate.beside)
    made = config(many(aws, named, AwsOrganization("ipsync", estate.unit_id)), grace=grace)
    log = Log()
    engine.sync(run(made, hosts(3), log=log))
    action = "ListOrganizationalUnitsForParent" if shape == "half" else "ListAccountsForParent"
    if shape == "another shape":
        aws.reply(action, b"{}", times=9)
    elif shape == "not in use":
        aws.refuse("AWSOrganizationsNotInUseException", "no", status=400, action=action)
    else:
        aws.refuse("AccessDeniedException", "not authorized", status=400, action=action)
    report = engine.sync(run(made, hosts(2), log=log, known=known(log)))
    assert statuses(report) == {extra: "applied", f"aws/-/{EU}": "error"}
    (error,) = [e.error for e in report.plan.target_changes if e.error]
    assert error.startswith(f"listing the accounts of {estate.unit_id}: ")
    assert ("organizations:ListAccountsForParent" in error) == (shape in {"denied", "half"})
    assert all(len(estate.held(r)) == 3 for r in estate.resources)
    assert len(estate.held(extra)) == 2
    assert exit_code(report, detailed=False) == 4
    assert not [n for n in report.notices if "no more" in n]


def test_a_sibling_in_the_same_account_doesn_t_take_what_a_listing_would_have_wanted(estate):
    """The group is read for the sibling's sake; what is marked for the frozen target stays, and is no orphan."""
    aws, first = estate.aws, estate.resources[0]
    made = config(many(aws, AwsOrganization("ipsync", estate.unit_id)), grace=timedelta(0))
    engine.sync(run(made, hosts(3)))
    account = AwsAccount(role_arn=role(estate.accounts[0]))
    where = {"groups": (), "match_tags": TAGS, "account": account, "endpoint_url": aws.endpoint_url}
    both = config(
        *made.targets, aws_target("other", where=where, static=hosts(1, first=9), feeds=()), grace=timedelta(0)
    )
    aws.refuse("AccessDeniedException", "not authorized", status=400, action="ListAccountsForParent")
    report = engine.sync(run(both, hosts(2)))
    assert statuses(report) == {f"aws/-/{EU}": "error", first: "applied"}
    assert estate.held(first) == ["8.0.0.0/32", "8.0.0.1/32", "8.0.0.2/32", "8.0.0.9/32"]
    assert report.plan.orphaned == ()


def test_a_region_that_is_denied_leaves_the_others_alone(estate):
    aws, (account, *_) = estate.aws, estate.accounts
    us = estate.group(account, US)
    made = config(many(aws, AwsAccount(role_arn=role(account)), regions=(EU, US)), grace=timedelta(0))
    engine.sync(run(made, hosts(3)))
    aws.refuse("UnauthorizedOperation", "You are not authorized", status=403, region=US)
    report = engine.sync(run(made, hosts(2)))
    assert statuses(report) == {estate.resources[0]: "applied", f"aws/{account}/{US}": "error"}
    aws._settings.refusals.clear()
    assert (len(estate.held(estate.resources[0])), len(estate.held(us))) == (2, 3)


def test_all_regions_that_an_account_has_enabled(estate):
    """A region without such a group is no error; one that has one is an element."""
    estate.aws.reply("DescribeRegions", REGIONS)
    made = config(many(estate.aws, AwsAccount(role_arn=role(estate.accounts[0])), regions=()))
    report = engine.plan(run(made, hosts(2)))
    assert statuses(report) == {estate.resources[0]: "change"}
    assert report.notices == ("target web: 2 enabled regions in each",)


def test_regions_that_can_not_be_listed_are_that_account_s_error(estate):
    aws, account = estate.aws, estate.accounts[0]
    where = many(aws, AwsAccount(role_arn=role(account)), regions=()).where
    aws.refuse("UnauthorizedOperation", "You are not authorized", status=403, action="DescribeRegions")
    (found,) = registry.places([many(aws, AwsAccount(role_arn=role(account)), regions=())])
    (lost,) = found.found
    assert isinstance(lost, Unlisted)
    assert (lost.around, lost.place) == (where, f"aws/{account}/-")
    assert "ec2:DescribeRegions" in lost.why
    assert lost.may_be_at(f"aws/{account}/{EU}")
    assert not lost.may_be_at(f"aws/{estate.accounts[1]}/{EU}")


def test_two_entries_list_an_organization_once(estate):
    aws, asked = estate.aws, AwsOrganization("ipsync", estate.unit_id)
    aws.reset_calls()
    registry.places([many(aws, asked), many(aws, asked, name="two")])
    assert [c.operation for c in aws.calls].count("ListAccountsForParent") == 2  # a unit each


def test_one_group_through_two_roles_of_one_entry_is_one_resource(estate):
    account = estate.accounts[0]
    ways = [AwsAccount(role_arn=f"arn:aws:iam::{account}:role/{name}") for name in ("ipsync", "other")]
    made = config(many(estate.aws, *ways))
    report = engine.sync(run(made, hosts(2)))
    assert statuses(report) == {estate.resources[0]: "applied"}
    assert len(report.plan.target_changes) == 1
    assert statuses(engine.sync(run(made, hosts(2)))) == {estate.resources[0]: "in-sync"}


def test_a_target_that_finds_nothing_anywhere_is_an_error(org):
    unit = org.unit(org.root, "empty")
    org.account(unit, "one")
    nothing = engine.plan(run(config(many(org.aws, AwsOrganization("ipsync", unit))), hosts(2)))
    assert [
        "none of its places has anything that this target names" in e.error for e in nothing.plan.target_changes
    ] == [True]
    nobody = engine.plan(run(config(many(org.aws, AwsOrganization("ipsync", org.unit(unit, "inner")))), hosts(2)))
    assert ["is nowhere now" in e.error for e in nobody.plan.target_changes] == [True]


def test_check_tries_every_place_and_says_what_was_listed(estate):
    aws = estate.aws
    made = config(many(aws, AwsOrganization("ipsync", estate.unit_id)))
    found = preflight.check(run(made, hosts(2)))
    assert [f.subject for f in found if f.subject.endswith("read security groups")] == [
        f"aws {number} {EU}: read security groups" for number in sorted(estate.accounts)
    ]
    assert f"target web: 3 accounts of {estate.unit_id}" in [f.detail for f in found]
    aws.refuse("AccessDeniedException", "not authorized", status=400, action="ListAccountsForParent")
    (bad,) = [f for f in preflight.check(run(made, hosts(2))) if not f.ok]
    assert (bad.subject, "organizations:ListAccounts" in bad.detail) == ("targets web", True)
