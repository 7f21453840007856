"""The IAM documents: every action exists, and none can touch what isn't ours."""

import json
import re
from pathlib import Path

import botocore.loaders
import pytest

from ipsync.targets import tag_marks
from ipsync.targets.aws import policy
from ipsync.targets.aws.calls import READS, WRITES

ROOT = Path(__file__).parents[2] / "deploy" / "aws"
FILES = sorted(ROOT.glob("*.json"))
MODELS = {"ec2": "ec2", "organizations": "organizations", "servicequotas": "service-quotas", "sts": "sts"}
NOT_API_OPERATIONS = {"sts:TagSession"}
"""Permissions that guard a parameter and have no operation of their own (AWS service authorization reference, STS)."""
RULES = "arn:aws:ec2:*:ACCOUNT_ID:security-group-rule/*"


def load(name):
    return json.loads((ROOT / name).read_text())


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def statements():
    return {s["Sid"]: s for s in load("policy.json")["Statement"]}


LISTS = "arn:aws:ec2:*:ACCOUNT_ID:prefix-list/*"


@pytest.fixture(scope="module")
def of_lists():
    return {s["Sid"]: s for s in load("policy-prefix-lists.json")["Statement"]}


def granting(statements, action):
    return [s for s in statements.values() if action in as_list(s["Action"])]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_a_document_is_well_formed(path):
    document = json.loads(path.read_text())
    assert document["Version"] == "2012-10-17", "the older version knows no policy variables"
    sids = [s["Sid"] for s in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    assert all(s["Effect"] == "Allow" for s in document["Statement"])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_action_exists_and_none_is_a_wildcard(path):
    loader = botocore.loaders.Loader()
    known = set(NOT_API_OPERATIONS)
    for service, model in MODELS.items():
        known |= {f"{service}:{name}" for name in loader.load_service_model(model, "service-2")["operations"]}
    actions = {a for s in json.loads(path.read_text())["Statement"] for a in as_list(s["Action"])}
    assert actions
    assert actions <= known


def test_the_policy_allows_exactly_what_is_listed_here(statements):
    assert {a for s in statements.values() for a in as_list(s["Action"])} == {
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "ec2:DescribeManagedPrefixLists",
        "ec2:DescribeRegions",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeSecurityGroups",
        "ec2:RevokeSecurityGroupIngress",
        "servicequotas:GetServiceQuota",
    }


def test_only_reading_goes_without_a_resource(statements):
    everywhere = {a for s in statements.values() if s["Resource"] == "*" for a in as_list(s["Action"])}
    assert {a.split(":")[1][:8] for a in everywhere} == {"Describe"}


def test_a_rule_is_added_only_with_our_mark_and_removed_only_if_it_has_it(statements):
    [add] = [s for s in granting(statements, "ec2:AuthorizeSecurityGroupIngress") if s["Resource"] == RULES]
    assert add["Condition"] == {"StringEquals": {f"aws:RequestTag/{tag_marks.OWNER}": "OWNER"}}
    [remove] = [s for s in granting(statements, "ec2:RevokeSecurityGroupIngress") if s["Resource"] == RULES]
    assert remove["Condition"] == {"StringEquals": {f"aws:ResourceTag/{tag_marks.OWNER}": "OWNER"}}


def test_a_foreign_rule_cannot_be_tagged_into_ours(statements):
    for statement in (*granting(statements, "ec2:CreateTags"), *granting(statements, "ec2:DeleteTags")):
        assert statement["Resource"] == RULES
        wanted = statement["Condition"]["StringEquals"]
        already_ours = wanted.get(f"aws:ResourceTag/{tag_marks.OWNER}") == "OWNER"
        while_made = wanted.get("ec2:CreateAction") == "AuthorizeSecurityGroupIngress"
        assert already_ours or while_made


def test_our_tags_can_be_set_and_only_the_leaving_mark_taken_off(statements):
    ours = {tag_marks.OWNER, tag_marks.FEED, tag_marks.TARGET, tag_marks.SINCE}
    mark = statements["MarkOurRulesAsLeaving"]["Condition"]
    assert set(mark["ForAllValues:StringEquals"]["aws:TagKeys"]) == ours
    assert mark["StringEqualsIfExists"] == {f"aws:RequestTag/{tag_marks.OWNER}": "OWNER"}
    clear = statements["ClearTheLeavingMark"]["Condition"]
    assert clear["ForAllValues:StringEquals"]["aws:TagKeys"] == [tag_marks.SINCE]
    assert clear["Null"] == {"aws:TagKeys": "false"}, (
        "DeleteTags without keys deletes all, and ForAllValues holds for none"
    )


def test_the_policy_for_lists_allows_exactly_what_is_called(of_lists):
    called = {
        f"ec2:{name}" for name in (*READS["ec2"], *WRITES["ec2"]) if "PrefixList" in name or name.endswith("Tags")
    }
    assert {a for s in of_lists.values() for a in as_list(s["Action"])} == called


def test_only_a_list_that_its_keeper_tagged_can_be_changed_and_that_tag_can_t(of_lists):
    writing = [s for s in of_lists.values() if not re.match("ec2:(Describe|Get)", as_list(s["Action"])[0])]
    assert len(writing) == 3
    for statement in writing:
        assert statement["Resource"] == LISTS
        assert statement["Condition"]["StringEquals"] == {f"aws:ResourceTag/{tag_marks.OWNER}": "OWNER"}
    for statement in (of_lists["MarkEntriesOfThoseListsAsLeaving"], of_lists["ClearThoseMarks"]):
        assert statement["Condition"]["ForAllValues:StringLike"] == {"aws:TagKeys": "ipsync:OWNER:*"}
    assert of_lists["ClearThoseMarks"]["Condition"]["Null"] == {"aws:TagKeys": "false"}


def test_check_asks_for_what_the_policy_for_lists_has(of_lists):
    said = [json.loads(line) for what in policy.LISTS for line in policy.statement(what, owner="OWNER").splitlines()]
    shown = [(s["Action"], s["Resource"].replace(":*:*:", ":*:ACCOUNT_ID:"), s.get("Condition")) for s in said]
    assert shown == [(as_list(s["Action"]), s["Resource"], s.get("Condition")) for s in of_lists.values()]


def test_the_role_is_given_to_one_principal_with_an_external_id():
    [trust] = load("trust-policy.json")["Statement"]
    assert trust["Condition"]["StringEquals"]["sts:ExternalId"] == "EXTERNAL_ID"
    assert trust["Principal"]["AWS"].startswith("arn:aws:iam::HUB_ACCOUNT_ID:role/")


@pytest.mark.parametrize("name", ["trust-policy-eks-irsa.json", "trust-policy-eks-pod-identity.json"])
def test_in_eks_the_role_is_given_to_one_service_account(name):
    [trust] = load(name)["Statement"]
    values = " ".join(trust["Condition"]["StringEquals"].values())
    assert values.count("ipsync") == 2, "the namespace and the account"
    assert "*" not in values


def test_what_is_listed_is_read_and_entered_inside_the_organization_alone():
    listed, entered = load("listing-policy.json")["Statement"]
    assert set(listed["Action"]) == {f"organizations:{name}" for name in READS["organizations"]}
    assert entered["Condition"]["StringEquals"] == {"aws:ResourceOrgID": "ORGANIZATION_ID"}


def test_the_readme_explains_each_statement(statements, of_lists):
    text = (ROOT / "README.md").read_text()
    assert not [sid for sid in (*statements, *of_lists) if f"`{sid}`" not in text]
