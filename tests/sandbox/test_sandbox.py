"""The local clouds are as strict as the facts say: what bare moto lets pass is refused here."""

from __future__ import annotations

import socket

import pytest
import requests
from botocore.exceptions import ClientError

from ipsync.sandbox.gcp.schema import faults


def permission(*cidrs: str, port: int = 443, description: str = "d", **changes):
    ranges = [{"CidrIp": c, "Description": description} for c in cidrs]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": ranges, **changes}


@pytest.fixture
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture
def group(aws):
    return aws.make_group("web")


def code(call, **params) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


# ── AWS ──────────────────────────────────────────────────────────────────────


def test_pages_are_real(ec2, group, aws):
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[permission(*(f"8.8.8.{i}/32" for i in range(12)))]
    )
    only = [{"Name": "group-id", "Values": [group]}]
    first = ec2.describe_security_group_rules(Filters=only, MaxResults=5)
    assert len(first["SecurityGroupRules"]) == 5
    rest = ec2.describe_security_group_rules(Filters=only, MaxResults=1000, NextToken=first["NextToken"])
    assert "NextToken" not in rest
    seen = {r["SecurityGroupRuleId"] for r in (*first["SecurityGroupRules"], *rest["SecurityGroupRules"])}
    assert len(seen) == 13
    assert first["SecurityGroupRules"][0]["GroupOwnerId"] == "123456789012"
    assert len(aws.rules(group)) == 12


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"MaxResults": 5, "NextToken": "x"}, "InvalidNextToken"),
        ({"Filters": [{"Name": "cidr", "Values": ["x"]}]}, "InvalidParameterValue"),
        ({"Filters": [{"Name": "group-id", "Values": [f"sg-{i}" for i in range(201)]}]}, "FilterLimitExceeded"),
    ],
)
def test_describes_are_checked(ec2, params, expected):
    assert code(ec2.describe_security_group_rules, **params) == expected


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", {"web", "w*b", "w\\b"}),
        ("w?b", {"web", "w*b", "w\\b"}),
        ("w\\*b", {"w*b"}),
        ("w\\\\b", {"w\\b"}),
        ("w\\eb", {"web"}),
        ("w", set()),
    ],
)
def test_filters_have_ec2_s_wildcards(ec2, aws, pattern, found):
    for value in ("web", "w*b", "w\\b"):
        aws.make_group(value, tags={"tier": value})
    listed = ec2.describe_security_groups(Filters=[{"Name": "tag:tier", "Values": [pattern]}])["SecurityGroups"]
    assert {g["Tags"][0]["Value"] for g in listed} == found


def test_an_authorize_tells_every_rule_that_it_made(ec2, group, aws):
    two = [permission("8.8.8.8/32"), permission("9.9.9.9/32")]
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=two)["SecurityGroupRules"]
    assert {r["SecurityGroupRuleId"] for r in made} == {r["SecurityGroupRuleId"] for r in aws.rules(group)}


def test_prefix_lists_and_groups_weigh(ec2, group, aws):
    name = "com.amazonaws.global.cloudfront.origin-facing"
    aws.weigh(name, 55)
    lists = {p["PrefixListName"]: p["PrefixListId"] for p in ec2.describe_managed_prefix_lists()["PrefixLists"]}
    assert "MaxEntries" not in ec2.describe_managed_prefix_lists(MaxResults=1)["PrefixLists"][0]
    tcp = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}
    front = {**tcp, "PrefixListIds": [{"PrefixListId": lists[name]}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[front])
    full, expected = [permission(f"8.8.8.{i}/32") for i in range(6)], "RulesPerSecurityGroupLimitExceeded"
    assert code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=full) == expected
    itself = {**tcp, "UserIdGroupPairs": [{"GroupId": group}]}
    assert code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[*full[1:], itself]) == expected
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=full[1:])


def test_the_quota_is_told(aws):
    aws.quota(75)
    answer = aws.client("service-quotas").get_service_quota(ServiceCode="vpc", QuotaCode="L-0EA8095F")
    assert answer["Quota"]["Value"] == 75


