"""AWS: every shape of rule, pages, quotas, accounts, tags, and a reader that can't write."""

from __future__ import annotations

from datetime import timedelta

import boto3
import botocore.config
import pytest
from factory import ENTRIES, HTTPS, NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.core.errors import Denied, Missing, Rejected, Stale, Uncertain, Unreachable
from ipsync.core.model import Capacity, Entry, Operation, ReadFailure, Service, State
from ipsync.core.report import exit_code
from ipsync.targets import registry
from ipsync.targets.aws import capacity as aws_capacity
from ipsync.targets.aws import client as aws_client
from ipsync.targets.aws import pacing as aws_pacing
from ipsync.targets.aws.group_reader import Reader
from ipsync.targets.aws.group_writer import Writer
from ipsync.targets.aws.where import AwsAccount

PERMISSIONS = [
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "62.1.0.0/16"}]},
    {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "2600::/32"}]},
    {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "62.2.0.0/16"}]},
    {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "62.3.0.0/16"}]},
    {"IpProtocol": "50", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "62.4.0.0/16"}]},
]


def target(aws, *groups: str, name: str = "web", **changes):
    where = {"groups": groups, "endpoint_url": aws.endpoint_url, **changes.pop("where", {})}
    return aws_target(name, where=where, **changes)


def run(made, listed, *, log=None, now=NOW):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name), registry.open_reader, registry.open_writer, pause=lambda _s: None
    )
    names = frozenset(t.name for t in made.targets)
    return engine.Run("r", made, clouds, log or Log(), lambda: now, names)


def operation(kind: str, group: str, *entries: Entry) -> Operation:
    return Operation(kind, f"aws/123456789012/eu-north-1/{group}", (), (), entries=entries)


def test_every_shape_of_rule_is_read(aws):
    group, other = aws.make_group("web"), aws.make_group("other")
    ec2 = aws.client("ec2")
    pair = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": other}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[*PERMISSIONS, pair])
    reader = Reader(target(aws, group))
    blank = State("aws-security-group", f"aws/1/eu-north-1/{group}", ("web",), traits=ENTRIES)
    (state,) = reader.read_full([blank], owner="acme")
    assert {(str(e.network), str(e.service)) for e in state.entries} == {
        ("62.1.0.0/16", "all"),
        ("2600::/32", "80-443/tcp"),
        ("62.2.0.0/16", "icmp"),
        ("62.3.0.0/16", "8--1/icmp-type"),
        ("62.4.0.0/16", "protocol-50"),
    }
    assert state.capacity == (Capacity(4, 5, 60), Capacity(6, 2, 60))


@pytest.mark.parametrize("wide", [0, 1])
def test_a_wider_foreign_rule_satisfies(aws, wide):
    group = aws.make_group("web")
    aws.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[PERMISSIONS[wide]])
    inside = ["62.1.2.3", "2600::1"][wide]
    report = engine.sync(run(config(target(aws, group)), [inside, "8.8.8.8"]))
    (target_change,) = report.plan.target_changes
    assert [str(e.network) for e in target_change.satisfied] == [str(snapshot([inside]).networks[0])]
    assert [str(e.network) for e in target_change.add] == ["8.8.8.8/32"]


def test_all_pages_are_read(aws, monkeypatch):
    monkeypatch.setattr("ipsync.targets.aws.group_reader.PAGE", 5)
    groups = [aws.make_group(f"g{i}", tags={"k": "v"}) for i in range(7)]
    made = config(target(aws, where={"groups": (), "match_tags": (("k", "v"),)}))
    report = engine.sync(run(made, hosts(4)))
    assert {e.resource.rpartition("/")[2] for e in report.plan.target_changes} == set(groups)
    before = aws.calls_made.writes
    assert exit_code(engine.sync(run(made, hosts(4))), detailed=True) == 0
    assert aws.calls_made.writes == before


