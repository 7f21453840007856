"""What the config may say of prefix lists."""

from __future__ import annotations

import pytest

from ipsync import config
from ipsync.config import ConfigError
from ipsync.targets.aws.where import AwsLists

V4, V6 = "pl-0123456789abcdef0", "pl-0fedcba9876543210"


def loaded(tmp_path, **keys):
    said = {"name": "edge", "kind": "aws-prefix-list", "feed": "qatech", "region": "eu-north-1", **keys}
    lines = [f"    {key}: {value}" for key, value in said.items()]
    path = tmp_path / "ipsync.yaml"
    path.write_text("\n".join(["version: 1", "owner: acme", "feeds: {qatech: {}}", "targets:", "  -", *lines, ""]))
    return config.load(path, {}).targets[0]


def test_lists_by_family(tmp_path):
    target = loaded(tmp_path, prefix_list=V4, prefix_list_v6=V6)
    assert target.where == AwsLists("eu-north-1", V4, V6)
    assert (target.services, target.families) == ((), {4, 6})
    assert loaded(tmp_path, prefix_list_v6=V6).families == {6}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, r"6: targets\[0\]: needs prefix_list \(for IPv4\), prefix_list_v6 \(for IPv6\), or both"),
        ({"prefix_list": V4, "prefix_list_v6": V4}, r"prefix_list_v6: is the prefix_list too, and a list holds one family"),
        ({"prefix_list": V4, "ports": "[443/tcp]"}, r"ports: a prefix list has no ports: the rules that name it say them"),
        ({"prefix_list": "sg-0123456789abcdef0"}, r"is not a prefix list's id; write it like pl-0123456789abcdef0"),
        ({"prefix_list": V4, "account": "{external_id: x}"}, r"account: an external_id goes with a role_arn"),
    ],
)  # fmt: skip
def test_what_doesn_t_fit_together_is_told(tmp_path, keys, said):
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, **keys)


@pytest.mark.parametrize(
    ("resource", "may"),
    [
        (f"aws/1/eu-north-1/{V4}", True),
        (f"aws/1/eu-north-1/{V6}", True),
        (f"aws/1/eu-west-1/{V4}", False),
        ("aws/1/eu-north-1/sg-1", False),
        ("aws/1/eu-north-1/", False),
    ],
)
def test_which_resources_a_target_names(resource, may):
    assert AwsLists("eu-north-1", V4, V6).may_name(resource) is may
    assert AwsLists("eu-north-1", V4).may_name(resource) is (may and V6 not in resource)