def test_cidrs_become_canonical(ec2, group, aws):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission("100.68.0.18/18")])
    assert aws.rules(group)[0]["CidrIpv4"] == "100.68.0.0/18"
    again = permission("100.68.0.0/18", description="other")
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[again])
        == "InvalidPermission.Duplicate"
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (permission("8.8.8.8"), "InvalidParameterValue"),
        (permission("8.8.8.999/32"), "InvalidParameterValue"),
        (permission("8.8.8.8/32", description="ü"), "InvalidParameterValue"),
        (permission("8.8.8.8/32", description="x" * 256), "InvalidParameterValue"),
        (permission("8.8.8.8/32", port=70000), "InvalidParameterValue"),
        (permission("8.8.8.8/32", IpProtocol="tpc"), "InvalidParameterValue"),
        (permission("8.8.8.8/32", "8.8.8.8/32"), "InvalidParameterValue"),
        (permission(*(f"8.{i // 250}.{i % 250}.1/32" for i in range(1001))), "InvalidParameterValue"),
        (permission(*(f"8.8.8.{i}/32" for i in range(61))), "RulesPerSecurityGroupLimitExceeded"),
    ],
)
def test_bad_permissions_are_refused_whole(ec2, group, aws, wrong, expected):
    good = permission("9.9.9.9/32", port=80)
    assert code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[good, wrong]) == expected
    assert aws.rules(group) == []


def test_a_batch_with_one_duplicate_adds_nothing(ec2, group, aws):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission("8.8.8.8/32")])
    batch = [permission("9.9.9.9/32", "8.8.8.8/32")]
    assert (
        code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=batch) == "InvalidPermission.Duplicate"
    )
    assert len(aws.rules(group)) == 1


def test_families_are_counted_apart(ec2, group, aws):
    aws.quota(3)
    v6 = {
        "IpProtocol": "tcp",
        "FromPort": 1,
        "ToPort": 1,
        "Ipv6Ranges": [{"CidrIpv6": f"2600::{i}/128"} for i in (1, 2, 3)],
    }
    v4 = permission("8.8.8.1/32", "8.8.8.2/32", "8.8.8.3/32")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[v4, v6])
    assert len(aws.rules(group)) == 6
    more = permission("8.8.8.4/32")
    expected = "RulesPerSecurityGroupLimitExceeded"
    assert code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[more]) == expected


def test_revokes(ec2, group, aws):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission("8.8.8.8/32")])
    known = aws.rules(group)[0]["SecurityGroupRuleId"]
    ids = [known, "sgr-00000000000000000"]
    expected = "InvalidSecurityGroupRuleId.NotFound"
    assert code(ec2.revoke_security_group_ingress, GroupId=group, SecurityGroupRuleIds=ids) == expected
    assert len(aws.rules(group)) == 1
    answer = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission("9.9.9.9/32")])
    assert answer["Return"] is True, "a default VPC's revoke of an unknown rule succeeds silently"
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[known])
    assert aws.rules(group) == []


def test_dry_runs_never_execute(ec2, group, aws):
    aws.reset_calls()
    call = {"GroupId": group, "IpPermissions": [permission("8.8.8.8/32")], "DryRun": True}
    assert code(ec2.authorize_security_group_ingress, **call) == "DryRunOperation"
    assert code(ec2.describe_security_groups, DryRun=True) == "DryRunOperation"
    aws.deny("ec2:AuthorizeSecurityGroupIngress")
    assert code(ec2.authorize_security_group_ingress, **call) == "UnauthorizedOperation"
    assert aws.calls_made.writes == 0
    assert aws.rules(group) == []


def test_throttles_have_a_bucket(aws):
    import boto3
    from botocore.config import Config

    ec2 = boto3.client("ec2", region_name="eu-north-1", config=Config(retries={"total_max_attempts": 1}))
    aws.throttle("DescribeSecurityGroups", burst=2, refill=0.001)
    ec2.describe_security_groups()
    ec2.describe_security_groups()
    assert code(ec2.describe_security_groups) == "RequestLimitExceeded"


def test_reads_after_a_write_may_lag(ec2, group, aws):
    aws.lag(1)
    assert aws.rules(group) == []
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission("8.8.8.8/32")])
    assert aws.rules(group) == []
    assert len(aws.rules(group)) == 1


# ── GCP ──────────────────────────────────────────────────────────────────────


def url(gcp, path: str = "") -> str:
    return f"{gcp.endpoint}/compute/v1/projects/acme/global/firewalls{path}"