def test_a_match_by_tag_and_vpc(aws):
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    inside = aws.make_group("in", vpc_id=vpc, tags={"k": "v"})
    aws.make_group("out", tags={"k": "v"})
    where = {"groups": (), "match_tags": (("k", "v"),), "match_vpc": vpc}
    report = engine.plan(run(config(target(aws, where=where)), hosts(1)))
    assert [e.resource.rpartition("/")[2] for e in report.plan.target_changes] == [inside]
    where["match_tags"] = (("k", "none"),)
    (target_change,) = engine.plan(run(config(target(aws, where=where)), hosts(1))).plan.target_changes
    assert "has the tags k=none" in target_change.error


@pytest.mark.parametrize("value", ["*", "?", "prod*", "p?od", "a\\b", "\\*", "\\", "**", "a*b?c\\d"])
def test_a_match_means_what_it_says(aws, value):
    """EC2 reads * and ? in a filter's value as wildcards, and a backslash as what takes that away."""
    same = aws.make_group("same", tags={"tier": value})
    for other in ("prod", "p", "pood", "ab", "a\\\\b", "", "*x", "axbxc\\d", "PROD*"):
        aws.make_group(f"other {other}", tags={"tier": other})
    made = config(target(aws, where={"groups": (), "match_tags": (("tier", value),)}))
    report = engine.sync(run(made, hosts(1)))
    assert [(e.resource.rpartition("/")[2], e.status.value) for e in report.plan.target_changes] == [(same, "applied")]


@pytest.mark.parametrize("value", ["*", "prod*", "?", "\\"])
def test_a_match_that_nothing_equals_opens_nothing(aws, value):
    aws.make_group("prod", tags={"tier": "prod"})
    made = config(target(aws, where={"groups": (), "match_tags": (("tier", value),)}))
    (target_change,) = engine.sync(run(made, hosts(1))).plan.target_changes
    assert target_change.status.value == "error"
    assert f"has the tags tier={value}" in target_change.error
    assert aws.calls_made.writes == 2, "those of this test, that made the group"


def test_what_a_filter_lets_through_is_compared(aws, monkeypatch):
    """Whatever an endpoint makes of a filter: the tags and the VPC that it returns must be those asked for."""
    monkeypatch.setattr("ipsync.sandbox.aws.params.passes", lambda _item, _filters: True)
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    inside = aws.make_group("in", vpc_id=vpc, tags={"tier": "web", "k": "v"})
    aws.make_group("elsewhere", tags={"tier": "web", "k": "v"})
    aws.make_group("half", vpc_id=vpc, tags={"tier": "web"})
    where = {"groups": (), "match_tags": (("k", "v"), ("tier", "web")), "match_vpc": vpc}
    report = engine.plan(run(config(target(aws, where=where)), hosts(1)))
    assert [e.resource.rpartition("/")[2] for e in report.plan.target_changes] == [inside]


def test_a_group_that_is_gone_says_what_to_check_and_others_go_on(aws):
    group = aws.make_group("web")
    made = config(target(aws, group), target(aws, "sg-00000000000000000", name="gone"))
    report = engine.sync(run(made, hosts(2)))
    status = {e.target: (e.status.value, e.error or "") for e in report.plan.target_changes}
    assert status["web"][0] == "applied"
    assert status["gone"][0] == "error"
    assert "check `groups`, `region` and `account`" in status["gone"][1]


def test_the_fewest_calls(aws):
    groups = [aws.make_group(f"g{i}") for i in range(3)]
    made = config(target(aws, *groups), grace=timedelta(0))
    engine.sync(run(made, hosts(20)))
    aws.reset_calls()
    engine.sync(run(made, hosts(20)))
    assert [c.operation for c in aws.calls] == ["DescribeSecurityGroupRules"]
    aws.reset_calls()
    engine.sync(run(made, hosts(20, first=5)))
    assert (aws.calls_made.reads, aws.calls_made.writes) == (3, 6)


def test_add_comes_before_remove(aws):
    group = aws.make_group("web")
    made = config(target(aws, group), grace=timedelta(0))
    engine.sync(run(made, hosts(4)))
    aws.reset_calls()
    engine.sync(run(made, hosts(4, first=1)))
    assert [c.operation for c in aws.calls if c.writes] == [
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
    ]


