"""One entry, many places: what the config makes of accounts, regions and projects, and what it says of mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ipsync import config
from ipsync.config import ConfigError
from ipsync.targets.aws.where import AwsAccount, AwsGroups, AwsMany, AwsOrganization
from ipsync.targets.gcp.where import GcpMany, GcpRule

HEAD = "version: 1\nowner: acme\nfeeds:\n  qatech: {}\ntargets:\n"
MATCH = "match: {tags: {a: b}}"
ROLE = "arn:aws:iam::111122223333:role/i"


def aws(*keys: str, name: str = "web") -> str:
    return f"  - {{name: {name}, kind: aws-security-group, feed: qatech, ports: [443/tcp], {', '.join(keys)}}}\n"


def gcp(*keys: str, name: str = "edge", rule: str = "allow") -> str:
    return (
        f"  - {{name: {name}, kind: gcp-firewall, feed: qatech, ports: [443/tcp], rule: {rule}, {', '.join(keys)}}}\n"
    )


def loaded(tmp_path: Path, *targets: str):
    path = tmp_path / "ipsync.yaml"
    path.write_text(HEAD + "".join(targets))
    return config.load(path, {"X": "secret"})


def complaints(tmp_path: Path, *targets: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *targets)
    return [line.split("ipsync.yaml:", 1)[1] for line in caught.value.lines]


def where(tmp_path: Path, target: str):
    (made,) = loaded(tmp_path, target).targets
    return made.where


EACH = AwsGroups("", match_tags=(("a", "b"),))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["region: eu-north-1"], AwsGroups("eu-north-1", match_tags=(("a", "b"),))),
        (["regions: [eu-north-1, us-east-1, eu-north-1]"], AwsMany(EACH, (AwsAccount(),), ("eu-north-1", "us-east-1"))),
        (["regions: enabled", "account: {profile: p}"], AwsMany(EACH, (AwsAccount(profile="p"),))),
        (
            ["region: eu-north-1", "accounts: [{profile: p}, {profile: p}, {organization: {role: i}}]"],
            AwsMany(EACH, (AwsAccount(profile="p"), AwsOrganization("i")), ("eu-north-1",)),
        ),
        (
            ["regions: enabled", "accounts: [{organization: {role: o/i, ou: r-ab12, tags: {t: v}, external_id: x}}]"],
            AwsMany(EACH, (AwsOrganization("o/i", "r-ab12", (("t", "v"),), "x"),)),
        ),
    ],
)
def test_regions_and_accounts(tmp_path, keys, expected):
    assert where(tmp_path, aws(MATCH, *keys)) == expected


@pytest.mark.parametrize(
    ("projects", "expected"),
    [
        ("[acme-one, acme-two, acme-one]", {"projects": ("acme-one", "acme-two")}),
        ('{folder: "12", labels: {b: y, a: x}}', {"folder": "12", "labels": (("a", "x"), ("b", "y"))}),
        ("{labels: {a: x}}", {"labels": (("a", "x"),)}),
    ],
)
def test_projects(tmp_path, projects, expected):
    made = where(tmp_path, gcp(f"projects: {projects}"))
    assert made == GcpMany(GcpRule("", "default", "allow"), **expected)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([MATCH], r"region: is required; add it, or regions"),
        ([MATCH, "region: eu-north-1", "regions: enabled"], r"regions: region and regions say where .* leave one"),
        ([MATCH, "regions: eu-north-1"], r"regions: must be a list; write it like \[eu-north-1, us-east-1\]"),
        ([MATCH, "regions: [Europe]"], r"regions\[0\]: 'Europe' is not an AWS region"),
        ([MATCH, "regions: []"], r"regions: must not be empty"),
        (["regions: enabled", "groups: [sg-0123456789abcdef0]"], r"groups: are of one account's region; .* by match"),
        (
            [MATCH, "regions: enabled", "account: {profile: p}", "accounts: [{profile: q}]"],
            r"accounts: account and accounts say where .* leave one",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{external_id: x}]"],
            r"accounts\[0\]: an external_id goes with a role_arn",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{organization: {role: i}, external_id: x}]"],
            r"accounts\[0\]: an external_id belongs into the organization",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{organization: {role: i}, profile: x}]"],
            r"accounts\[0\]: an organization's accounts have one role",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{organization: {}}]"],
            r"accounts\[0\].organization.role: is required",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{organization: {role: i, oh: x}}]"],
            r"accounts\[0\].organization.oh: unknown key; known here: role, ou",
        ),
        (
            [MATCH, "regions: enabled", "accounts: [{organization: {role: i, ou: x}}]"],
            r"accounts\[0\].organization.ou: 'x' is not an org",
        ),
        ([MATCH, "regions: enabled", "accounts: []"], "accounts: must not be empty; name at least one"),
        ([MATCH, "regions: enabled", "accounts: enabled"], r"accounts: must be a list; write it like \[\{role_arn"),
    ],
)
def test_what_is_wrong_with_regions_and_accounts_is_said(tmp_path, keys, said):
    (line,) = complaints(tmp_path, aws(*keys))
    assert re.match(rf"6: targets\[0\].{said}", line), line


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["priority: 1"], "project: is required; add it, or projects"),
        (["project: acme-one", "projects: [acme-two]"], "projects: project and projects say where .* leave one"),
        (["projects: {}"], "projects: needs a folder, or labels, or both"),
        (["projects: acme-one"], r"projects: must be a list; write it like \[acme-staging"),
        (["projects: [Acme]"], r"projects\[0\]: 'Acme' is not a GCP project's id"),
        (["projects: {folder: 12}"], r"projects.folder: must be a text, but YAML reads 12 as a number"),
        (["projects: {folder: x}"], r"projects.folder: 'x' is not a folder's number"),
        (["projects: {folders: x}"], r"projects.folders: unknown key; did you mean folder\?"),
    ],
)
def test_what_is_wrong_with_projects_is_said(tmp_path, keys, said):
    assert any(re.match(rf"6: targets\[0\].{said}", line) for line in complaints(tmp_path, gcp(*keys)))


@pytest.mark.parametrize("first", ["project: acme-two", "projects: [acme-one, acme-two]"])
def test_a_rule_that_two_entries_share_in_one_of_their_projects_must_be_one(tmp_path, first):
    (line,) = complaints(tmp_path, gcp(first), gcp("projects: [acme-two, acme-three]", "priority: 1", name="other"))
    assert line.startswith("7: targets[1]: rule allow has another priority in the target on line 6")
    loaded(tmp_path, gcp(first), gcp("projects: [acme-three]", "priority: 1", name="other"))


@pytest.mark.parametrize("first", ['projects: {folder: "1"}', "project: acme-one"])
@pytest.mark.parametrize("second", ['projects: {folder: "2"}', "projects: [acme-one]"])
def test_a_neighbour_s_name_is_taken_wherever_both_may_be(tmp_path, first, second):
    (line,) = complaints(tmp_path, gcp(first), gcp(second, name="other", rule="allow-2"))
    assert "allow-2 is a name that ipsync keeps for" in line


def test_an_organization_s_external_id_is_secret(tmp_path):
    text = aws(MATCH, "regions: enabled", "accounts: [{organization: {role: i, external_id: t0pId}}]")
    made = loaded(tmp_path, text)
    assert "t0pId" not in repr(made)
    (line,) = complaints(tmp_path, text.replace("t0pId", "'a b'"))
    assert "a b" not in line