RULE = {"name": "r", "sourceRanges": ["8.8.8.8/32"], "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}


def test_no_sources_is_the_whole_internet(gcp):
    requests.post(url(gcp), json={"name": "r", "allowed": RULE["allowed"]}, timeout=5)
    assert gcp.firewalls("acme")["r"]["sourceRanges"] == ["0.0.0.0/0"]
    assert gcp.opened == ["r"]
    gcp.opened.clear()


def test_put_resets_what_it_does_not_name_and_patch_leaves_it(gcp):
    requests.post(url(gcp), json={**RULE, "targetTags": ["web"], "priority": 5}, timeout=5)
    requests.patch(url(gcp, "/r"), json={"name": "r", "sourceRanges": ["9.9.9.9/32"]}, timeout=5)
    body = gcp.firewalls("acme")["r"]
    assert (body["sourceRanges"], body["targetTags"], body["priority"]) == (["9.9.9.9/32"], ["web"], 5)
    requests.put(url(gcp, "/r"), json={"name": "r", "allowed": RULE["allowed"]}, timeout=5)
    body = gcp.firewalls("acme")["r"]
    assert (body["sourceRanges"], body.get("targetTags"), body["priority"]) == (["0.0.0.0/0"], None, 1000)
    gcp.opened.clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Rule"}, "resource.name"),
        ({"sourceRanges": ["8.8.8.8/24"]}, "sourceRanges"),
        ({"sourceRanges": ["8.8.8.8/32", "2600::1/128"]}, "mix"),
        ({"sourceRanges": [f"8.8.{i}.0/24" for i in range(256)] + ["9.9.9.9/32"]}, "Too many"),
        ({"denied": RULE["allowed"]}, "allowed or denied"),
        ({"description": "x" * 2049}, "too long"),
        ({"targetTags": ["a"], "targetServiceAccounts": ["b"]}, "mixed"),
    ],
)
def test_what_google_refuses(gcp, change, words):
    answer = requests.post(url(gcp), json={**RULE, **change}, timeout=5)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_names_and_networks_do_not_change(gcp):
    requests.post(url(gcp), json=RULE, timeout=5)
    for change in ({"name": "other"}, {"network": "global/networks/other"}, {"direction": "EGRESS"}):
        assert requests.patch(url(gcp, "/r"), json=change, timeout=5).status_code == 400
    assert requests.post(url(gcp), json=RULE, timeout=5).json()["error"]["errors"][0]["reason"] == "alreadyExists"
    assert requests.get(url(gcp, "/none"), timeout=5).status_code == 404


def test_an_empty_list_has_no_items_and_lists_are_paged(gcp):
    assert "items" not in requests.get(url(gcp), timeout=5).json()
    for i in range(3):
        requests.post(url(gcp), json={**RULE, "name": f"r{i}"}, timeout=5)
    first = requests.get(url(gcp), params={"maxResults": 2}, timeout=5).json()
    assert len(first["items"]) == 2
    rest = requests.get(url(gcp), params={"maxResults": 2, "pageToken": first["nextPageToken"]}, timeout=5).json()
    assert [r["name"] for r in rest["items"]] == ["r2"]
    assert requests.get(url(gcp), params={"maxResults": 501}, timeout=5).status_code == 400


def test_the_same_request_id_is_carried_out_once(gcp):
    one, two = (requests.post(url(gcp), params={"requestId": "x"}, json=RULE, timeout=5).json() for _ in range(2))
    assert one["name"] == two["name"]


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/r?unknown=1", None),
        ("POST", "", {**RULE, "surceRanges": []}),
        ("POST", "", {**RULE, "priority": "high"}),
        ("POST", "", {**RULE, "allowed": [{"ports": [443]}]}),
        ("POST", "/r/undelete", {}),
    ],
)
def test_what_google_s_description_does_not_know_is_recorded(gcp, verb, path, body):
    answer = requests.request(verb, url(gcp, path), json=body, timeout=5)
    assert answer.status_code in {400, 404}
    assert gcp.violations
    gcp.violations.clear()


def test_our_answers_are_judged_too():
    assert faults({"name": 1, "odd": True}, "Firewall") == [
        "Firewall.name must be of type string, not int",
        "Firewall has no field odd",
    ]


def test_resets_are_resets(gcp):
    gcp.faults.plan("firewalls.list", "reset-before")
    with pytest.raises(requests.ConnectionError):
        requests.get(url(gcp), timeout=5)
    assert socket.getdefaulttimeout() is None