def test_a_full_group_is_refused_in_the_plan_and_swap_finds_the_way(aws):
    aws.quota(60)
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(60)))
    aws.reset_calls()
    made = config(target(aws, group), grace=timedelta(0))
    (target_change,) = engine.sync(run(made, hosts(60, first=1))).plan.target_changes
    assert [v.guard for v in target_change.violations] == ["capacity"]
    assert "60 of 60 IPv4 rules are in use, and the change needs 1 more" in target_change.violations[0].detail
    assert aws.calls_made.writes == 0
    remove_first = config(target(aws, group, remove_first=True), grace=timedelta(0))
    assert exit_code(engine.sync(run(remove_first, hosts(60, first=1))), detailed=False) == 0
    assert len(aws.rules(group)) == 60


def test_stale_reads_after_a_write_are_waited_for(aws):
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(2)))
    aws.lag(2)
    report = engine.sync(run(config(target(aws, group)), hosts(3)))
    assert [e.status.value for e in report.plan.target_changes] == ["applied"]


def test_two_owners_share_a_group_in_peace(aws):
    group = aws.make_group("web")
    ours, theirs = (config(target(aws, group), owner=o, grace=timedelta(0)) for o in ("acme", "globex"))
    engine.sync(run(ours, hosts(4)))
    engine.sync(run(theirs, hosts(4, first=10)))
    engine.sync(run(ours, hosts(4, first=1)))
    held = {r["CidrIpv4"] for r in aws.rules(group)}
    assert held == {str(n) for n in (*hosts(4, first=1), *hosts(4, first=10))}


def test_an_orphan_in_another_group_is_reported(aws):
    old, new = aws.make_group("old"), aws.make_group("new")
    engine.sync(run(config(target(aws, old)), hosts(2)))
    report = engine.sync(run(config(target(aws, new)), hosts(2)))
    assert {o.resource.rpartition("/")[2] for o in report.plan.orphaned} == {old}
    assert len(aws.rules(old)) == 2


def group_as(aws, role):
    """Make a group in the account of a role; a client of ours couldn't."""
    given = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="somebody")["Credentials"]
    ec2 = boto3.client(
        "ec2",
        region_name="eu-north-1",
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    return ec2.create_security_group(GroupName="there", Description="there")["GroupId"]


def test_an_account_by_assumed_role(aws):
    role = "arn:aws:iam::222222222222:role/ipsync"
    account = AwsAccount(role_arn=role, external_id="xyz")
    group = group_as(aws, role)
    made = config(target(aws, group, where={"account": account}))
    report = engine.sync(run(made, hosts(2)))
    (target_change,) = report.plan.target_changes
    assert target_change.resource == f"aws/222222222222/eu-north-1/{group}"
    assert target_change.status.value == "applied"
    assert aws.rules(group) == [], "the default account doesn't see it"


ROLE = "arn:aws:iam::222222222222:role/{}"


def first_call(aws):
    call = aws.calls_made.made[0]
    return call.operation, call.where


def assuming(aws, name, **where):
    account = AwsAccount(role_arn=ROLE.format(name))
    return config(target(aws, "sg-00000000000000000", where={"account": account, **where}))


def test_a_role_is_assumed_at_the_config_s_endpoint_and_needs_no_region_of_the_machine_s(aws, monkeypatch, tmp_path):
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    aws.reset_calls()
    (target_change,) = engine.plan(
        run(assuming(aws, "somewhere", endpoint_url=aws.endpoint_url), hosts(1))
    ).plan.target_changes
    assert "is not in eu-north-1 of account 222222222222" in target_change.error
    assert first_call(aws) == ("AssumeRole", "eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    aws.reset_calls()
    engine.plan(run(assuming(aws, "elsewhere", endpoint_url=aws.endpoint_url), hosts(1)))
    assert first_call(aws) == ("AssumeRole", "eu-west-1")


@pytest.mark.parametrize("fault", ["throttle", "500"])
def test_sts_in_trouble_is_not_a_missing_permission(aws, impatient, fault):
    aws.faults.plan("AssumeRole", *[fault] * 20)
    (target_change,) = engine.plan(run(assuming(aws, f"in-{fault}"), hosts(1))).plan.target_changes
    assert "the next run tries again" in target_change.error
    assert "the role of `account` can't be assumed now" in target_change.error or fault == "throttle"
    assert "trust policy" not in target_change.error


@pytest.mark.parametrize("fault", ["throttle", "500", "reset-before", "malformed"])
def test_a_quota_that_can_not_be_read_is_aws_s_default(aws, impatient, fault):
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(45)))
    aws.faults.plan("GetServiceQuota", *[fault] * 20)
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(61))).plan.target_changes
    (detail,) = [v.detail for v in target_change.violations if v.guard == "capacity"]
    assert (
        "45 of 60 (assumed: the quota could not be read; reading it needs servicequotas:GetServiceQuota) IPv4" in detail
    )
    assert "rules are in use, and the change needs 16 more" in detail


