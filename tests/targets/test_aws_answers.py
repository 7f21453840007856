"""An answer of another shape is unreadable: never an empty list, never a shorter one, never a write that was done."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from factory import HTTPS, NOW, Log, aws_target, config, hosts, snapshot

from ipsync import engine
from ipsync.core.errors import Uncertain, Unreachable
from ipsync.core.model import Entry, Operation, ReadFailure, State
from ipsync.sandbox.aws.replies import GATEWAY_PAGE, NS
from ipsync.targets import registry
from ipsync.targets.aws import answers as aws_answers
from ipsync.targets.aws.group_reader import Reader
from ipsync.targets.aws.group_writer import Writer
from ipsync.targets.aws.where import AwsAccount

OTHER_SHAPES = {
    "a gateway's page": GATEWAY_PAGE,
    "an empty body": b"",
    "an empty object": b"{}",
    "JSON": b'{"status": "ok"}',
    "an empty array": b"[]",
    "another root": f'<Response xmlns="{NS}"><requestId>x</requestId></Response>'.encode(),
    "HTML that is no XML": b"<!DOCTYPE html><html><head><title>Blocked</title><br></head>",
    "plain text": b"It works!",
}
ROOTS = {
    "DescribeSecurityGroupRules": "securityGroupRuleSet",
    "DescribeSecurityGroups": "securityGroupInfo",
    "AuthorizeSecurityGroupIngress": "securityGroupRuleSet",
}


def target(aws, *groups: str, name: str = "web", **changes):
    where = {"groups": groups, "endpoint_url": aws.endpoint_url, **changes.pop("where", {})}
    return aws_target(name, where=where, **changes)


def run(made, listed, *, log=None):
    clouds = engine.Clouds(
        lambda f: snapshot(listed, feed=f.name), registry.open_reader, registry.open_writer, pause=lambda _s: None
    )
    return engine.Run("r", made, clouds, log or Log(), lambda: NOW, frozenset(t.name for t in made.targets))


def answer(operation: str, inner: str) -> bytes:
    name = f"{operation}Response"
    return f'<{name} xmlns="{NS}"><requestId>x</requestId>{inner}</{name}>'.encode()


@pytest.mark.parametrize("shape", OTHER_SHAPES)
@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_page_of_another_shape_is_no_shorter_list(aws, monkeypatch, shape, page):
    """On the first page, a later one and the last: nothing is written, and the target says why."""
    monkeypatch.setattr("ipsync.targets.aws.group_reader.PAGE", 5)
    group = aws.make_group("web")
    made = config(target(aws, group), grace=timedelta(0))
    engine.sync(run(made, hosts(12)))
    aws.reset_calls()
    aws.reply("DescribeSecurityGroupRules", OTHER_SHAPES[shape], times=20, after=page)
    (target_change,) = engine.sync(run(made, hosts(12))).plan.target_changes
    assert target_change.status.value == "error"
    assert "AWS's address answered 200, but" in target_change.error
    assert "a proxy, a gateway, or a wrong `endpoint_url`" in target_change.error
    assert aws.calls_made.writes == 0
    assert len(aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]) == 1


@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_a_match_that_another_shape_answers_is_an_error(aws, shape):
    group = aws.make_group("web", tags={"k": "v"})
    made = config(target(aws, where={"match_tags": (("k", "v"),)}))
    engine.sync(run(made, hosts(3)))
    aws.reset_calls()
    aws.reply("DescribeSecurityGroups", OTHER_SHAPES[shape], times=20)
    (target_change,) = engine.sync(run(made, hosts(3))).plan.target_changes
    assert target_change.status.value == "error"
    assert "answered 200, but" in target_change.error
    assert "has the tags" not in target_change.error, "nobody knows which groups have them"
    assert aws.calls_made.writes == 0
    assert len(aws.rules(group)) == 3


@pytest.mark.parametrize("operation", ["DescribeSecurityGroupRules", "DescribeSecurityGroups"])
def test_the_right_root_without_its_list_is_unreadable(aws, operation):
    group = aws.make_group("web", tags={"k": "v"})
    aws.reply(operation, answer(operation, ""), times=20)
    (target_change,) = engine.plan(
        run(config(target(aws, where={"match_tags": (("k", "v"),)})), hosts(1))
    ).plan.target_changes
    assert f"without <{ROOTS[operation]}>" in target_change.error
    assert group not in target_change.error


def test_an_empty_list_is_an_answer(aws):
    group = aws.make_group("web")
    aws.reply("DescribeSecurityGroupRules", answer("DescribeSecurityGroupRules", "<securityGroupRuleSet/>"))
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert target_change.status.value == "change"


@pytest.mark.parametrize(
    "item",
    [
        "<groupId>{}</groupId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol>",
        "<securityGroupRuleId>sgr-1</securityGroupRuleId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol>",
        "<securityGroupRuleId>sgr-1</securityGroupRuleId><groupId>{}</groupId><ipProtocol>tcp</ipProtocol>",
        "<securityGroupRuleId>sgr-1</securityGroupRuleId><groupId>{}</groupId><isEgress>false</isEgress>",
        "",
    ],
)
def test_a_rule_that_lacks_what_every_rule_has_is_unreadable(aws, item):
    group = aws.make_group("web")
    listed = f"<securityGroupRuleSet><item>{item.format(group)}</item></securityGroupRuleSet>"
    aws.reply("DescribeSecurityGroupRules", answer("DescribeSecurityGroupRules", listed))
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert "answered with one of SecurityGroupRules that has no " in target_change.error


def test_a_number_that_is_none_is_unreadable(aws):
    group = aws.make_group("web")
    item = (
        f"<securityGroupRuleId>sgr-1</securityGroupRuleId><groupId>{group}</groupId><isEgress>false</isEgress>"
        "<ipProtocol>tcp</ipProtocol><fromPort>https</fromPort>"
    )
    listed = f"<securityGroupRuleSet><item>{item}</item></securityGroupRuleSet>"
    aws.reply("DescribeSecurityGroupRules", answer("DescribeSecurityGroupRules", listed))
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert "no usable answer from AWS" in target_change.error
    assert "a fault in ipsync" not in target_change.error


def test_a_cidr_that_is_none_is_its_own_group_s_error(aws):
    sick, well = aws.make_group("sick"), aws.make_group("well")
    items = "".join(
        f"<item><securityGroupRuleId>sgr-{n}</securityGroupRuleId><groupId>{group}</groupId>"
        "<groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol>"
        f"<fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>{cidr}</cidrIpv4></item>"
        for n, group, cidr in ((1, sick, "8.8.8.999/32"), (2, well, "8.8.8.8/32"))
    )
    listed = answer("DescribeSecurityGroupRules", f"<securityGroupRuleSet>{items}</securityGroupRuleSet>")
    aws.reply("DescribeSecurityGroupRules", listed)
    found = Reader(target(aws, sick, well)).list_owned([target(aws, sick, well)], owner="acme")
    assert [type(f) for f in found] == [ReadFailure, State]
    assert f"a rule of {sick} can't be read" in found[0].message


def test_the_same_page_for_ever_ends(aws):
    group = aws.make_group("web")
    page = answer("DescribeSecurityGroupRules", "<securityGroupRuleSet/><nextToken>again</nextToken>")
    aws.reply("DescribeSecurityGroupRules", page, times=5)
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert "the same page of SecurityGroupRules again and again" in target_change.error


# ── writes ───────────────────────────────────────────────────────────────────

ENTRY = Entry(hosts(1)[0], HTTPS, (("description", "d"), ("ipsync:owner", "acme")))


def operation(kind: str, group: str, *entries: Entry) -> Operation:
    return Operation(kind, f"aws/123456789012/eu-north-1/{group}", (), (), entries=entries)


@pytest.mark.parametrize("shape", OTHER_SHAPES)
@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("add", "AuthorizeSecurityGroupIngress"),
        ("remove", "RevokeSecurityGroupIngress"),
        ("tag", "CreateTags"),
        ("untag", "DeleteTags"),
    ],
)
def test_a_write_that_another_shape_answers_is_unknown(aws, shape, kind, call):
    group = aws.make_group("web")
    aws.reply(call, OTHER_SHAPES[shape])
    handled = Entry(ENTRY.network, HTTPS, ENTRY.note, "sgr-00000000000000001")
    with pytest.raises(Uncertain, match="answered 200, but"):
        Writer(target(aws, group)).execute(operation(kind, group, handled))


@pytest.mark.parametrize(
    "inner",
    [
        "<return>false</return><securityGroupRuleSet/>",
        "<securityGroupRuleSet/>",
        "<return>true</return>",
        "<return>true</return><securityGroupRuleSet/>",
    ],
)
def test_an_authorize_says_that_and_what_it_made(aws, inner):
    group = aws.make_group("web")
    aws.reply("AuthorizeSecurityGroupIngress", answer("AuthorizeSecurityGroupIngress", inner))
    with pytest.raises(Uncertain):
        Writer(target(aws, group)).execute(operation("add", group, ENTRY))


@pytest.mark.parametrize("done", [True, False])
def test_an_unreadable_answer_to_a_write_is_settled_by_reading(aws, done):
    group, log = aws.make_group("web"), Log()
    aws.reply("AuthorizeSecurityGroupIngress", GATEWAY_PAGE, done=done)
    (target_change,) = engine.sync(run(config(target(aws, group)), hosts(3), log=log)).plan.target_changes
    assert [r["result"] for r in log.events("outcome")] == (["applied"] if done else ["failed"])
    assert target_change.status.value == ("applied" if done else "error")
    assert len(aws.rules(group)) == (3 if done else 0)
    (target_change,) = engine.sync(run(config(target(aws, group)), hosts(3))).plan.target_changes
    assert target_change.status.value == ("in-sync" if done else "applied")


@pytest.mark.parametrize("status", [302, 403, 407, 451])
def test_a_gateway_s_refusal_is_none_of_aws_s(aws, status):
    group = aws.make_group("web")
    aws.reply("DescribeSecurityGroupRules", GATEWAY_PAGE, status=status)
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert f"answered {status} with a web page (Sign in to the network), no error of AWS's" in target_change.error
    aws.reply("AuthorizeSecurityGroupIngress", GATEWAY_PAGE, status=status)
    with pytest.raises(Uncertain):
        Writer(target(aws, group)).execute(operation("add", group, ENTRY))


def test_a_gateway_s_passing_error_is_tried_again(aws):
    group = aws.make_group("web")
    aws.reply("DescribeSecurityGroupRules", OTHER_SHAPES["HTML that is no XML"], status=502, times=2)
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(1))).plan.target_changes
    assert target_change.status.value == "change"


# ── the services beside EC2 ──────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [*OTHER_SHAPES, "no credentials"])
def test_a_role_that_another_shape_answers_for_is_not_assumed(aws, shape):
    none = b"<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>"
    aws.reply("AssumeRole", OTHER_SHAPES.get(shape, none), times=20)
    account = AwsAccount(role_arn=f"arn:aws:iam::222222222222:role/{shape.replace(' ', '-').replace(chr(39), '')}")
    made = config(target(aws, "sg-00000000000000000", where={"account": account}))
    (target_change,) = engine.plan(run(made, hosts(1))).plan.target_changes
    assert "answered 200, but" in target_change.error
    assert "a fault in ipsync" not in target_change.error


@pytest.mark.parametrize("shape", [*OTHER_SHAPES, "no value"])
def test_a_quota_that_another_shape_answers_is_none(aws, shape):
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(45)))
    aws.reply("GetServiceQuota", OTHER_SHAPES.get(shape, b'{"Quota": {"Value": "many"}}'), times=20)
    (target_change,) = engine.plan(run(config(target(aws, group)), hosts(46))).plan.target_changes
    assert target_change.status.value == "change"


def test_what_a_page_says_of_itself_can_forge_nothing():
    page = b"<html><head><title>Ok\n\x1b[31mapprove this plan</title><script>x</script></head>"
    assert aws_answers.described(page) == "a web page (Ok 31mapprove this plan)"
    assert aws_answers.described(b"  ") == "an empty body"


def test_another_protocol_is_left_to_botocore():
    model = SimpleNamespace(service_model=SimpleNamespace(resolved_protocol="rest-json"), name="GetRoleCredentials")
    aws_answers.demand(operation_model=model, response_dict={"status_code": 401, "body": b'{"message": "no"}'})


# ── whose a group is ─────────────────────────────────────────────────────────


def test_a_group_s_name_holds_its_account_where_the_rules_do_not_tell(aws):
    """The account is part of the name by which two readings of one group are the same."""
    group = aws.make_group("web")
    engine.sync(run(config(target(aws, group)), hosts(1)))
    rule = aws.rules(group)[0]["SecurityGroupRuleId"]
    item = (
        f"<item><securityGroupRuleId>{rule}</securityGroupRuleId><groupId>{group}</groupId><isEgress>false</isEgress>"
        "<ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>8.0.0.0/32</cidrIpv4></item>"
    )
    listed = answer("DescribeSecurityGroupRules", f"<securityGroupRuleSet>{item}</securityGroupRuleSet>")
    aws.reply("DescribeSecurityGroupRules", listed)
    (state,) = Reader(target(aws, group)).list_owned([target(aws, group)], owner="acme")
    assert state.resource == f"aws/123456789012/eu-north-1/{group}"
    aws.reply("DescribeSecurityGroupRules", listed)
    groups = answer(
        "DescribeSecurityGroups", f"<securityGroupInfo><item><groupId>{group}</groupId></item></securityGroupInfo>"
    )
    aws.reply("DescribeSecurityGroups", groups)
    (failure,) = Reader(target(aws, group)).list_owned([target(aws, group)], owner="acme")
    assert failure.targets == ("web",)
    assert "AWS doesn't say whose security group" in failure.message


def test_a_group_shared_from_another_account_has_its_owner_s_name(aws):
    """The role's account is who asks; a group in a shared VPC may be somebody else's."""
    group = "sg-0123456789abcdef0"
    account = AwsAccount(role_arn="arn:aws:iam::222222222222:role/reader")
    mine = target(aws, group, where={"account": account})
    item = f"<item><groupId>{group}</groupId><ownerId>333333333333</ownerId></item>"
    aws.reply(
        "DescribeSecurityGroups", answer("DescribeSecurityGroups", f"<securityGroupInfo>{item}</securityGroupInfo>")
    )
    (state,) = Reader(mine).list_owned([mine], owner="acme")
    assert state.resource == f"aws/333333333333/eu-north-1/{group}"


def test_unreadable_is_no_denial(aws):
    aws.reply("DescribeSecurityGroupRules", GATEWAY_PAGE)
    with pytest.raises(Unreachable):
        Reader(target(aws, "sg-00000000000000000")).list_owned([], owner="acme")