def test_what_is_there_refutes_an_assumed_quota(aws):
    aws.quota(100)
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(70)))
    aws.deny("GetServiceQuota")
    (target_change,) = engine.sync(run(config(target(aws, group)), hosts(71))).plan.target_changes
    assert (target_change.status.value, target_change.violations) == ("applied", ())
    aws.quota(71)
    (target_change,) = engine.sync(run(config(target(aws, group)), hosts(72))).plan.target_changes
    assert "RulesPerSecurityGroupLimitExceeded" in (target_change.error or "")


def test_a_raised_quota_is_asked_for_before_a_first_large_list_is_refused(aws):
    aws.quota(200)
    group = aws.make_group("web")
    (target_change,) = engine.sync(run(config(target(aws, group)), hosts(100))).plan.target_changes
    assert (target_change.status.value, target_change.violations) == ("applied", ())
    assert [c.operation for c in aws.calls].count("GetServiceQuota") == 1
    other = aws.make_group("other")
    (target_change,) = engine.sync(run(config(target(aws, other)), hosts(201))).plan.target_changes
    assert "0 of 200 IPv4 rules are in use, and the change needs 201 more" in target_change.violations[0].detail


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("com.amazonaws.global.cloudfront.origin-facing", 55),
        ("com.amazonaws.global.groundstation", 5),
        ("com.amazonaws.eu-north-1.s3", 1),
    ],
)
def test_aws_s_own_prefix_lists_weigh(aws, name, weight):
    group, ec2 = aws.make_group("web"), aws.client("ec2")
    aws.weigh(name, weight)
    lists = {p["PrefixListName"]: p["PrefixListId"] for p in ec2.describe_managed_prefix_lists()["PrefixLists"]}
    front = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": lists[name]}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[front])
    made = config(target(aws, group))
    aws.reset_calls()
    (target_change,) = engine.sync(run(made, hosts(61 - weight))).plan.target_changes
    assert (
        f"{weight} of 60 IPv4 rules are in use, and the change needs {61 - weight} more"
        in target_change.violations[0].detail
    )
    assert aws.calls_made.writes == 0
    (target_change,) = engine.sync(run(made, hosts(60 - weight))).plan.target_changes
    assert target_change.status.value == "applied"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("com.amazonaws.global.ipv6.cloudfront.origin-facing", 55),
        ("com.amazonaws.eu-north-1.route53-healthchecks", 25),
        ("com.amazonaws.cn-north-1.ipv6.route53-healthchecks", 25),
        ("com.amazonaws.eu-north-1.vpc-lattice", 10),
        ("com.amazonaws.eu-north-1.ipv6.vpc-lattice", 10),
        ("com.amazonaws.eu-north-1.s3express", 6),
        ("com.amazonaws.eu-north-1.ec2-instance-connect", 2),
        ("com.amazonaws.eu-north-1.dynamodb", 1),
        ("com.amazonaws.eu-north-1.something-new", 1),
    ],
)
def test_the_weights_are_those_of_aws_s_guide(name, expected):
    assert aws_capacity.weight({"PrefixListName": name}) == expected


@pytest.mark.parametrize(
    ("region", "hint"),
    [("eu-nort-1", "; eu-nort-1 is no region that AWS's library knows, did you mean eu-north-1?"), ("eu-north-1", "")],
)
def test_a_region_that_does_not_exist_is_said_where_nothing_answers(aws, region, hint):
    aws.faults.plan("DescribeSecurityGroupRules", *["500"] * 20)
    made = config(target(aws, "sg-00000000000000000", where={"region": region}))
    (target_change,) = engine.plan(run(made, hosts(1))).plan.target_changes
    assert (
        target_change.error
        == f"reading SecurityGroupRules in {region}: AWS answered 500 InternalError; the next run tries again{hint}"
    )


def test_a_reader_cannot_write(aws):
    group = aws.make_group("web")
    reader = Reader(target(aws, group))
    aws.reset_calls()
    for call in (
        lambda: reader._ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=["sgr-1"]),
        lambda: reader._ec2.create_tags(Resources=[group], Tags=[]),
        lambda: reader._ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[]),
    ):
        with pytest.raises(Denied, match="only reading is allowed; nothing was sent"):
            call()
    assert aws.calls == []
    assert reader.calls == ()


@pytest.mark.parametrize(
    ("fault", "count", "error"),
    [
        ("throttle", 1, Unreachable),
        ("500", 5, Uncertain),
        ("reset-before", 5, Uncertain),
        ("malformed", 5, Uncertain),
        ("denied", 1, Denied),
    ],
)
def test_a_write_s_fault_is_told_apart(aws, impatient, fault, count, error):
    group = aws.make_group("web")
    aws.faults.plan("AuthorizeSecurityGroupIngress", *[fault] * count)
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))
    with pytest.raises(error, match=group):
        Writer(target(aws, group)).execute(operation("add", group, entry))


def test_a_refusal_after_a_lost_reply_is_no_answer(aws):
    """botocore tries again, and EC2 says Duplicate: of our own rule."""
    group = aws.make_group("web")
    aws.faults.plan("AuthorizeSecurityGroupIngress", "reset-after")
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))
    with pytest.raises(Uncertain, match="Duplicate"):
        Writer(target(aws, group)).execute(operation("add", group, entry))
    with pytest.raises(Stale, match="Duplicate"):  # what was lost before says nothing about this call
        Writer(target(aws, group)).execute(operation("add", group, entry))


def test_who_says_nothing_is_asked_twice_since_each_time_is_waited_for(aws, monkeypatch):
    """Five tries of 20 s each: a plan took two minutes to say that AWS's address is silent."""
    monkeypatch.setattr(aws_client, "CONFIG", aws_client.CONFIG.merge(botocore.config.Config(read_timeout=0.2)))
    monkeypatch.setattr(aws.faults, "seconds", 0.5)
    group = aws.make_group("web")
    aws.reset_calls()
    aws.faults.plan("DescribeSecurityGroupRules", *["hang"] * 5)
    report = engine.plan(run(config(target(aws, group)), hosts(1)))
    assert "AWS's address takes requests and gives no answer; the next run" in report.plan.target_changes[0].error
    assert aws.faults.waiting("DescribeSecurityGroupRules") == 3
    aws.faults.clear()
    aws.faults.plan("DescribeSecurityGroupRules", "hang")
    report = engine.plan(run(config(target(aws, group)), hosts(1)))
    assert report.plan.target_changes[0].error is None


def test_a_passing_throttle_is_waited_out(aws):
    """However often it comes: botocore alone would give up after the fifth."""
    group = aws.make_group("web")
    aws.faults.plan("AuthorizeSecurityGroupIngress", *["throttle"] * 12, "500")
    entry = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))
    Writer(target(aws, group)).execute(operation("add", group, entry))
    with pytest.raises(Stale, match="Duplicate"):
        Writer(target(aws, group)).execute(operation("add", group, entry))


def test_a_quota_that_others_use_up_fails_no_run(aws):
    """The cloud throttles as EC2 does, and somebody else takes of the same quota."""
    groups = [aws.make_group(f"web-{number}") for number in range(4)]
    aws.throttle("AuthorizeSecurityGroupIngress", burst=1, refill=3)
    aws.reset_calls()
    report = engine.sync(run(config(target(aws, *groups)), hosts(1)))
    assert {e.status.value for e in report.plan.target_changes} == {"applied"}
    assert [c.operation for c in aws.calls].count("AuthorizeSecurityGroupIngress") > len(groups)


def test_two_credentials_of_one_account_share_its_quotas():
    one = AwsAccount(role_arn="arn:aws:iam::111122223333:role/one")
    two = AwsAccount(role_arn="arn:aws:iam::111122223333:role/two", external_id="x")
    profile = AwsAccount(profile="prod")
    assert aws_pacing.whose(one) == aws_pacing.whose(two) == "111122223333"
    assert aws_pacing.whose(profile) not in {aws_pacing.whose(one), aws_pacing.whose(AwsAccount())}


@pytest.mark.parametrize(
    ("service", "action", "limit"),
    [
        ("ec2", "AuthorizeSecurityGroupIngress", (50, 5)),
        ("ec2", "ModifyManagedPrefixList", (50, 5)),
        ("ec2", "DescribeSecurityGroupRules", (100, 20)),
        ("ec2", "CreateTags", (100, 10)),
        ("sts", "AssumeRole", (600, 600)),
    ],
)
def test_each_action_has_ec2_s_own_limit(service, action, limit):
    found = aws_pacing.limit(service, action)
    assert (found.burst, found.rate) == limit


def test_other_refusals(aws):
    group = aws.make_group("web")
    writer = Writer(target(aws, group))
    entry = Entry(hosts(1)[0], HTTPS, (("description", "über"), ("ipsync:owner", "acme")))
    with pytest.raises(Rejected, match="Invalid rule description"):
        writer.execute(operation("add", group, entry))
    with pytest.raises(Missing, match="does not exist"):
        writer.execute(operation("add", "sg-00000000000000000", Entry(hosts(1)[0], HTTPS, (("description", "d"),))))
    with pytest.raises(Stale):
        writer.execute(operation("remove", group, Entry(hosts(1)[0], HTTPS, provider_id="sgr-00000000000000000")))


def test_no_credentials_is_said(aws, monkeypatch, tmp_path):
    monkeypatch.setattr(aws_client, "_SESSIONS", {})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (target_change,) = engine.plan(run(config(target(aws, "sg-00000000000000000")), hosts(1))).plan.target_changes
    assert "no AWS credentials" in target_change.error
    profile = target(aws, "sg-00000000000000000", where={"account": AwsAccount(profile="nope")})
    (target_change,) = engine.plan(run(config(profile), hosts(1))).plan.target_changes
    assert "nope" in target_change.error


def test_one_sick_region_leaves_the_others_alone(aws):
    group = aws.make_group("web")
    sick = target(aws, "sg-00000000000000000", name="sick", where={"endpoint_url": "http://127.0.0.1:1"})
    report = engine.sync(run(config(target(aws, group), sick), hosts(2)))
    status = {e.target: e.status.value for e in report.plan.target_changes}
    assert status == {"web": "applied", "sick": "error"}


def test_a_prefix_list_counts_its_size(aws):
    group = aws.make_group("web")
    ec2 = aws.client("ec2")
    made = ec2.create_managed_prefix_list(PrefixListName="l", MaxEntries=30, AddressFamily="IPv4")["PrefixList"]
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 1,
        "ToPort": 1,
        "PrefixListIds": [{"PrefixListId": made["PrefixListId"]}],
    }
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    (state,) = Reader(target(aws, group)).read_full(
        [State("aws-security-group", f"aws/1/eu-north-1/{group}", ("web",), traits=ENTRIES)], owner="acme"
    )
    assert state.capacity[0].used == 30
    aws.deny("ec2:DescribeManagedPrefixLists")
    (state,) = Reader(target(aws, group)).read_full([state], owner="acme")
    assert not isinstance(state, ReadFailure)
    assert state.capacity[0].used == 1
    assert state.entries == ()
    assert Service("all") != HTTPS
